//! What each command does to the data of its region, and answers.

use std::io::Write as _;
use std::ops::ControlFlow;

use bytes::Bytes;
use skep_raftstore::machine::Fatal;

use crate::descriptor::RegionDescriptor;
use crate::limits::{SCAN_BYTES_MAX, VALUE_BYTES_MAX};
use crate::machine::{KeyMachine, Octets};
use crate::reply_bytes::{self, PairsWriter, Rejection};
use crate::{Command, Condition, Write};

/// Whether all keys of `command` lie in `region`.
pub(super) fn lies_in(region: &RegionDescriptor, command: &Command<&[u8]>) -> bool {
    match command {
        Command::Batch { writes } => writes.iter().all(|write| region.contains(write.key())),
        other => region.contains(other.first_key()),
    }
}

/// Carries out a command of the log.
pub(super) fn write<M: KeyMachine>(
    data: &mut M,
    region: &RegionDescriptor,
    command: Command<&[u8]>,
) -> Result<Bytes, Fatal> {
    match command {
        Command::Put { key, value, condition: Condition::Always, return_old: false } => {
            data.put(key, value.into())?;
            Ok(reply_bytes::done())
        }
        Command::Put { key, value, condition, return_old } => {
            put_if(data, (key, value), condition, return_old)
        }
        Command::Delete { key, return_old } => delete(data, key, return_old),
        Command::Append { key, value } => append(data, key, value),
        Command::Increment { key, by } => increment(data, key, by),
        Command::Batch { writes } => batch(data, &writes),
        query @ (Command::Get { .. }
        | Command::Length { .. }
        | Command::Scan { .. }
        | Command::CountKeys { .. }) => read(data, region, query),
    }
}

/// Answers a query.
pub(super) fn read<M: KeyMachine>(
    data: &M,
    region: &RegionDescriptor,
    query: Command<&[u8]>,
) -> Result<Bytes, Fatal> {
    match query {
        Command::Get { key } => Ok(reply_bytes::value(data.get(key)?.as_deref())),
        Command::Length { key } => Ok(match data.get(key)? {
            Some(value) => reply_bytes::integer(value.len() as i64),
            None => reply_bytes::value(None),
        }),
        Command::Scan { start, end, limit } => scan(data, region, (start, end), limit),
        Command::CountKeys { .. } => Ok(reply_bytes::integer(data.count() as i64)),
        Command::Put { .. }
        | Command::Delete { .. }
        | Command::Append { .. }
        | Command::Increment { .. }
        | Command::Batch { .. } => Ok(reply_bytes::rejected(Rejection::Damaged)),
    }
}

fn put_if<M: KeyMachine>(
    data: &mut M,
    (key, value): (&[u8], &[u8]),
    condition: Condition<&[u8]>,
    return_old: bool,
) -> Result<Bytes, Fatal> {
    let old = data.get(key)?;
    let holds = match condition {
        Condition::Always => true,
        Condition::Absent => old.is_none(),
        Condition::Present => old.is_some(),
        Condition::Equals(expected) => old.as_deref() == Some(expected),
    };
    if holds {
        data.put(key, value.into())?;
    }
    Ok(match (return_old, holds) {
        (true, _) => reply_bytes::value(old.as_deref()),
        (false, true) => reply_bytes::done(),
        (false, false) => reply_bytes::refused(),
    })
}

fn delete<M: KeyMachine>(data: &mut M, key: &[u8], return_old: bool) -> Result<Bytes, Fatal> {
    if !return_old {
        return Ok(reply_bytes::integer(data.remove(key)?.into()));
    }
    let old = data.get(key)?;
    data.remove(key)?;
    Ok(reply_bytes::value(old.as_deref()))
}

fn append<M: KeyMachine>(data: &mut M, key: &[u8], value: &[u8]) -> Result<Bytes, Fatal> {
    let old = data.get(key)?;
    let old = old.as_deref().unwrap_or_default();
    let len = old.len() + value.len();
    if len > VALUE_BYTES_MAX {
        return Ok(reply_bytes::rejected(Rejection::ValueTooLarge(len as u64)));
    }
    data.put(key, Octets::joined(old, value))?;
    Ok(reply_bytes::integer(len as i64))
}

fn increment<M: KeyMachine>(data: &mut M, key: &[u8], by: i64) -> Result<Bytes, Fatal> {
    let old = match data.get(key)? {
        None => 0,
        Some(text) => match integer(&text) {
            Some(number) => number,
            None => return Ok(reply_bytes::rejected(Rejection::NotAnInteger)),
        },
    };
    let Some(sum) = old.checked_add(by) else { return Ok(reply_bytes::rejected(Rejection::Overflow)) };
    data.put(key, decimal(sum))?;
    Ok(reply_bytes::integer(sum))
}

/// The number that `text` is the one way to write: no plus, no leading zero, no space.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decimal(number: i64) -> Octets {
    // "-9223372036854775808" has 20 bytes.
    let mut text = [0; 20];
    let mut rest = &mut text[..];
    // Writing to a slice fails only if it is too short.
    let _ = write!(rest, "{number}");
    let left = rest.len();
    Octets::from(&text[..text.len() - left])
}

fn batch<M: KeyMachine>(data: &mut M, writes: &[Write<&[u8]>]) -> Result<Bytes, Fatal> {
    for write in writes {
        match write {
            Write::Put { key, value } => data.put(key, (*value).into())?,
            Write::Delete { key } => {
                data.remove(key)?;
            }
        }
    }
    Ok(reply_bytes::done())
}

fn scan<M: KeyMachine>(
    data: &M,
    region: &RegionDescriptor,
    (start, end): (&[u8], Option<&[u8]>),
    limit: u32,
) -> Result<Bytes, Fatal> {
    let mut pairs = PairsWriter::new();
    let mut resume: Option<Octets> = None;
    data.scan(start, end, &mut |key, value| {
        let full = pairs.bytes() + key.len() + value.len() > SCAN_BYTES_MAX && pairs.count() > 0;
        if full || pairs.count() >= limit {
            resume = Some(key.into());
            return ControlFlow::Break(());
        }
        pairs.push(key, value);
        ControlFlow::Continue(())
    })?;
    let next_region = region.end.as_deref().filter(|beyond| end.is_none_or(|end| *beyond < end));
    Ok(pairs.finish(resume.as_deref().or(next_region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_told_apart_as_redis_does() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(integer(&decimal(number)), Some(number));
        }
        for text in ["", "-", "+1", "01", "-0", "00", " 1", "1 ", "1.0", "9223372036854775808", "x", "-01"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }
}

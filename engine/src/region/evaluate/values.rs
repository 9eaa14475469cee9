//! Commands that make and unmake values.

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use super::{is_alive, live};
use crate::limits::VALUE_BYTES_MAX;
use crate::machine::{Held, KeyMachine, Octets};
use crate::reply_bytes::{self, Rejection};
use crate::{Condition, Expiry, Write};

/// How a key is to be set.
pub(super) struct Put<'a> {
    pub(super) value: &'a [u8],
    pub(super) condition: Condition<&'a [u8]>,
    pub(super) expiry: Expiry,
    pub(super) return_old: bool,
}

/// How a value is to be moved.
pub(super) struct Move {
    pub(super) if_absent: bool,
    pub(super) keep: bool,
}

pub(super) fn put<M: KeyMachine>(data: &mut M, now: Stamp, key: &[u8], put: Put<'_>) -> Result<Bytes, Fatal> {
    let Put { value, condition, expiry, return_old } = put;
    if condition == Condition::Always && expiry == Expiry::Never && !return_old {
        data.put(key, Held { value: value.into(), expires: None })?;
        return Ok(reply_bytes::done());
    }
    let old = live(data, now, key)?;
    let holds = match condition {
        Condition::Always => true,
        Condition::Absent => old.is_none(),
        Condition::Present => old.is_some(),
        Condition::Equals(expected) => old.as_ref().is_some_and(|old| *old.value == *expected),
    };
    if holds {
        let expires = expires(expiry, old.as_ref());
        store(data, now, key, Held { value: value.into(), expires })?;
    }
    Ok(match (return_old, holds) {
        (true, _) => reply_bytes::value(old.as_ref().map(|old| &*old.value)),
        (false, true) => reply_bytes::done(),
        (false, false) => reply_bytes::refused(),
    })
}

/// When a value expires that takes the place of `old`.
pub(super) fn expires(expiry: Expiry, old: Option<&Held>) -> Option<Stamp> {
    match expiry {
        Expiry::Never => None,
        Expiry::Keep => old.and_then(|old| old.expires),
        Expiry::At(at) => Some(at),
    }
}

/// Sets a key; what has expired already is not kept.
pub(super) fn store<M: KeyMachine>(data: &mut M, now: Stamp, key: &[u8], held: Held) -> Result<(), Fatal> {
    if is_alive(held.expires, now) { data.put(key, held) } else { data.remove(key).map(drop) }
}

pub(super) fn delete<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    key: &[u8],
    return_old: bool,
) -> Result<Bytes, Fatal> {
    let old = data.remove(key)?.filter(|old| is_alive(old.expires, now));
    Ok(if return_old {
        reply_bytes::value(old.as_ref().map(|old| &*old.value))
    } else {
        reply_bytes::integer(old.is_some().into())
    })
}

pub(super) fn append<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    (key, more): (&[u8], &[u8]),
) -> Result<Bytes, Fatal> {
    let old = live(data, now, key)?;
    let text = old.as_ref().map_or(&[][..], |old| &old.value);
    let len = text.len() + more.len();
    if len > VALUE_BYTES_MAX {
        return Ok(reply_bytes::rejected(Rejection::ValueTooLarge(len as u64)));
    }
    let expires = expires(Expiry::Keep, old.as_ref());
    data.put(key, Held { value: Octets::joined(text, more), expires })?;
    Ok(reply_bytes::integer(len as i64))
}

pub(super) fn set_part<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    (key, part): (&[u8], &[u8]),
    offset: usize,
) -> Result<Bytes, Fatal> {
    let old = live(data, now, key)?;
    let mut text = old.as_ref().map_or(Vec::new(), |old| old.value.to_vec());
    if part.is_empty() {
        return Ok(reply_bytes::integer(text.len() as i64));
    }
    let end = offset + part.len();
    if end > VALUE_BYTES_MAX {
        return Ok(reply_bytes::rejected(Rejection::ValueTooLarge(end as u64)));
    }
    text.resize(end.max(text.len()), 0);
    text[offset..end].copy_from_slice(part);
    let expires = expires(Expiry::Keep, old.as_ref());
    data.put(key, Held { value: (&text[..]).into(), expires })?;
    Ok(reply_bytes::integer(text.len() as i64))
}

/// The bytes from `first` through `last`, each of them counted from the end if it is negative.
pub(super) fn part(text: &[u8], first: i64, last: i64) -> &[u8] {
    let len = text.len() as i64;
    if first < 0 && last < 0 && first > last {
        return &[];
    }
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (first, last) = (place(first), place(last).min(len - 1));
    if first > last || len == 0 { &[] } else { &text[first as usize..=last as usize] }
}

pub(super) fn batch<M: KeyMachine>(data: &mut M, writes: &[Write<&[u8]>]) -> Result<Bytes, Fatal> {
    for write in writes {
        match write {
            Write::Put { key, value } => {
                data.put(key, Held { value: (*value).into(), expires: None })?;
            }
            Write::Delete { key } => drop(data.remove(key)?),
        }
    }
    Ok(reply_bytes::done())
}

pub(super) fn create<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    pairs: &[(&[u8], &[u8])],
) -> Result<Bytes, Fatal> {
    for (key, _) in pairs {
        if live(data, now, key)?.is_some() {
            return Ok(reply_bytes::refused());
        }
    }
    for (key, value) in pairs {
        data.put(key, Held { value: (*value).into(), expires: None })?;
    }
    Ok(reply_bytes::done())
}

pub(super) fn move_value<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    (key, to): (&[u8], &[u8]),
    how: Move,
) -> Result<Bytes, Fatal> {
    let Some(held) = live(data, now, key)? else { return Ok(reply_bytes::value(None)) };
    if how.if_absent && live(data, now, to)?.is_some() {
        return Ok(reply_bytes::refused());
    }
    if key != to {
        data.put(to, held)?;
        if !how.keep {
            data.remove(key)?;
        }
    }
    Ok(reply_bytes::done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_value_are_cut_as_redis_cuts_them() {
        let text = b"This is a string";
        let cut = |first, last| String::from_utf8_lossy(part(text, first, last)).into_owned();
        assert_eq!(cut(0, 3), "This");
        assert_eq!(cut(-3, -1), "ing");
        assert_eq!(cut(0, -1), "This is a string");
        assert_eq!(cut(10, 100), "string");
        assert_eq!(cut(5, 3), "");
        assert_eq!(cut(-1, -5), "");
        assert_eq!(cut(100, 200), "");
        assert_eq!(cut(-100, 1), "Th");
        assert_eq!(cut(i64::MIN, i64::MAX), "This is a string");
        assert_eq!(part(b"", 0, -1), b"");
        assert_eq!(part(b"", -5, -1), b"");
    }
}

//! The bytes of a [`Command`]: the body of a log entry and of a query. They live in the log for ever.
//!
//! Little-endian; `string` is a length (u32) and that many bytes.
//!
//! | bytes | what |
//! |---|---|
//! | u64 | version of the region that the command was routed to |
//! | u8 | kind, below |
//! | | what the kind says |
//!
//! | kind | command | fields |
//! |---|---|---|
//! | 1 | get | key: string |
//! | 2 | scan | start: string, has an end: u8 (0, 1), end: string if so, limit: u32 |
//! | 3 | count keys | key: string |
//! | 4 | length of a value | key: string |
//! | 16 | put | flags: u8 (1: return the old value), condition: u8 (0 always, 1 absent, 2 present, 3 equals), what it equals: string if so, key: string, value: string |
//! | 17 | delete | flags: u8 (1: return the old value), key: string |
//! | 18 | append | key: string, value: string |
//! | 19 | increment | by: i64, key: string |
//! | 20 | batch | count: u32, and so many of: u8 (1 put, 2 delete), key: string, value: string if put |
//!
//! A kind, flag or condition that is not listed is *newer*: a machine that meets one in the log stops, because the
//! machines that know it will do something else. Anything else that is wrong is *damaged*, the same for everyone.

use bytes::Bytes;

use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::{BOUND_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{Command, Condition, Write};

const GET: u8 = 1;
const SCAN: u8 = 2;
const COUNT_KEYS: u8 = 3;
const LENGTH: u8 = 4;
const PUT: u8 = 16;
const DELETE: u8 = 17;
const APPEND: u8 = 18;
const INCREMENT: u8 = 19;
const BATCH: u8 = 20;

const RETURN_OLD: u8 = 1;

const ALWAYS: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;
const EQUALS: u8 = 3;

const BATCH_PUT: u8 = 1;
const BATCH_DELETE: u8 = 2;

/// Bytes of a command beside its strings, at most: the version, the kind and what a put has: flags, condition and
/// three lengths.
pub(crate) const FIXED_BYTES_MAX: usize = 8 + 1 + 2 + 3 * 4;

/// Bytes of the smallest write of a batch: its kind and the length of its key.
const WRITE_BYTES_MIN: usize = 5;

/// The body for `command`, meant for a region at `version`.
pub(crate) fn encode<B: AsRef<[u8]>>(version: u64, command: &Command<B>) -> Bytes {
    let mut out = Vec::with_capacity(encoded_bytes(command));
    out.extend_from_slice(&version.to_le_bytes());
    match command {
        Command::Get { key } => put_kind_and_key(&mut out, GET, key),
        Command::CountKeys { key } => put_kind_and_key(&mut out, COUNT_KEYS, key),
        Command::Length { key } => put_kind_and_key(&mut out, LENGTH, key),
        Command::Scan { start, end, limit } => {
            put_kind_and_key(&mut out, SCAN, start);
            out.push(end.is_some().into());
            if let Some(end) = end {
                put_string(&mut out, end.as_ref());
            }
            out.extend_from_slice(&limit.to_le_bytes());
        }
        Command::Put { key, value, condition, return_old } => {
            out.extend_from_slice(&[PUT, flags(*return_old)]);
            put_condition(&mut out, condition);
            put_string(&mut out, key.as_ref());
            put_string(&mut out, value.as_ref());
        }
        Command::Delete { key, return_old } => {
            out.extend_from_slice(&[DELETE, flags(*return_old)]);
            put_string(&mut out, key.as_ref());
        }
        Command::Append { key, value } => {
            put_kind_and_key(&mut out, APPEND, key);
            put_string(&mut out, value.as_ref());
        }
        Command::Increment { key, by } => {
            out.push(INCREMENT);
            out.extend_from_slice(&by.to_le_bytes());
            put_string(&mut out, key.as_ref());
        }
        Command::Batch { writes } => put_batch(&mut out, writes),
    }
    Bytes::from(out)
}

fn put_kind_and_key<B: AsRef<[u8]>>(out: &mut Vec<u8>, kind: u8, key: &B) {
    out.push(kind);
    put_string(out, key.as_ref());
}

fn flags(return_old: bool) -> u8 {
    if return_old { RETURN_OLD } else { 0 }
}

fn put_condition<B: AsRef<[u8]>>(out: &mut Vec<u8>, condition: &Condition<B>) {
    match condition {
        Condition::Always => out.push(ALWAYS),
        Condition::Absent => out.push(ABSENT),
        Condition::Present => out.push(PRESENT),
        Condition::Equals(expected) => {
            out.push(EQUALS);
            put_string(out, expected.as_ref());
        }
    }
}

fn put_batch<B: AsRef<[u8]>>(out: &mut Vec<u8>, writes: &[Write<B>]) {
    out.push(BATCH);
    out.extend_from_slice(&(writes.len() as u32).to_le_bytes());
    for write in writes {
        match write {
            Write::Put { key, value } => {
                put_kind_and_key(out, BATCH_PUT, key);
                put_string(out, value.as_ref());
            }
            Write::Delete { key } => put_kind_and_key(out, BATCH_DELETE, key),
        }
    }
}

/// How many bytes `command` takes, at most.
pub(crate) fn encoded_bytes<B: AsRef<[u8]>>(command: &Command<B>) -> usize {
    let len = |bytes: &B| bytes.as_ref().len();
    let strings = match command {
        Command::Get { key } | Command::Length { key } | Command::CountKeys { key } => len(key),
        Command::Delete { key, .. } | Command::Increment { key, .. } => len(key),
        Command::Scan { start, end, .. } => len(start) + end.as_ref().map_or(0, len),
        Command::Append { key, value } => len(key) + len(value),
        Command::Put { key, value, condition: Condition::Equals(expected), .. } => {
            len(key) + len(value) + len(expected)
        }
        Command::Put { key, value, .. } => len(key) + len(value),
        Command::Batch { writes } => writes.iter().map(write_bytes).sum(),
    };
    strings + FIXED_BYTES_MAX
}

/// How many bytes a write takes in a batch.
pub(crate) fn write_bytes<B: AsRef<[u8]>>(write: &Write<B>) -> usize {
    match write {
        Write::Put { key, value } => WRITE_BYTES_MIN + 4 + key.as_ref().len() + value.as_ref().len(),
        Write::Delete { key } => WRITE_BYTES_MIN + key.as_ref().len(),
    }
}

/// The version of the region that `body` was routed to, and the command in it.
pub(crate) fn decode(body: &[u8]) -> Result<(u64, Command<&[u8]>), Unreadable> {
    let mut from = Reader::new(body);
    let version = from.u64()?;
    let command = match from.u8()? {
        GET => Command::Get { key: key(&mut from)? },
        SCAN => scan(&mut from)?,
        COUNT_KEYS => Command::CountKeys { key: key(&mut from)? },
        LENGTH => Command::Length { key: key(&mut from)? },
        PUT => put(&mut from)?,
        DELETE => {
            let return_old = return_old(&mut from)?;
            Command::Delete { key: key(&mut from)?, return_old }
        }
        APPEND => Command::Append { key: key(&mut from)?, value: value(&mut from)? },
        INCREMENT => {
            let by = from.i64()?;
            Command::Increment { key: key(&mut from)?, by }
        }
        BATCH => batch(&mut from)?,
        0 => return Err(Unreadable::Damaged("a command of kind zero")),
        newer => return Err(Unreadable::Newer("command", newer.into())),
    };
    from.end()?;
    Ok((version, command))
}

fn key<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Unreadable> {
    from.string(KEY_BYTES_MAX)
}

fn value<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Unreadable> {
    from.string(VALUE_BYTES_MAX)
}

fn return_old(from: &mut Reader<'_>) -> Result<bool, Unreadable> {
    match from.u8()? {
        0 => Ok(false),
        RETURN_OLD => Ok(true),
        newer => Err(Unreadable::Newer("flags of a command", newer.into())),
    }
}

fn scan<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let start = from.string(BOUND_BYTES_MAX)?;
    let end = if from.flag("end of a scan")? { Some(from.string(BOUND_BYTES_MAX)?) } else { None };
    Ok(Command::Scan { start, end, limit: from.u32()? })
}

fn put<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let return_old = return_old(from)?;
    let condition = match from.u8()? {
        ALWAYS => Condition::Always,
        ABSENT => Condition::Absent,
        PRESENT => Condition::Present,
        EQUALS => Condition::Equals(value(from)?),
        newer => return Err(Unreadable::Newer("condition", newer.into())),
    };
    Ok(Command::Put { key: key(from)?, value: value(from)?, condition, return_old })
}

fn batch<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let count = from.u32()? as usize;
    if count == 0 || count > from.left() / WRITE_BYTES_MIN {
        return Err(Unreadable::Damaged("a batch of an impossible number of writes"));
    }
    let mut writes = Vec::with_capacity(count);
    for _ in 0..count {
        writes.push(match from.u8()? {
            BATCH_PUT => Write::Put { key: key(from)?, value: value(from)? },
            BATCH_DELETE => Write::Delete { key: key(from)? },
            newer => return Err(Unreadable::Newer("write of a batch", newer.into())),
        });
    }
    Ok(Command::Batch { writes })
}

#[cfg(test)]
mod tests;

//! The bytes of a [`Command`]: the body of a log entry and of a query. They live in the log for ever.
//!
//! Little-endian; `string` is a length (u32) and that many bytes.
//!
//! | bytes | what |
//! |---|---|
//! | u64 | version of the region that the command was routed to |
//! | command | below |
//! | u64 | only of a query: what time it is where it is asked, in milliseconds since 1970; zero: unknown |
//!
//! A command is a kind (u8) and what the kind says. Kinds below 16 are queries.
//!
//! | kind | command | fields |
//! |---|---|---|
//! | 1 | get | key: string |
//! | 2 | scan | start: string, has an end: u8 (0, 1), end: string if so, limit: u32, shape: u8 (bits: 1 keys only, 2 falling) |
//! | 3 | count keys | key: string |
//! | 4 | length of a value | key: string |
//! | 5 | when a value expires | key: string |
//! | 6 | part of a value | first: i64, last: i64, key: string |
//! | 7 | any key | seed: u64, key: string |
//! | 8 | count what expires | key: string |
//! | 9 | look of a key | key: string |
//! | 16 | put | flags: u8 (1: return the old value), condition: u8 (0 always, 1 absent, 2 present, 3 equals), what it equals: string if so, expiry, key: string, value: string |
//! | 17 | delete | flags: u8 (1: return the old value), key: string |
//! | 18 | append | key: string, value: string |
//! | 19 | increment | by: i64, key: string |
//! | 20 | batch | count: u32, and so many of: u8 (1 put, 2 delete), key: string, value: string if put |
//! | 21 | sweep | key: string |
//! | 22 | increment a number with a fraction | key: string, by: string |
//! | 23 | write over a part of a value | offset: u32, key: string, value: string |
//! | 24 | expire | flags: u8 (1: return the value), condition: u8 (bits: 1 never, 2 some, 4 later, 8 earlier), expiry, key: string |
//! | 25 | create | count: u32, and so many of: key: string, value: string |
//! | 26 | move | flags: u8 (bits: 1 if absent, 2 keep), key: string, to: string |
//! | 27 | clear | key: string |
//! | 28 | atomic | count: u32, and so many of: key: string, look: string; count: u32, and so many commands |
//!
//! `expiry` is u8 (0 never, 1 as before, 2 at a time), and if at a time that time: u64, milliseconds since 1970.
//!
//! A kind, flag or condition that is not listed is *newer*: a machine that meets one in the log stops, because the
//! machines that know it will do something else. Anything else that is wrong is *damaged*, the same for everyone.

use bytes::Bytes;
use skep_raftstore::machine::Stamp;

use crate::layout::put_string;
use crate::{Command, Condition, Expiry, ExpiryCondition, ScanShape, Write};
pub(crate) use decoding::{Routed, decode};

mod decoding;

const GET: u8 = 1;
const SCAN: u8 = 2;
const COUNT_KEYS: u8 = 3;
const LENGTH: u8 = 4;
const EXPIRY_OF: u8 = 5;
const PART: u8 = 6;
const ANY_KEY: u8 = 7;
const COUNT_EXPIRING: u8 = 8;
const LOOK: u8 = 9;
const PUT: u8 = 16;
const DELETE: u8 = 17;
const APPEND: u8 = 18;
const INCREMENT: u8 = 19;
const BATCH: u8 = 20;
const SWEEP: u8 = 21;
const INCREMENT_FLOAT: u8 = 22;
const SET_PART: u8 = 23;
const EXPIRE: u8 = 24;
const CREATE: u8 = 25;
const MOVE: u8 = 26;
const CLEAR: u8 = 27;
const ATOMIC: u8 = 28;

const RETURN_OLD: u8 = 1;

const ALWAYS: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;
const EQUALS: u8 = 3;

const NEVER: u8 = 0;
const KEEP: u8 = 1;
const AT: u8 = 2;

const KEYS_ONLY: u8 = 1;
const FALLING: u8 = 2;

const IF_NEVER: u8 = 1;
const IF_SOME: u8 = 2;
const IF_LATER: u8 = 4;
const IF_EARLIER: u8 = 8;

const MOVE_IF_ABSENT: u8 = 1;
const MOVE_KEEP: u8 = 2;

const BATCH_PUT: u8 = 1;
const BATCH_DELETE: u8 = 2;

/// Bytes of a command beside its strings, at most: the version, the kind and what a put has: flags, condition, expiry
/// and three lengths; and the time of a query.
pub(crate) const FIXED_BYTES_MAX: usize = 8 + 1 + 2 + 9 + 3 * 4 + 8;

/// Bytes of the smallest write of a batch: its kind and the length of its key.
const WRITE_BYTES_MIN: usize = 5;
/// Bytes of the smallest pair of strings: two lengths.
const PAIR_BYTES_MIN: usize = 8;
/// Bytes of the smallest command: its kind and the length of its key.
const COMMAND_BYTES_MIN: usize = 5;

/// The body for `command`, meant for a region at `version`. `asked` goes with queries alone.
pub(crate) fn encode<B: AsRef<[u8]>>(version: u64, asked: Stamp, command: &Command<B>) -> Bytes {
    let mut out = Vec::with_capacity(encoded_bytes(command));
    out.extend_from_slice(&version.to_le_bytes());
    put_command(&mut out, command);
    if !command.is_write() {
        out.extend_from_slice(&asked.0.to_le_bytes());
    }
    Bytes::from(out)
}

fn put_command<B: AsRef<[u8]>>(out: &mut Vec<u8>, command: &Command<B>) {
    match command {
        Command::Get { key } => put_kind_and_key(out, GET, key),
        Command::CountKeys { key } => put_kind_and_key(out, COUNT_KEYS, key),
        Command::Length { key } => put_kind_and_key(out, LENGTH, key),
        Command::ExpiryOf { key } => put_kind_and_key(out, EXPIRY_OF, key),
        Command::CountExpiring { key } => put_kind_and_key(out, COUNT_EXPIRING, key),
        Command::Look { key } => put_kind_and_key(out, LOOK, key),
        Command::Sweep { key } => put_kind_and_key(out, SWEEP, key),
        Command::Clear { key } => put_kind_and_key(out, CLEAR, key),
        Command::Part { key, first, last } => {
            put_kind_and_number(out, PART, first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
            put_string(out, key.as_ref());
        }
        Command::AnyKey { key, seed } => {
            put_kind_and_number(out, ANY_KEY, seed.to_le_bytes());
            put_string(out, key.as_ref());
        }
        Command::Scan { start, end, limit, shape } => {
            put_kind_and_key(out, SCAN, start);
            out.push(end.is_some().into());
            if let Some(end) = end {
                put_string(out, end.as_ref());
            }
            out.extend_from_slice(&limit.to_le_bytes());
            out.push(scan_shape(*shape));
        }
        Command::Put { key, value, condition, expiry, return_old } => {
            out.extend_from_slice(&[PUT, bit(*return_old, RETURN_OLD)]);
            put_condition(out, condition);
            put_expiry(out, *expiry);
            put_string(out, key.as_ref());
            put_string(out, value.as_ref());
        }
        Command::Delete { key, return_old } => {
            out.extend_from_slice(&[DELETE, bit(*return_old, RETURN_OLD)]);
            put_string(out, key.as_ref());
        }
        Command::Append { key, value } => put_two(out, APPEND, (key, value)),
        Command::IncrementFloat { key, by } => put_two(out, INCREMENT_FLOAT, (key, by)),
        Command::Increment { key, by } => {
            put_kind_and_number(out, INCREMENT, by.to_le_bytes());
            put_string(out, key.as_ref());
        }
        Command::Batch { writes } => put_batch(out, writes),
        Command::SetPart { key, offset, value } => {
            out.push(SET_PART);
            out.extend_from_slice(&offset.to_le_bytes());
            put_string(out, key.as_ref());
            put_string(out, value.as_ref());
        }
        Command::Expire { key, expiry, condition, return_value } => {
            out.extend_from_slice(&[EXPIRE, bit(*return_value, RETURN_OLD), expiry_condition(*condition)]);
            put_expiry(out, *expiry);
            put_string(out, key.as_ref());
        }
        Command::Create { pairs } => {
            out.push(CREATE);
            put_pairs(out, pairs);
        }
        Command::Move { key, to, if_absent, keep } => {
            out.extend_from_slice(&[MOVE, bit(*if_absent, MOVE_IF_ABSENT) | bit(*keep, MOVE_KEEP)]);
            put_string(out, key.as_ref());
            put_string(out, to.as_ref());
        }
        Command::Atomic { watched, commands } => {
            out.push(ATOMIC);
            put_pairs(out, watched);
            put_count(out, commands.len());
            commands.iter().for_each(|command| put_command(out, command));
        }
    }
}

fn put_kind_and_key<B: AsRef<[u8]>>(out: &mut Vec<u8>, kind: u8, key: &B) {
    out.push(kind);
    put_string(out, key.as_ref());
}

fn put_kind_and_number(out: &mut Vec<u8>, kind: u8, number: [u8; 8]) {
    out.push(kind);
    out.extend_from_slice(&number);
}

fn put_two<B: AsRef<[u8]>>(out: &mut Vec<u8>, kind: u8, (first, second): (&B, &B)) {
    put_kind_and_key(out, kind, first);
    put_string(out, second.as_ref());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_pairs<B: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(B, B)]) {
    put_count(out, pairs.len());
    for (first, second) in pairs {
        put_string(out, first.as_ref());
        put_string(out, second.as_ref());
    }
}

fn bit(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn scan_shape(shape: ScanShape) -> u8 {
    bit(shape.keys_only, KEYS_ONLY) | bit(shape.falling, FALLING)
}

fn expiry_condition(condition: ExpiryCondition) -> u8 {
    let ExpiryCondition { if_never, if_some, if_later, if_earlier } = condition;
    bit(if_never, IF_NEVER) | bit(if_some, IF_SOME) | bit(if_later, IF_LATER) | bit(if_earlier, IF_EARLIER)
}

fn put_condition<B: AsRef<[u8]>>(out: &mut Vec<u8>, condition: &Condition<B>) {
    match condition {
        Condition::Always => out.push(ALWAYS),
        Condition::Absent => out.push(ABSENT),
        Condition::Present => out.push(PRESENT),
        Condition::Equals(expected) => put_kind_and_key(out, EQUALS, expected),
    }
}

fn put_expiry(out: &mut Vec<u8>, expiry: Expiry) {
    match expiry {
        Expiry::Never => out.push(NEVER),
        Expiry::Keep => out.push(KEEP),
        Expiry::At(at) => put_kind_and_number(out, AT, at.0.to_le_bytes()),
    }
}

fn put_batch<B: AsRef<[u8]>>(out: &mut Vec<u8>, writes: &[Write<B>]) {
    out.push(BATCH);
    put_count(out, writes.len());
    for write in writes {
        match write {
            Write::Put { key, value } => put_two(out, BATCH_PUT, (key, value)),
            Write::Delete { key } => put_kind_and_key(out, BATCH_DELETE, key),
        }
    }
}

/// How many bytes `command` takes, at most.
pub(crate) fn encoded_bytes<B: AsRef<[u8]>>(command: &Command<B>) -> usize {
    let len = |bytes: &B| bytes.as_ref().len();
    let strings = match command {
        Command::Get { key }
        | Command::Length { key }
        | Command::CountKeys { key }
        | Command::ExpiryOf { key }
        | Command::Part { key, .. }
        | Command::AnyKey { key, .. }
        | Command::CountExpiring { key }
        | Command::Look { key }
        | Command::Delete { key, .. }
        | Command::Increment { key, .. }
        | Command::Sweep { key }
        | Command::Expire { key, .. }
        | Command::Clear { key } => len(key),
        Command::Scan { start, end, .. } => len(start) + end.as_ref().map_or(0, len),
        Command::Append { key, value: other }
        | Command::IncrementFloat { key, by: other }
        | Command::SetPart { key, value: other, .. }
        | Command::Move { key, to: other, .. } => len(key) + len(other),
        Command::Put { key, value, condition: Condition::Equals(expected), .. } => {
            len(key) + len(value) + len(expected)
        }
        Command::Put { key, value, .. } => len(key) + len(value),
        Command::Batch { writes } => writes.iter().map(write_bytes).sum(),
        Command::Create { pairs } => pairs_bytes(pairs),
        Command::Atomic { watched, commands } => {
            pairs_bytes(watched) + commands.iter().map(encoded_bytes).sum::<usize>()
        }
    };
    strings + FIXED_BYTES_MAX
}

fn pairs_bytes<B: AsRef<[u8]>>(pairs: &[(B, B)]) -> usize {
    pairs.iter().map(|(first, second)| PAIR_BYTES_MIN + first.as_ref().len() + second.as_ref().len()).sum()
}

/// How many bytes a write takes in a batch.
pub(crate) fn write_bytes<B: AsRef<[u8]>>(write: &Write<B>) -> usize {
    match write {
        Write::Put { key, value } => WRITE_BYTES_MIN + 4 + key.as_ref().len() + value.as_ref().len(),
        Write::Delete { key } => WRITE_BYTES_MIN + key.as_ref().len(),
    }
}

#[cfg(test)]
mod tests;

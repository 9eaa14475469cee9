//! The limits of the key space, each with its unit, its reason, and what happens when it is reached.

use bytes::Bytes;

use crate::error::Error;
use crate::{Command, Condition, Write};

/// Bytes of a key. Keys are copied into the routing table and compared on every access, so they stay small.
/// Beyond: [`Error::KeyTooLarge`].
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a bound of a scan: what follows a largest key directly is one byte longer.
pub(crate) const BOUND_BYTES_MAX: usize = KEY_BYTES_MAX + 1;

/// Bytes of a key at which a region is split: two of them, and the replicas, are what a region is born with.
/// Beyond: [`Error::KeyTooLarge`].
pub const SPLIT_KEY_BYTES_MAX: usize = 16 << 10;

/// Regions that one split makes, at most: they are all made in one go.
pub(crate) const SPLIT_PIECES_MAX: usize = 64;

/// Bytes of a value. A value travels and is applied as a piece of one log entry, which holds up everything behind it.
/// Beyond: [`Error::ValueTooLarge`], also if appending would make one.
pub const VALUE_BYTES_MAX: usize = 8 << 20;

/// Bytes of one encoded command: a put that compares with a largest value and sets a largest value fits.
/// Beyond: [`Error::BatchTooLarge`].
pub const COMMAND_BYTES_MAX: usize = 17 << 20;

/// Bytes of pairs in one answer to a scan; reached, the answer says where to go on. Keeps a scan from delaying
/// the writes of its region by more than a fraction of a millisecond.
pub const SCAN_BYTES_MAX: usize = 1 << 20;

/// Keys that [`Command::AnyKey`] chooses from: finding one of them takes a few milliseconds at most.
/// Beyond: the keys after so many are never chosen.
pub const ANY_KEY_MAX: u64 = 1 << 16;

/// Expired keys that one sweep deletes: a millisecond's work. Beyond: the next sweep deletes more.
pub const SWEEP_KEYS_MAX: usize = 1_000;

/// Bytes of the answers of one [`Command::Atomic`]: with its own few bytes it must fit into what is remembered of a
/// reply. Beyond: [`Error::AnswerTooLarge`] for those commands whose answers do not fit.
pub const ANSWERS_BYTES_MAX: usize = 16 << 20;

/// Commands of one [`Command::Atomic`]. Nothing else of the region is done while they are carried out.
/// Beyond: [`Error::TooManyCommands`].
pub const ATOMIC_COMMANDS_MAX: usize = 100_000;

const _: () = assert!(ANSWERS_BYTES_MAX + (1 << 20) <= COMMAND_BYTES_MAX, "an answer can be remembered");

/// Regions that a new directory is cut into, at most. Beyond: [`Error::Impossible`].
pub const REGIONS_MAX: u32 = 100_000;

/// Stores of a cluster in one process, at most: each has threads and a log of its own. Beyond: [`Error::Impossible`].
pub(crate) const STORES_MAX: u32 = 64;

/// Checks what can be checked before anything is encoded.
pub(crate) fn check(command: &Command) -> Result<(), Error> {
    match command {
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
        | Command::Clear { key } => key_fits(key),
        Command::Scan { start, end, .. } => {
            bound_fits(start)?;
            end.as_ref().map_or(Ok(()), |end| bound_fits(end))
        }
        Command::Append { key, value } | Command::IncrementFloat { key, by: value } => pair_fits(key, value),
        Command::SetPart { key, offset, value } => {
            key_fits(key)?;
            value_fits(*offset as usize + value.len())
        }
        Command::Move { key, to, .. } => key_fits(key).and_then(|()| key_fits(to)),
        Command::Put { key, value, condition, .. } => {
            pair_fits(key, value)?;
            match condition {
                Condition::Equals(expected) => value_fits(expected.len()),
                Condition::Always | Condition::Absent | Condition::Present => Ok(()),
            }
        }
        Command::Batch { writes } => batch_fits(writes),
        Command::Create { pairs } => {
            at_least_one(pairs.len())?;
            pairs.iter().try_for_each(|(key, value)| pair_fits(key, value))
        }
        Command::Atomic { watched, commands } => atomic_fits(watched, commands),
    }
}

fn atomic_fits(watched: &[(Bytes, Bytes)], commands: &[Command]) -> Result<(), Error> {
    at_least_one(commands.len())?;
    if commands.len() > ATOMIC_COMMANDS_MAX {
        return Err(Error::TooManyCommands { count: commands.len() });
    }
    watched.iter().try_for_each(|(key, _)| key_fits(key))?;
    if commands.iter().any(|command| matches!(command, Command::Atomic { .. })) {
        return Err(Error::Internal("an atomic command within another".into()));
    }
    commands.iter().try_for_each(check)
}

fn at_least_one(count: usize) -> Result<(), Error> {
    if count == 0 { Err(Error::EmptyBatch) } else { Ok(()) }
}

fn batch_fits(writes: &[Write]) -> Result<(), Error> {
    at_least_one(writes.len())?;
    writes.iter().try_for_each(check_write)
}

/// Checks one write of a batch.
pub(crate) fn check_write(write: &Write) -> Result<(), Error> {
    match write {
        Write::Put { key, value } => pair_fits(key, value),
        Write::Delete { key } => key_fits(key),
    }
}

fn pair_fits(key: &[u8], value: &[u8]) -> Result<(), Error> {
    key_fits(key)?;
    value_fits(value.len())
}

fn key_fits(key: &[u8]) -> Result<(), Error> {
    if key.len() > KEY_BYTES_MAX { Err(Error::KeyTooLarge { bytes: key.len() }) } else { Ok(()) }
}

fn bound_fits(bound: &[u8]) -> Result<(), Error> {
    if bound.len() > BOUND_BYTES_MAX { Err(Error::KeyTooLarge { bytes: bound.len() }) } else { Ok(()) }
}

fn value_fits(bytes: usize) -> Result<(), Error> {
    if bytes > VALUE_BYTES_MAX { Err(Error::ValueTooLarge { bytes }) } else { Ok(()) }
}

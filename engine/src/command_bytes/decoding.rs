//! Reads a [`Command`] out of its bytes.

use skep_raftstore::machine::Stamp;

use super::*;
use crate::layout::{Reader, Unreadable};
use crate::limits::{
    ATOMIC_COMMANDS_MAX, BOUND_BYTES_MAX, COMMAND_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX,
};

/// A command as it was routed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Routed<'a> {
    /// The version of the region that it is meant for.
    pub(crate) version: u64,
    pub(crate) command: Command<&'a [u8]>,
    /// What time it was where a query was asked; zero otherwise.
    pub(crate) asked: Stamp,
}

/// What `body` says. It borrows the keys and values.
pub(crate) fn decode(body: &[u8]) -> Result<Routed<'_>, Unreadable> {
    let mut from = Reader::new(body);
    let version = from.u64()?;
    let kind = from.u8()?;
    let command = if kind == ATOMIC { atomic(&mut from)? } else { simple(kind, &mut from)? };
    let asked = if command.is_write() { Stamp(0) } else { Stamp(from.u64()?) };
    from.end()?;
    Ok(Routed { version, command, asked })
}

/// Any command but an atomic one, which cannot be part of another.
fn simple<'a>(kind: u8, from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    Ok(match kind {
        GET => Command::Get { key: key(from)? },
        SCAN => scan(from)?,
        COUNT_KEYS => Command::CountKeys { key: key(from)? },
        LENGTH => Command::Length { key: key(from)? },
        EXPIRY_OF => Command::ExpiryOf { key: key(from)? },
        PART => {
            let (first, last) = (from.i64()?, from.i64()?);
            Command::Part { key: key(from)?, first, last }
        }
        ANY_KEY => {
            let seed = from.u64()?;
            Command::AnyKey { key: key(from)?, seed }
        }
        COUNT_EXPIRING => Command::CountExpiring { key: key(from)? },
        LOOK => Command::Look { key: key(from)? },
        PUT => put(from)?,
        DELETE => {
            let return_old = return_old(from)?;
            Command::Delete { key: key(from)?, return_old }
        }
        APPEND => Command::Append { key: key(from)?, value: value(from)? },
        INCREMENT => {
            let by = from.i64()?;
            Command::Increment { key: key(from)?, by }
        }
        BATCH => batch(from)?,
        SWEEP => Command::Sweep { key: key(from)? },
        INCREMENT_FLOAT => Command::IncrementFloat { key: key(from)?, by: value(from)? },
        SET_PART => {
            let offset = from.u32()?;
            Command::SetPart { key: key(from)?, offset, value: value(from)? }
        }
        EXPIRE => expire(from)?,
        CREATE => create(from)?,
        MOVE => {
            let flags = bits(from, MOVE_IF_ABSENT | MOVE_KEEP, "flags of a command")?;
            let (key, to) = (key(from)?, key(from)?);
            Command::Move { key, to, if_absent: flags & MOVE_IF_ABSENT != 0, keep: flags & MOVE_KEEP != 0 }
        }
        CLEAR => Command::Clear { key: key(from)? },
        0 => return Err(Unreadable::Damaged("a command of kind zero")),
        ATOMIC => return Err(Unreadable::Damaged("an atomic command within another")),
        newer => return Err(Unreadable::Newer("command", newer.into())),
    })
}

fn key<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Unreadable> {
    from.string(KEY_BYTES_MAX)
}

fn value<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], Unreadable> {
    from.string(VALUE_BYTES_MAX)
}

fn bits(from: &mut Reader<'_>, known: u8, what: &'static str) -> Result<u8, Unreadable> {
    match from.u8()? {
        bits if bits & !known == 0 => Ok(bits),
        newer => Err(Unreadable::Newer(what, newer.into())),
    }
}

fn return_old(from: &mut Reader<'_>) -> Result<bool, Unreadable> {
    Ok(bits(from, RETURN_OLD, "flags of a command")? == RETURN_OLD)
}

/// A count of things that take at least so many bytes each.
fn count(from: &mut Reader<'_>, bytes_min: usize) -> Result<usize, Unreadable> {
    let count = from.u32()? as usize;
    if count > from.left() / bytes_min {
        return Err(Unreadable::Damaged("an impossible number of parts"));
    }
    Ok(count)
}

fn at_least_one(count: usize) -> Result<usize, Unreadable> {
    if count == 0 { Err(Unreadable::Damaged("a command of no parts")) } else { Ok(count) }
}

fn scan<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let start = from.string(BOUND_BYTES_MAX)?;
    let end = if from.flag("end of a scan")? { Some(from.string(BOUND_BYTES_MAX)?) } else { None };
    let limit = from.u32()?;
    let shape = bits(from, KEYS_ONLY | FALLING, "shape of a scan")?;
    let shape = ScanShape { keys_only: shape & KEYS_ONLY != 0, falling: shape & FALLING != 0 };
    Ok(Command::Scan { start, end, limit, shape })
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
    let expiry = expiry(from)?;
    Ok(Command::Put { key: key(from)?, value: value(from)?, condition, expiry, return_old })
}

fn expiry(from: &mut Reader<'_>) -> Result<Expiry, Unreadable> {
    match from.u8()? {
        NEVER => Ok(Expiry::Never),
        KEEP => Ok(Expiry::Keep),
        AT => Ok(Expiry::At(Stamp(from.u64()?))),
        newer => Err(Unreadable::Newer("expiry", newer.into())),
    }
}

fn batch<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let count = at_least_one(count(from, WRITE_BYTES_MIN)?)?;
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

fn expire<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let return_value = return_old(from)?;
    let bits = bits(from, IF_NEVER | IF_SOME | IF_LATER | IF_EARLIER, "condition of an expiry")?;
    let condition = ExpiryCondition {
        if_never: bits & IF_NEVER != 0,
        if_some: bits & IF_SOME != 0,
        if_later: bits & IF_LATER != 0,
        if_earlier: bits & IF_EARLIER != 0,
    };
    let expiry = expiry(from)?;
    Ok(Command::Expire { key: key(from)?, expiry, condition, return_value })
}

fn create<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let count = at_least_one(count(from, PAIR_BYTES_MIN)?)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((key(from)?, value(from)?));
    }
    Ok(Command::Create { pairs })
}

fn atomic<'a>(from: &mut Reader<'a>) -> Result<Command<&'a [u8]>, Unreadable> {
    let pairs = count(from, PAIR_BYTES_MIN)?;
    let mut watched = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        watched.push((key(from)?, from.string(COMMAND_BYTES_MAX)?));
    }
    let count = at_least_one(count(from, COMMAND_BYTES_MIN)?)?;
    if count > ATOMIC_COMMANDS_MAX {
        return Err(Unreadable::Damaged("an impossible number of parts"));
    }
    let mut commands = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = from.u8()?;
        commands.push(simple(kind, from)?);
    }
    Ok(Command::Atomic { watched, commands })
}

//! What each command does to the data of its region, and answers.
//!
//! Time is the region's stamp and nothing else: a value whose time it has reached does not exist, for reads and for
//! what writes read, whether or not it has been removed yet.

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use crate::Command;
use crate::descriptor::RegionDescriptor;
use crate::machine::{Held, KeyMachine};
use crate::reply_bytes::{self, Rejection};

mod atomic;
mod expiry;
mod keys;
mod long_double;
mod numbers;
mod values;

/// Whether all keys of `command` lie in `region`.
pub(super) fn lies_in(region: &RegionDescriptor, command: &Command<&[u8]>) -> bool {
    command.all_keys(&mut |key| region.contains(key))
}

/// Where a command is carried out, and when.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) region: &'a RegionDescriptor,
    /// The region's time.
    pub(super) now: Stamp,
    /// The time where a query was asked. What has expired by then, and not by `now`, is not answered: the region's time
    /// has to move on first.
    pub(super) asked: Stamp,
}

/// Carries out a command of the log.
pub(super) fn write<M: KeyMachine>(
    data: &mut M,
    scene: Scene<'_>,
    command: Command<&[u8]>,
) -> Result<Bytes, Fatal> {
    let now = scene.now;
    match command {
        Command::Put { key, value, condition, expiry, return_old } => {
            let put = values::Put { value, condition, expiry, return_old };
            values::put(data, now, key, put)
        }
        Command::Delete { key, return_old } => values::delete(data, now, key, return_old),
        Command::Append { key, value } => values::append(data, now, (key, value)),
        Command::SetPart { key, offset, value } => values::set_part(data, now, (key, value), offset as usize),
        Command::Increment { key, by } => numbers::increment(data, now, key, by),
        Command::IncrementFloat { key, by } => numbers::increment_float(data, now, (key, by)),
        Command::Batch { writes } => values::batch(data, &writes),
        Command::Create { pairs } => values::create(data, now, &pairs),
        Command::Sweep { .. } => expiry::sweep(data, now),
        Command::Expire { key, expiry, condition, return_value } => {
            expiry::expire(data, now, key, expiry::Change { expiry, condition, return_value })
        }
        Command::Move { key, to, if_absent, keep } => {
            values::move_value(data, now, (key, to), values::Move { if_absent, keep })
        }
        Command::Clear { .. } => keys::clear(data, scene.region),
        Command::Atomic { watched, commands } => atomic::atomic(data, scene, &watched, commands),
        query @ (Command::Get { .. }
        | Command::Length { .. }
        | Command::Scan { .. }
        | Command::CountKeys { .. }
        | Command::ExpiryOf { .. }
        | Command::Part { .. }
        | Command::AnyKey { .. }
        | Command::CountExpiring { .. }
        | Command::Look { .. }) => read(data, scene, query),
    }
}

/// Answers a query.
pub(super) fn read<M: KeyMachine>(data: &M, scene: Scene<'_>, query: Command<&[u8]>) -> Result<Bytes, Fatal> {
    let one = |key, answer: fn(Option<&Held>) -> Bytes| {
        let held = live(data, scene.now, key)?;
        if is_behind(scene, held.as_ref()) {
            return Ok(reply_bytes::behind());
        }
        Ok(answer(held.as_ref()))
    };
    match query {
        Command::Get { key } => one(key, |held| reply_bytes::value(held.map(|held| &*held.value))),
        Command::Length { key } => one(key, |held| match held {
            Some(held) => reply_bytes::integer(held.value.len() as i64),
            None => reply_bytes::value(None),
        }),
        Command::ExpiryOf { key } => one(key, expiry::expiry_of),
        Command::Part { key, first, last } => match live(data, scene.now, key)? {
            held if is_behind(scene, held.as_ref()) => Ok(reply_bytes::behind()),
            held => Ok(reply_bytes::value(held.as_ref().map(|held| values::part(&held.value, first, last)))),
        },
        Command::Look { key } => match live(data, scene.now, key)? {
            held if is_behind(scene, held.as_ref()) => Ok(reply_bytes::behind()),
            held => Ok(reply_bytes::value(Some(&atomic::look(scene.region, held.as_ref())))),
        },
        Command::Scan { start, end, limit, shape } => {
            keys::scan(data, scene, (start, end), keys::Page { limit, shape })
        }
        Command::CountKeys { .. } => keys::count(data, scene, data.count()),
        Command::CountExpiring { .. } => keys::count(data, scene, data.count_expiring()),
        Command::AnyKey { seed, .. } => keys::any(data, scene, seed),
        Command::Put { .. }
        | Command::Delete { .. }
        | Command::Append { .. }
        | Command::Increment { .. }
        | Command::Batch { .. }
        | Command::Sweep { .. }
        | Command::IncrementFloat { .. }
        | Command::SetPart { .. }
        | Command::Expire { .. }
        | Command::Create { .. }
        | Command::Move { .. }
        | Command::Clear { .. }
        | Command::Atomic { .. } => Ok(reply_bytes::rejected(Rejection::Damaged)),
    }
}

/// What a key holds, unless its time is over.
fn live<M: KeyMachine>(data: &M, now: Stamp, key: &[u8]) -> Result<Option<Held>, Fatal> {
    Ok(data.get(key)?.filter(|held| is_alive(held.expires, now)))
}

fn is_alive(expires: Option<Stamp>, now: Stamp) -> bool {
    expires.is_none_or(|at| at > now)
}

fn is_behind(scene: Scene<'_>, held: Option<&Held>) -> bool {
    held.is_some_and(|held| !is_alive(held.expires, scene.asked))
}

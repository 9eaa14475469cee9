//! Commands about when values expire, and the removal of those that have.

use std::ops::ControlFlow;

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use super::values::{expires, store};
use super::{is_alive, live};
use crate::limits::SWEEP_KEYS_MAX;
use crate::machine::{Held, KeyMachine, Octets};
use crate::reply_bytes;
use crate::{Expiry, ExpiryCondition};

/// What becomes of a value's time.
pub(super) struct Change {
    pub(super) expiry: Expiry,
    pub(super) condition: ExpiryCondition,
    pub(super) return_value: bool,
}

pub(super) fn expire<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    key: &[u8],
    change: Change,
) -> Result<Bytes, Fatal> {
    let old = live(data, now, key)?;
    let new = old.as_ref().map(|old| expires(change.expiry, Some(old)));
    let is_changed = match (&old, new) {
        (Some(old), Some(new)) if holds(change.condition, old.expires, new) => {
            store(data, now, key, Held { value: old.value.clone(), expires: new })?;
            true
        }
        _ => false,
    };
    Ok(if change.return_value {
        reply_bytes::value(old.as_ref().map(|old| &*old.value))
    } else {
        reply_bytes::integer(is_changed.into())
    })
}

fn holds(condition: ExpiryCondition, old: Option<Stamp>, new: Option<Stamp>) -> bool {
    let ExpiryCondition { if_never, if_some, if_later, if_earlier } = condition;
    // What never expires is later than all.
    let time = |at: Option<Stamp>| at.map_or(u64::MAX, |at| at.0);
    (!if_never || old.is_none())
        && (!if_some || old.is_some())
        && (!if_later || time(new) > time(old))
        && (!if_earlier || time(new) < time(old))
}

/// Milliseconds since 1970, or -1 for never, or -2 for no value.
pub(super) fn expiry_of(held: Option<&Held>) -> Bytes {
    reply_bytes::integer(match held {
        None => -2,
        Some(Held { expires: None, .. }) => -1,
        Some(Held { expires: Some(at), .. }) => i64::try_from(at.0).unwrap_or(i64::MAX),
    })
}

/// Removes what has expired, a bounded number of keys; how many expired ones are left.
pub(super) fn sweep<M: KeyMachine>(data: &mut M, now: Stamp) -> Result<Bytes, Fatal> {
    let mut expired: Vec<Octets> = Vec::new();
    data.expiring(&mut |at, key| {
        if is_alive(Some(at), now) || expired.len() == SWEEP_KEYS_MAX {
            return ControlFlow::Break(());
        }
        expired.push(key.into());
        ControlFlow::Continue(())
    })?;
    for key in &expired {
        data.remove(key)?;
    }
    Ok(reply_bytes::integer(count_expired(data, now)? as i64))
}

/// How many keys have expired and are not removed yet.
pub(super) fn count_expired<M: KeyMachine>(data: &M, now: Stamp) -> Result<u64, Fatal> {
    let mut count = 0;
    data.expiring(&mut |at, _| {
        if is_alive(Some(at), now) {
            return ControlFlow::Break(());
        }
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// When the next value expires that has not expired by `now`.
pub(super) fn next_expiry<M: KeyMachine>(data: &M, now: Stamp) -> Result<Option<Stamp>, Fatal> {
    let mut next = None;
    data.expiring(&mut |at, _| {
        if !is_alive(Some(at), now) {
            return ControlFlow::Continue(());
        }
        next = Some(at);
        ControlFlow::Break(())
    })?;
    Ok(next)
}

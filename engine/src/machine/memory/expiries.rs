//! When which values expire: by key, and in the order of time.

use imbl::{OrdMap, OrdSet};
use skep_raftstore::machine::Stamp;

use crate::machine::Octets;

/// Keys and the times when their values expire. Clones share their nodes.
///
/// Invariant: `in_order` has exactly the pairs of `by_key`.
#[derive(Clone, Default)]
pub(super) struct Expiries {
    by_key: OrdMap<Octets, Stamp>,
    in_order: OrdSet<(Stamp, Octets)>,
}

impl Expiries {
    pub(super) fn of(&self, key: &[u8]) -> Option<Stamp> {
        if self.by_key.is_empty() { None } else { self.by_key.get(key).copied() }
    }

    /// Sets or ends it; what it was before.
    pub(super) fn set(&mut self, key: &[u8], expires: Option<Stamp>) -> Option<Stamp> {
        let old = self.of(key);
        if old == expires {
            return old;
        }
        let key = Octets::from(key);
        if let Some(at) = old {
            self.in_order.remove(&(at, key.clone()));
        }
        match expires {
            None => drop(self.by_key.remove(&key)),
            Some(at) => {
                self.in_order.insert((at, key.clone()));
                self.by_key.insert(key, at);
            }
        }
        old
    }

    /// Each time and its key, the earliest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &(Stamp, Octets)> {
        self.in_order.iter()
    }

    pub(super) fn count(&self) -> u64 {
        self.by_key.len() as u64
    }
}

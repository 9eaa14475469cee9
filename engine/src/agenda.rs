//! When the regions of a store have values that expire: what the sweeper goes by.
//!
//! A region's machine notes when its next value expires, whenever that changes; a region without such values is not in
//! here and costs nothing. How often the sweeper asks a region is decided in [`sweeper`](crate::sweeper).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use skep_raftstore::ids::RegionId;
use skep_raftstore::machine::Stamp;

use crate::descriptor::RegionDescriptor;

/// A clock that is set forward is noticed after so long.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// See the page of this file.
#[derive(Default)]
pub(crate) struct Agenda {
    // Guards the notes alone; nothing is called while it is held.
    noted: Mutex<Noted>,
    changed: Condvar,
}

#[derive(Default)]
struct Noted {
    regions: BTreeMap<RegionId, Note>,
    /// What is noted for a time before this wakes the sweeper.
    sleeps_until: Stamp,
    is_closed: bool,
}

/// What a region has noted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Note {
    /// When its next value expires.
    pub(crate) next: Stamp,
    /// Its first key.
    pub(crate) start: Bytes,
}

impl Agenda {
    /// The region's next value expires then, or none does.
    pub(crate) fn note(&self, region: &RegionDescriptor, next: Option<Stamp>) {
        let mut noted = self.noted.lock();
        let Some(next) = next else {
            noted.regions.remove(&region.id);
            return;
        };
        noted.regions.insert(region.id, Note { next, start: region.start.clone() });
        if next < noted.sleeps_until {
            self.changed.notify_one();
        }
    }

    /// The region is no longer here.
    pub(crate) fn forget(&self, region: &RegionDescriptor) {
        self.noted.lock().regions.remove(&region.id);
    }

    /// No more is noted: whoever waits need not.
    pub(crate) fn close(&self) {
        self.noted.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits for `pause`, then until something has expired; the regions that have such values. `None` once the agenda is
    /// closed.
    pub(crate) fn due(&self, pause: Duration, now: impl Fn() -> Stamp) -> Option<Vec<(RegionId, Note)>> {
        let mut noted = self.noted.lock();
        noted.sleeps_until = Stamp(0);
        if !noted.is_closed {
            self.changed.wait_for(&mut noted, pause);
        }
        loop {
            if noted.is_closed {
                return None;
            }
            let now = now();
            let due = noted.regions.iter().filter(|(_, note)| note.next <= now);
            let due: Vec<_> = due.map(|(region, note)| (*region, note.clone())).collect();
            if !due.is_empty() {
                return Some(due);
            }
            match noted.regions.values().map(|note| note.next).min() {
                None => {
                    noted.sleeps_until = Stamp(u64::MAX);
                    self.changed.wait(&mut noted);
                }
                Some(next) => {
                    noted.sleeps_until = next;
                    let left = Duration::from_millis(next.0.saturating_sub(now.0));
                    self.changed.wait_for(&mut noted, left.min(SLEEP_MAX));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

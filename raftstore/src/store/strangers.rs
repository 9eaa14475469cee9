//! Messages for regions that are not here.
//!
//! Most come too early: a region was split elsewhere, and this store is about to apply the split, which makes the region here
//! with all its data. So they are dropped; the sender sends again. Only if a leader goes on for some time does this store make a
//! blank replica, which the leader then sends a snapshot: the region is moving here, or a snapshot of the region that was
//! split has skipped the split. The same if a candidate goes on, which may have no majority but with this replica's vote. If the split comes after all, the blank replica becomes what it makes (see `newborn.rs`).

use std::collections::BTreeMap;

use crate::ids::{RegionId, Tick};

/// How long a leader has to go on, in ticks: longer than a follower takes that is a little behind, short beside a snapshot.
const PATIENCE_TICKS: u64 = 50;

/// Who was silent for so long begins anew, in ticks: longer than a candidate waits before it asks again.
const SILENCE_TICKS: u64 = 300;

/// Regions that are waited for at a time; others are noticed when these are here.
const STRANGERS_MAX: usize = 1024;

/// Which leaders and candidates go on: since when, and when they were heard last.
#[derive(Default)]
pub(super) struct Strangers(BTreeMap<RegionId, (Tick, Tick)>);

impl Strangers {
    /// A leader or candidate of `region` was heard. Whether it has gone on for long enough.
    pub(super) fn heard(&mut self, region: RegionId, now: Tick) -> bool {
        if self.0.len() >= STRANGERS_MAX {
            self.0.retain(|_, (_, last)| now.since(*last) < SILENCE_TICKS);
        }
        if self.0.len() >= STRANGERS_MAX && !self.0.contains_key(&region) {
            return false;
        }
        let (first, last) = self.0.entry(region).or_insert((now, now));
        if now.since(*last) >= SILENCE_TICKS {
            *first = now;
        }
        *last = now;
        let is_due = now.since(*first) >= PATIENCE_TICKS;
        if is_due {
            self.0.remove(&region);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: RegionId = RegionId(1);

    #[test]
    fn only_a_leader_that_goes_on_is_believed() {
        let mut strangers = Strangers::default();
        assert!(!strangers.heard(REGION, Tick(10)));
        let later = 10 + SILENCE_TICKS;
        assert!(!strangers.heard(REGION, Tick(later)), "it was silent for too long: from here on it counts");
        let due = (1..100).map(|step| later + step * 25).find(|tick| strangers.heard(REGION, Tick(*tick)));
        assert_eq!(due, Some(later + PATIENCE_TICKS));
        assert!(!strangers.heard(REGION, Tick(due.unwrap() + 25)), "and it begins anew");
    }

    #[test]
    fn they_are_bounded() {
        let mut strangers = Strangers::default();
        for region in 0..2 * STRANGERS_MAX as u64 {
            strangers.heard(RegionId(region), Tick(1));
        }
        assert_eq!(strangers.0.len(), STRANGERS_MAX);
        strangers.heard(RegionId(u64::MAX), Tick(1 + SILENCE_TICKS));
        assert_eq!(strangers.0.len(), 1);
    }
}

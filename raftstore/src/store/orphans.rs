//! Which regions of a store that is opened wait for a machine that nobody will hand out.
//!
//! A region that was split off and has no checkpoint gets its state by its parent's applying the split again. The parent's replica
//! on this store can do that if it is itself whole, is not beyond the split, and its log has that very entry: the log of the
//! replica that applied it has, for the birth record of the child was written later. Where it has not, that replica was removed, or another
//! one is in its place, which may be blank or have a state from before the split. Then the child's state is lost, and what was to
//! come from the child is lost with it.

use std::collections::BTreeMap;

use skep_wal::StreamInfo;

use super::birth::{Birth, Descent};
use crate::ids::RegionId;
use crate::raft::LogPos;

/// A region as opening finds it.
pub(super) struct Found<'a> {
    pub(super) birth: &'a Birth,
    pub(super) info: &'a StreamInfo,
    /// What its checkpoint contains, if it has one.
    pub(super) checkpoint: Option<LogPos>,
    /// Whether nothing of it is damaged.
    pub(super) is_whole: bool,
}

impl Found<'_> {
    /// Which other region it waits for, and through which entry of that one's log.
    fn awaits(&self) -> Option<(RegionId, LogPos)> {
        match self.birth.descent {
            Descent::Split { parent, at } if self.checkpoint.is_none() => Some((parent, at)),
            Descent::Split { .. } | Descent::Genesis | Descent::Message => None,
        }
    }

    /// Whether it can apply the entry at `at` again.
    fn hands_out(&self, at: LogPos) -> bool {
        let is_before = self.checkpoint.is_none_or(|checkpoint| checkpoint.index < at.index);
        self.is_whole && is_before && holds(self.info, at)
    }
}

/// Those who wait in vain, each with the region that it waits for.
pub(super) fn orphans(found: &[Found<'_>]) -> BTreeMap<RegionId, RegionId> {
    let regions: BTreeMap<RegionId, &Found<'_>> =
        found.iter().map(|region| (region.birth.region, region)).collect();
    let mut orphans = BTreeMap::new();
    loop {
        let count = orphans.len();
        for (region, found) in &regions {
            let Some((parent, at)) = found.awaits() else { continue };
            let hands_out = regions.get(&parent).is_some_and(|parent| parent.hands_out(at));
            if !hands_out || orphans.contains_key(&parent) {
                orphans.insert(*region, parent);
            }
        }
        if orphans.len() == count {
            return orphans;
        }
    }
}

/// Whether a log contains the entry at `pos`, or begins after it.
pub(super) fn holds(log: &StreamInfo, pos: LogPos) -> bool {
    let newest_run = log.runs.iter().rev().find(|(first, _)| *first <= pos.index.0);
    match newest_run {
        _ if pos.index.0 <= log.base_index => (pos.index.0, pos.term.0) == (log.base_index, log.base_term),
        Some((_, term)) => pos.index.0 <= log.last_index && *term == pos.term.0,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::{Index, ReplicaId, Term};
    use crate::raft::Membership;

    const fn at(index: u64) -> LogPos {
        LogPos { index: Index(index), term: Term(3) }
    }

    fn birth(region: u64, descent: Descent) -> Birth {
        let (membership, genesis) = (Membership::default(), Bytes::new());
        Birth {
            region: RegionId(region),
            replica: ReplicaId(1),
            membership,
            genesis,
            descent,
            campaign: false,
        }
    }

    /// A log of entries of one term, after `base` and through `last`.
    fn log(base: u64, last: u64, term: u64) -> StreamInfo {
        StreamInfo {
            base_index: base,
            base_term: if base == 0 { 0 } else { term },
            last_index: last,
            last_term: term,
            hard_state: Bytes::new(),
            runs: if base < last { vec![(base + 1, term)] } else { Vec::new() },
            damaged: None,
        }
    }

    /// Region 2 was split off region 1 by entry 7, and region 3 off region 2 by entry 9.
    fn orphans_of(parent: Option<(&StreamInfo, Option<LogPos>, bool)>) -> Vec<u64> {
        let births = [
            birth(1, Descent::Genesis),
            birth(2, Descent::Split { parent: RegionId(1), at: at(7) }),
            birth(3, Descent::Split { parent: RegionId(2), at: at(9) }),
        ];
        let (of_child, of_grandchild) = (log(7, 12, 3), log(9, 9, 3));
        let mut found: Vec<Found<'_>> = [(&births[1], &of_child), (&births[2], &of_grandchild)]
            .map(|(birth, info)| Found { birth, info, checkpoint: None, is_whole: true })
            .into();
        found.extend(parent.map(|(info, checkpoint, is_whole)| Found {
            birth: &births[0],
            info,
            checkpoint,
            is_whole,
        }));
        orphans(&found).keys().map(|region| region.0).collect()
    }

    #[test]
    fn a_parent_that_has_the_entry_and_is_before_it_hands_out_its_machine_again() {
        assert!(orphans_of(Some((&log(0, 8, 3), None, true))).is_empty());
        assert!(orphans_of(Some((&log(5, 8, 3), Some(at(6)), true))).is_empty());
    }

    #[test]
    fn those_who_come_from_one_that_cannot_are_orphans_and_so_are_their_children() {
        let lost = vec![2, 3];
        assert_eq!(orphans_of(None), lost, "it was removed");
        assert_eq!(orphans_of(Some((&log(0, 8, 3), None, false))), lost, "it is damaged");
        assert_eq!(
            orphans_of(Some((&log(0, 0, 0), None, true))),
            lost,
            "another is in its place, and is blank"
        );
        assert_eq!(orphans_of(Some((&log(4, 6, 3), Some(at(4)), true))), lost, "or has not come so far");
        assert_eq!(orphans_of(Some((&log(4, 8, 2), Some(at(4)), true))), lost, "or has another entry there");
        assert_eq!(orphans_of(Some((&log(7, 8, 3), Some(at(7)), true))), lost, "it is beyond the split");
    }
}

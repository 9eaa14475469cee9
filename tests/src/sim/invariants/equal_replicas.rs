//! Replicas that have applied the same entries are equal: their data, their sessions and their time.

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, StoreId};
use skep_raftstore::raft::LogPos;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct EqualReplicas {
    /// The digest of the state after an index.
    digests: BTreeMap<(RegionId, Index), u64>,
    /// Where each replica's machine stands, in its present life.
    states: BTreeMap<(StoreId, RegionId), (LogPos, u64)>,
}

impl EqualReplicas {
    /// A machine stands at `at` with this digest.
    pub(super) fn stands(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) -> Judged {
        self.states.insert((store, region), (at, digest));
        self.is_equal(store, region, at.index, digest)
    }

    /// A machine was split off. It is the region's, unless that has one already that is further on.
    pub(super) fn split_off(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) -> Judged {
        self.states.entry((store, region)).or_insert((at, digest));
        self.is_equal(store, region, at.index, digest)
    }

    fn is_equal(&mut self, store: StoreId, region: RegionId, at: Index, digest: u64) -> Judged {
        let known = *self.digests.entry((region, at)).or_insert(digest);
        if known != digest {
            let at = at.0;
            return Err(format!("{region} on {store} differs from another replica after entry {at}"));
        }
        Ok(())
    }

    /// The store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.states.retain(|(of, _), _| *of != store);
    }

    /// Where a replica's machine stands.
    pub(super) fn state(&self, store: StoreId, region: RegionId) -> Option<(LogPos, u64)> {
        self.states.get(&(store, region)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::REGION;
    use super::*;
    use skep_raftstore::ids::Term;

    fn at(index: u64) -> LogPos {
        LogPos { index: Index(index), term: Term(1) }
    }

    #[test]
    fn who_differs_at_an_index_is_noticed() {
        let mut rule = EqualReplicas::default();
        assert_eq!(rule.stands(StoreId(1), REGION, at(4), 77), Ok(()));
        assert_eq!(rule.stands(StoreId(2), REGION, at(3), 66), Ok(()));
        assert_eq!(rule.stands(StoreId(2), REGION, at(4), 77), Ok(()));
        assert!(rule.stands(StoreId(3), REGION, at(4), 78).is_err_and(|why| why.contains("differs")));
        assert!(rule.split_off(StoreId(3), REGION, at(3), 67).is_err());
    }

    #[test]
    fn what_is_split_off_again_is_not_where_the_region_stands() {
        let mut rule = EqualReplicas::default();
        rule.stands(StoreId(1), REGION, at(4), 77).unwrap();
        rule.split_off(StoreId(1), REGION, at(2), 55).unwrap();
        assert_eq!(rule.state(StoreId(1), REGION), Some((at(4), 77)));
        rule.gone(StoreId(1));
        assert_eq!(rule.state(StoreId(1), REGION), None);
    }
}

//! A replica that was removed never comes back while its store's process lives.

use std::collections::{BTreeMap, BTreeSet};

use skep_raftstore::ids::{RegionId, ReplicaId, StoreId};
use skep_raftstore::store::RegionStatus;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct RemovedStaysAway {
    /// The replicas that each store was last seen to host.
    hosted: BTreeMap<StoreId, BTreeMap<RegionId, ReplicaId>>,
    /// Replicas that were seen to be gone, in the present life of their store.
    buried: BTreeSet<(RegionId, ReplicaId)>,
}

impl RemovedStaysAway {
    /// All replicas of a store after a turn.
    pub(super) fn hosts<'a>(
        &mut self,
        store: StoreId,
        statuses: impl Iterator<Item = &'a RegionStatus> + Clone,
    ) -> Judged {
        let names = statuses.map(|status| (status.region, status.replica));
        // Mostly they are those that were there before.
        let before = self.hosted.get(&store).into_iter().flatten();
        if before.map(|(region, replica)| (*region, *replica)).eq(names.clone()) {
            return Ok(());
        }
        let now: BTreeMap<RegionId, ReplicaId> = names.collect();
        let back = now.iter().find(|(region, replica)| self.buried.contains(&(**region, **replica)));
        let judged = back.map_or(Ok(()), |(region, replica)| {
            Err(format!("{replica:?} of {region} was removed and is back"))
        });
        let before = self.hosted.insert(store, now.clone()).unwrap_or_default();
        self.buried.extend(before.into_iter().filter(|(region, replica)| now.get(region) != Some(replica)));
        judged
    }

    /// The store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.hosted.remove(&store);
        self.buried.retain(|(_, replica)| replica.store() != store);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::follows;
    use super::*;

    #[test]
    fn who_was_removed_and_is_back_is_noticed() {
        let (here, newer) =
            (follows(1, 5), RegionStatus { replica: ReplicaId::new(7, StoreId(1)), ..follows(1, 5) });
        let mut rule = RemovedStaysAway::default();
        assert_eq!(rule.hosts(StoreId(1), std::iter::once(&here)), Ok(()));
        assert_eq!(rule.hosts(StoreId(1), std::iter::empty()), Ok(()));
        assert_eq!(rule.hosts(StoreId(1), std::iter::once(&newer)), Ok(()), "another one, with another name");
        assert!(rule.hosts(StoreId(1), std::iter::once(&here)).is_err_and(|why| why.contains("is back")));
    }
}

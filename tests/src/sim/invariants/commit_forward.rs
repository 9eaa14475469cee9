//! A replica's commit index never goes back while its store's process lives.

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId};
use skep_raftstore::store::RegionStatus;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct CommitForward {
    /// How far each replica was seen to be committed, in its present life.
    commits: BTreeMap<(RegionId, ReplicaId), Index>,
}

impl CommitForward {
    /// A replica after a turn.
    pub(super) fn saw(&mut self, status: &RegionStatus) -> Judged {
        let RegionStatus { region, replica, commit, .. } = *status;
        let known = self.commits.entry((region, replica)).or_insert(commit);
        let before = std::mem::replace(known, commit);
        if commit < before {
            let (before, now) = (before.0, commit.0);
            return Err(format!("{replica:?} of {region} was committed through {before}, now through {now}"));
        }
        Ok(())
    }

    /// The store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.commits.retain(|(_, replica), _| replica.store() != store);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::follows;
    use super::*;

    #[test]
    fn going_back_is_noticed_in_one_life() {
        let committed = |commit| RegionStatus { commit: Index(commit), ..follows(1, 5) };
        let mut rule = CommitForward::default();
        assert_eq!(rule.saw(&committed(4)), Ok(()));
        assert_eq!(rule.saw(&committed(6)), Ok(()));
        assert!(rule.saw(&committed(5)).is_err_and(|why| why.contains("through 6, now through 5")));
        rule.gone(StoreId(1));
        assert_eq!(rule.saw(&committed(2)), Ok(()), "it learns of it again");
    }
}

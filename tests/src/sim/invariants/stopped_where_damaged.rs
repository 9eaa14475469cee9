//! No replica stops by itself, but where durable bytes of the log were changed, and there only until it is replaced.

use skep_raftstore::ids::StoreId;
use skep_raftstore::store::RegionStatus;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct StoppedWhereDamaged {
    /// The store whose log was damaged last: all others were whole by then.
    damaged: Option<StoreId>,
}

impl StoppedWhereDamaged {
    /// Bytes of a store's log are not what they were.
    pub(super) fn damaged(&mut self, store: StoreId) {
        self.damaged = Some(store);
    }

    /// A replica after a turn.
    pub(super) fn saw(&self, store: StoreId, status: &RegionStatus) -> Judged {
        match &status.stopped {
            Some(why) if self.damaged != Some(store) => {
                Err(format!("{} stopped on {store}: {why}", status.region))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::follows;
    use super::*;

    #[test]
    fn who_stops_without_damage_is_noticed() {
        let stopped = RegionStatus { stopped: Some("its log is gone".into()), ..follows(1, 5) };
        let mut rule = StoppedWhereDamaged::default();
        assert_eq!(rule.saw(StoreId(1), &follows(1, 5)), Ok(()));
        assert!(rule.saw(StoreId(1), &stopped).is_err_and(|why| why.contains("stopped")));
        rule.damaged(StoreId(1));
        assert_eq!(rule.saw(StoreId(1), &stopped), Ok(()));
        rule.damaged(StoreId(2));
        assert!(rule.saw(StoreId(1), &stopped).is_err());
    }
}

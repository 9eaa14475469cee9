//! At most one leader in a term of a region (section 5.2 of the Raft paper), by what replicas say of themselves and by what they
//! send: whoever sends entries or heartbeats leads.

use std::collections::BTreeMap;

use skep_raftstore::ids::{RegionId, ReplicaId, Term};
use skep_raftstore::raft::{Body, Message, Role};
use skep_raftstore::store::RegionStatus;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<(RegionId, Term), Leader>,
}

#[derive(Clone, Copy)]
struct Leader {
    replica: ReplicaId,
    /// Whether it was seen to be the leader after a turn, and not only by what it sent.
    is_seen: bool,
}

impl ElectionSafety {
    /// A replica after a turn. True if it leads and was not seen to lead in this term before.
    pub(super) fn saw(&mut self, status: &RegionStatus) -> Result<bool, String> {
        if status.role != Role::Leader {
            return Ok(false);
        }
        let leader = self.leads(status.region, status.term, status.replica)?;
        Ok(!std::mem::replace(&mut leader.is_seen, true))
    }

    /// A message leaves.
    pub(super) fn leaves(&mut self, region: RegionId, message: &Message) -> Judged {
        match message.body {
            Body::Append { .. } | Body::Heartbeat { .. } => {
                self.leads(region, message.term, message.from).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    fn leads(&mut self, region: RegionId, term: Term, replica: ReplicaId) -> Result<&mut Leader, String> {
        let leader = self.leaders.entry((region, term)).or_insert(Leader { replica, is_seen: false });
        if leader.replica != replica {
            let known = leader.replica;
            return Err(format!("{known:?} and {replica:?} both lead {region} in term {}", term.0));
        }
        Ok(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, led, replica};
    use super::*;
    use skep_raftstore::ids::Index;

    fn heartbeat(from: u32, term: u64) -> Message {
        let body = Body::Heartbeat { commit: Index(0), round: 0 };
        Message { from: replica(from), to: replica(9), term: Term(term), body }
    }

    #[test]
    fn one_leader_a_term_and_another_in_the_next() {
        let mut rule = ElectionSafety::default();
        assert_eq!(rule.saw(&led(1, 5)), Ok(true));
        assert_eq!(rule.saw(&led(1, 5)), Ok(false));
        assert_eq!(rule.leaves(REGION, &heartbeat(2, 6)), Ok(()));
        assert_eq!(rule.saw(&led(2, 6)), Ok(true), "it was only heard of until now");
    }

    #[test]
    fn two_leaders_in_one_term_are_seen_and_heard() {
        let mut rule = ElectionSafety::default();
        rule.saw(&led(1, 5)).unwrap();
        assert!(rule.saw(&led(2, 5)).is_err_and(|why| why.contains("both lead")));
        assert!(rule.leaves(REGION, &heartbeat(3, 5)).is_err());
    }
}

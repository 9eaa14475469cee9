//! One vote a term (5.2): to whom each replica has ever said that it votes, written down where no crash reaches it. A candidate
//! votes for itself when it asks others.

use std::collections::BTreeMap;

use skep_raftstore::ids::{RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::raft::{Body, Message};

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct OneVote {
    /// Who got a replica's vote in a term. Not forgotten when the process is gone: that is the point.
    votes: BTreeMap<(RegionId, ReplicaId, Term), ReplicaId>,
}

impl OneVote {
    /// A message leaves.
    pub(super) fn leaves(&mut self, region: RegionId, message: &Message) -> Judged {
        let candidate = match message.body {
            Body::VoteReply { granted: true } => message.to,
            Body::Vote { .. } => message.from,
            _ => return Ok(()),
        };
        let (voter, term) = (message.from, message.term);
        let known = *self.votes.entry((region, voter, term)).or_insert(candidate);
        if known != candidate {
            let term = term.0;
            return Err(format!(
                "{voter:?} of {region} votes for {known:?} and for {candidate:?} in term {term}"
            ));
        }
        Ok(())
    }

    /// A store is lost with everything it had. Its replicas' names are never used again.
    pub(super) fn lost(&mut self, store: StoreId) {
        self.votes.retain(|(_, voter, _), _| voter.store() != store);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, granted, replica};
    use super::*;
    use skep_raftstore::raft::LogPos;

    fn asks(from: u32, to: u32, term: u64) -> Message {
        let body = Body::Vote { last: LogPos::default(), transfer: false };
        Message { from: replica(from), to: replica(to), term: Term(term), body }
    }

    #[test]
    fn the_same_vote_again_is_the_same_vote() {
        let mut rule = OneVote::default();
        for message in [granted(1, 2, 5), granted(1, 2, 5), granted(1, 3, 6), granted(2, 3, 5), asks(3, 1, 5)]
        {
            assert_eq!(rule.leaves(REGION, &message), Ok(()));
        }
    }

    #[test]
    fn a_second_vote_is_noticed_also_of_a_candidate() {
        let mut rule = OneVote::default();
        rule.leaves(REGION, &granted(1, 2, 5)).unwrap();
        assert!(rule.leaves(REGION, &granted(1, 3, 5)).is_err_and(|why| why.contains("votes for")));
        rule.leaves(REGION, &asks(2, 1, 5)).unwrap();
        assert!(rule.leaves(REGION, &granted(2, 3, 5)).is_err());
        rule.lost(StoreId(1));
        assert_eq!(rule.leaves(REGION, &granted(1, 3, 5)), Ok(()));
    }
}

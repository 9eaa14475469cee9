//! One change of membership at a time (4.3): whoever leads proposes a change, and leaves a joint configuration, when the change
//! before is committed. What it inherited may have been committed by another, so this is asked of its own entries only.

use std::collections::{BTreeMap, BTreeSet};

use skep_raftstore::ids::{Index, RegionId, Term};
use skep_raftstore::raft::{Body, EntryKind, Message};

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct OneChange {
    /// Where the changes stand that were proposed in a term.
    proposed: BTreeMap<(RegionId, Term), BTreeSet<Index>>,
}

impl OneChange {
    /// A message leaves. It says what is committed, as its sender knows.
    pub(super) fn leaves(&mut self, region: RegionId, message: &Message) -> Judged {
        let Body::Append { commit, entries, .. } = &message.body else { return Ok(()) };
        let is_own = |kind: EntryKind, term: Term| kind == EntryKind::Membership && term == message.term;
        for entry in entries.iter().filter(|entry| is_own(entry.payload.kind(), entry.term)) {
            let proposed = self.proposed.entry((region, message.term)).or_default();
            proposed.insert(entry.index);
            if let Some(before) = proposed.range(..entry.index).next_back().filter(|before| *before > commit)
            {
                let (leader, before, at) = (message.from, before.0, entry.index.0);
                return Err(format!(
                    "{leader:?} of {region} changes its members at {at} before their change at {before} is committed"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, membership, replica};
    use super::*;
    use skep_raftstore::raft::{Entry, LogPos, Payload};

    fn changes(term: u64, commit: u64, at: &[(u64, u64)]) -> Message {
        let payload = Payload::of_membership(&membership(&[1, 2], &[]));
        let entry = |&(index, term): &(u64, u64)| Entry {
            index: Index(index),
            term: Term(term),
            payload: payload.clone(),
        };
        let entries = at.iter().map(entry).collect();
        let body = Body::Append { prev: LogPos::default(), commit: Index(commit), entries };
        Message { from: replica(1), to: replica(2), term: Term(term), body }
    }

    #[test]
    fn changes_that_wait_for_each_other_are_taken() {
        let mut rule = OneChange::default();
        for message in
            [changes(2, 4, &[(5, 2)]), changes(2, 5, &[(6, 2)]), changes(2, 6, &[(5, 2), (6, 2), (7, 2)])]
        {
            assert_eq!(rule.leaves(REGION, &message), Ok(()));
        }
        assert_eq!(rule.leaves(REGION, &changes(3, 4, &[(5, 2), (6, 2)])), Ok(()), "it inherited them");
    }

    #[test]
    fn a_change_before_the_last_is_committed_is_noticed() {
        let mut rule = OneChange::default();
        assert!(rule.leaves(REGION, &changes(2, 4, &[(5, 2), (6, 2)])).is_err());
        assert_eq!(rule.leaves(REGION, &changes(3, 6, &[(7, 3)])), Ok(()));
        let judged = rule.leaves(REGION, &changes(3, 6, &[(8, 3)]));
        assert!(judged.is_err_and(|why| why.contains("changes its members at 8")));
    }
}

//! What an observer outside of the group writes down, and what must never contradict it.

use std::collections::BTreeMap;

use super::disk::Disk;
use crate::raft::{Body, Index, Membership, Message, Payload, Raft, ReadReady, ReplicaId, Role, Term};

/// The observer.
#[derive(Default)]
pub(super) struct Ledger {
    leaders: BTreeMap<Term, ReplicaId>,
    votes: BTreeMap<(Term, ReplicaId), ReplicaId>,
    /// Every entry that was ever committed, the first at zero.
    pub(super) committed: Vec<(Term, Payload)>,
    /// What was committed when each read arrived.
    reads: BTreeMap<u64, u64>,
    pub(super) reads_answered: u64,
}

impl Ledger {
    /// A message leaves: nothing that it promises may be lost in a crash.
    pub(super) fn leaves(&mut self, message: &Message, disk: &Disk) {
        let Message { from, to, term, body } = message;
        let is_question = matches!(body, Body::PreVote { .. } | Body::PreVoteReply { .. });
        assert!(
            is_question || disk.durable.blank || *term <= disk.durable.hard.term,
            "not durable: {message:?}"
        );
        match body {
            Body::Vote { .. } => self.vote(*term, *from, *from),
            Body::VoteReply { granted: true } => {
                assert_eq!(disk.durable.hard.vote, Some(*to), "{message:?}");
                self.vote(*term, *from, *to);
            }
            Body::AppendAccepted { matched } => {
                let held = disk.durable.last().index.0.max(disk.durable_machine.len() as u64);
                assert!(*matched <= Index(held), "not durable: {message:?}");
            }
            _ => {}
        }
    }

    fn vote(&mut self, term: Term, voter: ReplicaId, candidate: ReplicaId) {
        let first = *self.votes.entry((term, voter)).or_insert(candidate);
        assert_eq!(first, candidate, "{voter} voted twice in {term:?}");
    }

    /// After each turn: election safety, leader completeness.
    pub(super) fn leads(&mut self, raft: &Raft, disk: &Disk) {
        if raft.role() != Role::Leader {
            return;
        }
        assert!(!raft.is_witness(), "{} leads without data", raft.id());
        let first = self.leaders.insert(raft.term(), raft.id());
        match first {
            Some(first) => assert_eq!(first, raft.id(), "two leaders in {:?}", raft.term()),
            None => {
                for (at, (term, payload)) in self.committed.iter().enumerate() {
                    let Some(entry) = disk.written.get(at as u64 + 1) else { continue };
                    assert!((entry.term, &entry.payload) == (*term, payload), "a leader without {}", at + 1);
                }
                let last = disk.written.last().index.0;
                assert!(last >= self.committed.len() as u64, "a leader without the end");
            }
        }
    }

    /// After each turn: what `raft` calls committed is what everybody calls committed; the first to say so can point to a
    /// majority of disks (two while the membership is joint).
    pub(super) fn commits(
        &mut self,
        raft: &Raft,
        from: u64,
        (disks, own): (&[&Disk], usize),
        membership: &Membership,
    ) {
        for index in from + 1..=raft.commit().0 {
            let Some(entry) = disks[own].written.get(index) else { continue };
            let pair = (entry.term, entry.payload.clone());
            match self.committed.get(index as usize - 1) {
                Some(known) => {
                    let expected = as_kept(disks[own], known);
                    assert!(expected == pair, "{} commits another {index}", raft.id());
                }
                None => {
                    assert_eq!(self.committed.len() as u64 + 1, index, "a hole in what is committed");
                    for voters in [&membership.voters, &membership.outgoing] {
                        let has = |voter: &&ReplicaId| holds(disks[voter.0 as usize - 1], index, &pair);
                        let copies = voters.iter().filter(has).count();
                        let is_majority = 2 * copies > voters.len() || voters.is_empty();
                        assert!(is_majority, "{index} is committed with {copies} copies, by {membership:?}");
                        let has_data = voters.iter().filter(has).any(|voter| !membership.is_witness(*voter));
                        assert!(has_data || voters.is_empty(), "{index} is committed by witnesses alone");
                    }
                    self.committed.push(pair);
                }
            }
        }
    }

    pub(super) fn read_arrives(&mut self, id: u64) {
        self.reads.insert(id, self.committed.len() as u64);
    }

    pub(super) fn read_answered(&mut self, ready: ReadReady) {
        let at_least = self.reads.remove(&ready.id.0).expect("answered once");
        assert!(ready.index >= Index(at_least), "stale: {ready:?}, {at_least} were committed");
        self.reads_answered += 1;
    }
}

fn holds(disk: &Disk, index: u64, pair: &(Term, Payload)) -> bool {
    let pair = as_kept(disk, pair);
    let in_log = disk.durable.get(index).is_some_and(|e| (e.term, &e.payload) == (pair.0, &pair.1));
    // A witness does not remember what lies below its log.
    let below = disk.durable.witness && index <= disk.durable.base.index.0;
    in_log || below || disk.durable_machine.get(index as usize - 1) == Some(&pair)
}

/// What `disk` has of an entry: without its payload, if it is that of a witness.
fn as_kept(disk: &Disk, (term, payload): &(Term, Payload)) -> (Term, Payload) {
    (*term, if disk.written.witness { payload.stripped() } else { payload.clone() })
}

//! Pieces of histories that the rules' tests are fed with.

use bytes::Bytes;
use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::raft::{Body, Entry, HardState, LogPos, Membership, Message, Payload, Role};
use skep_raftstore::store::RegionStatus;

use super::medium::Kept;

pub(super) const REGION: RegionId = RegionId(7);

/// The replica on this store.
pub(super) fn replica(store: u32) -> ReplicaId {
    ReplicaId::new(1, StoreId(store))
}

pub(super) fn membership(voters: &[u32], outgoing: &[u32]) -> Membership {
    let all = |stores: &[u32]| stores.iter().map(|store| replica(*store)).collect();
    Membership { voters: all(voters), outgoing: all(outgoing), ..Membership::default() }
}

/// A replica that leads.
pub(super) fn led(store: u32, term: u64) -> RegionStatus {
    RegionStatus { role: Role::Leader, leader: Some(replica(store)), ..follows(store, term) }
}

/// A replica that follows somebody.
pub(super) fn follows(store: u32, term: u64) -> RegionStatus {
    RegionStatus {
        region: REGION,
        replica: replica(store),
        role: Role::Follower,
        term: Term(term),
        leader: None,
        membership: membership(&[1, 2, 3], &[]),
        first: Index(1),
        last: Index(0),
        commit: Index(0),
        applied: Index(0),
        size: 0,
        description: Bytes::new(),
        stopped: None,
    }
}

/// A replica's vote for another.
pub(super) fn granted(from: u32, to: u32, term: u64) -> Message {
    let body = Body::VoteReply { granted: true };
    Message { from: replica(from), to: replica(to), term: Term(term), body }
}

/// Entries, each with its term, after an index and its term.
pub(super) fn append(term: u64, (index, before): (u64, u64), entries: &[(u64, &'static str)]) -> Message {
    let prev = LogPos { index: Index(index), term: Term(before) };
    let entry = |(at, (term, what)): (u64, &(u64, &'static str))| {
        let payload = Bytes::from([&[2], what.as_bytes()].concat());
        Entry { index: Index(at), term: Term(*term), payload: Payload::parse(payload).expect("a command") }
    };
    let entries = (index + 1..).zip(entries).map(entry).collect();
    let body = Body::Append { prev, commit: Index(0), entries };
    Message { from: replica(1), to: replica(2), term: Term(term), body }
}

/// What a medium has of a replica in this term, without a vote: where each term of its log begins, and where the log ends.
pub(super) fn kept(store: u32, term: u64, runs: &[(u64, u64)], last: u64) -> Kept {
    Kept {
        replica: Some(replica(store)),
        hard: HardState { term: Term(term), vote: None },
        base: Index(0),
        last: Index(last),
        runs: runs.iter().map(|(first, term)| (Index(*first), Term(*term))).collect(),
    }
}

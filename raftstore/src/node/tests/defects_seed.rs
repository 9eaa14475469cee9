//! The defects of `raft-io` 0.5, by their numbers: none of them exists here.

use std::sync::Arc;

use bytes::Bytes;
use skep_wal::{MemDisk, Wal, WalConfig};

use super::cluster::{Cluster, append, applied, at, config, follower, leader, said, say};
use super::watched::Watched;
use crate::node::{
    Action, Content, Error, Event, MemoryLog, Message, RaftConfig, RaftLog, RaftNode, Role, SnapshotPart,
    WalLog,
};
use crate::raft::{self, Body, Membership, ReplicaId};

fn snapshot_at(index: u64) -> Event {
    let part = SnapshotPart {
        from: ReplicaId(1),
        to: ReplicaId(2),
        term: raft::Term(1),
        at: at(index, 1),
        config: Membership::of_voters((1..=3).map(ReplicaId).collect()),
        offset: 0,
        total: 5,
        data: Bytes::from_static(b"state"),
    };
    Event::Message(Message { group: 0, content: Content::Snapshot(part) })
}

/// An old snapshot undid what was applied, and the entries between never came again.
#[test]
fn s1_a_late_snapshot_undoes_nothing() {
    let mut node = follower(MemoryLog::new(), 10);
    let actions = node.step(snapshot_at(5)).unwrap();
    assert!(!actions.iter().any(|action| matches!(action, Action::RestoreSnapshot { .. })));
    assert_eq!((node.last_applied(), node.log().snapshot_index()), (10, 0));
    assert_eq!(applied(&node.step(say(1, 2, 1, append(at(10, 1), 1, 1, 11))).unwrap()), [11]);
}

/// The commit index was set, not raised.
#[test]
fn s2_the_commit_index_never_goes_back() {
    let mut node = follower(MemoryLog::new(), 10);
    node.step(say(1, 2, 1, append(at(0, 0), 1, 2, 2))).unwrap();
    assert_eq!(node.commit_index(), 10);
    node.step(say(1, 2, 1, Body::Heartbeat { commit: raft::Index(2), round: 0 })).unwrap();
    assert_eq!(node.commit_index(), 10);
}

/// One vote of a stranger elected, and messages did not say for whom they were.
#[test]
fn s3_strangers_elect_nobody() {
    let mut node = RaftNode::new(config(1, 3));
    node.step(Event::Ticks(20)).unwrap();
    let pre_vote = Body::PreVoteReply { granted: true };
    let vote = Body::VoteReply { granted: true };
    node.step(say(99, 1, 1, pre_vote.clone())).unwrap();
    assert_eq!((node.role(), node.term(), node.refused_messages()), (Role::Follower, 0, 1));
    node.step(say(2, 1, 1, pre_vote)).unwrap();
    assert_eq!((node.role(), node.term()), (Role::Candidate, 1));
    node.step(say(99, 1, 1, vote.clone())).unwrap();
    node.step(say(3, 2, 1, vote.clone())).unwrap();
    assert_eq!(
        (node.role(), node.refused_messages()),
        (Role::Candidate, 3),
        "a stranger's, and one for another"
    );
    node.step(say(3, 1, 1, vote)).unwrap();
    assert_eq!(node.role(), Role::Leader);
}

#[test]
fn s3_strangers_replace_no_state() {
    let mut node = follower(MemoryLog::new(), 3);
    let Event::Message(Message { group, content: Content::Snapshot(part) }) = snapshot_at(9) else {
        panic!()
    };
    let forged = [
        SnapshotPart { from: ReplicaId(99), ..part.clone() },
        SnapshotPart { to: ReplicaId(3), ..part.clone() },
        SnapshotPart { term: raft::Term(u64::MAX), ..part.clone() },
        SnapshotPart { total: 4, ..part.clone() },
        SnapshotPart { config: Membership::default(), ..part.clone() },
    ];
    for (n, part) in forged.into_iter().enumerate() {
        let content = Content::Snapshot(part);
        assert_eq!(node.step(Event::Message(Message { group, content })).unwrap(), []);
        assert_eq!(node.refused_messages(), n as u64 + 1);
    }
    let content = Content::Snapshot(part);
    let actions = node.step(Event::Message(Message { group, content })).unwrap();
    assert!(actions.iter().any(|action| matches!(action, Action::RestoreSnapshot { index: 9, .. })));
}

/// What a failed sync left in memory was acknowledged when it was sent again.
#[test]
fn s4_after_a_failed_sync_nothing_is_acknowledged_ever() {
    let mut node = follower(Watched::default(), 3);
    node.log().fails.set(true);
    let entries = || say(1, 2, 1, append(at(3, 1), 1, 1, 4));
    let failure = node.step(entries()).unwrap_err();
    assert!(failure.is_fatal() && matches!(failure, Error::Storage { .. }));
    node.log().fails.set(false);
    assert_eq!(node.step(entries()), Err(failure.clone()));
    assert_eq!(node.step(Event::Tick), Err(failure));
}

#[test]
fn s4_a_leader_does_not_count_what_it_could_not_sync() {
    let mut node = leader(config(1, 1), Watched::default());
    node.log().fails.set(true);
    assert!(node.step(Event::Propose("x".into())).is_err_and(|error| error.is_fatal()));
    assert_eq!((node.commit_index(), node.last_applied()), (1, 1));
}

/// One log for many groups: the failure of one is the failure of all, for good.
#[test]
fn s4_groups_that_share_a_log_fail_together() {
    let disk = MemDisk::new(1);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
    let wal = Arc::new(wal);
    let node = |group| {
        leader(RaftConfig::single(1).with_group(group), WalLog::of_group(wal.clone(), group as u32).unwrap())
    };
    let (mut one, mut other) = (node(1), node(2));
    disk.fail_sync(0, false);
    assert!(one.step(Event::Propose("x".into())).is_err_and(|error| error.is_fatal()));
    assert!(other.step(Event::Propose("y".into())).is_err_and(|error| error.is_fatal()));
}

/// Entries that differ from committed ones erased them.
#[test]
fn s5_what_is_committed_is_never_truncated() {
    let mut node = follower(MemoryLog::new(), 2);
    let before = node.log().entries(1, 2).unwrap();
    for term in [1, 2] {
        node.step(say(1, 2, term, append(at(0, 0), term + 5, 1, 1))).unwrap();
        node.step(say(1, 2, 9, append(at(0, 0), 9, 1, 1))).unwrap();
    }
    assert_eq!(node.log().entries(1, 2).unwrap(), before);
    assert_eq!(node.commit_index(), 2);
    assert!(node.refused_messages() > 0);
}

/// A gap in a peer's entries was a storage error, which is fatal.
#[test]
fn s6_a_gap_in_a_message_is_the_messages_fault() {
    let mut node = follower(MemoryLog::new(), 2);
    let Body::Append { entries, .. } = append(at(4, 1), 1, 1, 2) else { panic!() };
    let gap = Body::Append { prev: at(0, 0), commit: raft::Index(2), entries };
    assert_eq!(node.step(say(1, 2, 1, gap)), Ok(Vec::new()));
    assert_eq!(node.refused_messages(), 1);
    assert_eq!(applied(&node.step(say(1, 2, 1, append(at(2, 1), 1, 1, 3))).unwrap()), [3]);
}

/// An acknowledgement of entries that nobody has was believed.
#[test]
fn s7_nobody_acknowledges_more_than_there_is() {
    let mut node = leader(config(1, 3), MemoryLog::new());
    node.step(say(2, 1, 1, Body::AppendAccepted { matched: raft::Index(1000) })).unwrap();
    node.step(Event::Propose("x".into())).unwrap();
    assert_eq!(node.commit_index(), 1, "one copy is no quorum");
    assert_eq!(node.refused_messages(), 1);
}

/// Without an entry of its own term a leader never learned what was committed.
#[test]
fn s8_a_new_leader_commits_what_it_inherited() {
    let mut log = MemoryLog::new();
    log.append(&append_log(3)).unwrap();
    let mut node = RaftNode::with_log(config(1, 1), log);
    let actions = node.step(Event::Ticks(20)).unwrap();
    assert_eq!((applied(&actions), node.commit_index()), (vec![1, 2, 3], 4));
    // The same when everything is committed already: without it, membership changes are unsafe.
    let log = node.log().clone();
    let mut node = RaftNode::with_log(config(1, 1).with_applied(4), log);
    node.step(Event::Ticks(20)).unwrap();
    assert_eq!((node.commit_index(), node.log().last_index()), (5, 5));
}

fn append_log(count: u64) -> Vec<crate::node::LogEntry> {
    (1..=count).map(|index| crate::node::LogEntry::new(1, index, "old")).collect()
}

/// Anybody with a higher term deposed a leader; the highest of all wrapped to zero.
#[test]
fn s9_nobody_deposes_a_leader_that_is_heard() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    let (follower, reign) = (cluster.others(leader)[0], cluster.node(leader).term());
    let vote = Body::Vote { last: at(99, 40), transfer: false };
    for from in [follower, 77] {
        for term in [50, u64::MAX] {
            for to in cluster.others(from) {
                cluster.step(to, say(from, to, term, vote.clone())).unwrap();
            }
        }
    }
    cluster.settle();
    assert_eq!((cluster.leader(), cluster.node(leader).term()), (Some(leader), reign));
    cluster.step(leader, say(follower, leader, u64::MAX, Body::VoteReply { granted: false })).unwrap();
    assert_eq!(cluster.node(leader).term(), reign);
}

/// A leader that nobody hears led for ever.
#[test]
fn s10_a_leader_without_a_quorum_steps_down() {
    let mut cluster = Cluster::of(3);
    let old = cluster.elect();
    cluster.cut = vec![old];
    cluster.tick(25);
    assert_eq!((cluster.node(old).role(), cluster.node(old).leader()), (Role::Follower, None));
    assert!(cluster.step(old, Event::Propose("x".into())).is_err());
}

/// An entry that was missing in the log was passed over.
#[test]
fn s11_a_hole_in_the_log_stops_the_node() {
    let mut node = follower(Watched::default(), 3);
    node.log().hole.set(4);
    let failure = node.step(say(1, 2, 1, append(at(3, 1), 1, 2, 5))).unwrap_err();
    assert!(failure.is_fatal(), "{failure}");
    assert_eq!(node.last_applied(), 3);
}

/// Everything above the snapshot was applied again after a restart.
#[test]
fn s12_what_the_machine_has_is_not_applied_again() {
    let log = follower(MemoryLog::new(), 10).log().clone();
    let mut node = RaftNode::with_log(config(2, 3).with_applied(8), log);
    assert_eq!((node.last_applied(), node.commit_index()), (8, 8));
    let actions = node.step(say(1, 2, 1, append(at(10, 1), 1, 0, 10))).unwrap();
    assert_eq!(applied(&actions), [9, 10]);
    assert!(said(&actions).is_empty(), "news of a commit needs no answer");
}

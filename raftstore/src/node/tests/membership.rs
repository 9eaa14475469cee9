//! Nodes come and go while the group works.

use super::cluster::{Cluster, config};
use crate::node::{Action, Error, Event, MemoryLog, NodeId, RaftConfig, RaftLog, RaftNode};

fn with_joiner(tail: u64) -> (Cluster<MemoryLog>, NodeId) {
    let members = (1..=3).map(|id| RaftNode::new(config(id, 3).with_log_tail(tail)));
    let joiner = RaftNode::new(RaftConfig::joining(4).with_seed(9).with_log_tail(tail));
    let mut cluster = Cluster::new(members.chain([joiner]).collect());
    let leader = cluster.elect();
    for n in 0..100 {
        cluster.propose(leader, &format!("{n}"));
        cluster.settle();
    }
    (cluster, leader)
}

#[test]
fn who_is_added_catches_up_as_a_learner_and_then_votes() {
    let (mut cluster, leader) = with_joiner(1024);
    cluster.step(leader, Event::AddServer(4)).unwrap();
    assert_eq!((cluster.node(leader).voters(), cluster.node(leader).learners()), (&[1, 2, 3][..], &[4][..]));
    cluster.tick(20);
    for id in 1..=4 {
        assert_eq!(
            (cluster.node(id).voters(), cluster.node(id).learners()),
            (&[1, 2, 3, 4][..], &[][..]),
            "{id}"
        );
        assert_eq!(cluster.machine(id).commands.len(), 100);
    }
    let told = format!("{leader}: MembershipChanged {{ members: [1, 2, 3, 4] }}");
    assert!(cluster.trace.contains(&told));
    // It counts: with two of four away nothing is committed, with one away everything is.
    let others = cluster.others(leader);
    cluster.cut = others[..2].to_vec();
    let before = cluster.node(leader).commit_index();
    cluster.propose(leader, "waits");
    cluster.settle();
    assert_eq!(cluster.node(leader).commit_index(), before);
    cluster.cut.pop();
    cluster.tick(10);
    assert!(cluster.node(leader).commit_index() > before);
}

/// The log it would need is compacted.
#[test]
fn who_is_added_late_gets_a_snapshot_that_says_who_takes_part() {
    let (mut cluster, leader) = with_joiner(0);
    cluster.snapshot(leader);
    cluster.step(leader, Event::AddServer(4)).unwrap();
    cluster.tick(40);
    assert_eq!((cluster.machine(4).restored, cluster.machine(4).commands.len()), (1, 100));
    assert_eq!(cluster.node(4).voters(), [1, 2, 3, 4]);
    cluster.snapshot(4);
    let log = cluster.node(4).log().clone();
    assert_eq!(log.base_index(), log.snapshot_index());
    assert_eq!(
        RaftNode::with_log(RaftConfig::joining(4), log).voters(),
        [1, 2, 3, 4],
        "after a restart, too"
    );
}

#[test]
fn a_joiner_takes_no_part_by_itself() {
    let mut joiner = RaftNode::new(RaftConfig::joining(4));
    assert_eq!(joiner.ticks_to_wait(), None);
    for _ in 0..1000 {
        assert_eq!(joiner.step(Event::Tick).unwrap(), []);
    }
    assert_eq!(joiner.voters(), [] as [u64; 0]);
}

#[test]
fn one_change_at_a_time_and_only_by_the_leader() {
    let (mut cluster, leader) = with_joiner(1024);
    let follower = cluster.others(leader)[0];
    let refusal = Err(Error::NotLeader { leader: Some(leader) });
    assert_eq!(cluster.step(follower, Event::AddLearner(4)), refusal);
    cluster.step(leader, Event::AddLearner(4)).unwrap();
    let refusal = cluster.step(leader, Event::RemoveServer(follower)).unwrap_err();
    assert!(refusal == Error::ConfigInProgress && refusal.is_retryable());
    cluster.settle();
    cluster.step(leader, Event::RemoveServer(follower)).unwrap();
    cluster.settle();
    assert!(!cluster.node(leader).voters().contains(&follower));
}

#[test]
fn what_is_so_already_is_no_change() {
    let (mut cluster, leader) = with_joiner(1024);
    for event in [Event::AddServer(1), Event::AddLearner(2), Event::PromoteLearner(3), Event::RemoveServer(9)]
    {
        assert_eq!(cluster.step(leader, event).unwrap(), []);
    }
}

#[test]
fn a_learner_gets_a_vote_when_it_has_caught_up() {
    let (mut cluster, leader) = with_joiner(1024);
    cluster.cut = vec![4];
    cluster.step(leader, Event::AddLearner(4)).unwrap();
    cluster.settle();
    let refusal = cluster.step(leader, Event::PromoteLearner(4)).unwrap_err();
    assert!(matches!(refusal, Error::Busy { .. }), "{refusal}");
    cluster.cut.clear();
    cluster.tick(20);
    cluster.step(leader, Event::PromoteLearner(4)).unwrap();
    cluster.settle();
    assert_eq!(cluster.node(4).voters(), [1, 2, 3, 4]);
}

#[test]
fn a_leader_that_is_taken_out_goes_when_that_is_committed() {
    let (mut cluster, leader) = with_joiner(1024);
    let actions = cluster.step(leader, Event::RemoveServer(leader)).unwrap();
    assert!(actions.iter().any(|action| matches!(action, Action::Send { .. })));
    cluster.settle();
    assert!(!cluster.node(leader).is_leader());
    cluster.tick(40);
    let next = cluster.leader().unwrap();
    assert!(next != leader && !cluster.node(next).voters().contains(&leader));
    cluster.propose(next, "goes on");
    cluster.settle();
    assert_eq!(cluster.machine(next).commands.len(), 101);
}

/// Removing it needs no help of its own.
#[test]
fn who_was_added_and_never_came_can_be_taken_out_again() {
    let (mut cluster, leader) = with_joiner(1024);
    cluster.cut = vec![4];
    cluster.step(leader, Event::AddServer(4)).unwrap();
    cluster.tick(30);
    assert_eq!(cluster.node(leader).voters(), [1, 2, 3]);
    cluster.step(leader, Event::RemoveServer(4)).unwrap();
    cluster.tick(30);
    assert_eq!((cluster.node(leader).voters(), cluster.node(leader).learners()), (&[1, 2, 3][..], &[][..]));
}

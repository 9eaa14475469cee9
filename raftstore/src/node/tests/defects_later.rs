//! The defects of `raft-io` 1.0: none of them exists here.

use super::cluster::{Cluster, at, config, leader, said, say};
use crate::node::{Error, Event, MemoryLog, RaftConfig, RaftNode};
use crate::raft::Body;

/// A transfer to a dead node never ended, and the leader named itself as the one to ask.
#[test]
fn a_transfer_to_a_dead_node_ends() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    let dead = cluster.others(leader)[0];
    cluster.cut = vec![dead];
    cluster.step(leader, Event::TransferLeadership(dead)).unwrap();
    let refusal = cluster.step(leader, Event::Propose("x".into())).unwrap_err();
    assert!(matches!(refusal, Error::Busy { .. }), "{refusal}");
    cluster.tick(20);
    cluster.propose(leader, "x");
    cluster.settle();
    assert_eq!(cluster.machine(leader).commands, ["x"]);
}

/// Whether a leader let itself be deposed was a matter of chance.
#[test]
fn a_leader_that_is_heard_ignores_candidates_at_any_time() {
    let mut node = leader(config(1, 3), MemoryLog::new());
    for tick in 0..100 {
        let vote = Body::Vote { last: at(9, 1), transfer: false };
        node.step(say(3, 1, 2, vote)).unwrap();
        assert!(node.is_leader(), "tick {tick}");
        node.step(say(2, 1, 1, Body::HeartbeatReply { round: 0 })).unwrap();
        node.step(Event::Tick).unwrap();
    }
}

/// Every read asked all voters by itself.
#[test]
fn reads_share_rounds() {
    let mut node = leader(config(1, 5), MemoryLog::new());
    let mut questions = 0;
    for id in 0..1000 {
        questions += said(&node.step(Event::Read { id }).unwrap()).len();
    }
    assert_eq!(questions, 4, "the first asks, the others wait for its answer");
    let reply = |from, round| say(from, 1, 1, Body::HeartbeatReply { round });
    node.step(reply(2, 1)).unwrap();
    let actions = node.step(reply(3, 1)).unwrap();
    assert_eq!((said(&actions).len(), answered(&actions)), (4, 1), "all others ask together");
    node.step(reply(2, 2)).unwrap();
    assert_eq!(answered(&node.step(reply(4, 2)).unwrap()), 999);
}

fn answered(actions: &[crate::node::Action]) -> usize {
    actions.iter().filter(|action| matches!(action, crate::node::Action::ReadReady { .. })).count()
}

/// Five nodes, of whom the fifth is about to be taken in.
fn four_and_a_joiner() -> Cluster<MemoryLog> {
    let members = (1..=4).map(|id| RaftNode::new(config(id, 4)));
    Cluster::new(members.chain([RaftNode::new(RaftConfig::joining(5).with_seed(45))]).collect())
}

/// A leader whose change of membership reached nobody, another leader that changed it otherwise and committed a write with a
/// majority that the first one's new membership did not share: the write was lost (raft-dev, 2015).
#[test]
fn two_leaders_memberships_always_share_a_voter() {
    let mut cluster = four_and_a_joiner();
    let first = cluster.elect();
    let second = cluster.others(first)[0];
    let rest: Vec<_> = cluster.others(first).into_iter().filter(|&id| id != second && id != 5).collect();
    cluster.cut = vec![second, rest[0], rest[1]];
    cluster.step(first, Event::AddServer(5)).unwrap();
    cluster.settle();
    cluster.cut = vec![first, 5];
    assert_ne!(cluster.elect(), first);
    let leader = cluster.leader().unwrap();
    cluster.step(leader, Event::RemoveServer(first)).unwrap();
    cluster.settle();
    cluster.propose(leader, "x");
    cluster.settle();
    assert_eq!(cluster.machine(leader).commands, ["x"]);
    // The first one comes back, with the one it added and one that has not heard of its removal.
    let log = cluster.node(first).log().clone();
    cluster.nodes[first as usize - 1] = Some(RaftNode::with_log(config(first, 4), log));
    cluster.machines[first as usize - 1] = super::cluster::Machine::default();
    cluster.cut = vec![leader, if leader == second { rest[0] } else { second }];
    cluster.tick(100);
    cluster.cut.clear();
    cluster.tick(100);
    for id in cluster.others(first).into_iter().filter(|&id| id != 5) {
        assert_eq!(cluster.machine(id).commands, ["x"], "node {id}");
        assert!(!cluster.node(id).voters().contains(&first));
    }
}

/// A new leader's first entry forgot the learners, on followers and after a restart.
#[test]
fn learners_survive_a_leader_and_a_restart() {
    let mut cluster = four_and_a_joiner();
    let old = cluster.elect();
    cluster.step(old, Event::AddLearner(5)).unwrap();
    cluster.settle();
    cluster.cut = vec![old];
    let new = cluster.elect();
    cluster.cut.clear();
    cluster.propose(new, "x");
    cluster.tick(20);
    for id in 1..=5 {
        assert_eq!(
            (cluster.node(id).learners(), cluster.node(id).voters()),
            (&[5][..], &[1, 2, 3, 4][..]),
            "{id}"
        );
        let reopened = RaftNode::with_log(config(id, 4), cluster.node(id).log().clone());
        assert_eq!(reopened.learners(), [5]);
    }
    assert_eq!(cluster.machine(5).commands, ["x"]);
}

/// The last voter could be taken out, and a leader of nobody led for ever.
#[test]
fn the_last_voter_cannot_be_taken_out() {
    let mut node = leader(config(1, 1), MemoryLog::new());
    let refusal = node.step(Event::RemoveServer(1)).unwrap_err();
    assert!(matches!(refusal, Error::Impossible { .. }) && !refusal.is_retryable(), "{refusal}");
    assert_eq!((node.voters(), node.is_leader()), (&[1][..], true));
}

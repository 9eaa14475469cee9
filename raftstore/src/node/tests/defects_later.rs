//! The defects of `raft-io` 1.0: none of them exists here.

use super::cluster::{Cluster, at, config, leader, said, say};
use crate::node::{Error, Event, MemoryLog};
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

//! Nodes that vote and keep no data.

use super::cluster::{Cluster, config};
use crate::node::{Error, Event, MemoryLog, NodeId, RaftConfig, RaftLog, RaftNode};

/// Two copies and a witness.
fn two_and_a_witness(tail: u64) -> Cluster<MemoryLog> {
    let node = |id| RaftNode::new(config(id, 3).with_witnesses([3]).with_log_tail(tail));
    Cluster::new((1..=3).map(node).collect())
}

fn write(cluster: &mut Cluster<MemoryLog>, leader: NodeId, count: usize) {
    for n in 0..count {
        cluster.propose(leader, &format!("{n}"));
        cluster.settle();
    }
    cluster.tick(1);
}

/// The longest of the entries that a log holds, in bytes.
fn longest(log: &MemoryLog) -> usize {
    let entries = log.entries(log.base_index() + 1, log.last_index()).unwrap();
    entries.iter().map(|entry| entry.bytes().len()).max().unwrap_or(0)
}

#[test]
fn any_one_of_two_copies_and_a_witness_may_be_lost() {
    for lost in 1..=3 {
        let mut cluster = two_and_a_witness(1024);
        let leader = cluster.elect();
        assert_ne!(leader, 3, "a witness does not lead");
        write(&mut cluster, leader, 20);
        cluster.cut = vec![lost];
        let leader = cluster.elect();
        cluster.tick(30);
        write(&mut cluster, leader, 20);
        assert_eq!(cluster.machine(leader).commands.len(), 40, "without {lost}");
        cluster.cut.clear();
        cluster.tick(60);
        assert_eq!(cluster.machine(1), cluster.machine(2));
        assert!(cluster.machine(3).commands.is_empty() && cluster.machine(1).commands.len() == 40);
        assert_eq!(longest(cluster.node(3).log()), 1, "only its kind is left of an entry");
    }
}

#[test]
fn a_witness_forgets_by_itself_and_knows_its_place_again() {
    let mut cluster = two_and_a_witness(8);
    let leader = cluster.elect();
    write(&mut cluster, leader, 100);
    let log = cluster.node(3).log().clone();
    assert!(log.last_index() - log.base_index() <= 17, "{} of {}", log.base_index(), log.last_index());
    let again = RaftNode::with_log(config(3, 3).with_witnesses([3]), log);
    assert_eq!((again.voters(), again.witnesses()), (&[1, 2, 3][..], vec![3]));
    assert_eq!(cluster.asked_for_snapshot, [], "nobody is asked for what a witness has not");
}

#[test]
fn a_witness_that_comes_late_is_told_its_place_and_votes() {
    let members = (1..=2).map(|id| RaftNode::new(config(id, 2).with_log_tail(0)));
    let joiner = RaftNode::new(RaftConfig::joining(3).with_witnesses([3]).with_seed(9));
    let mut cluster = Cluster::new(members.chain([joiner]).collect());
    let leader = cluster.elect();
    write(&mut cluster, leader, 50);
    cluster.snapshot(leader);
    cluster.step(leader, Event::AddWitness(3)).unwrap();
    cluster.tick(40);
    assert_eq!((cluster.node(3).voters(), cluster.node(3).witnesses()), (&[1, 2, 3][..], vec![3]));
    assert!(cluster.node(3).log().base_index() > 0 && cluster.machine(3).restored == 0);
    // Its vote counts: the other copy leads with it.
    cluster.cut = vec![leader];
    let other = cluster.elect();
    write(&mut cluster, other, 1);
    assert_eq!((other, cluster.machine(other).commands.len()), (3 - leader, 51));
    // No leadership for it, and no data: not even with a vote.
    cluster.step(other, Event::TransferLeadership(3)).unwrap();
    cluster.tick(5);
    assert_eq!(cluster.leader(), Some(other));
}

#[test]
fn the_last_copy_is_not_taken_out() {
    let mut cluster = two_and_a_witness(1024);
    let leader = cluster.elect();
    cluster.step(leader, Event::RemoveServer(3 - leader)).unwrap();
    cluster.tick(20);
    assert_eq!(cluster.node(leader).voters(), [leader, 3]);
    assert!(matches!(cluster.step(leader, Event::RemoveServer(leader)), Err(Error::Impossible { .. })));
    cluster.step(leader, Event::RemoveServer(3)).unwrap();
    cluster.tick(20);
    assert_eq!((cluster.node(leader).voters(), cluster.node(leader).witnesses()), (&[leader][..], vec![]));
}

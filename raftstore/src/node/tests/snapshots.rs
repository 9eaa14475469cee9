//! Snapshots between nodes: in pieces, over a network that loses them.

use super::cluster::{Cluster, config};
use crate::node::{Content, Event, MemoryLog, NodeId, RaftLog, RaftNode};

/// A leader whose snapshot of about three mebibytes replaced its log, and a follower that was away meanwhile.
fn with_a_late_follower() -> (Cluster<MemoryLog>, NodeId, NodeId) {
    let nodes = (1..=3).map(|id| RaftNode::new(config(id, 3).with_log_tail(0))).collect();
    let mut cluster = Cluster::new(nodes);
    let leader = cluster.elect();
    let late = cluster.others(leader)[0];
    cluster.cut = vec![late];
    for n in 0..30 {
        cluster.propose(leader, &format!("{n}{}", "-".repeat(100 << 10)));
        cluster.settle();
    }
    for id in cluster.others(late) {
        cluster.snapshot(id);
        assert_eq!(cluster.node(id).log().base_index(), 31);
    }
    cluster.cut.clear();
    (cluster, leader, late)
}

#[test]
fn who_lags_far_behind_gets_a_snapshot_in_pieces_and_then_entries() {
    let (mut cluster, leader, late) = with_a_late_follower();
    cluster.propose(leader, "after");
    cluster.tick(10);
    let machine = cluster.machine(late);
    assert_eq!((machine.commands.len(), machine.restored), (31, 1));
    assert_eq!(
        machine,
        &crate::node::tests::cluster::Machine { restored: 1, ..cluster.machine(leader).clone() }
    );
    let log = cluster.node(late).log();
    assert_eq!((log.snapshot_index(), log.base_index(), log.last_index()), (31, 31, 32));
    assert_eq!(log.snapshot().unwrap().unwrap().config.voters.len(), 3);
}

/// The second piece is lost; the leader has patience, then sends it again, and nothing but it.
#[test]
fn a_lost_piece_is_sent_again() {
    let (mut cluster, leader, late) = with_a_late_follower();
    let (mut lost, mut offsets) = (0, Vec::new());
    for _ in 0..60 {
        (1..=3).for_each(|id| drop(cluster.step(id, Event::Tick)));
        while let Some(message) = cluster.network.pop_front() {
            if let Content::Snapshot(part) = &message.content {
                offsets.push(part.offset >> 20);
                if part.offset > 0 && lost < 2 {
                    lost += 1;
                    continue;
                }
            }
            cluster.deliver(message);
        }
    }
    assert_eq!(offsets, [0, 1, 1, 1, 2]);
    assert_eq!((cluster.machine(late).restored, cluster.leader()), (1, Some(leader)));
}

/// It forgot the pieces it had. The leader goes back to what is missing.
#[test]
fn a_follower_that_restarts_on_the_way_gets_all_of_it() {
    let (mut cluster, _, late) = with_a_late_follower();
    let mut has_restarted = false;
    for _ in 0..60 {
        (1..=3).for_each(|id| drop(cluster.step(id, Event::Tick)));
        while let Some(message) = cluster.network.pop_front() {
            if !has_restarted && matches!(&message.content, Content::Snapshot(part) if part.offset > 0) {
                has_restarted = true;
                let log = cluster.node(late).log().clone();
                cluster.nodes[late as usize - 1] = Some(RaftNode::with_log(config(late, 3), log));
            }
            cluster.deliver(message);
        }
    }
    assert!(has_restarted);
    assert_eq!((cluster.machine(late).restored, cluster.machine(late).commands.len()), (1, 30));
}

/// Pieces that come twice or late change nothing, and neither does the answer to them.
#[test]
fn repeated_pieces_and_answers_change_nothing() {
    let (mut cluster, _, late) = with_a_late_follower();
    let mut all = Vec::new();
    for _ in 0..30 {
        (1..=3).for_each(|id| drop(cluster.step(id, Event::Tick)));
        while let Some(message) = cluster.network.pop_front() {
            if !matches!(message.content, Content::Raft(_)) {
                all.push(message.clone());
            }
            cluster.deliver(message);
        }
    }
    assert_eq!(all.len(), 6, "three pieces, three answers");
    for message in all.iter().chain(all.iter().rev()) {
        cluster.deliver(message.clone());
        cluster.settle();
    }
    assert_eq!((cluster.machine(late).restored, cluster.machine(late).commands.len()), (1, 30));
}

/// An answer that comes again while the next piece is on its way does not send that piece again.
#[test]
fn a_repeated_answer_sends_nothing() {
    let (mut cluster, _, late) = with_a_late_follower();
    let mut pieces = 0;
    for _ in 0..15 {
        (1..=3).for_each(|id| drop(cluster.step(id, Event::Tick)));
        while let Some(message) = cluster.network.pop_front() {
            pieces += usize::from(matches!(message.content, Content::Snapshot(_)));
            if matches!(message.content, Content::Received(_)) {
                cluster.deliver(message.clone());
            }
            cluster.deliver(message);
        }
    }
    assert_eq!((pieces, cluster.machine(late).restored), (3, 1));
}

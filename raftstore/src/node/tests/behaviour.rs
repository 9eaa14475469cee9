//! What is promised, one sentence per test.

use bytes::Bytes;

use super::cluster::{Cluster, append, applied, at, config, follower, leader, proposed, said, say};
use super::watched::Watched;
use crate::node::{
    Action, COMMAND_BYTES_MAX, Content, Error, Event, MemoryLog, Message, RaftConfig, RaftLog, RaftNode, Role,
};
use crate::raft::{self, Body};

#[test]
fn a_single_node_elects_itself_and_commits_at_once() {
    let mut node = RaftNode::new(RaftConfig::single(7));
    let mut ticks = 0;
    while !node.is_leader() {
        node.step(Event::Tick).unwrap();
        ticks += 1;
    }
    assert!((10..=20).contains(&ticks), "{ticks} ticks");
    assert_eq!((node.role(), node.term(), node.leader(), node.id()), (Role::Leader, 1, Some(7), 7));
    let actions = node.step(Event::Propose("x".into())).unwrap();
    assert_eq!(proposed(&actions), (2, 1));
    assert_eq!(actions.last(), Some(&Action::Apply { index: 2, term: 1, command: "x".into() }));
    assert_eq!((node.commit_index(), node.last_applied(), node.ticks_to_wait()), (2, 2, None));
}

#[test]
fn three_nodes_agree() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    for command in ["a", "b", "c"] {
        cluster.propose(leader, command);
        cluster.settle();
    }
    for id in 1..=3 {
        assert_eq!(cluster.machine(id).commands, ["a", "b", "c"]);
        assert_eq!((cluster.node(id).voters(), cluster.node(id).learners()), (&[1, 2, 3][..], &[][..]));
        assert_eq!(cluster.node(id).leader(), Some(leader));
    }
}

/// After every step nothing is unsynced; so whatever left, what it depends on was durable.
#[test]
fn nothing_is_handed_out_before_it_is_durable() {
    let nodes = (1..=3).map(|id| RaftNode::with_log(config(id, 3), Watched::default())).collect();
    let mut cluster = Cluster::new(nodes);
    for round in 0..200 {
        if let Some(leader) = cluster.leader() {
            cluster.propose(leader, &format!("{round}"));
        }
        for id in 1..=3 {
            cluster.step(id, Event::Tick).unwrap();
            assert!(!cluster.node(id).log().is_dirty.get());
        }
        while let Some(message) = cluster.network.pop_front() {
            let to = message.to();
            cluster.deliver(message);
            assert!(!cluster.node(to).log().is_dirty.get());
        }
    }
    assert!((1..=3).all(|id| cluster.node(id).log().writes.get() > 100), "the story happened");
}

/// The machine of the harness refuses anything else; here with leaders that come and go.
#[test]
fn applies_come_in_order_each_once() {
    let mut cluster = Cluster::of(3);
    for round in 0..10 {
        cluster.cut.clear();
        let leader = cluster.elect();
        cluster.propose(leader, &format!("{round} by {leader}"));
        cluster.settle();
        cluster.cut = vec![leader];
        cluster.step(leader, Event::Propose("lost".into())).unwrap();
        cluster.tick(50);
    }
    cluster.cut.clear();
    cluster.tick(60);
    assert_eq!(cluster.machine(1).commands.len(), 10);
    assert!((2..=3).all(|id| cluster.machine(id).commands == cluster.machine(1).commands));
}

#[test]
fn the_same_events_give_the_same_actions() {
    let story = || {
        let mut cluster = Cluster::of(5);
        let leader = cluster.elect();
        for n in 0..20 {
            cluster.propose(leader, &format!("{n}"));
        }
        cluster.cut = vec![leader];
        cluster.tick(100);
        cluster.trace
    };
    let trace = story();
    assert!(trace.len() > 300);
    assert_eq!(trace, story());
}

#[test]
fn a_snapshot_of_what_is_not_applied_or_stale_is_ignored() {
    let mut node = follower(MemoryLog::new(), 10);
    node.step(say(1, 2, 1, append(at(10, 1), 1, 2, 10))).unwrap();
    let mut offer = |index| {
        assert_eq!(node.step(Event::Snapshot { index, data: "state".into() }).unwrap(), []);
        node.log().snapshot_index()
    };
    assert_eq!(offer(11), 0, "it is not committed");
    assert_eq!(offer(99), 0, "there is no such entry");
    assert_eq!(offer(8), 8);
    assert_eq!((offer(8), offer(5)), (8, 8), "it is stale");
    assert_eq!(offer(10), 10);
}

#[test]
fn a_node_that_is_opened_again_starts_at_its_snapshot() {
    let mut node = follower(MemoryLog::new(), 10);
    node.step(Event::Snapshot { index: 7, data: "seven".into() }).unwrap();
    let log = node.log().clone();
    let mut node = RaftNode::with_log(config(2, 3), log);
    assert_eq!((node.commit_index(), node.last_applied(), node.log().last_index()), (7, 7, 10));
    assert_eq!(node.log().snapshot().unwrap().unwrap().data, "seven");
    let actions = node.step(say(1, 2, 1, append(at(10, 1), 1, 0, 10))).unwrap();
    assert_eq!(applied(&actions), [8, 9, 10]);
}

#[test]
fn a_stale_vote_request_causes_no_write() {
    let mut node = follower(Watched::default(), 3);
    let (writes, syncs) = (node.log().writes.get(), node.log().syncs.get());
    let stale = Body::Vote { last: at(0, 0), transfer: false };
    node.step(say(1, 2, 2, append(at(3, 1), 2, 1, 3))).unwrap();
    let written = node.log().writes.get();
    assert!(written > writes && node.log().syncs.get() > syncs);
    let actions = node.step(say(3, 2, 1, stale)).unwrap();
    assert_eq!(said(&actions), [(3, &Body::VoteReply { granted: false })]);
    assert_eq!(node.log().writes.get(), written);
}

#[test]
fn who_does_not_lead_says_who_does() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    let follower = cluster.others(leader)[0];
    let refusal = Err(Error::NotLeader { leader: Some(leader) });
    assert_eq!(cluster.step(follower, Event::Propose("x".into())), refusal);
    assert_eq!(cluster.step(follower, Event::Read { id: 1 }), refusal);
    let mut lonely = RaftNode::new(config(1, 3));
    assert_eq!(lonely.step(Event::Propose("x".into())), Err(Error::NotLeader { leader: None }));
}

/// A candidate that has just won does not know yet what was committed before it.
#[test]
fn who_was_just_elected_takes_proposals_when_its_first_entry_is_applied() {
    let mut node = RaftNode::new(config(1, 3));
    node.step(Event::Ticks(20)).unwrap();
    node.step(say(2, 1, 1, Body::PreVoteReply { granted: true })).unwrap();
    assert_eq!(node.role(), Role::Candidate);
    node.step(say(2, 1, 1, Body::VoteReply { granted: true })).unwrap();
    assert_eq!((node.role(), node.is_leader()), (Role::Leader, false));
    let refusal = node.step(Event::Propose("x".into())).unwrap_err();
    assert!(matches!(refusal, Error::Busy { .. }) && refusal.is_retryable());
    node.step(say(2, 1, 1, Body::AppendAccepted { matched: raft::Index(1) })).unwrap();
    assert!(node.is_leader());
    assert_eq!(proposed(&node.step(Event::Propose("x".into())).unwrap()), (2, 1));
}

/// What cannot be committed does not fill the memory, nor the disk.
#[test]
fn a_leader_is_busy_while_too_much_is_not_committed() {
    let mut node = leader(config(1, 3).with_max_uncommitted_bytes(1000), MemoryLog::new());
    let propose = |node: &mut RaftNode| node.step(Event::Propose(vec![7; 300].into()));
    let taken: Vec<_> = (0..10).map_while(|_| propose(&mut node).ok()).collect();
    assert_eq!(taken.len(), 4, "the limit, and the proposal that reaches it");
    let (last, _) = proposed(&taken[3]);
    let refusal = propose(&mut node).unwrap_err();
    assert!(matches!(refusal, Error::Busy { .. }) && refusal.is_retryable());
    assert_eq!(node.log().last_index(), last, "nothing was written");
    node.step(say(2, 1, 1, Body::AppendAccepted { matched: raft::Index(last) })).unwrap();
    assert_eq!(proposed(&propose(&mut node).unwrap()).0, last + 1);
}

#[test]
fn a_read_waits_for_a_quorum_and_for_what_was_acknowledged() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    let (index, _) = cluster.propose(leader, "x");
    cluster.settle();
    assert_eq!(cluster.step(leader, Event::Read { id: 77 }).unwrap().len(), 2, "two questions, no answer");
    assert!(cluster.reads.is_empty());
    cluster.settle();
    assert_eq!(cluster.reads, [(leader, 77, index)]);
}

/// It does not know that it was deposed. Whatever it answered could be stale.
#[test]
fn a_leader_that_is_cut_off_answers_no_read() {
    let mut cluster = Cluster::of(3);
    let old = cluster.elect();
    cluster.cut = vec![old];
    cluster.step(old, Event::Read { id: 1 }).unwrap();
    let new = cluster.elect();
    cluster.propose(new, "newer");
    cluster.settle();
    cluster.cut.clear();
    cluster.tick(30);
    assert_eq!(cluster.reads, []);
    assert_eq!(cluster.machine(old).commands, ["newer"]);
}

#[test]
fn leadership_is_handed_over() {
    let mut cluster = Cluster::of(3);
    let old = cluster.elect();
    let new = cluster.others(old)[1];
    let term = cluster.node(old).term();
    cluster.step(old, Event::TransferLeadership(new)).unwrap();
    cluster.settle();
    assert_eq!((cluster.leader(), cluster.node(new).term()), (Some(new), term + 1));
}

#[test]
fn a_command_that_fits_nowhere_is_refused() {
    let mut node = leader(config(1, 1), MemoryLog::new());
    let long = Bytes::from(vec![0; COMMAND_BYTES_MAX + 1]);
    let refusal = Err(Error::TooLarge { bytes: COMMAND_BYTES_MAX + 1, bytes_max: COMMAND_BYTES_MAX });
    assert_eq!(node.step(Event::ProposeAll(vec!["short".into(), long])), refusal);
    assert_eq!(node.log().last_index(), 1, "all or none");
    let fits = Bytes::from(vec![0; COMMAND_BYTES_MAX]);
    assert_eq!(applied(&node.step(Event::Propose(fits)).unwrap()), [2]);
}

#[test]
fn another_groups_messages_are_refused() {
    let mut node = RaftNode::new(config(2, 3).with_group(5));
    let Event::Message(Message { content, .. }) = say(1, 2, 1, append(at(0, 0), 1, 1, 1)) else { panic!() };
    node.step(Event::Message(Message { group: 4, content: content.clone() })).unwrap();
    assert_eq!((node.term(), node.refused_messages()), (0, 1));
    let actions = node.step(Event::Message(Message { group: 5, content })).unwrap();
    assert_eq!((node.term(), applied(&actions)), (1, vec![1]));
    let sent = actions.iter().find_map(|action| match action {
        Action::Send { message, .. } => Some(message),
        _ => None,
    });
    assert!(sent.is_some_and(|message| message.group() == 5 && matches!(message.content, Content::Raft(_))));
}

/// The group goes on when every message is lost, repeated and overtaken now and then; a random walk over one seed each.
#[test]
fn it_heals_after_any_network() {
    for seed in 1..=30_u64 {
        let mut random = seed;
        let mut chance = move |of: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) % of
        };
        let mut cluster = Cluster::of(3);
        for n in 0..600 {
            let id = 1 + chance(3);
            let event = if chance(3) == 0 { Event::Propose(format!("{n}").into()) } else { Event::Tick };
            drop(cluster.step(id, event));
            for _ in 0..chance(6) {
                let at = chance(cluster.network.len() as u64 + 1) as usize;
                let Some(message) = cluster.network.remove(at) else { break };
                if chance(8) == 0 {
                    cluster.network.push_back(message.clone());
                }
                if chance(5) > 0 {
                    cluster.deliver(message);
                }
            }
        }
        cluster.settle();
        let leader = cluster.elect();
        cluster.propose(leader, "last");
        cluster.tick(40);
        assert_eq!(cluster.machine(1).commands.last().map(String::as_str), Some("last"), "seed {seed}");
        assert!((2..=3).all(|id| cluster.machine(id).commands == cluster.machine(1).commands), "seed {seed}");
    }
}

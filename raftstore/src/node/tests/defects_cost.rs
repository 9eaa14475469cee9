//! The defects of `raft-io` in cost and scale, by their numbers: shown by counting that none of them exists here.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::cluster::{Cluster, append, applied, at, config, follower, leader, proposed, said, say};
use super::watched::Watched;
use crate::node::{
    Action, Content, Event, LogEntry, MemoryLog, Message, RaftConfig, RaftLog, RaftNode, Role,
};
use crate::raft::{self, Body};

fn commands(count: u64) -> Event {
    Event::ProposeAll((0..count).map(|n| format!("{n}").into()).collect())
}

fn prefilled(count: u64) -> MemoryLog {
    let mut log = MemoryLog::new();
    let entries: Vec<LogEntry> = (1..=count).map(|index| LogEntry::new(1, index, "x")).collect();
    log.append(&entries).unwrap();
    log
}

fn accepted(matched: u64) -> Body {
    Body::AppendAccepted { matched: raft::Index(matched) }
}

fn syncs(node: &mut RaftNode<Watched>, event: Event) -> u64 {
    let before = node.log().syncs.get();
    node.step(event).unwrap();
    node.log().syncs.get() - before
}

/// A hundred proposals were a hundred syncs, a vote in a newer term two, a repeated request another one.
#[test]
fn p1_a_step_syncs_once_and_only_if_it_wrote() {
    let mut node = leader(config(1, 3), Watched::default());
    assert_eq!(syncs(&mut node, commands(100)), 1);
    let mut node = RaftNode::with_log(config(2, 3), Watched::default());
    let vote = || say(1, 2, 5, Body::Vote { last: at(0, 0), transfer: false });
    assert_eq!(syncs(&mut node, vote()), 1, "a newer term and a vote in it");
    assert_eq!(syncs(&mut node, vote()), 0, "the same vote again");
    let newer = |term, prev| say(1, 2, term, append(at(prev, term - 1), term, 1, 0));
    assert_eq!(syncs(&mut node, say(1, 2, 6, append(at(0, 0), 6, 1, 0))), 1, "a newer term and entries");
    assert_eq!(syncs(&mut node, newer(7, 1)), 1);
    let messages = (1..=50).map(|n| say(1, 2, 7, append(at(n + 1, 7), 7, 1, n)));
    let messages = messages.map(|event| match event {
        Event::Message(message) => message,
        _ => panic!(),
    });
    assert_eq!(syncs(&mut node, Event::Messages(messages.collect())), 1, "fifty messages");
    assert_eq!(node.log().last_index(), 52);
}

/// Every acknowledgement walked the log from the commit index to its end.
#[test]
fn p2_an_acknowledgement_reads_nothing() {
    let mut node = leader(config(1, 5), Watched::default());
    node.step(commands(4000)).unwrap();
    for matched in [5, 900, 3000] {
        node.log().reads.set(0);
        node.step(say(2, 1, 1, accepted(matched))).unwrap();
        assert_eq!((node.log().reads.get(), node.commit_index()), (0, 1));
    }
    node.step(say(3, 1, 1, accepted(2500))).unwrap();
    assert_eq!(node.commit_index(), 2500);
}

/// A refusal with a low hint walked the log down to its beginning.
#[test]
fn p3_a_refusal_reads_what_is_sent_and_no_more() {
    let last = 100_000;
    let mut node = leader_of_the_silent(config(1, 3).with_applied(last), Watched::with(prefilled(last)));
    node.log().reads.set(0);
    let refusal = Body::AppendRejected { prev: raft::Index(last), hint: at(10, 1) };
    let term = node.term();
    let actions = node.step(say(2, 1, term, refusal)).unwrap();
    let [(2, Body::Append { prev, .. })] = said(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(*prev, at(10, 1));
    assert!(node.log().reads.get() <= 64, "{} reads", node.log().reads.get());
}

/// Ten thousand proposals were ten thousand messages to a follower that says nothing; each heartbeat sent entries again.
#[test]
fn p4_what_is_under_way_to_a_silent_follower_is_limited() {
    let mut node = leader(config(1, 3), MemoryLog::new());
    let mut to_silent = 0;
    let mut count = |actions: &[Action]| {
        let entries = |(to, body): &(u64, &Body)| {
            *to == 2 && matches!(body, Body::Append { entries, .. } if !entries.is_empty())
        };
        to_silent += said(actions).iter().filter(|message| entries(message)).count();
    };
    for n in 0..10_000 {
        count(&node.step(Event::Propose(format!("{n}").into())).unwrap());
        node.step(say(3, 1, 1, accepted(node.log().last_index()))).unwrap();
    }
    for _ in 0..30 {
        count(&node.step(Event::Tick).unwrap());
        node.step(say(3, 1, 1, Body::HeartbeatReply { round: 0 })).unwrap();
    }
    assert_eq!(to_silent, 64);
}

#[test]
fn p4_messages_are_limited_in_bytes_and_share_their_entries() {
    let mut node = leader(config(1, 3), MemoryLog::new());
    let big = Bytes::from(vec![7; 400 << 10]);
    let actions = node.step(Event::ProposeAll(vec![big; 5])).unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    for (to, body) in said(&actions) {
        let Body::Append { entries, .. } = body else { continue };
        assert!(entries.len() <= 2, "two fit into a mebibyte");
        seen[to as usize - 2].extend(entries.iter().map(|entry| entry.payload.bytes().as_ptr()));
    }
    assert_eq!(seen[0].len(), 5);
    assert_eq!(seen[0], seen[1], "the same memory for both");
}

/// The whole state went out with every heartbeat, and nothing at all if there was none to send.
#[test]
fn p5_a_snapshot_is_sent_once_in_pieces_and_heartbeats_go_on() {
    let mut node = leader(config(1, 3).with_applied(50).with_log_tail(0), Watched::with(prefilled(50)));
    node.step(say(3, 1, node.term(), accepted(51))).unwrap();
    node.step(Event::Snapshot { index: 51, data: vec![1; 11 << 20].into() }).unwrap();
    let mut node = leader_of_the_silent(config(1, 3), node.log().inner.clone());
    let term = node.term();
    let refusal = Body::AppendRejected { prev: raft::Index(51), hint: at(0, 0) };
    let (mut bytes, mut heartbeats) = (0, 0);
    let mut count = |actions: &[Action]| {
        for action in actions {
            let Action::Send { to: 2, message } = action else { continue };
            match &message.content {
                Content::Snapshot(part) => bytes += part.data.len(),
                Content::Raft(raft::Message { body: Body::Heartbeat { .. }, .. }) => heartbeats += 1,
                Content::Raft(_) | Content::Received(_) => {}
            }
        }
    };
    for _ in 0..30 {
        count(&node.step(say(2, 1, term, refusal.clone())).unwrap());
        count(&node.step(Event::Tick).unwrap());
        node.step(say(3, 1, term, Body::HeartbeatReply { round: 0 })).unwrap();
    }
    assert_eq!((bytes >> 20, heartbeats), (2, 10), "one piece, once more after a while");
}

/// A leader whose follower 3 has everything, and 2 has said nothing.
fn leader_of_the_silent<L: RaftLog>(config: RaftConfig, log: L) -> RaftNode<L> {
    let mut node = RaftNode::with_log(config, log);
    let term = node.term() + 1;
    node.step(Event::Ticks(20)).unwrap();
    node.step(say(3, 1, term, Body::PreVoteReply { granted: true })).unwrap();
    node.step(say(3, 1, term, Body::VoteReply { granted: true })).unwrap();
    node.step(say(3, 1, term, accepted(node.log().last_index()))).unwrap();
    assert!(node.is_leader());
    node
}

/// Copies of one refusal each moved the follower back and sent a batch.
#[test]
fn p6_a_repeated_refusal_says_nothing_new() {
    let mut node = leader(config(1, 3), MemoryLog::new());
    node.step(commands(20)).unwrap();
    node.step(commands(1)).unwrap();
    let refusal = || say(2, 1, 1, Body::AppendRejected { prev: raft::Index(21), hint: at(1, 1) });
    let sent: Vec<usize> = (0..10).map(|_| said(&node.step(refusal()).unwrap()).len()).collect();
    assert_eq!(sent, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Every group was ticked at every tick, and a message did not say to which group it belonged.
#[test]
fn p7_a_group_is_ticked_when_it_has_something_to_do() {
    let mut steps = 0;
    for group in 0..1000 {
        let mut node = RaftNode::new(config(2, 3).with_group(group));
        let mut waited = 0;
        while waited < 100 {
            // A leader is heard now and then.
            let heartbeat = raft::Message {
                from: raft::ReplicaId(1),
                to: raft::ReplicaId(2),
                term: raft::Term(1),
                body: Body::Heartbeat { commit: raft::Index(0), round: 0 },
            };
            let message = Message { group, content: Content::Raft(heartbeat) };
            let actions = node.step(Event::Message(message)).unwrap();
            assert!(
                actions.iter().all(
                    |action| !matches!(action, Action::Send { message, .. } if message.group() != group)
                )
            );
            let ticks = node.ticks_to_wait().unwrap();
            assert!((10..=20).contains(&ticks));
            node.step(Event::Ticks(9)).unwrap();
            (waited, steps) = (waited + 9, steps + 1);
        }
        assert_eq!(node.role(), Role::Follower);
    }
    assert_eq!(steps, 12_000, "not a hundred thousand");
    assert_eq!(leader(RaftConfig::single(1), MemoryLog::new()).ticks_to_wait(), None);
}

/// A thousand groups of one process all campaigned in the same tick.
#[test]
fn p8_groups_of_one_process_campaign_at_different_times() {
    let first = |group| RaftNode::new(RaftConfig::new(1, [2, 3]).with_group(group)).ticks_to_wait().unwrap();
    let mut counts = [0; 21];
    (0..1000).for_each(|group| counts[first(group) as usize] += 1);
    assert!(counts[10..].iter().all(|&count| (50..150).contains(&count)), "{counts:?}");
    let seeds: BTreeSet<u64> = (0..100)
        .map(|seed| RaftNode::new(RaftConfig::new(1, [2, 3]).with_seed(seed)).ticks_to_wait().unwrap())
        .collect();
    assert_eq!(seeds.len(), 11);
}

/// A hint came with every commit until it was answered; only entries counted; and nothing of the log was kept for a
/// follower that lagged a little.
#[test]
fn p9_a_snapshot_is_asked_for_once_per_threshold() {
    let asked = |config: RaftConfig, command: &'static str| {
        let mut node = leader(config, MemoryLog::new());
        let mut hints = Vec::new();
        for _ in 0..29 {
            for action in node.step(Event::Propose(command.into())).unwrap() {
                if let Action::Snapshot { index, .. } = action {
                    hints.push(index);
                }
            }
        }
        hints
    };
    assert_eq!(asked(RaftConfig::single(1).with_snapshot_threshold(10), "x"), [10, 20, 30]);
    assert_eq!(asked(RaftConfig::single(1).with_snapshot_threshold_bytes(100), "nine byte"), [11, 21]);
    assert_eq!(asked(RaftConfig::single(1), "x"), []);
}

#[test]
fn p9_a_follower_that_lags_a_little_gets_entries() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    let late = cluster.others(leader)[0];
    cluster.cut = vec![late];
    for n in 0..50 {
        cluster.propose(leader, &format!("{n}"));
    }
    cluster.settle();
    cluster.snapshot(leader);
    assert_eq!(
        (cluster.node(leader).log().snapshot_index(), cluster.node(leader).log().base_index()),
        (51, 1)
    );
    cluster.cut.clear();
    cluster.tick(10);
    assert_eq!((cluster.machine(late).commands.len(), cluster.machine(late).restored), (50, 0));
}

/// One message made a follower apply everything at once, before it acknowledged; and it heard of a commit only with the
/// next heartbeat.
#[test]
fn p10_a_step_hands_out_a_limited_number_after_the_acknowledgement() {
    let mut node = RaftNode::with_log(config(2, 3), prefilled(5000));
    let actions = node.step(say(1, 2, 1, append(at(5000, 1), 1, 1, 5001))).unwrap();
    assert!(matches!(actions[1], Action::Send { .. }), "{:?}", &actions[..3]);
    assert_eq!((applied(&actions).len(), node.ticks_to_wait()), (1024, Some(0)));
    let mut total = 1024;
    while node.ticks_to_wait() == Some(0) {
        total += applied(&node.step(Event::Ticks(0)).unwrap()).len();
    }
    assert_eq!((total, node.last_applied()), (5001, 5001));
}

#[test]
fn p10_a_commit_is_news_at_once() {
    let mut cluster = Cluster::of(3);
    let leader = cluster.elect();
    cluster.propose(leader, "x");
    cluster.settle();
    assert!((1..=3).all(|id| cluster.machine(id).commands == ["x"]), "no tick passed");
}

/// Who asks for it has the followers told with the next entry, or when the time is over.
#[test]
fn commit_news_may_wait_for_the_next_entry() {
    let node = |id| RaftNode::new(config(id, 3).with_commit_news(2));
    let mut cluster = Cluster::new((1..=3).map(node).collect());
    let leader = cluster.elect();
    let told = |cluster: &Cluster<MemoryLog>, command| {
        let has = |id: &u64| cluster.machine(*id).commands.iter().any(|had| had == command);
        (1..=3).filter(has).collect::<Vec<u64>>()
    };
    cluster.propose(leader, "x");
    cluster.settle();
    assert_eq!(told(&cluster, "x"), [leader]);
    cluster.propose(leader, "y");
    cluster.settle();
    assert_eq!((told(&cluster, "x"), told(&cluster, "y")), (vec![1, 2, 3], vec![leader]));
    cluster.tick(2);
    assert_eq!(told(&cluster, "y"), [1, 2, 3], "no entry came");
}

/// Nobody could say which entry a proposal had become, or whether it was lost.
#[test]
fn p11_a_proposal_has_a_place_and_its_loss_shows() {
    let mut cluster = Cluster::of(3);
    let old = cluster.elect();
    cluster.cut = vec![old];
    let (index, term) = cluster.propose(old, "lost");
    let new = cluster.elect();
    let (place, newer) = cluster.propose(new, "kept");
    cluster.settle();
    cluster.trace.clear();
    cluster.cut.clear();
    cluster.tick(20);
    let told = format!("{old}: LeaderChanged {{ term: {newer}, leader: Some({new}) }}");
    assert!(cluster.trace.contains(&told), "the one who proposed it is told");
    assert!(place >= index && newer > term);
    assert_eq!(cluster.machine(old).commands, ["kept"], "another term's entry came in its place");
    let mut node = super::cluster::leader(config(1, 1), MemoryLog::new());
    assert_eq!(proposed(&node.step(commands(3)).unwrap()), (2, 1));
}

/// A copy that was made anew took the old one's messages for its own.
#[test]
fn p12_a_new_life_has_a_new_number() {
    let mut reborn = RaftNode::new(RaftConfig::new(4, [1, 2, 4]));
    reborn.step(say(1, 3, 1, append(at(0, 0), 1, 1, 1))).unwrap();
    reborn.step(say(1, 3, 1, Body::Vote { last: at(0, 0), transfer: true })).unwrap();
    assert_eq!((reborn.term(), reborn.refused_messages()), (0, 2), "meant for number 3");
    let mut other = follower(MemoryLog::new(), 1);
    other.step(say(4, 2, 1, accepted(1))).unwrap();
    assert_eq!(other.refused_messages(), 1, "nobody has heard of number 4");
}

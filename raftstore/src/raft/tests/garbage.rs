//! Whatever a peer says, nothing panics, the commit index never goes back or beyond the log, and nothing committed is
//! truncated.

use proptest::prelude::*;

use super::group::command;
use crate::raft::{
    Body, Config, Effects, Entry, EntryKind, Event, HardState, Index, LogPos, Membership, Message, Payload,
    Persisted, Raft, ReadId, ReplicaId, Start, Term, Tick,
};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..12_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1), 1 => any::<u64>()]
}

fn pos() -> impl Strategy<Value = LogPos> {
    (number(), number()).prop_map(|(index, term)| LogPos { index: Index(index), term: Term(term) })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let wild = (number(), number()).prop_map(|(index, term)| Entry {
        index: Index(index),
        term: Term(term),
        payload: command("x"),
    });
    let tame = (0..10_u64, proptest::collection::vec(0..8_u64, 0..4)).prop_map(|(first, mut terms)| {
        terms.sort_unstable();
        let entry = |(at, term)| Entry {
            index: Index(first + at as u64),
            term: Term(term),
            payload: Payload::no_op(),
        };
        terms.into_iter().enumerate().map(entry).collect()
    });
    prop_oneof![1 => proptest::collection::vec(wild, 0..3), 3 => tame]
}

fn position(witness: u64) -> Box<Membership> {
    let voters = Membership::of_voters(vec![ReplicaId(1), ReplicaId(2), ReplicaId(3)]);
    Box::new(Membership { witnesses: vec![ReplicaId(witness)], ..voters })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        pos().prop_map(|last| Body::PreVote { last }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        (pos(), any::<bool>()).prop_map(|(last, transfer)| Body::Vote { last, transfer }),
        any::<bool>().prop_map(|granted| Body::VoteReply { granted }),
        (pos(), number(), entries()).prop_map(|(prev, commit, entries)| Body::Append {
            prev,
            commit: Index(commit),
            entries: entries.into(),
        }),
        (entries(), number(), number()).prop_map(|(entries, commit, term)| {
            let before = entries.first().map_or(0, |entry| entry.index.0.saturating_sub(1));
            Body::Append {
                prev: LogPos { index: Index(before), term: Term(term) },
                commit: Index(commit),
                entries: entries.into(),
            }
        }),
        number().prop_map(|matched| Body::AppendAccepted { matched: Index(matched) }),
        (number(), pos()).prop_map(|(prev, hint)| Body::AppendRejected { prev: Index(prev), hint }),
        (number(), number()).prop_map(|(commit, round)| Body::Heartbeat { commit: Index(commit), round }),
        number().prop_map(|round| Body::HeartbeatReply { round }),
        Just(Body::TimeoutNow),
        (pos(), 1..4_u64).prop_map(|(at, witness)| Body::Position { at, membership: position(witness) }),
    ]
}

#[derive(Debug, Clone)]
enum Move {
    Say(Message),
    Wait(u64),
    Persist,
    Propose,
    Read,
    Transfer,
    Install(LogPos),
    SnapshotDone(Option<LogPos>),
    Compact(LogPos),
    Apply,
}

fn moves() -> impl Strategy<Value = Move> {
    let message = (0..5_u64, 0..8_u64, number(), body()).prop_map(|(from, to, term, body)| {
        // Mostly for replica 1.
        let to = if to < 7 { 1 } else { 2 };
        Move::Say(Message { from: ReplicaId(from), to: ReplicaId(to), term: Term(term), body })
    });
    prop_oneof![
        20 => message,
        3 => (0..30_u64).prop_map(Move::Wait),
        3 => Just(Move::Persist),
        2 => Just(Move::Propose),
        2 => Just(Move::Read),
        1 => Just(Move::Transfer),
        1 => (1..12_u64, 0..8_u64).prop_map(|(i, t)| Move::Install(LogPos { index: Index(i), term: Term(t) })),
        1 => proptest::option::of(pos()).prop_map(Move::SnapshotDone),
        1 => pos().prop_map(Move::Compact),
        1 => Just(Move::Apply),
    ]
}

fn replica(blank: bool) -> Raft {
    let config = Config {
        id: ReplicaId(1),
        election_ticks_min: 10,
        election_ticks_max: 20,
        heartbeat_ticks: 3,
        commit_news_ticks: 0,
        inflight_messages_max: 2,
        entries_per_message_max: 2,
        inflight_bytes_max: 40,
        uncommitted_bytes_max: 200,
        rank: 0,
        lease_ticks: 0,
        seed: 1,
    };
    let start = Start {
        hard_state: HardState { term: Term(3), vote: None },
        membership: Membership::of_voters(vec![ReplicaId(1), ReplicaId(2), ReplicaId(3)]),
        brought: Vec::new(),
        base: LogPos { index: Index(2), term: Term(1) },
        runs: vec![(Index(3), Term(1)), (Index(5), Term(3))],
        last: Index(6),
        committed: Index(0),
        applied: Index(4),
        blank,
        unborn: false,
        witness: false,
    };
    let start = if blank { Start { blank, ..Start::default() } } else { start };
    Raft::new(config, start, Tick(100))
}

fn play(raft: &mut Raft, moves: Vec<Move>) {
    let (mut now, mut seq) = (Tick(100), None);
    let mut fx = Effects::default();
    for step in moves {
        let (commit, durable) = (raft.commit(), raft.durable_index());
        match step {
            Move::Say(message) => raft.step(now, Event::Message(message), &mut fx),
            Move::Wait(ticks) => {
                now = now.after(ticks);
                raft.step(now, Event::Timeout, &mut fx);
            }
            Move::Persist => {
                if let Some(seq) = seq.take() {
                    raft.step(now, Event::Persisted(Persisted::proven(seq)), &mut fx);
                }
            }
            Move::Propose => drop(raft.propose(now, &mut vec![command("p"), command("q")], &mut fx)),
            Move::Read => drop(raft.read(now, ReadId(1), &mut fx)),
            Move::Transfer => raft.step(now, Event::TransferLeadership(ReplicaId(2)), &mut fx),
            Move::Install(at) if raft.would_install(at) => {
                let membership = raft.membership().clone();
                let term = at.term.max(Term(1));
                raft.step(now, Event::Installed { at, membership, from: ReplicaId(2), term }, &mut fx);
            }
            Move::Install(_) => {}
            Move::SnapshotDone(at) => raft.step(now, Event::SnapshotDone { to: ReplicaId(2), at }, &mut fx),
            Move::Compact(at) => raft.step(now, Event::Compacted(at), &mut fx),
            Move::Apply => raft.step(now, Event::Applied(raft.commit()), &mut fx),
        }
        raft.flush(now, &mut fx);
        seq = fx.write.or(seq);
        assert!(raft.commit() >= commit, "commit went back");
        assert!(raft.commit() <= raft.last_index() && raft.first_index() <= raft.commit().next());
        assert!(
            fx.apply.is_none_or(
                |through| through <= raft.commit() && through <= raft.durable_index().max(durable)
            )
        );
        assert!(fx.append.iter().all(|entry| entry.payload.kind() != EntryKind::Membership));
        assert!(raft.term().0 < 1 << 63, "an absurd term was believed");
        fx.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_harms_a_replica(moves in proptest::collection::vec(moves(), 1..60)) {
        play(&mut replica(false), moves);
    }

    #[test]
    fn never_harms_a_blank_replica(moves in proptest::collection::vec(moves(), 1..30)) {
        play(&mut replica(true), moves);
    }
}

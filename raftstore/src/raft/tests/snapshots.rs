//! Who sends a snapshot says that it leads in its term: whoever receives one follows it there.

use super::config;
use crate::raft::{
    Body, Effects, Entries, Event, HardState, Index, LogPos, Membership, Message, Persisted, Raft, ReplicaId,
    Role, Start, Term, Tick,
};

const OWN: ReplicaId = ReplicaId(1);
const VOTER: ReplicaId = ReplicaId(2);
const BLANK: ReplicaId = ReplicaId(3);
/// Where its log begins.
const BASE: LogPos = LogPos { index: Index(10), term: Term(4) };

fn voter() -> Raft {
    let membership = Membership { learners: vec![BLANK], ..Membership::of_voters(vec![OWN, VOTER]) };
    let start = Start {
        hard_state: HardState { term: Term(4), vote: None },
        membership,
        base: BASE,
        last: BASE.index,
        applied: BASE.index,
        ..Start::default()
    };
    Raft::new(config(OWN), start, Tick(0))
}

/// One turn in which this happens.
fn turn(raft: &mut Raft, events: Vec<Event>) -> Effects {
    let mut fx = Effects::default();
    events.into_iter().for_each(|event| raft.step(Tick(100), event, &mut fx));
    raft.flush(Tick(100), &mut fx);
    if let Some(write) = fx.write {
        raft.step(Tick(100), Event::Persisted(Persisted::proven(write)), &mut Effects::default());
    }
    fx
}

fn says(from: ReplicaId, term: u64, body: Body) -> Event {
    Event::Message(Message { from, to: OWN, term: Term(term), body })
}

/// It leads in term 5.
fn leader() -> Raft {
    let mut raft = voter();
    turn(&mut raft, vec![Event::Timeout]);
    turn(&mut raft, vec![says(VOTER, 5, Body::PreVoteReply { granted: true })]);
    turn(&mut raft, vec![says(VOTER, 5, Body::VoteReply { granted: true })]);
    assert_eq!((raft.role(), raft.term()), (Role::Leader, Term(5)));
    raft
}

fn has_nothing() -> Event {
    says(BLANK, 5, Body::AppendRejected { prev: Index(0), hint: LogPos::default() })
}

#[test]
fn who_has_nothing_is_sent_one() {
    assert_eq!(turn(&mut leader(), vec![has_nothing()]).snapshot_for, [BLANK]);
}

/// It would go out with the new term on it, and the receiver would follow one who does not lead there, and refuse the one who does.
#[test]
fn who_steps_down_in_the_same_turn_sends_none() {
    let mut raft = leader();
    let append = Body::Append { prev: BASE, commit: BASE.index, entries: Entries::new() };
    let fx = turn(&mut raft, vec![has_nothing(), says(VOTER, 6, append)]);
    assert_eq!((raft.role(), raft.term()), (Role::Follower, Term(6)));
    assert!(fx.snapshot_for.is_empty(), "{:?}", fx.snapshot_for);
}

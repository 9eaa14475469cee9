//! A replica that was never here gives its vote, once in each term, and keeps it when its birth comes after all.

use super::config;
use crate::raft::{
    Body, Effects, Entries, Entry, Event, HardState, Index, LogPos, Membership, Message, Payload, Persisted,
    Raft, ReplicaId, Start, Term, Tick, WriteSeq,
};

const OWN: ReplicaId = ReplicaId(3);
const FIRST: ReplicaId = ReplicaId(1);
const SECOND: ReplicaId = ReplicaId(2);
/// Where the region was split off, in term 4, by the second.
const BASE: LogPos = LogPos { index: Index(10), term: Term(4) };
const YES: Body = Body::VoteReply { granted: true };
const NO: Body = Body::VoteReply { granted: false };
const LAST: LogPos = LogPos { index: Index(12), term: Term(4) };

fn blank(unborn: bool, hard_state: HardState) -> Raft {
    Raft::new(config(OWN), Start { blank: true, unborn, hard_state, ..Start::default() }, Tick(0))
}

fn unborn() -> Raft {
    blank(true, HardState::default())
}

fn birth() -> Start {
    Start {
        hard_state: HardState { term: Term(4), vote: Some(SECOND) },
        membership: Membership::of_voters(vec![FIRST, SECOND, OWN]),
        base: BASE,
        last: BASE.index,
        applied: BASE.index,
        ..Start::default()
    }
}

/// What one turn asks for.
#[derive(Debug)]
struct Turn {
    /// Said at once.
    said: Vec<Body>,
    /// Said when the write is durable.
    held: Vec<Body>,
    hard_state: Option<HardState>,
    write: Option<WriteSeq>,
}

/// One turn in which `body` arrives.
fn hear(raft: &mut Raft, from: ReplicaId, term: u64, body: Body) -> Turn {
    let mut fx = Effects::default();
    raft.step(Tick(1), Event::Message(Message { from, to: OWN, term: Term(term), body }), &mut fx);
    raft.flush(Tick(1), &mut fx);
    turn(fx)
}

fn turn(mut fx: Effects) -> Turn {
    let bodies = |messages: Vec<Message>| messages.into_iter().map(|message| message.body).collect();
    let held = fx.held.take().release(Persisted::proven(fx.write.unwrap_or_default()));
    Turn { said: bodies(fx.send), held: bodies(held), hard_state: fx.hard_state, write: fx.write }
}

fn asks(raft: &mut Raft, from: ReplicaId, term: u64, last: LogPos) -> Turn {
    hear(raft, from, term, Body::Vote { last, transfer: false })
}

#[test]
fn it_votes_once_in_a_term_and_says_so_when_that_is_durable() {
    let mut raft = unborn();
    let turn = asks(&mut raft, FIRST, 5, LAST);
    assert_eq!((turn.said, turn.held), (vec![], vec![YES]), "the vote is a promise");
    assert_eq!(turn.hard_state, Some(HardState { term: Term(5), vote: Some(FIRST) }));
    assert_eq!(asks(&mut raft, SECOND, 5, LAST).held, [NO]);
    let late = asks(&mut raft, SECOND, 4, LAST);
    assert_eq!((late.said, late.held), (vec![], vec![]), "that term is over");
    assert_eq!(asks(&mut raft, SECOND, 6, LAST).held, [YES]);
}

#[test]
fn it_answers_whether_it_would_vote_and_moves_no_term() {
    let mut raft = unborn();
    let turn = hear(&mut raft, FIRST, 5, Body::PreVote { last: LAST });
    assert_eq!(turn.said, [Body::PreVoteReply { granted: true }]);
    assert_eq!((turn.hard_state, raft.hard_state()), (None, HardState::default()));
}

#[test]
fn whoever_has_nothing_gets_no_vote() {
    let mut raft = unborn();
    let turn = asks(&mut raft, FIRST, 5, LogPos::default());
    assert_eq!((turn.said, turn.held), (vec![], vec![]));
    assert_eq!(raft.hard_state(), HardState::default());
}

#[test]
fn who_became_blank_votes_for_nobody() {
    let mut raft = blank(false, HardState::default());
    let turn = asks(&mut raft, FIRST, 5, LAST);
    assert_eq!((turn.said, turn.held, turn.hard_state), (vec![], vec![], None));
}

#[test]
fn it_never_campaigns_and_acknowledges_nothing() {
    let mut raft = unborn();
    asks(&mut raft, FIRST, 5, LAST);
    let mut fx = Effects::default();
    raft.step(Tick(1000), Event::Timeout, &mut fx);
    raft.flush(Tick(1000), &mut fx);
    let late = turn(fx);
    assert_eq!((late.said, late.held), (vec![], vec![]));
    let append = Body::Append { prev: LogPos::default(), commit: Index(0), entries: Entries::new() };
    let nothing = Body::AppendRejected { prev: Index(0), hint: LogPos::default() };
    let answer = hear(&mut raft, FIRST, 5, append);
    assert_eq!([answer.said, answer.held].concat(), [nothing]);
}

#[test]
fn its_birth_does_not_take_its_vote_back() {
    let mut raft = unborn();
    asks(&mut raft, FIRST, 5, LAST);
    raft.be_born(birth(), Tick(2));
    assert!(!raft.is_blank());
    assert_eq!((raft.applied(), raft.base(), raft.last_index()), (BASE.index, BASE, BASE.index));
    assert_eq!(raft.hard_state(), HardState { term: Term(5), vote: Some(FIRST) });
    assert_eq!(asks(&mut raft, SECOND, 5, LAST).held, [NO]);
}

#[test]
fn without_a_later_vote_it_has_the_one_of_its_birth() {
    let mut raft = unborn();
    raft.be_born(birth(), Tick(2));
    assert_eq!(raft.hard_state(), birth().hard_state);
    let earlier = LogPos { term: Term(3), ..LAST };
    assert_eq!(asks(&mut raft, FIRST, 4, earlier).said, [NO]);
}

/// The write that the vote is part of is asked for before the birth, and is done after it: it vouches for the vote, and for no
/// entry.
#[test]
fn a_write_from_before_its_birth_vouches_for_no_entry() {
    let mut raft = unborn();
    let vote = asks(&mut raft, FIRST, 5, LAST).write.unwrap();
    raft.be_born(birth(), Tick(2));
    let entries = [Entry { index: BASE.index.next(), term: Term(5), payload: Payload::no_op() }].into();
    let turn = hear(&mut raft, FIRST, 5, Body::Append { prev: BASE, commit: BASE.index, entries });
    assert_eq!(turn.held, [Body::AppendAccepted { matched: BASE.index.next() }]);
    assert!(turn.write.is_some_and(|write| write > vote), "numbers are not used twice");
    let done = Event::Persisted(Persisted::proven(vote));
    raft.step(Tick(3), done, &mut Effects::default());
    assert_eq!(raft.durable_index(), BASE.index);
}

#[test]
fn a_snapshot_of_an_earlier_term_does_not_take_its_vote_back() {
    let install =
        |term| Event::Installed { at: BASE, membership: birth().membership, from: SECOND, term: Term(term) };
    let mut raft = unborn();
    asks(&mut raft, FIRST, 5, LAST);
    let mut fx = Effects::default();
    raft.step(Tick(2), install(4), &mut fx);
    assert!(!raft.is_blank());
    assert_eq!(raft.hard_state(), HardState { term: Term(5), vote: Some(FIRST) });

    let mut raft = unborn();
    asks(&mut raft, FIRST, 5, LAST);
    raft.step(Tick(2), install(5), &mut fx);
    assert_eq!(raft.hard_state(), HardState { term: Term(5), vote: Some(FIRST) }, "it won without this vote");
}

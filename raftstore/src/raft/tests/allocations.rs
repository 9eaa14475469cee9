//! No step allocates in proportion to anything but what it is given: a log that is a million entries long and has seen thousands
//! of elections costs what a short one does, in bytes.
//!
//! The list of terms doubles when it is full, as every vector does: in these logs it has room.

use super::config;
use super::group::command;
use crate::raft::{
    Body, Effects, Entries, Entry, Event, HardState, Index, LogPos, Membership, Message, Persisted, Raft,
    ReadId, ReplicaId, Start, Term, Tick, WriteSeq,
};

const NOW: Tick = Tick(1000);
const OWN: ReplicaId = ReplicaId(1);
const OTHER: ReplicaId = ReplicaId(2);

/// How long a log is: terms that each have entries, and how many.
#[derive(Clone, Copy)]
struct Size {
    terms: u64,
    entries_per_term: u64,
}

const SMALL: Size = Size { terms: 6, entries_per_term: 4 };
/// One more than a power of two, like the other: there is room for more.
const LARGE: Size = Size { terms: (1 << 14) + 2, entries_per_term: 64 };

/// A replica, and what its steps allocated.
struct Measured {
    size: Size,
    raft: Raft,
    newest: WriteSeq,
    bytes: Vec<(&'static str, u64)>,
}

impl Measured {
    /// A follower with half of its log applied.
    fn new(size: Size) -> Measured {
        let runs = (0..size.terms).map(|at| (Index(1 + at * size.entries_per_term), Term(at + 1))).collect();
        let last = Index(size.terms * size.entries_per_term);
        let start = Start {
            hard_state: HardState { term: Term(size.terms), vote: None },
            membership: Membership::of_voters(vec![OWN, OTHER, ReplicaId(3)]),
            runs,
            last,
            applied: Index(last.0 / 2),
            ..Start::default()
        };
        Measured { size, raft: Raft::new(config(OWN), start, NOW), newest: WriteSeq(0), bytes: Vec::new() }
    }

    /// A leader, not of anything yet.
    fn elected(size: Size) -> Measured {
        let mut of = Measured::new(size);
        of.event("campaign", Event::Campaign);
        let term = of.raft.term().next();
        of.hears(OTHER, term, "granted pre-vote", Body::PreVoteReply { granted: true });
        of.is_durable("own vote is durable");
        of.hears(OTHER, term, "granted vote", Body::VoteReply { granted: true });
        assert_eq!(of.raft.leader(), Some(OWN));
        of.is_durable("first entry is durable");
        of
    }

    /// A leader whose first entry is committed, so that it takes proposals.
    fn leading(size: Size) -> Measured {
        let mut of = Measured::elected(size);
        let last = of.raft.last_index();
        let half = Body::AppendAccepted { matched: Index(last.0 / 2) };
        of.hears(OTHER, of.raft.term(), "acknowledgement of half the log", half);
        let all = Body::AppendAccepted { matched: last };
        let fx = of.hears(OTHER, of.raft.term(), "acknowledgement", all);
        assert_eq!(fx.apply, Some(last), "all is committed");
        of.event("applied", Event::Applied(last));
        of
    }

    fn proposes(&mut self, count: usize) {
        let mut payloads: Vec<_> = (0..count).map(|_| command("a")).collect();
        let fx = self.turn("proposal", |raft, fx| {
            raft.propose(NOW, &mut payloads, fx).expect("it leads");
        });
        assert_eq!(fx.append.len(), count);
    }

    /// One turn with `act`. The effects are new: what they hold is allocated as well.
    fn turn(&mut self, name: &'static str, act: impl FnOnce(&mut Raft, &mut Effects)) -> Effects {
        let mut fx = Effects::default();
        let found = allocation_counter::measure(|| {
            act(&mut self.raft, &mut fx);
            self.raft.flush(NOW, &mut fx);
        });
        self.bytes.push((name, found.bytes_total));
        self.newest = fx.write.unwrap_or(self.newest);
        // What a shell does.
        for want in &fx.replicate {
            self.raft.sent(want, want.last, 1);
        }
        fx
    }

    fn event(&mut self, name: &'static str, event: Event) -> Effects {
        self.turn(name, |raft, fx| raft.step(NOW, event, fx))
    }

    fn hears(&mut self, from: ReplicaId, term: Term, name: &'static str, body: Body) -> Effects {
        self.event(name, Event::Message(Message { from, to: OWN, term, body }))
    }

    /// Everything that was written is.
    fn is_durable(&mut self, name: &'static str) {
        self.event(name, Event::Persisted(Persisted::proven(self.newest)));
    }

    /// An entry of the leader in `term`, after what stands at `prev`.
    fn append(&self, prev: u64, term: u64) -> Body {
        let at = prev.div_ceil(self.size.entries_per_term);
        let payload = command("a");
        let entry = Entry { index: Index(prev + 1), term: Term(term), payload };
        Body::Append {
            prev: LogPos { index: Index(prev), term: Term(at) },
            commit: Index(0),
            entries: Entries::from_buf([entry]),
        }
    }
}

fn follower(size: Size) -> Vec<(&'static str, u64)> {
    let mut of = Measured::new(size);
    let (last, term) = (size.terms * size.entries_per_term, size.terms);
    let at = |index: u64, term: u64| LogPos { index: Index(index), term: Term(term) };
    let heartbeat = Body::Heartbeat { commit: Index(last / 2 + 1), round: 1 };
    of.hears(OTHER, Term(term), "heartbeat", heartbeat);
    let known = of.append(last - 1, term);
    of.hears(OTHER, Term(term), "an entry that is known", known);
    let next = of.append(last, term);
    let fx = of.hears(OTHER, Term(term), "the next entry", next);
    assert_eq!(fx.append.len(), 1);
    let unlike = Body::Append { prev: at(last - 1, term - 1), commit: Index(0), entries: Entries::new() };
    let fx = of.hears(OTHER, Term(term), "an entry after what is not here", unlike);
    assert!(!fx.held.is_empty() || !fx.send.is_empty(), "it is refused");
    // Somebody else leads, and half of what is not committed goes.
    let cut = of.append(last * 3 / 4, term + 1);
    let fx = of.hears(ReplicaId(3), Term(term + 1), "an entry that overwrites a quarter of the log", cut);
    assert_eq!((fx.append.len(), of.raft.last_index()), (1, Index(last * 3 / 4 + 1)));
    let last = of.raft.last_index().0;
    of.hears(OTHER, Term(term + 2), "pre-vote", Body::PreVote { last: at(last, term + 1) });
    of.hears(OTHER, Term(term + 2), "vote", Body::Vote { last: at(last, term + 1), transfer: true });
    let through = last / 3;
    let in_term = through.div_ceil(size.entries_per_term);
    of.event("compaction", Event::Compacted(at(through, in_term)));
    assert_eq!(of.raft.base().index, Index(through));
    of.event("timeout", Event::Timeout);
    of.bytes
}

fn leader(size: Size) -> Vec<(&'static str, u64)> {
    let mut of = Measured::elected(size);
    let (last, term) = (of.raft.last_index().0, of.raft.term());
    let hint = LogPos { index: Index(last / 2), term: Term(size.terms / 2) };
    let rejected = Body::AppendRejected { prev: Index(last - 1), hint };
    let fx = of.hears(OTHER, term, "refusal that goes back half the log", rejected);
    assert_eq!(fx.replicate[0].prev, hint, "it goes on from there");
    let mut bytes = of.bytes;

    let mut of = Measured::leading(size);
    of.proposes(1);
    of.turn("read", |raft, fx| raft.read(NOW, ReadId(1), fx).expect("it leads"));
    of.hears(OTHER, term, "answer to a heartbeat", Body::HeartbeatReply { round: 1 });
    of.event("transfer", Event::TransferLeadership(OTHER));
    of.event("unreachable", Event::Unreachable(OTHER));
    let through = last / 3;
    let in_term = Term(through.div_ceil(size.entries_per_term));
    of.event("compaction", Event::Compacted(LogPos { index: Index(through), term: in_term }));
    assert_eq!(of.raft.base().index, Index(through));
    of.turn("timeout", |raft, fx| raft.step(NOW.after(1000), Event::Timeout, fx));
    assert_ne!(of.raft.leader(), Some(OWN), "it was alone for too long");
    bytes.append(&mut of.bytes);
    bytes
}

#[test]
fn no_step_allocates_in_proportion_to_the_log() {
    assert_eq!(follower(SMALL), follower(LARGE));
    assert_eq!(leader(SMALL), leader(LARGE));
}

/// The counter counts, and what is given counts.
#[test]
fn a_step_may_allocate_for_what_it_is_given() {
    let bytes = |count: usize| {
        let mut of = Measured::leading(SMALL);
        of.proposes(count);
        of.bytes.last().map_or(0, |(_, bytes)| *bytes)
    };
    assert!(bytes(1) > 0 && bytes(1000) > 100 * bytes(1), "{} and {}", bytes(1), bytes(1000));
}

//! Replicas without state, and how they come to have one without a snapshot.
//!
//! A blank replica promises nothing. It tells a leader that it does not even have what stands before the first entry, which
//! nobody else can say: that is how the leader learns that a snapshot is needed.
//!
//! # The unborn
//!
//! A region that is split off has the members that its parent had when the split was committed, and each is born where the
//! parent applies that entry. Where the parent's replica was removed before, or was brought beyond the split by a snapshot,
//! none is born. If that happens to most of them, those who were born are no majority; they lead only if the others vote,
//! and without a leader nobody sends the others a snapshot.
//!
//! So who asks for a vote makes a blank replica where none is, and one that never was anything else may give its vote. It is
//! then what a replica would be that was born and has received nothing since:
//!
//! - *One vote per term* (5.2). It has given none before, so there is none to forget, except the one that it has by birth,
//!   to whoever proposed the split. That one is of the term of the split; whoever campaigns was born, and so asks in a later
//!   term. The vote is made durable as any other.
//! - *Whoever wins has what is committed* (5.4). It never acknowledged anything, so that no entry is committed because of it,
//!   and whatever log it compares with, it cannot be what a majority needs. It does not vote for one that has nothing.
//!
//! None of that holds for one that became blank, by damage or under a new name, and none of those votes. If its birth comes
//! after all, or a snapshot, its votes stay as they are.

use super::admission::NewerTerm;
use super::config::Start;
use super::core::{Raft, State};
use super::effects::Effects;
use super::log_shape::LogShape;
use super::memberships::Memberships;
use super::message::Body;
use super::mutant::Mutant;
use super::types::{HardState, Index, LogPos, ReplicaId, Term, Tick};

impl Raft {
    /// A blank replica takes what its birth would have made of it: state at `start.base`, and `start.hard_state`, unless it has
    /// given a later vote meanwhile. The shell writes base and [`hard_state`](Raft::hard_state) before whatever comes next.
    pub fn be_born(&mut self, start: Start, now: Tick) {
        debug_assert!(self.blank && start.last == start.base.index, "one with a state is further on");
        self.blank = false;
        if self.hard.term <= start.hard_state.term {
            self.hard = start.hard_state;
        }
        self.log = LogShape::new(start.base, &[], start.base.index);
        self.memberships = Memberships::new(start.membership, Vec::new());
        self.durable.begin_at(start.base.index, self.build);
        (self.commit, self.applied, self.handed) = (start.base.index, start.base.index, start.base.index);
        self.state = State::Follower;
        self.set_leader(None);
        self.timer.restart(&self.config, now);
    }

    /// A snapshot proves who led in `term`. A blank replica counts as having voted for that leader: it may have become blank, and
    /// then cannot know. If it knows of a later vote, that one stays.
    pub(super) fn cease_to_be_blank(&mut self, now: Tick, (from, term): (ReplicaId, Term)) {
        self.blank = false;
        if term < self.hard.term {
            return self.become_follower(now, self.hard.term, None);
        }
        let known = self.hard.vote.filter(|_| term == self.hard.term);
        let vote = known.or(Some(from)).filter(|_| !self.build.is(Mutant::BlankHasNotVoted));
        self.hard = HardState { term, vote };
        self.durable.change_hard_state();
        self.become_follower(now, term, Some(from));
    }

    pub(super) fn on_message_blank(
        &mut self,
        now: Tick,
        from: ReplicaId,
        term: Term,
        body: &Body,
        fx: &mut Effects,
    ) {
        match body {
            Body::Append { .. } | Body::Heartbeat { .. } => {
                let nothing = Body::AppendRejected { prev: Index(0), hint: LogPos::default() };
                self.say_in(term, from, nothing, fx);
            }
            Body::PreVote { last } | Body::Vote { last, .. } if self.unborn && last.index > Index(0) => {
                self.answer_as_unborn(now, from, term, body, fx);
            }
            Body::PreVote { .. }
            | Body::PreVoteReply { .. }
            | Body::Vote { .. }
            | Body::VoteReply { .. }
            | Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatReply { .. }
            | Body::TimeoutNow
            | Body::Position { .. } => {}
        }
    }

    fn answer_as_unborn(&mut self, now: Tick, from: ReplicaId, term: Term, body: &Body, fx: &mut Effects) {
        if term > self.hard.term {
            match self.meaning_of_newer_term(now, from, body) {
                NewerTerm::Ignore => return,
                NewerTerm::Question => {}
                NewerTerm::Adopt(leader) => self.become_follower(now, term, leader),
            }
        }
        match *body {
            Body::PreVote { last } => self.on_pre_vote(now, from, term, last, fx),
            Body::Vote { last, transfer } if term == self.hard.term => {
                self.on_vote(now, from, last, transfer, fx);
            }
            _ => {}
        }
    }
}

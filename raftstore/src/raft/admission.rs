//! Which messages are taken, in which term: the one place where a message's sender, term and numbers are judged.

use std::cmp::Ordering;

use super::core::Raft;
use super::effects::Effects;
use super::message::{Body, Message};
use super::mutant::Mutant;
use super::types::{Index, LogPos, ReplicaId, Term, Tick};

/// No cluster lives long enough for more elections or entries. Leaves room for arithmetic.
const NUMBER_MAX: u64 = 1 << 62;

impl Raft {
    pub(super) fn on_message(&mut self, now: Tick, message: Message, fx: &mut Effects) {
        if !self.admits(&message) {
            return;
        }
        let Message { from, term, body, .. } = message;
        if self.blank && !matches!(body, Body::Position { .. }) {
            return self.on_message_blank(now, from, term, &body, fx);
        }
        match term.cmp(&self.hard.term) {
            Ordering::Less if self.build.is(Mutant::CountsOldAnswers) && is_answer(&body) => {}
            Ordering::Less => return self.answer_outdated(from, &body, fx),
            Ordering::Equal => {}
            Ordering::Greater => match self.meaning_of_newer_term(now, from, &body) {
                NewerTerm::Ignore => return,
                NewerTerm::Question => {}
                NewerTerm::Adopt(leader) => self.become_follower(now, term, leader),
            },
        }
        match body {
            Body::PreVote { last } => self.on_pre_vote(now, from, term, last, fx),
            Body::PreVoteReply { granted } => self.on_pre_vote_reply(now, from, term, granted, fx),
            Body::Vote { last, transfer } => self.on_vote(now, from, last, transfer, fx),
            Body::VoteReply { granted } => self.on_vote_reply(now, from, granted, fx),
            Body::Append { prev, commit, entries } => self.on_append(now, from, prev, commit, entries, fx),
            Body::AppendAccepted { matched } => self.on_accepted(now, from, matched),
            Body::AppendRejected { prev, hint } => self.on_rejected(now, from, prev, hint, fx),
            Body::Heartbeat { commit, round } => self.on_heartbeat(now, from, commit, round, fx),
            Body::HeartbeatReply { round } => self.on_heartbeat_reply(now, from, round),
            Body::TimeoutNow => self.on_timeout_now(now, from, fx),
            Body::Position { at, membership } => self.on_position(now, from, at, *membership, fx),
        }
    }

    /// Whether `from` may say such a thing. Who is no member, as far as is known here, may still lead or have been added since;
    /// only its answers would be counted, and must not be.
    fn may_say(&self, from: ReplicaId, term: Term, body: &Body) -> bool {
        let is_known_leader = self.leader() == Some(from) && term == self.hard.term;
        match body {
            Body::PreVote { .. }
            | Body::Vote { .. }
            | Body::Append { .. }
            | Body::Heartbeat { .. }
            | Body::Position { .. } => true,
            // A leader that removed itself hands over at the end.
            Body::TimeoutNow => is_known_leader || self.membership().contains(from),
            Body::PreVoteReply { .. }
            | Body::VoteReply { .. }
            | Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatReply { .. } => self.membership().contains(from),
        }
    }

    /// Judges what can be judged without knowing the role.
    fn admits(&mut self, message: &Message) -> bool {
        let Message { from, to, term, body } = message;
        let hears_all = self.blank || self.build.is(Mutant::HearsStrangers);
        let is_stranger = !hears_all && !self.may_say(*from, *term, body);
        if *to != self.config.id || *from == self.config.id {
            self.refuse(|refusals| &mut refusals.misdirected);
        } else if is_stranger {
            self.refuse(|refusals| &mut refusals.non_member);
        } else if term.0 > NUMBER_MAX || *term == Term(0) {
            self.refuse(|refusals| &mut refusals.absurd_term);
        } else if !numbers_are_possible(*term, body) {
            self.refuse(|refusals| &mut refusals.absurd_index);
        } else if let Body::Position { membership, .. } = body
            && !membership.makes_sense()
        {
            self.refuse(|refusals| &mut refusals.absurd_membership);
        } else if matches!(body, Body::Position { .. }) && !self.blank && !self.witness {
            self.refuse(|refusals| &mut refusals.wrong_kind);
        } else {
            return true;
        }
        false
    }

    /// Whoever asks in an old term is told the new one, or it would go on for ever.
    fn answer_outdated(&self, from: ReplicaId, body: &Body, fx: &mut Effects) {
        let answer = match body {
            Body::PreVote { .. } => Body::PreVoteReply { granted: false },
            Body::Vote { .. } => Body::VoteReply { granted: false },
            Body::Append { prev, .. } => Body::AppendRejected { prev: prev.index, hint: LogPos::default() },
            // The round was one of the old term's; its asker may lead in the new one by now, and has other rounds there.
            Body::Heartbeat { .. } => Body::HeartbeatReply { round: 0 },
            Body::Position { at, .. } => Body::AppendRejected { prev: at.index, hint: LogPos::default() },
            Body::PreVoteReply { .. }
            | Body::VoteReply { .. }
            | Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatReply { .. }
            | Body::TimeoutNow => return,
        };
        self.say(from, answer, fx);
    }

    pub(super) fn meaning_of_newer_term(&self, now: Tick, from: ReplicaId, body: &Body) -> NewerTerm {
        match body {
            Body::PreVote { .. } if self.build.is(Mutant::PreVoteBinds) => NewerTerm::Adopt(None),
            Body::PreVote { .. } | Body::PreVoteReply { granted: true } => NewerTerm::Question,
            Body::Vote { transfer, .. } if !transfer && self.has_live_leader(now) => NewerTerm::Ignore,
            Body::Append { .. } | Body::Heartbeat { .. } | Body::TimeoutNow | Body::Position { .. } => {
                NewerTerm::Adopt(Some(from))
            }
            Body::Vote { .. }
            | Body::PreVoteReply { granted: false }
            | Body::VoteReply { .. }
            | Body::AppendAccepted { .. }
            | Body::AppendRejected { .. }
            | Body::HeartbeatReply { .. } => NewerTerm::Adopt(None),
        }
    }
}

/// What a term above one's own asks for.
pub(super) enum NewerTerm {
    /// Nothing: a leader is alive, and whoever wants another has to wait.
    Ignore,
    /// Nobody is in that term yet.
    Question,
    /// To be in it, behind this leader if the message comes from one.
    Adopt(Option<ReplicaId>),
}

fn is_answer(body: &Body) -> bool {
    match body {
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::AppendAccepted { .. }
        | Body::AppendRejected { .. }
        | Body::HeartbeatReply { .. } => true,
        Body::PreVote { .. }
        | Body::Vote { .. }
        | Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::TimeoutNow
        | Body::Position { .. } => false,
    }
}

/// Whether some correct replica could have sent these numbers.
fn numbers_are_possible(term: Term, body: &Body) -> bool {
    let position = |pos: &LogPos| pos.index.0 <= NUMBER_MAX && pos.term <= term;
    let index = |index: Index| index.0 <= NUMBER_MAX;
    match body {
        Body::PreVote { last } | Body::Vote { last, .. } => position(last) && last.term < term,
        Body::Append { prev, commit, .. } => position(prev) && index(*commit),
        Body::AppendAccepted { matched } => index(*matched),
        Body::AppendRejected { prev, hint } => index(*prev) && position(hint) && hint.index <= *prev,
        Body::Heartbeat { commit, .. } => index(*commit),
        Body::Position { at, .. } => position(at) && (at.index > Index(0) || at.term == Term(0)),
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::TimeoutNow => true,
    }
}

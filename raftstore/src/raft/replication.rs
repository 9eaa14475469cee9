//! The leader's side of replication: what to send to whom, what the answers mean, what is committed.

use std::borrow::Cow;

use super::config::Knobs;
use super::core::{Raft, State};
use super::effects::{Effects, Replicate};
use super::log_shape::LogShape;
use super::membership::Membership;
use super::message::Body;
use super::mutant::Mutant;
use super::progress::{Pace, Progress};
use super::quorum;
use super::types::{Index, LogPos, ReplicaId, Term, Tick};

impl Raft {
    /// The shell has sent what a [`Replicate`] of this turn's effects named, or the part of it through `through`
    /// (`wanted.prev` if nothing at all): so many bytes. Call it for each, in their order. False if the later ones for the
    /// same follower must not be sent: fewer entries left than were named, or as many bytes are on their way as may be. They
    /// are named again when there is room.
    pub fn sent(&mut self, wanted: &Replicate, through: Index, bytes: u64) -> bool {
        let bytes_max = self.config.inflight_bytes_max();
        let (prev, last) = (wanted.prev.index, wanted.last);
        if prev == last {
            return true; // news, without entries
        }
        let Ok(leading) = self.leading_mut() else { return false };
        let follower = leading.progress_mut(wanted.to);
        follower.is_some_and(|follower| follower.sent(prev, last, through, bytes, bytes_max))
    }

    pub(super) fn on_accepted(&mut self, now: Tick, from: ReplicaId, matched: Index) {
        let (last, first) = (self.log.last().index, self.log.first());
        let is_gullible = self.build.is(Mutant::TrustsMatches);
        let Some(follower) = self.heard_from(now, from) else { return };
        if matched > last && !is_gullible {
            self.refuse(|refusals| &mut refusals.absurd_index);
            return;
        }
        follower.accepted(now, matched, first);
    }

    /// Goes back to where the follower's answer says that the logs may agree, a whole term at a time (5.3).
    pub(super) fn on_rejected(
        &mut self,
        now: Tick,
        from: ReplicaId,
        prev: Index,
        hint: LogPos,
        fx: &mut Effects,
    ) {
        let base = self.log.base().index;
        let agreed = if hint.index < base { hint.index } else { self.log.last_not_above(hint).index };
        let build = self.build;
        let Some(follower) = self.heard_from(now, from) else { return };
        if prev == Index(0) {
            // Everybody has what stands before the first entry, except who has nothing at all.
            if follower.matched() == Index(0) && follower.pace() != Pace::Snapshot {
                follower.await_snapshot();
                fx.snapshot_for.push(from);
            }
        } else if build.is(Mutant::FollowsAnyHint) {
            follower.probe(hint.index.next(), false);
        } else if follower.is_news(prev) || build.is(Mutant::LateRefusalsCount) {
            follower.probe(agreed.next().min(prev), false);
        }
    }

    pub(super) fn on_heartbeat_reply(&mut self, now: Tick, from: ReplicaId, round: u64) {
        let patience = self.config.heartbeat_ticks();
        let Ok(leading) = self.leading_mut() else { return };
        if !leading.reads.was_asked(round) {
            self.refuse(|refusals| &mut refusals.absurd_index);
            return;
        }
        if let Some(follower) = self.heard_from(now, from) {
            follower.round = follower.round.max(round);
            follower.alive(now, patience);
        }
    }

    pub(super) fn on_unreachable(&mut self, replica: ReplicaId) {
        let last = self.log.last().index;
        let Ok(leading) = self.leading_mut() else { return };
        if let Some(follower) = leading.progress_mut(replica)
            // Of a follower that has everything, nothing can have been lost.
            && follower.matched() < last
        {
            follower.probe(follower.matched().next(), true);
        }
    }

    /// Heartbeats, and what a leader gives up when it is alone.
    pub(super) fn on_leader_timeout(&mut self, now: Tick, fx: &mut Effects) {
        self.give_up_late_transfer(now);
        let Ok(leading) = self.leading() else { return };
        if now < leading.heartbeat_at {
            return;
        }
        if self.lost_its_quorum(now) {
            return self.become_follower(now, self.hard.term, None);
        }
        self.renew_lease(now);
        let Ok(leading) = self.leading() else { return };
        let interval = self.config.heartbeat_ticks();
        let round = leading.reads.round();
        // Entries that went within the interval said the same, except about reads.
        let wanted =
            |follower: &Progress| now.since(follower.entries_sent) >= interval || follower.round < round;
        self.send_heartbeats(wanted, fx);
        self.durable.rest();
        let patience = self.config.election_ticks_max();
        if let Ok(leading) = self.leading_mut() {
            leading.progress.iter_mut().for_each(|follower| follower.silent(now, patience));
            leading.uncommitted.rest();
            leading.heartbeat_at = now.after(interval);
        }
    }

    /// Everything that a leader's turn ends with.
    pub(super) fn flush_leader(&mut self, now: Tick, fx: &mut Effects) {
        if !matches!(self.state, State::Leader(_)) {
            return;
        }
        self.advance_commit();
        self.leave_joint(now, fx);
        self.flush_reads(now, fx);
        self.replicate(now, fx);
        self.flush_transfer(fx);
        self.resign_if_removed(now, fx);
    }

    /// What a quorum has reached, of something that this leader has reached `own` of. It counts itself only if it has a vote.
    pub(super) fn reached(&self, own: u64, of: impl Fn(&Progress) -> u64) -> u64 {
        let Ok(leading) = self.leading() else { return 0 };
        let counted = self.counted();
        quorum::reached(&counted, |voter| match leading.progress(voter) {
            Some(follower) => of(follower),
            None if voter == self.config.id => own,
            None => 0,
        })
    }

    /// Whose majority decides: that of the membership, in the right build.
    fn counted(&self) -> Cow<'_, Membership> {
        let mut counted = Cow::Borrowed(self.membership());
        if self.build.is(Mutant::CountsLearners) && !self.membership().learners.is_empty() {
            let learners = self.membership().learners.clone();
            counted.to_mut().voters.extend(learners);
        }
        if self.build.is(Mutant::CountsItselfWithoutVote) && !self.membership().is_voter(self.config.id) {
            counted.to_mut().voters.push(self.config.id);
        }
        counted
    }

    /// Says "I lead" to those whom `wanted` chooses, and through which of the entries they hold they may commit.
    pub(super) fn send_heartbeats(&self, wanted: impl Fn(&Progress) -> bool, fx: &mut Effects) {
        let Ok(leading) = self.leading() else { return };
        for follower in leading.progress.iter().filter(|follower| wanted(follower)) {
            let held =
                if self.build.is(Mutant::HeartbeatsCommitAll) { self.commit } else { follower.matched() };
            let commit = self.commit.min(held);
            self.say(follower.id, Body::Heartbeat { commit, round: leading.reads.round() }, fx);
        }
    }

    fn heard_from(&mut self, now: Tick, from: ReplicaId) -> Option<&mut Progress> {
        let State::Leader(leading) = &mut self.state else { return None };
        let follower = leading.progress_mut(from)?;
        follower.heard = now;
        Some(follower)
    }

    /// Whether no quorum was heard from for the longest election timeout (6.2): then others may be led by another.
    fn lost_its_quorum(&self, now: Tick) -> bool {
        let heard = self.reached(now.0, |follower| follower.heard.0);
        now.since(Tick(heard)) > self.config.election_ticks_max() && !self.build.is(Mutant::NeverGivesUp)
    }

    /// Commits what a quorum durably holds, if it is of this leader's term: older entries are committed by the no-op after
    /// them, never by counting (5.4.2).
    fn advance_commit(&mut self) {
        let is_early = self.build.is(Mutant::CountsItselfEarly);
        let own = if is_early { self.log.last().index } else { self.durable.through() };
        let Ok(leading) = self.leading() else { return };
        // What nobody has, no quorum has.
        if leading.progress.iter().all(|follower| follower.matched() <= self.commit) && own <= self.commit {
            return;
        }
        let held = Index(self.reached(own.0, |follower| follower.matched().0)).min(self.kept());
        let Ok(leading) = self.leading() else { return };
        if held >= leading.noop || self.build.is(Mutant::CountsOldTerms) {
            self.raise_commit(held);
        }
        let commit = self.commit;
        if let Ok(leading) = self.leading_mut() {
            leading.uncommitted.committed(commit);
        }
    }

    fn replicate(&mut self, now: Tick, fx: &mut Effects) {
        let witnesses_through = self.witnesses_through(now);
        let State::Leader(leading) = &mut self.state else { return };
        let feed = Feed {
            log: &self.log,
            knobs: &self.config,
            membership: self.memberships.current(),
            witnesses_through,
            term: self.hard.term,
            commit: self.commit,
            due: leading.news.due(self.commit, self.config.commit_news_ticks(), now),
            now,
        };
        for follower in &mut leading.progress {
            feed.serve(follower, fx);
        }
        self.place_witnesses(now, fx);
    }
}

/// What a leader's followers are fed from.
struct Feed<'a> {
    log: &'a LogShape,
    knobs: &'a Knobs,
    membership: &'a Membership,
    witnesses_through: Index,
    term: Term,
    commit: Index,
    /// Who was not told that it is committed is told now.
    due: Index,
    now: Tick,
}

impl Feed<'_> {
    /// Names everything that may be sent to `follower` now.
    fn serve(&self, follower: &mut Progress, fx: &mut Effects) {
        let last = self.last_for(follower.id);
        while follower.may_send(last, self.knobs.inflight_messages_max(), self.knobs.inflight_bytes_max()) {
            let index = follower.next().prev();
            let Some(term) = self.log.term_at(index) else {
                follower.await_snapshot();
                fx.snapshot_for.push(follower.id);
                return;
            };
            let through = last.min(Index(index.0 + self.knobs.entries_per_message_max())).max(index);
            follower.send(self.now, through);
            self.name(follower, LogPos { index, term }, through, fx);
        }
        let index = follower.next().prev();
        if follower.wants_news(last, self.due)
            && let Some(term) = self.log.term_at(index)
        {
            self.name(follower, LogPos { index, term }, index, fx);
        }
    }

    /// The last entry that `follower` may be sent. A witness may have been sent more, when fewer copies were in step.
    fn last_for(&self, follower: ReplicaId) -> Index {
        let last = self.log.last().index;
        if self.membership.is_witness(follower) { last.min(self.witnesses_through) } else { last }
    }

    fn name(&self, follower: &mut Progress, prev: LogPos, last: Index, fx: &mut Effects) {
        follower.tell(self.commit);
        let (to, stripped) = (follower.id, self.membership.is_witness(follower.id));
        fx.replicate.push(Replicate { to, term: self.term, prev, last, commit: self.commit, stripped });
    }
}

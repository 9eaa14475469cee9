//! Changing who takes part (4.3): a leader enters a joint configuration, leaves it, and goes if it is no part of the next.

use super::core::{Raft, State};
use super::effects::Effects;
use super::event::{ChangeRefusal, ProposeRefusal};
use super::membership::Membership;
use super::message::Body;
use super::mutant::Mutant;
use super::progress::{Pace, Progress};
use super::quorum;
use super::types::{Index, LogPos, Payload, ReplicaId, Tick};

impl Raft {
    /// Proposes that `target` takes part from now on, without anybody outgoing; its number is above the present one. The
    /// answer is the index of the entry, which is in force at once.
    ///
    /// If votes change, the entry makes a joint configuration, which whoever leads leaves by itself once it is committed.
    /// A replica gets a vote only if it is a learner that has caught up. One change is under way at a time. None is begun that those
    /// who answer could not end: whoever takes a vote from one of three while another is lost would have a group of two, one of
    /// them lost.
    pub fn change_membership(
        &mut self,
        now: Tick,
        target: Membership,
        fx: &mut Effects,
    ) -> Result<Index, ChangeRefusal> {
        match self.may_propose() {
            Err(ProposeRefusal::NotReady) if self.build.is(Mutant::ChangesTooSoon) => {}
            may => may.map_err(ChangeRefusal::NotNow)?,
        }
        let overlaps = self.is_changing() && self.build.is(Mutant::ChangesOverlap);
        if self.is_changing() && !overlaps {
            return Err(ChangeRefusal::UnderWay);
        }
        let next = if overlaps {
            self.membership().left().towards(target)?
        } else {
            self.membership().towards(target)?
        };
        if let Some(late) = next.new_voters(self.membership()).find(|learner| !self.is_caught_up(*learner)) {
            return Err(ChangeRefusal::NotCaughtUp(late));
        }
        let answers = |voter| self.answers(now, voter);
        if !next.has_quorum(answers) || quorum::kept(&next, |copy| answers(copy).into()) == 0 {
            return Err(ChangeRefusal::NoQuorum);
        }
        Ok(self.append_membership(now, &next, fx))
    }

    /// Whether a replica has taken part in this reign, and was heard within an election timeout.
    fn answers(&self, now: Tick, replica: ReplicaId) -> bool {
        let Ok(leading) = self.leading() else { return false };
        let is_here = |follower: &Progress| {
            follower.matched() >= leading.noop
                && now.since(follower.heard) <= self.config.election_ticks_max()
        };
        replica == self.config.id || self.progress(replica).is_some_and(is_here)
    }

    /// Whether a change is under way: not committed, or joint.
    pub fn is_changing(&self) -> bool {
        self.memberships.since() > self.commit || self.membership().is_joint()
    }

    /// Whether a follower lacks no more of what is committed than fits into one message.
    pub fn is_caught_up(&self, follower: ReplicaId) -> bool {
        self.progress(follower).is_some_and(|progress| {
            let soon = progress.matched().0.saturating_add(self.config.entries_per_message_max());
            progress.pace() == Pace::Replicate && soon >= self.commit.0
        })
    }

    /// A joint configuration that is committed is left, by whoever leads then.
    pub(super) fn leave_joint(&mut self, now: Tick, fx: &mut Effects) {
        if self.membership().is_joint()
            && (self.memberships.since() <= self.commit || self.build.is(Mutant::LeavesJointEarly))
            && self.may_propose().is_ok()
        {
            let next = self.membership().left();
            self.append_membership(now, &next, fx);
        }
    }

    /// A leader without a vote leads until it is committed that it has none; then it goes, and says who is to follow.
    pub(super) fn resign_if_removed(&mut self, now: Tick, fx: &mut Effects) {
        let has_vote = self.membership().is_voter(self.config.id);
        let is_early = self.memberships.since() > self.commit && !self.build.is(Mutant::GoesTooEarly);
        if has_vote || is_early || !matches!(self.state, State::Leader(_)) {
            return;
        }
        if let Some(next) = self.readiest_voter() {
            self.say(next, Body::TimeoutNow, fx);
        }
        self.become_follower(now, self.hard.term, None);
    }

    /// Makes what the log brings the membership in force: in a leader, it decides who is sent entries.
    pub(super) fn follow_membership(&mut self, now: Tick) {
        let last = self.log.last().index;
        let State::Leader(leading) = &mut self.state else { return };
        let all = self.memberships.current().all();
        leading.progress.retain(|follower| all.contains(&follower.id));
        for id in all.into_iter().filter(|id| *id != self.config.id) {
            if let Err(at) = leading.progress.binary_search_by_key(&id, |follower| follower.id) {
                leading.progress.insert(at, Progress::new(id, last, now));
            }
        }
    }

    fn append_membership(&mut self, now: Tick, next: &Membership, fx: &mut Effects) -> Index {
        self.append_own([Payload::of_membership(next)].into_iter(), fx);
        let LogPos { index, term } = self.log.last();
        self.memberships.append(LogPos { index, term }, next.clone());
        self.follow_membership(now);
        index
    }

    /// The voter that has most of the log, if it has all of it.
    fn readiest_voter(&self) -> Option<ReplicaId> {
        let leading = self.leading().ok()?;
        let can_lead = |id| self.membership().is_voter(id) && !self.membership().is_witness(id);
        let voters = leading.progress.iter().filter(|follower| can_lead(follower.id));
        let readiest = voters.max_by_key(|follower| follower.matched())?;
        (readiest.matched() >= self.log.last().index).then_some(readiest.id)
    }
}

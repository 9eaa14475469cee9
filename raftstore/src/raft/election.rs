//! Becoming leader, and ceasing to be: timeouts, pre-votes, votes, changes of role.

use super::config::Knobs;
use super::core::{Raft, State};
use super::effects::Effects;
use super::leading::Leading;
use super::membership::Membership;
use super::message::Body;
use super::mutant::Mutant;
use super::quorum;
use super::types::{HardState, LogPos, Payload, ReplicaId, Term, Tick};

/// Who said yes, and whether anybody said no.
#[derive(Default, Debug)]
pub(super) struct Votes {
    given: Vec<ReplicaId>,
    refused: bool,
}

/// How long to wait for a leader. Drawn anew for every election, so that two candidates do not collide twice.
#[derive(Debug)]
pub(super) struct ElectionTimer {
    since: Tick,
    wait: u32,
    /// How long before `since` a leader was heard last.
    heard_before: u32,
    random: u64,
}

impl Raft {
    /// Asks whether an election would succeed (9.6). Nobody's term moves, so that a replica that cannot win disturbs nobody.
    pub(super) fn pre_campaign(&mut self, now: Tick, fx: &mut Effects) {
        if !self.may_campaign() || matches!(self.state, State::Leader(_)) || self.keeps_promise(now) {
            return;
        }
        self.timer.restart(&self.config, now);
        self.set_leader(None);
        self.state = State::PreCandidate(Box::new(Votes { given: vec![self.config.id], refused: false }));
        let last = self.log.last();
        for voter in self.other_voters() {
            self.say_in(self.hard.term.next(), voter, Body::PreVote { last }, fx);
        }
        self.count_pre_votes(now, fx);
    }

    /// Leads in the term that all replicas were born in, each with its vote for this one.
    pub(super) fn lead_from_birth(&mut self, now: Tick, fx: &mut Effects) {
        let was_elected = self.hard.vote == Some(self.config.id) && self.leader().is_none();
        if self.may_campaign() && was_elected && matches!(self.state, State::Follower) {
            self.become_leader(now, fx);
        }
    }

    /// Starts an election. The votes are asked for when the own one is durable, and it counts from then on.
    fn campaign(&mut self, now: Tick, transfer: bool, fx: &mut Effects) {
        self.timer.restart(&self.config, now);
        self.hard = HardState { term: self.hard.term.next(), vote: Some(self.config.id) };
        if !self.build.is(Mutant::CampaignsEarly) {
            self.durable.change_hard_state();
        }
        self.set_leader(None);
        self.state = State::Candidate(Box::default());
        let last = self.log.last();
        for voter in self.other_voters() {
            self.say(voter, Body::Vote { last, transfer }, fx);
        }
    }

    /// Answers nothing while a leader is alive: the asker then hears from it too, or has to wait (4.2.3).
    pub(super) fn on_pre_vote(
        &mut self,
        now: Tick,
        from: ReplicaId,
        term: Term,
        last: LogPos,
        fx: &mut Effects,
    ) {
        if self.has_live_leader(now) {
            return;
        }
        let free = term > self.hard.term || self.may_vote_for(from);
        let granted = free && self.is_up_to_date(last);
        if granted && self.gives_way_to(from, last) {
            self.state = State::Follower;
        }
        let answer_term = if granted { term } else { self.hard.term };
        self.say_in(answer_term, from, Body::PreVoteReply { granted }, fx);
    }

    pub(super) fn on_pre_vote_reply(
        &mut self,
        now: Tick,
        from: ReplicaId,
        term: Term,
        granted: bool,
        fx: &mut Effects,
    ) {
        let asked = self.hard.term.next();
        if let State::PreCandidate(votes) = &mut self.state
            && granted
            && term == asked
        {
            votes.add(from);
            self.count_pre_votes(now, fx);
        }
    }

    /// Gives a vote, or the same vote again: then there is nothing to write.
    pub(super) fn on_vote(
        &mut self,
        now: Tick,
        from: ReplicaId,
        last: LogPos,
        transfer: bool,
        fx: &mut Effects,
    ) {
        if !transfer && self.has_live_leader(now) {
            return;
        }
        let granted = self.may_vote_for(from) && self.is_up_to_date(last);
        if granted && self.hard.vote.is_none() {
            self.hard.vote = Some(from);
            self.durable.change_hard_state();
            self.timer.restart(&self.config, now);
        }
        self.say(from, Body::VoteReply { granted }, fx);
    }

    /// The first refusal is taken for defeat, since those who have not answered may be dead. Votes count until the next election.
    pub(super) fn on_vote_reply(&mut self, now: Tick, from: ReplicaId, granted: bool, fx: &mut Effects) {
        let State::Candidate(votes) = &mut self.state else { return };
        if granted {
            votes.add(from);
            self.count_votes(now, fx);
        } else if !votes.refused {
            votes.refused = true;
            self.timer.restart_soon(&self.config, now);
        }
    }

    /// A leader hands over: no pre-vote, no waiting (3.10).
    pub(super) fn on_timeout_now(&mut self, now: Tick, from: ReplicaId, fx: &mut Effects) {
        if self.leader() == Some(from) && self.may_campaign() {
            self.campaign(now, true, fx);
        }
    }

    /// A candidate's own vote counts when it is durable.
    pub(super) fn count_own_vote(&mut self, now: Tick, fx: &mut Effects) {
        if let State::Candidate(votes) = &mut self.state
            && self.durable.hard_state()
        {
            votes.add(self.config.id);
            self.count_votes(now, fx);
        }
    }

    /// Moves to `term` (the present one or a newer one) as a follower.
    pub(super) fn become_follower(&mut self, now: Tick, term: Term, leader: Option<ReplicaId>) {
        if term > self.hard.term {
            let vote = self.hard.vote.filter(|_| self.build.is(Mutant::KeepsVote));
            self.hard = HardState { term, vote };
            self.durable.change_hard_state();
        }
        match (&self.state, leader) {
            // Or one that cannot win would keep all others from trying.
            (State::Follower, None) => {}
            (State::PreCandidate(_) | State::Candidate(_), None) => {
                self.timer.restart_soon(&self.config, now)
            }
            (State::Leader(_), None) | (_, Some(_)) => self.timer.restart(&self.config, now),
        }
        self.set_leader(leader);
        self.state = State::Follower;
    }

    /// Takes note of a sign of life of the leader of this term. False if there cannot be one.
    pub(super) fn follow(&mut self, now: Tick, leader: ReplicaId) -> bool {
        if matches!(self.state, State::Leader(_)) || self.leader().is_some_and(|known| known != leader) {
            self.refuse(|refusals| &mut refusals.second_leader);
            return false;
        }
        if self.leader().is_none() {
            self.become_follower(now, self.hard.term, Some(leader));
        }
        self.timer.heard(now);
        true
    }

    /// Whether there is a leader that a majority may still be hearing.
    pub(super) fn has_live_leader(&self, now: Tick) -> bool {
        if self.build.is(Mutant::ForgetsLeaders) {
            return false;
        }
        let heard = now.since(self.timer.since) < self.config.election_ticks_min();
        matches!(self.state, State::Leader(_))
            || (self.leader().is_some() && heard)
            || self.keeps_promise(now)
    }

    /// With leases: whether a leader that was heard here, whoever has led since, may still answer reads because of it.
    fn keeps_promise(&self, now: Tick) -> bool {
        let has_leases = self.config.lease_ticks() > 0 && !self.build.is(Mutant::ForgetsPromises);
        has_leases && self.timer.silence(now) < self.config.election_ticks_min()
    }

    /// Whoever has a vote, or had one in a membership that may yet turn out to be the newest that is committed: if only this
    /// replica has the entry that takes its vote away, nobody else can win (4.2.2). A witness has nothing to lead with.
    pub(super) fn may_campaign(&self) -> bool {
        let has_vote = |membership: &Membership| membership.is_voter(self.config.id);
        let is_mute = self.witness && !self.build.is(Mutant::WitnessCampaigns);
        !self.blank && !is_mute && self.memberships.from(self.commit).any(has_vote)
    }

    /// One vote per term, and none against a known leader.
    fn may_vote_for(&self, candidate: ReplicaId) -> bool {
        match self.hard.vote {
            Some(vote) => vote == candidate || self.build.is(Mutant::VotesAgain),
            None => self.leader().is_none(),
        }
    }

    /// Of two voters that ask for pre-votes at the same time, and whose logs do, one goes on: else each makes itself a candidate with the
    /// other's help, and neither gets its vote. Whoever gives way waits no longer for it: the other may be dead.
    fn gives_way_to(&self, other: ReplicaId, last: LogPos) -> bool {
        let is_rival = matches!(self.state, State::PreCandidate(_)) && self.membership().is_voter(other);
        is_rival && (last != self.log.last() || other > self.config.id)
    }

    fn is_up_to_date(&self, other: LogPos) -> bool {
        if self.build.is(Mutant::LongerLogWins) {
            return other.index >= self.log.last().index;
        }
        self.log.is_up_to_date(other)
    }

    fn count_pre_votes(&mut self, now: Tick, fx: &mut Effects) {
        if let State::PreCandidate(votes) = &self.state
            && votes.suffice(self.memberships.current())
        {
            self.campaign(now, false, fx);
        }
    }

    fn count_votes(&mut self, now: Tick, fx: &mut Effects) {
        if let State::Candidate(votes) = &self.state
            && votes.suffice(self.memberships.current())
            // Nobody can have answered a question that has not left; a forged answer changes nothing.
            && self.durable.hard_state()
        {
            self.become_leader(now, fx);
        }
    }

    /// The no-op proves, once committed, that all before it is committed (3.6.2). It goes out with this turn's flush, and
    /// so tells everybody who leads.
    fn become_leader(&mut self, now: Tick, fx: &mut Effects) {
        let last = self.log.last().index;
        let others = self.membership().all().into_iter().filter(|&id| id != self.config.id);
        self.state = State::Leader(Box::new(Leading::new(others, last, self.config.heartbeat_ticks(), now)));
        self.set_leader(Some(self.config.id));
        if self.build.is(Mutant::NoOpLeftOut) && self.commit == last {
            return;
        }
        self.append_own([Payload::no_op()].into_iter(), fx);
    }

    fn other_voters(&self) -> Vec<ReplicaId> {
        let mut others = self.membership().all();
        others.retain(|&id| id != self.config.id && self.membership().is_voter(id));
        others
    }
}

impl Votes {
    fn add(&mut self, from: ReplicaId) {
        if !self.given.contains(&from) {
            self.given.push(from);
        }
    }

    fn suffice(&self, membership: &Membership) -> bool {
        quorum::agrees(membership, |voter| self.given.contains(&voter))
    }
}

impl ElectionTimer {
    pub(super) fn new(knobs: &Knobs, seed: u64, now: Tick) -> ElectionTimer {
        // Replicas of one store may be given one seed: the id sets them apart.
        let random = seed ^ knobs.id.0.wrapping_mul(0xd6e8_feb8_6659_fd93);
        // What was heard before a restart is not known. With leases it may have been a moment ago.
        let heard_before = if knobs.lease_ticks() > 0 { 0 } else { u32::MAX };
        let mut timer = ElectionTimer { since: now, wait: 0, heard_before, random };
        timer.restart(knobs, now);
        timer
    }

    /// Starts to wait, for a new length of time.
    pub(super) fn restart(&mut self, knobs: &Knobs, now: Tick) {
        self.restart_with(knobs, now, knobs.election_ticks_min());
    }

    /// The same, for whoever has lost an election. It need not find out any more that there is no leader, and so waits for a
    /// heartbeat of whoever may have won, instead of the shortest timeout; what keeps candidates apart stays as it is (3.4).
    /// Nobody campaigns the sooner for it who has heard a leader within the shortest timeout.
    fn restart_soon(&mut self, knobs: &Knobs, now: Tick) {
        let promised = knobs.election_ticks_min().saturating_sub(self.silence(now));
        let shortest = knobs.heartbeat_ticks().max(promised).min(knobs.election_ticks_min());
        self.restart_with(knobs, now, shortest);
    }

    fn restart_with(&mut self, knobs: &Knobs, now: Tick, shortest: u64) {
        let span = knobs.election_ticks_max().saturating_sub(knobs.election_ticks_min()) + 1;
        self.heard_before = u32::try_from(self.silence(now)).unwrap_or(u32::MAX);
        self.since = now;
        let first = shortest + knobs.rank() * span;
        self.wait = u32::try_from(first + self.draw() % span).unwrap_or(u32::MAX);
    }

    /// Starts to wait again, for the same length of time.
    fn heard(&mut self, now: Tick) {
        self.since = now;
        self.heard_before = 0;
    }

    /// How long no leader was heard.
    fn silence(&self, now: Tick) -> u64 {
        now.since(self.since).saturating_add(self.heard_before.into())
    }

    pub(super) fn deadline(&self) -> Tick {
        self.since.after(self.wait.into())
    }

    /// splitmix64 (Steele, Lea, Flood 2014): one word of state, good enough to spread timeouts.
    const fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Config;

    fn config(id: u64, rank: u8) -> Config {
        Config {
            id: ReplicaId(id),
            election_ticks_min: 100,
            election_ticks_max: 199,
            heartbeat_ticks: 25,
            commit_news_ticks: 0,
            inflight_messages_max: 1,
            entries_per_message_max: 1,
            inflight_bytes_max: 16 << 20,
            uncommitted_bytes_max: 64 << 20,
            rank,
            lease_ticks: 0,
            seed: 1,
        }
    }

    /// Else all groups of a store campaign in the same tick.
    #[test]
    fn one_seed_for_all_still_spreads_the_timeouts() {
        let mut waits = std::collections::BTreeSet::new();
        for id in 1..=1000 {
            let knobs = Knobs::new(&config(id << 32 | 7, 0));
            let mut timer = ElectionTimer::new(&knobs, 1, Tick(0));
            let first = timer.deadline().0;
            assert!((100..200).contains(&first));
            timer.restart(&knobs, Tick(0));
            waits.extend([first, timer.deadline().0]);
        }
        assert_eq!(waits.len(), 100, "every wait is drawn");
    }

    /// Of each rank: a lower one comes before it here, too.
    #[test]
    fn who_has_lost_waits_for_a_heartbeat_and_is_spread_as_before() {
        for rank in 0..3 {
            let knobs = Knobs::new(&config(1, rank));
            let mut timer = ElectionTimer::new(&knobs, 1, Tick(0));
            let waits: std::collections::BTreeSet<u64> = (0..2000)
                .map(|_| {
                    timer.restart_soon(&knobs, Tick(1000));
                    timer.deadline().0 - 1000 - 100 * u64::from(rank)
                })
                .collect();
            assert!(waits.into_iter().eq(25..125), "rank {rank}");
        }
    }

    /// It was handed the lead by a leader that it had just heard, and lost: nobody may have a lease of that leader then.
    #[test]
    fn who_has_lost_keeps_what_it_promised_a_leader() {
        let knobs = Knobs::new(&config(1, 0));
        for heard in 3..200 {
            let mut timer = ElectionTimer::new(&knobs, heard, Tick(0));
            timer.heard(Tick(1000));
            timer.restart(&knobs, Tick(1003));
            timer.restart_soon(&knobs, Tick(1000 + heard));
            let waited = timer.deadline().0 - 1000;
            assert!(waited >= 100 && waited >= heard + 25, "{waited} after {heard}");
            assert!(waited < heard.max(75) + 125 + 25, "{waited} after {heard}");
        }
    }
}

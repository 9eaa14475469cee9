//! Witnesses: voters that keep where each entry stands and in which term, and none of the data.
//!
//! A witness makes a majority where a copy is missing. It cannot lead, so whatever it holds must be held by a copy that can.
//! Three rules see to that (`docs/decisions/0011-witnesses.md` argues for them): a witness is sent nothing that the copies in step
//! lack; what is committed is durable in a copy of each majority; and what a replica is, copy or witness, it stays.
//!
//! The idea is that of Pâris (Voting with Witnesses, 1986); Spanner and TiKV have such replicas.

use super::core::{Raft, State};
use super::effects::Effects;
use super::membership::Membership;
use super::message::Body;
use super::mutant::Mutant;
use super::quorum;
use super::types::{EntryKind, Index, LogPos, ReplicaId, Tick};

impl Raft {
    /// Through where witnesses may be sent entries: no further than what the copies of each majority hold durably, of those
    /// that are in step. So a copy that could lead now can also lead with the votes of witnesses, should this leader be lost.
    pub(super) fn witnesses_through(&self, now: Tick) -> Index {
        let Membership { voters, outgoing, witnesses, .. } = self.membership();
        if witnesses.is_empty() || self.build.is(Mutant::FeedsWitnessesEarly) {
            return self.log.last().index;
        }
        let incoming = self.copies_through(voters, now);
        if outgoing.is_empty() { incoming } else { incoming.min(self.copies_through(outgoing, now)) }
    }

    /// What all copies in step hold; if none is, what any holds.
    fn copies_through(&self, voters: &[ReplicaId], now: Tick) -> Index {
        let copies = || self.membership().copies(voters);
        let in_step = copies().filter(|copy| self.is_in_step(*copy, now)).map(|copy| self.held_by(copy));
        in_step.min().or_else(|| copies().map(|copy| self.held_by(copy)).max()).unwrap_or_default()
    }

    /// Whether `copy` answers, and lacks little: a witness stands in for the dead and for those who come back, not for the
    /// slow.
    fn is_in_step(&self, copy: ReplicaId, now: Tick) -> bool {
        let answers =
            |heard: Tick| now.since(heard) <= self.config.election_ticks_min() && self.is_caught_up(copy);
        copy == self.config.id || self.progress(copy).is_some_and(|progress| answers(progress.heard))
    }

    fn held_by(&self, copy: ReplicaId) -> Index {
        if copy == self.config.id {
            return self.durable.through();
        }
        self.progress(copy).map_or(Index(0), |progress| progress.matched())
    }

    /// Through where a copy of each majority holds everything durably, where witnesses are counted with them.
    pub(super) fn kept(&self) -> Index {
        if self.membership().witnesses.is_empty() || self.build.is(Mutant::CommitsOnWitnessesAlone) {
            return Index(u64::MAX);
        }
        Index(quorum::kept(self.membership(), |copy| self.held_by(copy).0))
    }

    /// A witness that is behind the log needs no snapshot: where what is committed ends, and who took part there, is all
    /// that it would keep of one. It is said in a message, which may be lost and is then said again.
    pub(super) fn place_witnesses(&mut self, now: Tick, fx: &mut Effects) {
        if self.membership().witnesses.is_empty() {
            return;
        }
        let is_witness = |id: &mut ReplicaId| self.memberships.current().is_witness(*id);
        let behind: Vec<ReplicaId> = fx.snapshot_for.extract_if(.., is_witness).collect();
        for to in behind {
            self.place(now, to, fx);
        }
    }

    fn place(&mut self, now: Tick, to: ReplicaId, fx: &mut Effects) {
        let Some(term) = self.log.term_at(self.commit) else { return };
        let at = LogPos { index: self.commit, term };
        let State::Leader(leading) = &mut self.state else { return };
        if let Some(witness) = leading.progress_mut(to) {
            witness.probe(at.index.next(), false);
            witness.send(now, at.index);
        }
        let membership = Box::new(self.memberships.at(at.index).clone());
        self.say(to, Body::Position { at, membership }, fx);
    }

    /// Goes on from `at`, which is committed. A blank replica becomes a witness by it.
    pub(super) fn on_position(
        &mut self,
        now: Tick,
        from: ReplicaId,
        at: LogPos,
        membership: Membership,
        fx: &mut Effects,
    ) {
        if !self.follow(now, from) {
            return;
        }
        self.witness = true;
        if self.blank || self.would_install(at) {
            self.install(now, at, membership, (from, self.hard.term), fx);
        } else {
            self.acknowledge(from, self.commit, fx);
        }
    }

    /// Whether a witness would be given data by an entry of this kind, or a copy an entry without it.
    pub(super) fn is_wrong_kind(&self, kind: EntryKind) -> bool {
        match kind {
            EntryKind::Membership => false,
            EntryKind::Stripped => !self.witness,
            EntryKind::NoOp | EntryKind::Command | EntryKind::Change => self.witness,
        }
    }
}

//! Step: lanes send what was taken, and every region that has work is moved on once.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::config::TURN_BYTES_MAX;
use super::replica::Slot;
use super::worker::Worker;
use crate::apply::ReplyTo;
use crate::ids::{ReplicaId, Tick};
use crate::message::{Refusal, Refused};
use crate::raft::{Event, Role, Standing};

impl Worker {
    pub(super) fn step(&mut self, now: Tick) {
        for slot in std::mem::take(&mut self.unsent_lanes) {
            self.send_lane(slot, now);
        }
        // The list grows while it is walked: a lane that sends to its own store makes its region ready.
        let mut at = 0;
        while at < self.ready.len() {
            let slot = self.ready[at];
            self.propose(slot, now);
            let replica = self.replica(slot);
            if let Some(effects) = &mut replica.effects {
                replica.raft.flush(now, effects);
            }
            self.count_window(slot);
            self.go_on_proposing(slot);
            self.adapt(slot, now);
            self.see_departed(slot);
            at += 1;
        }
    }

    /// Follows a change of leader, role or term.
    fn adapt(&mut self, slot: Slot, now: Tick) {
        let replica = self.replica(slot);
        let Some(standing) = replica.effects.as_mut().and_then(|effects| effects.standing.take()) else {
            return;
        };
        let before = std::mem::replace(&mut replica.standing, standing);
        if before.role == Role::Leader && (standing.role != Role::Leader || standing.term != before.term) {
            self.stop_leading(slot, standing);
        }
        let replica = self.replica(slot);
        if standing.role == Role::Leader && replica.leading.is_none() {
            replica.leading = Some(Box::default());
        }
        let changed = standing.leader != before.leader || standing.term != before.term;
        if changed && replica.lane.is_some() {
            self.restart_lane(slot, standing.leader, now);
        }
    }

    /// Every store whose commands were taken is told to look for the next leader. What was proposed may yet be
    /// committed: it is known by its number when it comes again.
    fn stop_leading(&mut self, slot: Slot, standing: Standing) {
        let region = self.replica(slot).region;
        let Some(leading) = self.take_leading(slot) else { return };
        let reason = Refusal::NotLeader(standing.leader);
        for (store, attempt) in leading.attempts() {
            self.refuse_run(slot, store, Refused { region, attempt, reason });
        }
    }

    /// Proposes what was taken, if the protocol takes proposals now; else it waits for the event that changes that.
    fn propose(&mut self, slot: Slot, now: Tick) {
        let (stamp, own) = (self.shared.clock.stamp(), self.shared.config.id);
        let replica = self.replica(slot);
        let (Some(leading), Some(effects)) = (&mut replica.leading, &mut replica.effects) else { return };
        leading.is_held_up = false;
        if !leading.has_proposals(replica.applied) {
            return;
        }
        // A reign that ended, or began, in this turn is followed after the flush; one that is not ready says so with
        // an event.
        if replica.raft.term() != replica.standing.term || replica.raft.may_propose().is_err() {
            return;
        }
        // While too much is not committed, what adds nothing to it goes on; the flush that commits some goes on with the rest.
        let room = usize::try_from(replica.raft.proposal_room()).unwrap_or(usize::MAX);
        let is_held_up = room == 0;
        leading.is_held_up = is_held_up;
        let mut proposals = leading.proposals(own, stamp, room.min(TURN_BYTES_MAX));
        let handed_over = std::mem::take(&mut proposals.handed_over);
        let moves = std::mem::take(&mut proposals.moves);
        let Ok(first) = replica.raft.propose(now, &mut proposals.payloads, effects) else { return };
        let has_reads = proposals.has_reads();
        let read = leading.proposed(proposals, first, replica.standing.term);
        // After a change, the event that it is applied goes on with the rest.
        let has_more = !is_held_up && leading.has_proposals(replica.applied);
        if let Some(read) = read.filter(|_| has_reads) {
            let taken = replica.raft.read(now, read, effects);
            debug_assert!(taken.is_ok(), "a leader that takes proposals takes reads");
        }
        if has_more {
            self.again.push(slot);
        }
        self.shared.counters.proposals_held_up.fetch_add(is_held_up.into(), Ordering::Relaxed);
        self.take_moves(slot, moves, now);
        self.hand_over_to(slot, handed_over, now);
    }

    /// The flush may have committed what held up proposals.
    fn go_on_proposing(&mut self, slot: Slot) {
        let replica = self.replica(slot);
        let is_held_up = replica.leading.as_ref().is_some_and(|leading| leading.is_held_up);
        if is_held_up && replica.raft.proposal_room() > 0 {
            self.again.push(slot);
        }
    }

    /// Begins to hand the lead over to those who were named, and answers those who asked.
    fn hand_over_to(&mut self, slot: Slot, asked: Vec<(ReplyTo, Bytes)>, now: Tick) {
        for (_, to) in &asked {
            if let Some(to) = to.first_chunk() {
                let to = ReplicaId(u64::from_le_bytes(*to));
                self.step_raft(slot, now, Event::TransferLeadership(to));
            }
        }
        if !asked.is_empty() {
            self.replies.push((slot, asked.into_iter().map(|(to, _)| (to, Bytes::new())).collect()));
        }
    }
}

//! Collect: takes in what has arrived since the last turn, and what is due.

use std::sync::atomic::Ordering;

use super::config::TURN_BYTES_MAX;
use super::inbox::Item;
use super::replica::{Replica, Slot};
use super::worker::Worker;
use crate::ids::{ReplicaId, StoreId, Tick};
use crate::message::{Refusal, Refused, StoreMessage};
use crate::raft::{Body, Event, Message, Persisted};
use crate::snapshot::KeeperTask;

/// A turn takes this many items at most, so that a flood cannot keep it from ever sending.
const ITEMS_PER_TURN_MAX: usize = 4096;

impl Worker {
    pub(super) fn collect(&mut self, now: Tick) {
        if self.is_disk_full {
            return self.collect_while_full(now);
        }
        let mut bytes = 0;
        for _ in 0..ITEMS_PER_TURN_MAX {
            if bytes >= TURN_BYTES_MAX {
                break;
            }
            let next = self
                .first
                .take()
                .or_else(|| self.aside.pop_front())
                .or_else(|| self.receiver.try_recv().ok());
            let Some(item) = next else { break };
            bytes += item.bytes();
            self.take_item(item, now);
        }
        self.release(now);
        self.fire_timers(now);
    }

    fn take_item(&mut self, item: Item, now: Tick) {
        match item {
            Item::Frame { from, messages, bytes } => {
                self.shared.inboxes.frame_taken(self.number, bytes);
                messages.into_iter().for_each(|message| self.take_message(from, message, now));
            }
            Item::Submit { region, request } => self.take_request(region, request, now),
            Item::Peer { store, up } => self.peer_changed(store, up, now),
            Item::Durable => {} // `release` asks the log itself
            Item::Applied(outcome) => self.take_outcome(outcome, now),
            Item::Kept(outcome) => self.take_kept(outcome, now),
            Item::Born(newborn) => self.bear(*newborn, now),
            Item::Control(control) => self.control(control, now),
        }
    }

    fn take_message(&mut self, from: StoreId, message: StoreMessage, now: Tick) {
        let Some(slot) = self.slot(message.region()) else {
            return self.take_unknown(from, &message, now);
        };
        match message {
            StoreMessage::Raft { region, message } if self.replica(slot).is_elsewhere() => {
                self.bear_by_message(region, from, &message);
            }
            StoreMessage::Raft { message, .. } => self.take_raft(slot, from, message, now),
            StoreMessage::Submit(run) => self.take_run(slot, from, run, now),
            StoreMessage::Replies(replies) => self.take_replies(slot, replies, now),
            StoreMessage::Refused(refused) => self.take_refused(slot, refused, now),
            StoreMessage::DiskFull(full) => self.take_disk_full(slot, full, now),
            StoreMessage::ShortOfSpace => self.take_short_of_space(from, now),
            StoreMessage::Remove(removal) => self.take_removal(from, removal, now),
            StoreMessage::Removed(removal) => self.replica(slot).gone.push(removal.replica),
            StoreMessage::SnapshotChunk(chunk) => self.tell_keeper(KeeperTask::Chunk { from, chunk }),
            StoreMessage::SnapshotAck(ack) => self.tell_keeper(KeeperTask::Ack { from, ack }),
        }
    }

    fn take_unknown(&mut self, from: StoreId, message: &StoreMessage, now: Tick) {
        match message {
            StoreMessage::Raft { region, message } => self.bear_by_message(*region, from, message),
            StoreMessage::Remove(removal) => self.take_removal(from, *removal, now),
            StoreMessage::Submit(run) => {
                let refused = Refused { region: run.region, attempt: run.attempt, reason: Refusal::NoRegion };
                self.outbox.push(from, &StoreMessage::Refused(refused));
            }
            StoreMessage::ShortOfSpace => self.take_short_of_space(from, now),
            StoreMessage::Replies(_)
            | StoreMessage::Refused(_)
            | StoreMessage::DiskFull(_)
            | StoreMessage::Removed(_)
            | StoreMessage::SnapshotChunk(_)
            | StoreMessage::SnapshotAck(_) => {
                self.shared.counters.messages_unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn take_raft(&mut self, slot: Slot, from: StoreId, message: Message, now: Tick) {
        // A store hosts no witnesses (`OpenError::Witnesses`).
        if message.from.store() != from || matches!(message.body, Body::Position { .. }) {
            self.shared.counters.messages_unknown.fetch_add(1, Ordering::Relaxed);
        } else if self.replica(slot).is_damaged() {
            self.learn_own_name(slot, message.to, now);
        } else if self.replica(slot).is_running() && !self.is_out_of_place(slot, &message) {
            self.answer_departed(slot, &message);
            self.step_raft(slot, now, Event::Message(message));
        }
    }

    /// Who waits for a machine does not take over.
    fn is_out_of_place(&mut self, slot: Slot, message: &Message) -> bool {
        self.replica(slot).is_vacant && message.body == Body::TimeoutNow
    }

    fn peer_changed(&mut self, store: StoreId, up: bool, now: Tick) {
        let is_news = if up { self.connected.insert(store) } else { self.connected.remove(&store) };
        for slot in self.active_lanes.clone() {
            let target = self.replica(slot).lane.as_ref().and_then(|lane| lane.target());
            if target.is_some_and(|target| target.store() == store) {
                self.restart_lane(slot, target, now);
            } else if up && is_news && self.asks_in_vain(slot) {
                let target = self.leader_to_try(slot);
                self.restart_lane(slot, target, now);
            }
        }
        if !up {
            // Two of one region, while the one replaces the other.
            let lost = |(at, replica): (usize, &Replica)| {
                let leads = replica.is_leader() && replica.is_running();
                let all = if leads { replica.raft.membership().all() } else { Vec::new() };
                all.into_iter().filter(|to| to.store() == store).map(move |to| (at, to)).collect::<Vec<_>>()
            };
            let lost: Vec<(usize, ReplicaId)> = self.replicas.iter().enumerate().flat_map(lost).collect();
            for (at, to) in lost {
                self.step_raft(Slot(at as u32), now, Event::Unreachable(to));
            }
        }
    }

    /// Gives up what waited for durability and is durable now.
    fn release(&mut self, now: Tick) {
        self.confirm_graves();
        while self.may_release() {
            let Some(write) = self.writes.pop_front() else { break };
            for part in write.parts {
                let proof = Persisted::proven(part.seq);
                self.send_messages(part.slot, part.held.release(proof));
                self.step_raft(part.slot, now, Event::Persisted(proof));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_store::{NOW, OWN, REGION, World};
    use super::*;
    use crate::ids::{Index, Term};
    use crate::raft::{Membership, Pace};

    /// Two of one region stand on one store while the one replaces the other. Nothing that was on its way to either arrives.
    #[test]
    fn a_lost_connection_is_lost_for_both_replicas_that_stand_behind_it() {
        const OTHER: StoreId = StoreId(2);
        let own = ReplicaId::new(1, OWN);
        let both = [1, 2].map(|number| ReplicaId::new(number, OTHER));
        let membership = Membership { learners: both.to_vec(), ..Membership::of_voters(vec![own]) };
        let mut world = World::new(own, membership, true);
        world.settle();
        let slot = world.worker().slot(REGION).unwrap();
        let paces = |world: &mut World| {
            both.map(|of| world.worker().replica(slot).raft.progress(of).expect("it leads").pace())
        };
        let term = world.worker().replica(slot).raft.term();
        assert_ne!(term, Term(0));
        for from in both {
            let body = Body::AppendAccepted { matched: Index(0) };
            world.worker().take_raft(slot, OTHER, Message { from, to: own, term, body }, NOW);
        }
        assert_eq!(paces(&mut world), [Pace::Replicate; 2]);
        world.worker().peer_changed(OTHER, false, NOW);
        assert_eq!(paces(&mut world), [Pace::Probe { waiting: true }; 2]);
    }
}

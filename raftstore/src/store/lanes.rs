//! How commands travel between the lanes of stores and the leader of a region.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::config::{LANE_CHECK_TICKS, ticks};
use super::lane::{Lane, Run};
use super::mutant::Mutant;
use super::replica::{Condition, Slot};
use super::request::{Request, SubmitError};
use super::worker::{Timer, Worker};
use crate::ids::{Attempt, Life, RegionId, ReplicaId, StoreId, Tick};
use crate::message::{DiskFull, Refusal, Refused, Replies, StoreMessage, Submit};

impl Worker {
    pub(super) fn take_request(&mut self, region: RegionId, request: Request, now: Tick) {
        let Some(slot) = self.slot(region) else { return self.refuse(request, SubmitError::NoRegion) };
        if self.is_stopped {
            let reason = self.shared.inboxes.stop_reason();
            return self.refuse(request, SubmitError::StoreStopped(reason));
        }
        if let Some(why) = self.replica(slot).is_out_of_reach() {
            return self.refuse(request, SubmitError::RegionStopped(why));
        }
        if self.replica(slot).lane.is_none() {
            self.open_lane(slot, now);
        }
        let timeout = request.timeout.unwrap_or(self.shared.config.request_timeout);
        let seq = 1 + self.shared.newest_seq.fetch_add(1, Ordering::Relaxed);
        if let Some(lane) = &mut self.replica(slot).lane {
            lane.take(seq, request.kind, request.body, now.after(ticks(timeout)), request.reply);
        }
        self.unsent_lanes.push(slot);
    }

    pub(super) fn refuse(&self, request: Request, error: SubmitError) {
        self.shared.inboxes.answered(1, request.body.len());
        (request.reply)(Err(error));
    }

    pub(super) fn open_lane(&mut self, slot: Slot, now: Tick) {
        let leader = self.leader_to_try(slot);
        self.replica(slot).lane = Some(Box::new(Lane::new(now)));
        self.active_lanes.insert(slot);
        self.arm_lane(slot, now);
        self.restart_lane(slot, leader, now);
    }

    /// Sees to it that a lane is looked at again. One entry in the wheel, however often lanes come and go.
    fn arm_lane(&mut self, slot: Slot, now: Tick) {
        if !std::mem::replace(&mut self.replica(slot).is_lane_armed, true) {
            self.wheel.arm(now.after(LANE_CHECK_TICKS), (slot, Timer::Lane));
        }
    }

    /// Answers everything in a lane with an error.
    pub(super) fn close_lane(&mut self, slot: Slot, error: &SubmitError) {
        self.active_lanes.remove(&slot);
        if let Some(mut lane) = self.replica(slot).lane.take() {
            let freed = lane.answer_all(error);
            self.free(freed);
        }
    }

    /// Who leads, as far as this store knows. If its own replica has stopped, is elsewhere, or waits for room to go on, it asks
    /// the others in turn.
    pub(super) fn leader_to_try(&mut self, slot: Slot) -> Option<ReplicaId> {
        let is_disk_full = self.is_disk_full;
        let turn = self.shared.newest_attempt.load(Ordering::Relaxed) as usize;
        let replica = self.replica(slot);
        if !replica.is_stopped() && !is_disk_full {
            return replica.standing.leader;
        }
        let others = self.others_to_ask(slot);
        match &self.replica(slot).lane {
            Some(lane) => lane.next_to_ask(&others),
            // Lanes that are opened one after the other do not all begin with the same member.
            None => others.get(turn % others.len().max(1)).copied(),
        }
    }

    /// Members that this store is connected to. What it knows of a region that is elsewhere may be long out of date (its
    /// members of that time may all have been replaced): then any store may know where it is.
    pub(super) fn others_to_ask(&mut self, slot: Slot) -> Vec<ReplicaId> {
        let replica = self.replica(slot);
        let members: Vec<_> = replica.others().collect();
        let is_elsewhere = replica.is_elsewhere() || members.is_empty();
        let is_near = |member: &ReplicaId| self.connected.contains(&member.store());
        let mut near: Vec<_> = members.iter().copied().filter(is_near).collect();
        if is_elsewhere {
            let is_member = |store: &StoreId| members.iter().any(|member| member.store() == *store);
            let strangers = self.connected.iter().filter(|store| !is_member(store));
            near.extend(strangers.map(|store| ReplicaId::new(0, *store)));
        }
        if near.is_empty() { members } else { near }
    }

    /// Whether a lane that has to be told who leads asks nobody, or somebody this store is not connected to.
    pub(super) fn asks_in_vain(&mut self, slot: Slot) -> bool {
        let replica = self.replica(slot);
        let target = replica.lane.as_ref().and_then(|lane| lane.target());
        replica.is_stopped() && target.is_none_or(|target| !self.connected.contains(&target.store()))
    }

    /// Starts a new attempt of a lane, if it has one.
    pub(super) fn restart_lane(&mut self, slot: Slot, target: Option<ReplicaId>, now: Tick) {
        let number = 1 + self.shared.newest_attempt.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt { life: self.shared.config.life, number };
        if let Some(lane) = &mut self.replica(slot).lane {
            lane.restart(attempt, target, now);
            self.unsent_lanes.push(slot);
        }
    }

    /// Commands that another store forwards, or that this one sends to itself.
    pub(super) fn take_run(&mut self, slot: Slot, from: StoreId, mut run: Submit, now: Tick) {
        let bytes_max = self.shared.config.proposals_bytes_max;
        let has_room = self.has_room(slot, now);
        let is_forgetful = self.shared.is(Mutant::SessionPerAttempt);
        let replica = self.replica(slot);
        let (region, attempt) = (replica.region, run.attempt);
        if is_forgetful {
            run.attempt.life = Life(attempt.life.0 << 32 | attempt.number);
        }
        let taken = match (&replica.condition, &mut replica.leading) {
            (Condition::Stopped(_), _) => Err(Refusal::Stopped),
            (Condition::Elsewhere, _) => Err(Refusal::NoRegion),
            (Condition::Restoring, _) | (_, None) => Err(Refusal::NotLeader(replica.standing.leader)),
            (Condition::Running, Some(leading)) => leading.take(from, run, bytes_max, has_room),
        };
        match taken {
            Ok(full) => {
                self.make_ready(slot);
                if let Some(position) = full {
                    self.leave_the_lead_for_space(slot, now);
                    self.refuse_writes(slot, from, DiskFull { region, attempt, position }, now);
                }
            }
            Err(reason) => self.refuse_run(slot, from, Refused { region, attempt, reason }),
        }
    }

    pub(super) fn refuse_run(&mut self, slot: Slot, to: StoreId, refused: Refused) {
        if to == self.shared.config.id {
            let now = self.shared.clock.now();
            self.take_refused(slot, refused, now);
        } else {
            self.outbox.push(to, &StoreMessage::Refused(refused));
        }
    }

    pub(super) fn take_replies(&mut self, slot: Slot, replies: Replies, now: Tick) {
        replies.results.into_iter().for_each(|(seq, reply)| self.answer(slot, seq, reply, now));
    }

    pub(super) fn answer(&mut self, slot: Slot, seq: u64, reply: Bytes, now: Tick) {
        let Some(lane) = &mut self.replica(slot).lane else { return };
        let freed = lane.answer(seq, Ok(reply), now);
        self.free(freed);
    }

    /// The leader did not take this lane's commands. If it knows better, follow it; else the lane's timer tries again.
    pub(super) fn take_refused(&mut self, slot: Slot, refused: Refused, now: Tick) {
        let replica = self.replica(slot);
        let Some(lane) = &mut replica.lane else { return };
        if lane.attempt() != refused.attempt {
            return;
        }
        let (target, may_hop) = (lane.target(), lane.hop());
        // The one who was asked may not have noticed yet that the leader is gone.
        let is_gone = |leader: ReplicaId, worker: &Worker| !worker.connected.contains(&leader.store());
        let is_stopped = self.replica(slot).is_stopped();
        match refused.reason {
            Refusal::NotLeader(Some(leader)) if is_stopped && is_gone(leader, self) => {
                self.restart_lane(slot, None, now);
            }
            Refusal::NotLeader(Some(leader)) if Some(leader) != target && may_hop => {
                self.restart_lane(slot, Some(leader), now);
            }
            Refusal::Gap if may_hop => self.restart_lane(slot, target, now),
            Refusal::Gap | Refusal::NotLeader(_) | Refusal::Busy | Refusal::NoRegion | Refusal::Stopped => {
                self.restart_lane(slot, None, now);
            }
        }
    }

    pub(super) fn lane_timer(&mut self, slot: Slot, now: Tick) {
        let replica = self.replica(slot);
        replica.is_lane_armed = false;
        if let Some(lane) = &mut replica.lane {
            lane.rest();
        }
        if self.look_at_lane(slot, now) {
            self.arm_lane(slot, now);
        }
    }

    /// Gives up what is late, and starts over if nothing is heard. Whether there is still something in the lane.
    pub(super) fn look_at_lane(&mut self, slot: Slot, now: Tick) -> bool {
        let leader = self.leader_to_try(slot);
        let replica = self.replica(slot);
        let Some(lane) = &mut replica.lane else { return false };
        let freed = lane.expire(now);
        let has_nobody = lane.target().is_none() && leader.is_some();
        let starts_over = has_nobody || lane.was_held(now);
        let is_stalled = !starts_over && lane.stall(now);
        let is_empty = lane.is_empty();
        if is_empty {
            replica.lane = None;
            self.active_lanes.remove(&slot);
        } else if starts_over || is_stalled {
            self.restart_lane(slot, leader, now);
        }
        self.shared.counters.lanes_stalled.fetch_add(is_stalled.into(), Ordering::Relaxed);
        self.free(freed);
        !is_empty
    }

    pub(super) fn send_lane(&mut self, slot: Slot, now: Tick) {
        let (region, own) = (self.replica(slot).region, self.replica(slot).id());
        while let Some(run) = self.replica(slot).lane.as_mut().and_then(|lane| lane.next_run()) {
            let Run { to, attempt, position, lowest, items } = run;
            let submit = Submit { region, attempt, position, lowest, items };
            if to == own {
                let store = self.shared.config.id;
                self.take_run(slot, store, submit, now);
            } else {
                self.outbox.push(to.store(), &StoreMessage::Submit(submit));
            }
        }
    }
}

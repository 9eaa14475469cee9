//! What happens when disks fill up.
//!
//! A log that cannot have another segment says so while there is still room in what it has
//! ([`Wal::is_short_of_space`](skep_wal::Wal::is_short_of_space)). From then on the store tells all others so, again and
//! again, and no leader takes writes that its own store, or so many of its followers that no quorum is left, may soon be
//! unable to keep; one whose own disk it is hands over, if somebody else has room. What room there is then lasts for votes and
//! for what makes room. Reads go on, and so do writes of regions whose leader and quorum have room.
//!
//! When even that is used up (`is_disk_full`) the store promises nothing until the log takes what it refused: what it is sent
//! as a follower is dropped and comes again, and its clients are served by leaders elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::inbox::Item;
use super::replica::Slot;
use super::request::{Request, SubmitError};
use super::worker::Worker;
use crate::ids::{RegionId, ReplicaId, StoreId, Tick};
use crate::message::{DiskFull, Refusal, Refused, StoreMessage, Submit};
use crate::raft::Event;

/// A store that is short of space says so this often.
const TOLD_EVERY_TICKS: u64 = 30;

/// For so long what it says holds: a few times may be lost.
const HOLDS_TICKS: u64 = 100;

/// What a store knows of the space of others, and when it tells them of its own; shared by its workers.
#[derive(Default)]
pub(super) struct Space {
    /// Through when each of these counts as short of space.
    short: Mutex<BTreeMap<StoreId, Tick>>,
    /// Whether there are any.
    is_any_short: AtomicBool,
    /// When the others are told next.
    told_next: AtomicU64,
}

impl Space {
    fn is_short(&self, store: StoreId, now: Tick) -> bool {
        self.short.lock().get(&store).is_some_and(|through| *through >= now)
    }
}

impl Worker {
    /// Whether a leader here may take writes: its own disk has room, and so have those of a quorum.
    pub(super) fn has_room(&self, slot: Slot, now: Tick) -> bool {
        let (own, space) = (self.shared.config.id, &self.shared.space);
        let has_room = |replica: ReplicaId| replica.store() == own || !space.is_short(replica.store(), now);
        let membership = self.replicas[slot.0 as usize].raft.membership();
        !self.shared.wal.is_short_of_space()
            && (!space.is_any_short.load(Ordering::Relaxed) || membership.has_quorum(has_room))
    }

    /// Tells the others, if it is time to, that there is little room here.
    pub(super) fn tell_of_space(&mut self, now: Tick) {
        let next = &self.shared.space.told_next;
        if !self.shared.wal.is_short_of_space() || next.load(Ordering::Relaxed) > now.0 {
            return;
        }
        next.store(now.after(TOLD_EVERY_TICKS).0, Ordering::Relaxed);
        self.connected.iter().for_each(|store| self.outbox.push(*store, &StoreMessage::ShortOfSpace));
    }

    /// When the others are to be told again, if they are.
    pub(super) fn tells_of_space_at(&self) -> Option<Tick> {
        let is_short = self.number == 0 && self.shared.wal.is_short_of_space();
        is_short.then(|| Tick(self.shared.space.told_next.load(Ordering::Relaxed)))
    }

    pub(super) fn take_short_of_space(&mut self, from: StoreId, now: Tick) {
        let space = &self.shared.space;
        let mut short = space.short.lock();
        short.retain(|_, through| *through >= now);
        short.insert(from, now.after(HOLDS_TICKS));
        space.is_any_short.store(true, Ordering::Relaxed);
    }

    /// A leader that refuses writes for want of space of its own hands over to one who has everything, and room.
    pub(super) fn leave_the_lead_for_space(&mut self, slot: Slot, now: Tick) {
        if !self.shared.wal.is_short_of_space() {
            return;
        }
        let replica = &self.replicas[slot.0 as usize];
        let last = replica.raft.last_index();
        let can_lead = |other: &ReplicaId| {
            let has_all = replica.raft.progress(*other).is_some_and(|progress| progress.matched() == last);
            has_all
                && self.connected.contains(&other.store())
                && !self.shared.space.is_short(other.store(), now)
        };
        let to = replica.others().find(can_lead);
        if let Some(to) = to {
            self.step_raft(slot, now, Event::TransferLeadership(to));
        }
    }

    /// Tells a store from where on nothing was taken.
    pub(super) fn refuse_writes(&mut self, slot: Slot, to: StoreId, full: DiskFull, now: Tick) {
        if to == self.shared.config.id {
            self.take_disk_full(slot, full, now);
        } else {
            self.outbox.push(to, &StoreMessage::DiskFull(full));
        }
    }

    /// Writes of a lane were not taken. What is left is sent again, at once if it may be taken.
    pub(super) fn take_disk_full(&mut self, slot: Slot, full: DiskFull, now: Tick) {
        let Some(lane) = &mut self.replica(slot).lane else { return };
        if lane.attempt() == full.attempt {
            let target = lane.target();
            let (freed, goes_on) = lane.refuse_for_space(full.position);
            self.free(freed);
            if goes_on {
                self.restart_lane(slot, target, now);
            }
        }
    }

    /// The log had to refuse something, for its disk is full: until it takes that, nothing can be promised, and no region moves
    /// on here. Clients are still served by leaders elsewhere.
    pub(super) fn collect_while_full(&mut self, now: Tick) {
        while let Some(item) = self.first.take().or_else(|| self.receiver.try_recv().ok()) {
            match item {
                Item::Submit { region, request } => self.take_request_while_full(region, request, now),
                Item::Frame { from, messages, bytes } => {
                    self.shared.inboxes.frame_taken(self.number, bytes);
                    messages.into_iter().for_each(|message| self.take_while_full(from, message, now));
                }
                Item::Control(control) => self.control(control, now),
                other @ (Item::Durable
                | Item::Peer { .. }
                | Item::Applied(_)
                | Item::Kept(_)
                | Item::Born(_)) => {
                    self.aside.push_back(other);
                }
            }
        }
        for slot in self.active_lanes.clone() {
            self.look_at_lane(slot, now);
        }
        for slot in std::mem::take(&mut self.unsent_lanes) {
            if self.leads_elsewhere(slot) {
                self.send_lane(slot, now);
            } else {
                self.unsent_lanes.push(slot);
            }
        }
    }

    fn take_request_while_full(&mut self, region: RegionId, request: Request, now: Tick) {
        let is_ours = self.slot(region).is_some_and(|slot| self.replica(slot).is_leader());
        if is_ours {
            self.refuse(request, SubmitError::DiskFull);
        } else {
            self.take_request(region, request, now);
        }
    }

    /// Whether what is in the lane goes to another store.
    fn leads_elsewhere(&mut self, slot: Slot) -> bool {
        let own = self.shared.config.id;
        let target = self.replica(slot).lane.as_ref().and_then(|lane| lane.target());
        target.is_some_and(|target| target.store() != own)
    }

    /// Commands arrive and nothing can be promised: whoever does not lead says so, and a leader takes no write. A read waits until
    /// somebody else leads.
    fn take_run_while_full(&mut self, slot: Slot, from: StoreId, run: &Submit) {
        let (region, attempt, position) = (run.region, run.attempt, run.position);
        let is_write = run.items.first().is_some_and(|item| item.kind.is_write());
        let replica = self.replica(slot);
        let answer = match &mut replica.leading {
            None => {
                let leader = replica.standing.leader.filter(|leader| *leader != replica.id());
                StoreMessage::Refused(Refused { region, attempt, reason: Refusal::NotLeader(leader) })
            }
            Some(leading) => {
                if !is_write || !leading.end(from, attempt, position) {
                    return;
                }
                StoreMessage::DiskFull(DiskFull { region, attempt, position })
            }
        };
        self.outbox.push(from, &answer);
    }

    /// A message arrives and nothing can be promised: answers are taken and writes are refused, all else comes again.
    pub(super) fn take_while_full(&mut self, from: StoreId, message: StoreMessage, now: Tick) {
        match (self.slot(message.region()), message) {
            (_, StoreMessage::ShortOfSpace) => self.take_short_of_space(from, now),
            (Some(slot), StoreMessage::Submit(run)) => self.take_run_while_full(slot, from, &run),
            (Some(slot), StoreMessage::Replies(replies)) => self.take_replies(slot, replies, now),
            (Some(slot), StoreMessage::Refused(refused)) => self.take_refused(slot, refused, now),
            (Some(slot), StoreMessage::DiskFull(full)) => self.take_disk_full(slot, full, now),
            _ => {}
        }
    }
}

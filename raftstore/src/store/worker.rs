//! A worker owns some of a store's regions and moves them on, one turn after the other.
//!
//! ```text
//! collect -> step -> persist -> send -> commit -> respond
//! ```
//!
//! A turn takes in what has arrived, steps every region that has work once, writes one batch to the log, sends what
//! needs no durability, hands committed entries to the apply threads and gives answers back. It never waits for a
//! sync: what may leave only after one stands in `writes` and is released by a later turn. The thread around it is in
//! `threads.rs`; the simulator calls `turn` itself.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use crossbeam_channel::{Receiver as ChannelReceiver, Sender};
use skep_wal::{Batch, Lsn, Wal};

use super::clock::Clock;
use super::config::StoreConfig;
use super::inbox::{Inboxes, Item};
use super::lane::Freed;
use super::mutant::Mutant;
use super::outbox::Outbox;
use super::removal::Grave;
use super::replica::{Replica, Slot};
use super::space::Space;
use super::status::Counters;
use super::strangers::Strangers;
use super::sync::SyncSignal;
use super::watcher::Watcher;
use super::wheel::Wheel;
use super::windows::Windows;
use crate::apply::{ApplyPool, ReplyTo};
use crate::ids::{RegionId, ReplicaId, StoreId, Tick};
use crate::machine::MachineFactory;
use crate::raft::{Config, Effects, Event, Held, Raft, Start, WriteSeq};
use crate::snapshot::KeeperTask;
use crate::transport::Transport;

/// Why a replica stands in the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// Its protocol has a deadline.
    Raft,
    /// Its lane is to be looked at.
    Lane,
    /// It is to be made whole.
    Mend,
}

/// What may leave once the log is durable through `lsn`.
pub(super) struct Write {
    pub(super) lsn: Lsn,
    pub(super) parts: Vec<WritePart>,
}

/// One region's share of it.
pub(super) struct WritePart {
    pub(super) slot: Slot,
    pub(super) seq: WriteSeq,
    pub(super) held: Held,
}

/// What a worker shares with the rest of its store.
pub(super) struct Shared {
    pub(super) config: StoreConfig,
    pub(super) inboxes: Arc<Inboxes>,
    pub(super) wal: Arc<Wal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) keeper: Sender<KeeperTask>,
    pub(super) sync: SyncSignal,
    pub(super) counters: Arc<Counters>,
    pub(super) pool: Arc<ApplyPool>,
    pub(super) factory: Arc<dyn MachineFactory>,
    pub(super) watcher: Arc<dyn Watcher>,
    /// A batch is cut when it holds this much, so that it fits into a segment with what one region can add.
    pub(super) batch_bytes_max: u64,
    /// The newest number given to a command. One count for the whole store: regions that merge merge their tables.
    pub(super) newest_seq: AtomicU64,
    /// The number of the newest attempt of this life.
    pub(super) newest_attempt: AtomicU64,
    pub(super) space: Space,
}

impl Shared {
    fn raft_config(&self, region: RegionId, id: ReplicaId) -> Config {
        let config = &self.config;
        Config {
            id,
            election_ticks_min: config.election_ticks_min,
            election_ticks_max: config.election_ticks_max,
            heartbeat_ticks: config.heartbeat_ticks,
            // Measured to gain nothing here: under load the next entry is there at once, and it brings the news anyway.
            commit_news_ticks: 0,
            inflight_messages_max: config.inflight_messages_max,
            entries_per_message_max: config.entries_per_message_max,
            inflight_bytes_max: config.inflight_bytes_max,
            uncommitted_bytes_max: config.uncommitted_bytes_max,
            rank: config.rank,
            // A turn reads the clock before its inbox, and a lease needs it the other way round.
            lease_ticks: 0,
            // Another phase for every region, store and life.
            seed: config.seed
                ^ region.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ id.0.rotate_left(32)
                ^ config.life.0,
        }
    }

    /// A replica's protocol, as it begins.
    pub(super) fn raft(&self, region: RegionId, id: ReplicaId, start: Start, now: Tick) -> Raft {
        let raft = Raft::new(self.raft_config(region, id), start, now);
        #[cfg(feature = "mutants")]
        let raft = raft.wrong(self.config.raft_mutant);
        raft
    }

    /// Whether this is the build that does it wrong in this way: never, but in tests that must notice it.
    pub(super) fn is(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.config.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}

/// See the page of this file.
pub struct Worker {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) receiver: ChannelReceiver<Item>,
    /// An item that was waited for, to be collected first.
    pub(super) first: Option<Item>,
    /// Items put aside while the disk is full.
    pub(super) aside: VecDeque<Item>,
    pub(super) replicas: Vec<Replica>,
    pub(super) slots: HashMap<RegionId, Slot>,
    pub(super) wheel: Wheel<(Slot, Timer)>,
    pub(super) due: Vec<(Slot, Timer)>,
    pub(super) ready: Vec<Slot>,
    /// Lanes with something to send.
    pub(super) unsent_lanes: Vec<Slot>,
    pub(super) active_lanes: BTreeSet<Slot>,
    /// The stores that this one is connected to.
    pub(super) connected: BTreeSet<StoreId>,
    pub(super) batch: Batch,
    /// The parts of the batch that is not appended yet.
    pub(super) parts: Vec<WritePart>,
    pub(super) writes: VecDeque<Write>,
    pub(super) outbox: Outbox,
    pub(super) replies: Vec<(Slot, Vec<(ReplyTo, Bytes)>)>,
    #[expect(clippy::vec_box, reason = "the boxes themselves move into the replicas that are ready")]
    pub(super) spare_effects: Vec<Box<Effects>>,
    /// How much of the ready list has been put into batches.
    pub(super) filled: usize,
    /// Regions that could not say all in this turn.
    pub(super) again: Vec<Slot>,
    pub(super) windows: Windows,
    /// Replicas that this turn found removed, by the names that they had then.
    pub(super) removed: Vec<(Slot, ReplicaId)>,
    /// What is to be told to whom once it is durable.
    pub(super) graves: Vec<Grave>,
    pub(super) strangers: Strangers,
    pub(super) is_disk_full: bool,
    pub(super) is_stopped: bool,
    busy_turns: u64,
}

impl Worker {
    pub(super) fn new(number: usize, shared: Arc<Shared>, now: Tick) -> Worker {
        Worker {
            number,
            receiver: shared.inboxes.receiver(number),
            first: None,
            aside: VecDeque::new(),
            replicas: Vec::new(),
            slots: HashMap::new(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            ready: Vec::new(),
            unsent_lanes: Vec::new(),
            active_lanes: BTreeSet::new(),
            connected: BTreeSet::new(),
            batch: Batch::new(),
            parts: Vec::new(),
            writes: VecDeque::new(),
            outbox: Outbox::new(shared.transport.clone()),
            replies: Vec::new(),
            spare_effects: Vec::new(),
            filled: 0,
            again: Vec::new(),
            windows: Windows::new((shared.config.peer_bytes_max / shared.inboxes.workers() as u64).max(1)),
            removed: Vec::new(),
            graves: Vec::new(),
            strangers: Strangers::default(),
            is_disk_full: false,
            is_stopped: false,
            busy_turns: 0,
            shared,
        }
    }

    /// One pass. True if there is more to do at once.
    pub fn turn(&mut self, now: Tick) -> bool {
        let is_busy = self.is_disk_full || self.first.is_some() || self.has_work();
        self.collect(now);
        let is_busy = is_busy || !self.ready.is_empty() || !self.unsent_lanes.is_empty();
        self.busy_turns += u64::from(is_busy);
        if !self.is_disk_full {
            self.step(now);
        }
        if self.persist() {
            self.send();
            self.commit();
        }
        self.respond(now);
        self.bury_removed(now);
        self.tell_of_space(now);
        self.outbox.flush();
        !self.is_stopped && self.has_work()
    }

    /// Turns in which there was something to do: between two of the same number, no replica has changed.
    pub const fn busy_turns(&self) -> u64 {
        self.busy_turns
    }

    fn has_work(&self) -> bool {
        let is_idle = self.ready.is_empty() && self.unsent_lanes.is_empty() && self.receiver.is_empty();
        !self.is_disk_full
            && (!is_idle || !self.aside.is_empty() || !self.batch.is_empty() || self.may_release())
    }

    /// Whether something waits for durability and has it.
    pub(super) fn may_release(&self) -> bool {
        let durable = self.shared.wal.durable_lsn();
        self.writes.front().is_some_and(|write| write.lsn <= durable || self.shared.is(Mutant::ReplyEarly))
    }

    /// Through when nothing is due, unless something arrives.
    pub fn quiet_until(&self) -> Option<Tick> {
        self.wheel.quiet_until().into_iter().chain(self.tells_of_space_at()).min()
    }

    /// The replicas that are here.
    pub(super) fn here(&self) -> impl Iterator<Item = &Replica> + Clone {
        self.replicas.iter().filter(|replica| !replica.is_elsewhere())
    }

    /// Gives the worker a replica, in the place of one that is no longer here, if there was one: its lane stays.
    pub(super) fn host(&mut self, mut replica: Replica) -> Slot {
        if let Some(slot) = self.slot(replica.region) {
            let before = self.replica(slot);
            replica.lane = before.lane.take();
            (replica.is_lane_armed, replica.is_ready) = (before.is_lane_armed, before.is_ready);
            *before = replica;
            return slot;
        }
        let slot = Slot(self.replicas.len() as u32);
        self.slots.insert(replica.region, slot);
        self.shared.inboxes.set_owner(replica.region, self.number);
        self.replicas.push(replica);
        slot
    }

    /// Passes on what a machine says of its region, if it says something new.
    pub(super) fn describe(&mut self, slot: Slot, description: Option<Bytes>) {
        let Some(description) = description else { return };
        let replica = &mut self.replicas[slot.0 as usize];
        replica.description = description;
        self.shared.watcher.region_is(replica.region, &replica.description);
    }

    pub(super) fn slot(&self, region: RegionId) -> Option<Slot> {
        self.slots.get(&region).copied()
    }

    pub(super) fn replica(&mut self, slot: Slot) -> &mut Replica {
        &mut self.replicas[slot.0 as usize]
    }

    /// Puts a replica on the ready list, with a place for what it will want done.
    pub(super) fn make_ready(&mut self, slot: Slot) {
        let replica = &mut self.replicas[slot.0 as usize];
        if replica.effects.is_none() {
            replica.effects = Some(self.spare_effects.pop().unwrap_or_default());
        }
        if !replica.is_ready {
            replica.is_ready = true;
            self.ready.push(slot);
        }
    }

    /// Gives an event to a replica's protocol, unless it has stopped.
    pub(super) fn step_raft(&mut self, slot: Slot, now: Tick, event: Event) {
        if self.replica(slot).is_stopped() {
            return;
        }
        self.make_ready(slot);
        let replica = &mut self.replicas[slot.0 as usize];
        if let Some(effects) = &mut replica.effects {
            replica.raft.step(now, event, effects);
        }
    }

    /// Sees to it that a timer fires at the protocol's deadline, or before it.
    pub(super) fn arm_raft(&mut self, slot: Slot) {
        let replica = &mut self.replicas[slot.0 as usize];
        let deadline = replica.raft.deadline();
        if replica.armed.is_none_or(|armed| deadline < armed) {
            replica.armed = Some(deadline);
            self.wheel.arm(deadline, (slot, Timer::Raft));
        }
    }

    pub(super) fn free(&self, freed: Freed) {
        if freed.commands > 0 {
            self.shared.inboxes.answered(freed.commands, freed.bytes);
        }
    }
}

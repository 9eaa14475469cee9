//! One store under simulation: its machine with two disks and a clock, and the process that runs on it now and then.

use std::sync::Arc;

use parking_lot::Mutex;
use skep_engine::by_hand::Front;
use skep_raftstore::ids::{Life, StoreId};
use skep_raftstore::store::{Birth, Clock, Disks, Inboxes, OpenError, StoreConfig, StoreParts, Surroundings};
use skep_raftstore::transport::memory::MemoryNetwork;

use super::chance::Chance;
use super::clock::{RIGHT, SimClock};
use super::ledger::Ledger;
use super::power::Power;
use super::settings::Settings;
use super::tap::{Receiving, Sending};
use super::watched::WatchedMachines;

/// See the page of this file.
pub(super) struct Node {
    pub(super) id: StoreId,
    pub(super) power: Power,
    pub(super) clock: Arc<SimClock>,
    pub(super) parts: Option<StoreParts>,
    /// Where the network delivers what is for it.
    pub(super) receiver: Option<Arc<Receiving>>,
    /// Its engine's way to the regions, in this life.
    pub(super) front: Front,
    life: u64,
    births: Vec<Birth>,
    /// How fast its clock runs.
    pub(super) rate: u64,
    /// Until when it stands still.
    pub(super) stalled_until: u64,
    /// While it is down: when it starts again.
    pub(super) starts_at: u64,
    /// Until when its process gets no time at all.
    pub(super) paused_until: u64,
    /// Until when its log's disk answers no sync.
    pub(super) syncs_from: u64,
    /// Until when its keeper gets no time: snapshots wait.
    pub(super) keeps_from: u64,
    /// Whether it may stop for a reason of its own: its disk was made to fail.
    pub(super) may_fail: bool,
    /// Whether its last life ended with a failed sync.
    pub(super) has_failed: bool,
}

/// What a store's process does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slice {
    Turn(usize),
    Sync,
    Apply,
    Keep,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// There was nothing to do.
    Nothing,
    /// A worker had a turn, and something to do in it.
    Turn,
    /// Something else was done.
    Other,
}

impl Node {
    pub(super) fn new(id: StoreId, seed: u64, births: Vec<Birth>) -> Node {
        Node {
            id,
            power: Power::new(seed),
            clock: Arc::new(SimClock::new()),
            parts: None,
            receiver: None,
            front: Front::default(),
            life: 0,
            births,
            rate: RIGHT,
            stalled_until: 0,
            starts_at: 0,
            paused_until: 0,
            syncs_from: 0,
            keeps_from: 0,
            may_fail: false,
            has_failed: false,
        }
    }

    /// Its disks are gone; another store begins on new ones, with nothing.
    pub(super) fn begin_anew(&mut self, id: StoreId, seed: u64) {
        (self.id, self.power, self.life, self.births) = (id, Power::new(seed), 0, Vec::new());
        (self.syncs_from, self.keeps_from, self.may_fail) = (0, 0, false);
    }

    /// The next life of its process begins.
    pub(super) fn start(
        &mut self,
        settings: &Settings,
        network: &MemoryNetwork,
        ledger: &Arc<Mutex<Ledger>>,
        seed: u64,
    ) -> Result<(), OpenError> {
        self.power.restore();
        self.life += 1;
        let front = Front::default();
        let config = settings.store(StoreConfig::new(self.id, Life(self.life), seed));
        let inboxes = Inboxes::new(&config);
        let disks =
            Disks { log: self.power.log(), snapshots: self.power.snapshots(), log_config: settings.log() };
        let around = Surroundings {
            clock: self.clock.clone(),
            transport: Arc::new(Sending {
                store: self.id,
                transport: network.endpoint(self.id),
                ledger: ledger.clone(),
            }),
            factory: Arc::new(WatchedMachines::new(self.id, ledger.clone())),
            inboxes: inboxes.clone(),
            watcher: Arc::new(front.clone()),
        };
        ledger.lock().invariants.begins(self.id, self.power.log_disk().clone(), settings.right_log());
        // A store whose power went while it was made is made again; one that is there is left alone.
        ledger.lock().is_opening = true;
        let parts = StoreParts::open(config, disks, around, self.births.clone());
        ledger.lock().is_opening = false;
        let parts = parts?;
        front.open(&parts);
        (self.parts, self.front) = (Some(parts), front);
        let receiver = Receiving { store: self.id, receiver: inboxes, ledger: ledger.clone() };
        let receiver = Arc::new(receiver);
        self.receiver = Some(receiver.clone());
        network.attach(self.id, receiver);
        Ok(())
    }

    /// What bounds what it holds.
    pub(super) fn limits(&self, settings: &Settings) -> StoreConfig {
        settings.store(StoreConfig::new(self.id, Life(self.life), 0))
    }

    /// Whether it is running and gets time.
    pub(super) fn is_awake(&self, now: u64) -> bool {
        self.parts.is_some() && self.paused_until <= now
    }

    /// What it does next, as chance will have it.
    pub(super) fn draw_slice(&self, chance: &mut Chance, sync_percent: u64, now: u64) -> Slice {
        let workers = self.parts.as_ref().map_or(1, |parts| parts.workers.len());
        match chance.below(12) {
            0..=5 => Slice::Turn(chance.below(workers as u64) as usize),
            6 | 7 if self.syncs_from <= now && chance.below(100) < sync_percent => Slice::Sync,
            6..=9 => Slice::Apply,
            10.. if self.keeps_from <= now => Slice::Keep,
            _ => Slice::Apply,
        }
    }

    /// Does it.
    pub(super) fn run(&mut self, slice: Slice) -> Done {
        let now = self.clock.now();
        let Some(parts) = &mut self.parts else { return Done::Nothing };
        let done = match slice {
            Slice::Turn(worker) => {
                let worker = &mut parts.workers[worker];
                let before = worker.busy_turns();
                worker.turn(now);
                return if worker.busy_turns() > before { Done::Turn } else { Done::Nothing };
            }
            Slice::Sync => parts.syncer.step(),
            Slice::Apply => parts.pool.step(),
            Slice::Keep => {
                // It says whether there is more, not whether there was something.
                parts.keeper.step(now);
                true
            }
        };
        if done { Done::Other } else { Done::Nothing }
    }
}

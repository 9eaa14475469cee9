//! The simulated world: stores, network, clients and faults, moved on one tick after the other by one seed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use skep_engine::by_hand;
use skep_raftstore::ids::{StoreId, Tick};
use skep_raftstore::transport::memory::MemoryNetwork;

use super::Violation;
use super::chance::{Chance, mixed};
use super::clients::Clients;
use super::invariants::NowAndThen;
use super::ledger::Ledger;
use super::moves::Moves;
use super::node::{Done, Node, Slice};
use super::settings::{Plan, Settings};
use super::situations::Situation;

/// Each region has so many replicas, at first on the first so many stores.
pub(super) const REPLICAS: usize = 3;

/// Slices that a store gets in one tick.
const SLICES_PER_TICK: u64 = 6;

/// One slice in so many in which nothing was to be done is looked at.
const IDLE_LOOK_EVERY: u64 = 64;

/// See the page of this file.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) settings: Settings,
    pub(super) now: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: MemoryNetwork,
    pub(super) clients: Clients,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) moves: Moves,
    pub(super) is_healed: bool,
    pub(super) disk_frees_at: Vec<u64>,
    /// How often durable bytes of a log were changed.
    pub(super) damages: u64,
    /// The store that old frames reach once more, and until when.
    pub(super) replay_from: Option<(usize, u64)>,
    pub(super) crashes: u64,
    pub(super) too_hard: u64,
    /// How many regions were named by splits.
    pub(super) named: u32,
    idle_looks: NowAndThen,
    splits_seen: u64,
    trace: u64,
    is_told: bool,
}

impl World {
    pub(super) fn new(seed: u64, plan: &Plan, is_told: bool) -> World {
        let mut chance = Chance::new(seed);
        let settings = Settings::draw(seed, &mut chance, plan);
        // Where replicas move, one store has none of each region.
        let stores = if plan.moves { REPLICAS + 1 } else { REPLICAS };
        let ids: Vec<StoreId> = (1..=stores as u32).map(StoreId).collect();
        let regions = by_hand::regions(settings.regions, &ids[..REPLICAS]);
        let births = |at: usize| match at {
            0..REPLICAS => by_hand::births(&regions, &ids[..REPLICAS], at),
            _ => Vec::new(),
        };
        let nodes = ids.iter().enumerate().map(|(at, id)| Node::new(*id, chance.bits(), births(at)));
        let nodes = nodes.collect();
        let network = MemoryNetwork::new(chance.bits());
        network.set_every_link(settings.link.clone());
        let mut ledger = Ledger::default();
        ledger.invariants.begin(&regions);
        World {
            now: 0,
            nodes,
            network,
            clients: Clients::new(settings.keys, settings.clients, stores),
            ledger: Arc::new(Mutex::new(ledger)),
            moves: Moves::new(&regions),
            is_healed: false,
            disk_frees_at: vec![u64::MAX; stores],
            damages: 0,
            replay_from: None,
            crashes: 0,
            too_hard: 0,
            named: 0,
            idle_looks: NowAndThen::every(IDLE_LOOK_EVERY),
            splits_seen: 0,
            trace: mixed(seed),
            is_told,
            chance,
            settings,
        }
    }

    /// What happened so far, as one number.
    pub(super) fn trace(&self) -> u64 {
        mixed(self.trace ^ self.network.trace_hash())
    }

    #[expect(clippy::print_stdout, reason = "whoever asked for the story reads it there")]
    pub(super) fn note(&mut self, what: &str) {
        if self.is_told {
            println!("{:>6}  {what}", self.now);
        }
        what.bytes().for_each(|byte| self.hash(u64::from(byte)));
    }

    fn hash(&mut self, word: u64) {
        self.trace = mixed(self.trace ^ word);
    }

    /// Faults for a while, then none; then everything must heal, agree, and be explained.
    pub(super) fn run(&mut self) -> Result<(), Violation> {
        while self.now < self.settings.plan.fault_ticks {
            self.maybe_fault();
            self.disturb_snapshots();
            self.replay();
            self.free_disks();
            self.tick()?;
            self.ask_all();
        }
        self.heal();
        self.read_everything()?;
        self.agree()?;
        if self.moves.losses() > 0 {
            self.mark(Situation::StoreReplaced);
        }
        if self.clients.told().refused > 0 {
            self.mark(Situation::DiskFull);
        }
        if self.clients.were_too_many() {
            self.mark(Situation::Busy);
        }
        self.explain()
    }

    /// Time passes, and nothing but what clients do happens.
    pub(super) fn pass(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick().expect("no rule is broken");
            self.ask_all();
        }
    }

    /// One tick of true time: frames arrive, and the stores get slices of it in any order.
    pub(super) fn tick(&mut self) -> Result<(), Violation> {
        self.now += 1;
        for at in 0..self.nodes.len() {
            if self.nodes[at].stalled_until <= self.now {
                self.nodes[at].clock.advance(self.nodes[at].rate);
            }
            self.maybe_start(at)?;
        }
        if self.settings.plan.moves {
            self.move_on();
        }
        self.ledger.lock().invariants.under_way(&self.network);
        for round in 0..SLICES_PER_TICK * self.nodes.len() as u64 {
            if round % SLICES_PER_TICK == 0 {
                self.network.step(Tick(self.now));
            }
            let at = self.chance.below(self.nodes.len() as u64) as usize;
            if self.nodes[at].is_awake(self.now) {
                self.run_slice(at)?;
            }
        }
        Ok(())
    }

    fn maybe_start(&mut self, at: usize) -> Result<(), Violation> {
        if self.nodes[at].parts.is_some() || self.nodes[at].starts_at > self.now {
            return Ok(());
        }
        self.note(&format!("start {at}"));
        let seed = self.chance.bits();
        self.nodes[at].power.restore();
        // Sometimes the power goes again while the store is opened.
        if !self.is_healed && self.chance.one_in(4) {
            let changes = self.chance.within(0..=20);
            self.nodes[at].power.light_fuse(changes, seed);
        }
        let started = self.nodes[at].start(&self.settings, &self.network, &self.ledger, seed);
        self.splits_seen = self.ledger.lock().splits;
        match started {
            Ok(()) if self.nodes[at].power.is_off() => {
                // It went when the log was open, and no file of a checkpoint was.
                self.note(&format!("power is gone {at}"));
                self.take_down(at);
                Ok(())
            }
            Ok(()) => {
                self.opened(at);
                if self.settings.plan.moves {
                    self.tell_regions(at);
                }
                Ok(())
            }
            Err(_) if self.nodes[at].power.is_off() => {
                self.crashes += 1;
                self.mark(Situation::PowerWhileOpening);
                self.nodes[at].starts_at = self.now + self.chance.within(1..=100);
                Ok(())
            }
            Err(_) if self.disk_frees_at[at] != u64::MAX || self.nodes[at].may_fail => {
                // The disk is full, or was made to fail: later.
                self.nodes[at].power.kill();
                self.nodes[at].starts_at = self.now + 20;
                Ok(())
            }
            Err(error) => self.broken(format!("{} does not open: {error}", self.nodes[at].id)),
        }
    }

    pub(super) fn mark(&self, situation: Situation) {
        self.ledger.lock().sightings.mark(situation);
    }

    /// What can be seen of a store that has just been opened.
    fn opened(&mut self, at: usize) {
        if std::mem::take(&mut self.nodes[at].has_failed) {
            self.mark(Situation::SyncFailed);
        }
        let parts = self.nodes[at].parts.as_ref();
        if parts.is_some_and(|parts| parts.log_report().torn_tail.is_some()) {
            self.mark(Situation::TornTail);
        }
        // Its first turn may find nothing to do.
        self.look_at(at);
    }

    fn run_slice(&mut self, at: usize) -> Result<(), Violation> {
        let slice = self.nodes[at].draw_slice(&mut self.chance, self.settings.sync_percent, self.now);
        let done = self.nodes[at].run(slice);
        if done == Done::Nothing {
            return self.changed_nothing(at, slice);
        }
        self.observe(at, slice);
        if self.nodes[at].power.is_off() {
            self.note(&format!("power is gone {at}"));
            self.take_down(at);
            return self.check_ledger();
        }
        self.take_replies()?;
        let id = self.nodes[at].id;
        let Some(parts) = &self.nodes[at].parts else { return Ok(()) };
        if let Some(why) = parts.failed() {
            if !self.nodes[at].may_fail {
                return self.broken(format!("{id} failed: {why}"));
            }
            self.note(&format!("failed {at}"));
            self.nodes[at].has_failed = true;
            self.replace_process(at);
        } else if done == Done::Turn {
            let holds = parts.footprint();
            self.look_at(at);
            let limits = self.nodes[at].limits(&self.settings);
            self.ledger.lock().invariants.holds(id, &holds, &limits);
        }
        self.check_ledger()
    }

    /// A slice in which there was nothing to do is not looked at; whether that misses nothing is seen now and then.
    fn changed_nothing(&mut self, at: usize, slice: Slice) -> Result<(), Violation> {
        let node = &self.nodes[at];
        let Some(parts) = node.parts.as_ref().filter(|_| self.idle_looks.is_time(false)) else {
            return Ok(());
        };
        let id = node.id;
        if self.ledger.lock().sightings.is_news(id, &parts.region_status()) {
            return self.broken(format!("{id} found nothing to do in {slice:?}, and is not what it was"));
        }
        Ok(())
    }

    /// A store has had a turn: what has become of its replicas?
    fn look_at(&mut self, at: usize) {
        let Node { id: store, parts: Some(parts), .. } = &self.nodes[at] else { return };
        let store = *store;
        let ledger = Arc::clone(&self.ledger);
        let mut ledger = ledger.lock();
        let Some(elected) = ledger.looks_at(store, parts) else { return };
        for (region, term) in elected {
            self.note(&format!("{store} leads {region} in term {}", term.0));
        }
        self.moves.saw(ledger.sightings.known(store).values());
    }

    /// What can be seen of a store that has just had a slice.
    fn observe(&mut self, at: usize, slice: Slice) {
        let Some(parts) = &self.nodes[at].parts else { return };
        let counters = parts.counters();
        let seen = [
            (&counters.lanes_stalled, Situation::LaneStalled),
            (&counters.proposals_held_up, Situation::HeldUp),
            (&counters.windows_full, Situation::WindowFull),
        ];
        let mut ledger = self.ledger.lock();
        ledger.invariants.slice_done();
        if matches!(slice, Slice::Sync) {
            ledger.sightings.synced(self.nodes[at].id);
        }
        for (counter, situation) in seen {
            if counter.load(Ordering::Relaxed) > 0 {
                ledger.sightings.mark(situation);
            }
        }
        let splits = std::mem::replace(&mut self.splits_seen, ledger.splits);
        if ledger.splits > splits && self.nodes.iter().any(|node| node.parts.is_none()) {
            ledger.sightings.mark(Situation::SplitWhileAway);
        }
    }

    /// A store that has stopped for good is ended; sometimes the whole machine is.
    fn replace_process(&mut self, at: usize) {
        self.nodes[at].may_fail = false;
        if self.chance.one_in(2) {
            self.nodes[at].power.kill();
        } else {
            let seed = self.chance.bits();
            self.nodes[at].power.cut(seed);
        }
        self.take_down(at);
    }

    fn take_replies(&mut self) -> Result<(), Violation> {
        let mut trace = self.trace;
        let wrong = self.clients.take_replies(&mut |word| trace = mixed(trace ^ word));
        self.trace = trace;
        wrong.map_or(Ok(()), |what| self.broken(what))
    }

    fn ask_all(&mut self) {
        for client in 0..self.clients.count() {
            let node = &self.nodes[self.clients.store_of(client)];
            if node.parts.is_some() && self.clients.is_due(client, self.now) {
                let front = node.front.clone();
                let next_at = self.now + self.chance.below(self.settings.think_ticks + 1);
                self.clients.ask(client, &front, &mut self.chance, next_at);
            }
        }
    }

    fn check_ledger(&mut self) -> Result<(), Violation> {
        let broken = self.ledger.lock().invariants.broken();
        broken.map_or(Ok(()), |what| self.broken(what))
    }

    pub(super) fn broken<T>(&mut self, what: String) -> Result<T, Violation> {
        Err(Violation { at_tick: self.now, what })
    }

    pub(super) fn simulated_seconds(&self) -> u64 {
        self.now / 100
    }
}

//! The simulated world: stores, network, clients and faults, moved on one tick after the other by one seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_engine::{RegionDescriptor, by_hand};
use skep_raftstore::ids::{RegionId, StoreId, Tick};
use skep_raftstore::store::RegionStatus;
use skep_raftstore::transport::memory::MemoryNetwork;

use super::chance::{Chance, mixed};
use super::clients::Clients;
use super::ledger::Ledger;
use super::linear::Verdict;
use super::moves::Moves;
use super::node::{Node, Slice};
use super::settings::{Plan, Settings};
use super::situations::Situation;
use super::{Violation, linear, ordered};

/// Each region has so many replicas, at first on the first so many stores.
pub(super) const REPLICAS: usize = 3;

/// After the faults everything must have been answered within so many ticks (40 s): elections, retries and the longest
/// wait of a snapshot included.
const HEAL_TICKS_MAX: u64 = 4000;

/// And all replicas must have come to the same state within so many more.
const REST_TICKS_MAX: u64 = 8000;

/// Slices that a store gets in one tick.
const SLICES_PER_TICK: u64 = 12;

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
    trace: u64,
    is_told: bool,
}

impl World {
    pub(super) fn new(seed: u64, plan: &Plan, is_told: bool) -> World {
        let mut chance = Chance::new(seed);
        let settings = Settings::draw(&mut chance, plan);
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
        World {
            now: 0,
            nodes,
            network,
            clients: Clients::new(settings.keys, settings.clients, stores),
            ledger: Arc::default(),
            moves: Moves::new(&regions),
            is_healed: false,
            disk_frees_at: vec![u64::MAX; stores],
            damages: 0,
            replay_from: None,
            crashes: 0,
            too_hard: 0,
            named: 0,
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
    fn tick(&mut self) -> Result<(), Violation> {
        self.now += 1;
        for at in 0..self.nodes.len() {
            self.nodes[at].clock.advance(self.nodes[at].rate);
            self.maybe_start(at)?;
        }
        if self.settings.plan.moves {
            self.move_on();
        }
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
        match started {
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
    }

    fn run_slice(&mut self, at: usize) -> Result<(), Violation> {
        let slice = self.nodes[at].draw_slice(&mut self.chance, self.settings.sync_percent, self.now);
        let splits = self.ledger.lock().splits;
        let had_turn = self.nodes[at].run(slice);
        self.observe(at, slice, splits);
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
        } else if had_turn {
            let status = parts.region_status();
            self.look_at(id, status);
        }
        self.check_ledger()
    }

    /// A store has had a turn, and says this of its replicas.
    fn look_at(&mut self, store: StoreId, status: Vec<RegionStatus>) {
        let mut ledger = self.ledger.lock();
        if !ledger.sightings.is_news(store, &status) {
            return;
        }
        let elected: Vec<&RegionStatus> = status.iter().filter(|status| ledger.saw(store, status)).collect();
        ledger.hosts(store, &status);
        drop(ledger);
        for status in elected {
            self.note(&format!("{store} leads {} in term {}", status.region, status.term.0));
        }
        self.moves.saw(&status);
        self.ledger.lock().sightings.saw(store, status);
    }

    /// What can be seen of a store that has just had a slice. There were so many splits before.
    fn observe(&self, at: usize, slice: Slice, splits: u64) {
        let Some(parts) = &self.nodes[at].parts else { return };
        let is_stalled = parts.counters().lanes_stalled.load(Ordering::Relaxed) > 0;
        let mut ledger = self.ledger.lock();
        if matches!(slice, Slice::Sync) {
            ledger.sightings.synced(self.nodes[at].id);
        }
        if is_stalled {
            ledger.sightings.mark(Situation::LaneStalled);
        }
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
            if node.parts.is_none() {
                continue;
            }
            let front = node.front.clone();
            if self.clients.is_due(client, self.now) {
                let next_at = self.now + self.chance.below(self.settings.think_ticks + 1);
                self.clients.ask(client, &front, &mut self.chance, next_at);
            }
        }
    }

    /// Everyone gets an answer to what is under way, and then to a read of every key through every store.
    fn read_everything(&mut self) -> Result<(), Violation> {
        self.until_answered()?;
        let unknown = self.clients.unknown;
        for key in 0..self.clients.keys() {
            for client in 0..self.clients.count().min(self.nodes.len()) {
                let at = self.clients.store_of(client);
                if self.nodes[at].parts.is_some() {
                    self.clients.read(client, key, &self.nodes[at].front);
                }
            }
        }
        self.until_answered()?;
        if self.clients.unknown > unknown {
            return self.broken(format!("a read timed out after everything was healed\n{}", self.picture()));
        }
        Ok(())
    }

    fn until_answered(&mut self) -> Result<(), Violation> {
        let deadline = self.now + HEAL_TICKS_MAX;
        while !self.clients.is_idle() || self.nodes.iter().any(|node| node.parts.is_none()) {
            if self.now >= deadline {
                return self.broken(format!("not healed after {HEAL_TICKS_MAX} ticks\n{}", self.picture()));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// All replicas come to the same state, and their regions tile the key space.
    fn agree(&mut self) -> Result<(), Violation> {
        let deadline = self.now + REST_TICKS_MAX;
        while let Some(why) = self.unrest() {
            if self.now >= deadline {
                return self
                    .broken(format!("no rest after {REST_TICKS_MAX} ticks, {why}\n{}", self.picture()));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// What is not as it must be in the end.
    fn unrest(&self) -> Option<String> {
        if self.settings.plan.moves {
            return self.unrest_of_moves();
        }
        let restless = self.regions().into_iter().find(|region| !self.is_at_rest(*region));
        let gap = || {
            let gap = |at| self.gap(at).map(|why| format!("{}: {why}", self.nodes[at].id));
            (0..self.nodes.len()).find_map(gap)
        };
        restless.map(|region| format!("{region} differs from store to store")).or_else(gap)
    }

    /// Every region that any store has.
    pub(super) fn regions(&self) -> BTreeSet<RegionId> {
        let all =
            self.nodes.iter().filter_map(|node| node.parts.as_ref()).flat_map(|parts| parts.region_status());
        all.map(|status| status.region).collect()
    }

    /// Where the regions of a store, by what their machines say, do not tile the key space.
    fn gap(&self, at: usize) -> Option<String> {
        let status = self.nodes[at].parts.as_ref()?.region_status();
        let described = status.iter().map(|status| RegionDescriptor::decode(&status.description));
        let mut regions = match described.collect::<Result<Vec<_>, _>>() {
            Ok(regions) => regions,
            Err(error) => return Some(format!("a description is {error}")),
        };
        regions.sort_by(|a, b| a.start.cmp(&b.start));
        let mut next = Some(Bytes::new());
        for region in &regions {
            if next.as_ref() != Some(&region.start) {
                return Some(format!("{next:?} should come next, {:?} does", region.start));
            }
            next.clone_from(&region.end);
        }
        next.map(|next| format!("nobody has {next:?}"))
    }

    fn is_at_rest(&self, region: RegionId) -> bool {
        let ledger = self.ledger.lock();
        let mut states = self.nodes.iter().map(|node| ledger.state(node.id, region));
        let Some(first) = states.next() else { return true };
        first.is_some() && states.all(|state| state == first)
    }

    /// Every answer that any client got can be explained.
    fn explain(&mut self) -> Result<(), Violation> {
        for (key, history) in self.clients.histories() {
            let name = self.clients.key(key).clone();
            if key % 3 == 2
                && let Some(why) = ordered::check(&history)
            {
                return self.broken(format!("{name:?}: {why}"));
            }
            match linear::check(&history) {
                Verdict::Linearizable => {}
                Verdict::TooHard => self.too_hard += 1,
                Verdict::Impossible(at) => {
                    return self.broken(format!("{name:?} is not linearizable:\n{}", told(&history, at)));
                }
            }
        }
        Ok(())
    }

    fn check_ledger(&mut self) -> Result<(), Violation> {
        let broken = self.ledger.lock().broken.take();
        broken.map_or(Ok(()), |what| self.broken(what))
    }

    fn broken<T>(&mut self, what: String) -> Result<T, Violation> {
        Err(Violation { at_tick: self.now, what })
    }

    /// Every replica as it is, for whoever looks for the cause.
    fn picture(&self) -> String {
        let mut lines = Vec::new();
        for node in &self.nodes {
            let Some(parts) = &node.parts else {
                lines.push(format!("{} is down", node.id));
                continue;
            };
            for s in parts.region_status() {
                let state = self.ledger.lock().state(node.id, s.region).map(|(at, _)| at.index.0);
                lines.push(format!(
                    "{} {} {}: {:?} term {} leader {:?} first {} last {} commit {} applied {} machine {state:?} {:?}",
                    node.id,
                    s.region,
                    s.replica,
                    s.role,
                    s.term.0,
                    s.leader,
                    s.first.0,
                    s.last.0,
                    s.commit.0,
                    s.applied.0,
                    (&s.membership, &s.stopped)
                ));
            }
        }
        lines.join("\n")
    }

    pub(super) fn simulated_seconds(&self) -> u64 {
        self.now / 100
    }
}

/// The last part of a history up to the operation that cannot be explained.
fn told(history: &[linear::Operation], at: usize) -> String {
    let until = history[at].returned.as_ref().map_or(u64::MAX, |(when, _)| *when);
    let before: Vec<&linear::Operation> = history.iter().filter(|op| op.called <= until).collect();
    let lines = before.iter().skip(before.len().saturating_sub(25)).map(|op| {
        let returned = op.returned.as_ref().map(|(when, answer)| format!("{when} {answer:?}"));
        let returned = returned.unwrap_or_else(|| "unknown".into());
        format!("  client {} called {} {:?} -> {returned}", op.client, op.called, op.command)
    });
    lines.collect::<Vec<_>>().join("\n")
}

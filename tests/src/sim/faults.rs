//! What goes wrong, and when: drawn from the seed, one fault after the other, until they stop and all is healed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use skep_engine::by_hand;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::store::Request;
use skep_raftstore::transport::memory::{Crash, Link};
use skep_wal::{Disk, Wal};

use super::clock::RIGHT;
use super::situations::Situation;
use super::world::World;

/// A store that is down stays so for so long, in ticks.
const DOWN_TICKS: std::ops::RangeInclusive<u64> = 1..=250;

/// So many places are tried for a flip that matters.
const DAMAGE_TRIES: u32 = 20;

/// Old frames arrive for so many ticks.
const REPLAY_TICKS: u64 = 60;

/// Regions that splits make in a run, at most.
const SPLITS_MAX: u32 = 16;

/// The first number of a region that a split makes: far from those that a run begins with.
const FIRST_NAME: u32 = 1000;

/// The kinds of faults, each as often as it stands here.
#[derive(Clone, Copy, Debug)]
enum Fault {
    PowerCut,
    PowerCutSoon,
    AllPowerCut,
    Kill,
    SyncFails,
    SnapshotSyncFails,
    DiskFull,
    SlowSyncs,
    SlowKeeper,
    Pause,
    ClockDrift,
    ClockJump,
    ClockStall,
    BlockOneWay,
    Isolate,
    Strand,
    Replay,
    NoisyLinks,
    HealNetwork,
    Transfer,
    Damage,
    Split,
    Move,
    Lose,
}

const ANY: [Fault; 29] = [
    Fault::PowerCut,
    Fault::PowerCutSoon,
    Fault::PowerCutSoon,
    Fault::AllPowerCut,
    Fault::Kill,
    Fault::SyncFails,
    Fault::SnapshotSyncFails,
    Fault::DiskFull,
    Fault::SlowSyncs,
    Fault::SlowKeeper,
    Fault::Pause,
    Fault::ClockDrift,
    Fault::ClockJump,
    Fault::ClockStall,
    Fault::BlockOneWay,
    Fault::Isolate,
    Fault::Isolate,
    Fault::Strand,
    Fault::Replay,
    Fault::NoisyLinks,
    Fault::HealNetwork,
    Fault::HealNetwork,
    Fault::Transfer,
    Fault::Transfer,
    Fault::Damage,
    Fault::Split,
    Fault::Split,
    Fault::Split,
    Fault::Split,
];
/// What there is besides where replicas move.
const MOVES: [Fault; 4] = [Fault::Move, Fault::Move, Fault::Move, Fault::Lose];
const POWER: [Fault; 5] =
    [Fault::PowerCut, Fault::AllPowerCut, Fault::AllPowerCut, Fault::Split, Fault::Split];

impl World {
    /// Something goes wrong, perhaps.
    pub(super) fn maybe_fault(&mut self) {
        if !self.chance.one_in(self.settings.plan.fault_every) {
            return;
        }
        let fault = if self.settings.plan.only_power_cuts {
            self.chance.pick(&POWER)
        } else if self.settings.plan.moves && self.chance.one_in(6) {
            self.chance.pick(&MOVES)
        } else {
            self.chance.pick(&ANY)
        };
        let at = self.chance.below(self.nodes.len() as u64) as usize;
        self.note(&format!("{fault:?} {at}"));
        let seed = self.chance.bits();
        match fault {
            Fault::PowerCut => self.cut_power(at),
            Fault::AllPowerCut => {
                if self.nodes.iter().all(|node| node.parts.is_some()) {
                    self.mark(Situation::AllDown);
                }
                (0..self.nodes.len()).for_each(|at| self.cut_power(at));
            }
            Fault::PowerCutSoon => {
                let changes = self.chance.within(0..=30);
                self.nodes[at].power.light_fuse(changes, seed);
            }
            Fault::Kill if self.nodes[at].parts.is_some() => {
                self.nodes[at].power.kill();
                self.take_down(at);
            }
            Fault::Kill => {}
            Fault::SyncFails => {
                self.nodes[at].may_fail = true; // until it has
                self.nodes[at].power.log_disk().fail_sync(seed % 5, seed & 1 << 40 != 0);
            }
            Fault::SnapshotSyncFails => {
                self.nodes[at].power.snapshot_disk().fail_sync(seed % 3, seed & 1 << 40 != 0);
            }
            Fault::DiskFull => self.fill_disk(at),
            Fault::SlowSyncs => self.nodes[at].syncs_from = self.now + self.chance.within(10..=300),
            Fault::SlowKeeper => self.nodes[at].keeps_from = self.now + self.chance.within(10..=400),
            Fault::Pause => self.nodes[at].paused_until = self.now + self.chance.within(5..=400),
            Fault::ClockDrift => {
                self.nodes[at].rate = self.chance.within(RIGHT * 7 / 10..=RIGHT * 13 / 10);
                self.nodes[at].clock.set_ahead(self.chance.below(10_000));
            }
            Fault::ClockStall => self.nodes[at].stalled_until = self.now + self.chance.within(10..=400),
            Fault::ClockJump => self.nodes[at].clock.advance(RIGHT * self.chance.within(10..=400)),
            Fault::BlockOneWay => {
                let others = self.nodes.len() as u64 - 1;
                let to = (at + 1 + self.chance.below(others) as usize) % self.nodes.len();
                self.network.block(self.nodes[at].id, self.nodes[to].id);
            }
            Fault::Isolate => self.isolate(at),
            Fault::Strand => self.strand(at),
            Fault::Replay => self.replay_from = Some((at, self.now + REPLAY_TICKS)),
            Fault::NoisyLinks => self.make_noise(),
            Fault::HealNetwork => self.heal_network(),
            Fault::Transfer => self.transfer(at),
            Fault::Damage => self.damage(at),
            Fault::Split => self.split(at),
            Fault::Move => self.move_replica(),
            Fault::Lose => self.lose_store(at),
        }
    }

    /// A snapshot arrives: sometimes the keeper gets no time there, and the power of its sender goes before it is in force.
    pub(super) fn disturb_snapshots(&mut self) {
        let Some((at, from)) = self.ledger.lock().sightings.snapshot_under_way.take() else { return };
        let node_of = |id: StoreId| self.nodes.iter().position(|node| node.id == id);
        let (Some(at), Some(from)) = (node_of(at), node_of(from)) else { return };
        if !self.settings.plan.only_power_cuts && self.chance.one_in(5) {
            self.note(&format!("power cut {from}, which sent a snapshot to {at}"));
            self.nodes[at].keeps_from = self.now + self.chance.within(150..=500);
            self.cut_power(from);
        }
    }

    /// The power of one machine goes; what its store had sent may arrive yet.
    pub(super) fn cut_power(&mut self, at: usize) {
        if self.nodes[at].parts.is_some() {
            let seed = self.chance.bits();
            if self.disk_frees_at[at] == u64::MAX {
                self.ledger.lock().sightings.loses_power(self.nodes[at].id);
            }
            self.nodes[at].power.cut(seed);
            self.take_down(at);
        }
    }

    /// Its process is gone; it comes again later.
    pub(super) fn take_down(&mut self, at: usize) {
        self.crashes += 1;
        let survive_per_million = self.chance.pick(&[0, 500_000, 1_000_000]);
        let crash = Crash { survive_per_million, delay_ticks: 0..=self.chance.pick(&[0, 20, 200]) };
        let id = self.nodes[at].id;
        self.network.crash(id, &crash);
        // What it still has to say, it says to nobody.
        self.nodes[at].parts = None;
        let _ = self.clients.take_replies(&mut |_| ());
        self.ledger.lock().gone(id);
        self.clients.lost_store(at, self.nodes.len(), &mut self.chance);
        self.nodes[at].starts_at = self.now + if self.is_healed { 1 } else { self.chance.within(DOWN_TICKS) };
    }

    fn fill_disk(&mut self, at: usize) {
        let bytes = self.chance.within(2..=6) * self.settings.segment_bytes;
        self.limit_disk(at, Some(bytes));
        self.disk_frees_at[at] = self.now + self.chance.within(50..=400);
    }

    pub(super) fn free_disks(&mut self) {
        for at in 0..self.nodes.len() {
            if self.disk_frees_at[at] <= self.now {
                self.disk_frees_at[at] = u64::MAX;
                self.limit_disk(at, None);
            }
        }
    }

    pub(super) fn limit_disk(&mut self, at: usize, bytes: Option<u64>) {
        self.nodes[at].power.log_disk().set_capacity(bytes);
    }

    /// The power goes, and bits of what was durable are not what they were: on one store at a time, until it is whole again.
    fn damage(&mut self, at: usize) {
        // What is damaged must be a minority of every region: the others have all there is.
        let are_others_whole = (0..self.nodes.len()).all(|other| other == at || self.is_whole(other));
        // Where stores are lost as well, what one loses and what another has damaged must not come together.
        if !are_others_whole || self.settings.plan.moves && !self.may_lose_one() {
            return;
        }
        self.cut_power(at);
        let disk = self.nodes[at].power.log_disk().clone();
        let opened = |flip: Option<(&str, u64, u8)>| {
            let disk = disk.fork();
            flip.is_none_or(|(name, offset, bit)| disk.flip_bit(name, offset, bit))
                .then(|| Wal::open(Arc::new(disk), self.settings.log()).ok())
                .flatten()
                .map(|(_, report)| report)
        };
        let (Some(before), Ok(names)) = (opened(None), disk.list()) else { return };
        if names.is_empty() {
            return;
        }
        for _ in 0..DAMAGE_TRIES {
            let name = &names[self.chance.below(names.len() as u64) as usize];
            let (offset, bit) = (self.chance.below(self.settings.segment_bytes), self.chance.below(8) as u8);
            let is_noticed = opened(Some((name, offset, bit))).is_some_and(|report| {
                !report.damaged.is_empty()
                    && report.unreadable.is_empty()
                    && report.torn_tail == before.torn_tail
            });
            if is_noticed {
                disk.flip_bit(name, offset, bit);
                self.ledger.lock().invariants.damaged(self.nodes[at].id);
                self.damages += 1;
                return;
            }
        }
    }

    fn isolate(&mut self, at: usize) {
        let ids: Vec<StoreId> = self.nodes.iter().map(|node| node.id).collect();
        ids.iter().filter(|id| **id != ids[at]).for_each(|id| self.network.partition(ids[at], *id));
    }

    /// A store is cut off, and time goes slowly there and fast elsewhere: what it leads, others lead long before it gives up.
    fn strand(&mut self, at: usize) {
        self.isolate(at);
        for other in 0..self.nodes.len() {
            self.nodes[other].rate = if other == at { RIGHT * 7 / 10 } else { RIGHT * 13 / 10 };
        }
    }

    /// Old frames reach a store once more, for a while.
    pub(super) fn replay(&mut self) {
        let Some((at, _)) = self.replay_from.filter(|(_, until)| *until > self.now) else { return };
        let frames = self.ledger.lock().sightings.remembered(self.nodes[at].id);
        let running = self.nodes[at].parts.is_some();
        if let Some(receiver) = self.nodes[at].receiver.clone().filter(|_| running && !frames.is_empty()) {
            self.mark(Situation::Replayed);
            for _ in 0..self.chance.below(5) {
                let (from, frame) = self.chance.pick(&frames);
                receiver.replayed(from, frame);
            }
        }
    }

    fn make_noise(&mut self) {
        let link = Link {
            loss_per_million: self.chance.pick(&[0, 50_000, 300_000]),
            duplicate_per_million: self.chance.pick(&[0, 50_000, 300_000]),
            delay_ticks: 0..=self.chance.pick(&[0, 5, 60]),
            reorder: self.chance.one_in(2),
            ..self.settings.link.clone()
        };
        self.network.set_every_link(link);
    }

    fn heal_network(&mut self) {
        self.network.set_every_link(self.settings.link.clone());
    }

    fn transfer(&mut self, at: usize) {
        let mut status = self.nodes[at].parts.as_ref().map(|parts| parts.region_status()).unwrap_or_default();
        // A blank replica knows nobody.
        status.retain(|status| !status.membership.voters.is_empty());
        if !status.is_empty() {
            let region = self.chance.pick(&status);
            let to = self.chance.pick(&region.membership.voters);
            if let Some(parts) = &self.nodes[at].parts {
                self.ledger.lock().sightings.transfer_asked(&region, to);
                parts.transfer_leadership(region.region, to);
            }
        }
    }

    /// A region is split into two or three, as far as one store knows the regions: by then it may be something else.
    fn split(&mut self, at: usize) {
        let regions = self.nodes[at].front.regions();
        if self.nodes[at].parts.is_none() || regions.is_empty() || self.named >= SPLITS_MAX {
            return;
        }
        let region = self.chance.pick(&regions);
        let mut keys = BTreeSet::new();
        for _ in 0..self.chance.pick(&[1, 1, 2]) {
            let key = self.chance.below(self.clients.keys() as u64) as usize;
            let behind = if self.chance.one_in(2) { "" } else { "x" };
            keys.insert(Bytes::from([&self.clients.key(key)[..], behind.as_bytes()].concat()));
        }
        keys.retain(|key| *key > region.start && region.contains(key));
        if keys.is_empty() {
            return;
        }
        let name = |key| {
            self.named += 1;
            (RegionId::new(self.nodes[at].id, FIRST_NAME + self.named), key)
        };
        let (region, kind, body) = by_hand::split(&region, keys.into_iter().map(name).collect());
        let reply = Box::new(|_| ());
        if let Some(parts) = &self.nodes[at].parts {
            parts.submit(region, Request { kind, body, timeout: None, reply });
        }
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.note("healed");
        self.is_healed = true;
        self.network.set_every_link(Link { delay_ticks: 0..=1, ..Link::default() });
        for at in 0..self.nodes.len() {
            self.disk_frees_at[at] = self.now;
            let node = &mut self.nodes[at];
            node.may_fail = false;
            node.power.put_out_fuse();
            node.rate = RIGHT;
            node.stalled_until = 0;
            node.paused_until = 0;
            node.syncs_from = 0;
            node.keeps_from = 0;
            node.starts_at = node.starts_at.min(self.now + 1);
            node.power.log_disk().fail_sync(u64::MAX, false);
            node.power.snapshot_disk().fail_sync(u64::MAX, false);
        }
        self.free_disks();
    }
}

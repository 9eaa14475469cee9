//! A turn of one store, driven by hand: a single replica per region, the log on a disk in memory, no threads, no network.
//!
//! What is left is the cost of the driver itself: inbox, lane, protocol, log, apply, answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use skep_raftstore::ids::{Life, RegionId, ReplicaId, StoreId, Tick};
use skep_raftstore::machine::{Committed, Fatal, MachineFactory, SnapshotSource, Stamp, StateMachine};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::{LogPos, Membership};
use skep_raftstore::store::{
    Birth, Clock, Descent, Disks, Inboxes, NoWatcher, Request, StoreConfig, StoreParts, Surroundings,
};
use skep_raftstore::transport::{Lane, Transport};
use skep_wal::{MemDisk, WalConfig};

/// Remembers only how far it was applied.
struct Counter(LogPos);

struct CounterSnapshot(LogPos);

impl SnapshotSource for CounterSnapshot {
    fn at(&self) -> LogPos {
        self.0
    }

    fn write_to(self: Box<Self>, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        out.write_all(&self.0.index.0.to_le_bytes())
    }
}

impl StateMachine for Counter {
    fn applied(&self) -> LogPos {
        self.0
    }

    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal> {
        replies.extend(batch.iter().map(|_| Bytes::new()));
        if let Some(last) = batch.last() {
            self.0 = LogPos { index: last.index, term: last.term };
        }
        Ok(())
    }

    fn read(&mut self, _: &Bytes) -> Bytes {
        Bytes::new()
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(CounterSnapshot(self.0)))
    }

    fn restore(&mut self, _: &mut dyn std::io::Read) -> Result<(), Fatal> {
        Err(Fatal("not in this bench".to_owned()))
    }

    fn size(&self) -> u64 {
        0
    }

    fn digest(&self) -> u64 {
        self.0.index.0
    }
}

struct Counters;

impl MachineFactory for Counters {
    fn create(&self, _: RegionId, _: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        Ok(Box::new(Counter(LogPos::default())))
    }
}

struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Tick {
        Tick(self.0.load(Ordering::Relaxed))
    }

    fn stamp(&self) -> Stamp {
        Stamp(1)
    }
}

struct Nowhere;

impl Transport for Nowhere {
    fn send(&self, _: StoreId, _: Lane, _: Bytes) -> bool {
        false
    }
}

struct Bench {
    parts: StoreParts,
    regions: Vec<RegionId>,
    answered: Arc<AtomicU64>,
}

impl Bench {
    fn new(regions: u32) -> Bench {
        let id = StoreId(1);
        let mut config = StoreConfig::new(id, Life(1), 7);
        config.checkpoint_log_bytes = u64::MAX;
        let inboxes = Inboxes::new(&config);
        let clock = Arc::new(Still(AtomicU64::new(1)));
        let replica = ReplicaId::new(1, id);
        let regions: Vec<RegionId> = (1..=regions).map(|counter| RegionId::new(id, counter)).collect();
        let birth = |region: &RegionId| Birth {
            region: *region,
            replica,
            membership: Membership::of_voters(vec![replica]),
            genesis: Bytes::new(),
            descent: Descent::Genesis,
            campaign: true,
        };
        let births = regions.iter().map(birth).collect();
        let log_config = WalConfig::default();
        let disks =
            Disks { log: Arc::new(MemDisk::new(1)), snapshots: Arc::new(MemDisk::new(2)), log_config };
        let around = Surroundings {
            clock,
            transport: Arc::new(Nowhere),
            factory: Arc::new(Counters),
            inboxes,
            watcher: Arc::new(NoWatcher),
        };
        let parts = StoreParts::open(config, disks, around, births).expect("a store");
        let mut bench = Bench { parts, regions, answered: Arc::default() };
        bench.settle();
        bench
    }

    fn settle(&mut self) {
        while self.parts.workers[0].turn(Tick(1)) | self.parts.syncer.step() | self.parts.pool.step() {}
    }

    /// `per_region` writes to each region, all in one turn.
    fn round(&mut self, per_region: u64, body: &Bytes) {
        let expected = self.answered.load(Ordering::Relaxed) + per_region * self.regions.len() as u64;
        for region in &self.regions {
            for _ in 0..per_region {
                let answered = self.answered.clone();
                let reply = Box::new(move |_| {
                    answered.fetch_add(1, Ordering::Relaxed);
                });
                let request = Request { kind: RequestKind::Write, body: body.clone(), timeout: None, reply };
                self.parts.submit(*region, request);
            }
        }
        self.settle();
        assert_eq!(self.answered.load(Ordering::Relaxed), expected, "each is answered");
    }
}

fn store_turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("store_turn");
    let body = Bytes::from(vec![7; 128]);
    for (regions, per_region) in [(1, 64), (64, 1), (64, 16), (1024, 1)] {
        let mut bench = Bench::new(regions);
        let name = format!("{regions}_regions");
        group.throughput(Throughput::Elements(u64::from(regions) * per_region));
        group.bench_with_input(BenchmarkId::new(name, per_region), &per_region, |b, &per_region| {
            b.iter(|| bench.round(per_region, &body));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = store_turn
}
criterion_main!(benches);

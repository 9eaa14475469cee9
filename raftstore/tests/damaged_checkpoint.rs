//! A region whose newest checkpoint is damaged, and whose log was compacted behind it, stops, and stays as it is.
//!
//! 1. Two regions are checkpointed into one file; one of them is written on, checkpointed again and its log compacted.
//! 2. Its section in the newer file rots. The older one is still there, for the other region's sake.
//! 3. The store opens: the region must not run from the older checkpoint, for its log has a hole behind it, and nothing of
//!    its log may be thrown away. The same when it is opened once more. The other region runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use skep_raftstore::ids::{Life, RegionId, ReplicaId, StoreId, Tick};
use skep_raftstore::machine::{Committed, Fatal, MachineFactory, SnapshotSource, Stamp, StateMachine};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::{Index, LogPos, Membership, Term};
use skep_raftstore::store::{
    Birth, Clock, Descent, Disks, Inboxes, NoWatcher, Request, StoreConfig, StoreParts, Surroundings,
};
use skep_raftstore::transport::{Lane, Transport};
use skep_wal::{Disk, MemDisk, WalConfig};

const STORE: StoreId = StoreId(1);
const WRITTEN_ON: RegionId = RegionId::new(STORE, 1);
const LEFT_ALONE: RegionId = RegionId::new(STORE, 2);

/// Keeps nothing but how far it was applied; its snapshot is padded, so that there is something to damage.
struct Position(LogPos);

impl SnapshotSource for Position {
    fn at(&self) -> LogPos {
        self.0
    }

    fn write_to(self: Box<Self>, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        out.write_all(&self.0.index.0.to_le_bytes())?;
        out.write_all(&self.0.term.0.to_le_bytes())?;
        out.write_all(&[b'.'; 4096])
    }
}

impl StateMachine for Position {
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
        Ok(Box::new(Position(self.0)))
    }

    fn restore(&mut self, from: &mut dyn std::io::Read) -> Result<(), Fatal> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|error| Fatal(error.to_string()))?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        self.0 = LogPos { index: Index(number(0)), term: Term(number(8)) };
        Ok(())
    }

    fn size(&self) -> u64 {
        0
    }

    fn digest(&self) -> u64 {
        self.0.index.0
    }
}

struct Positions;

impl MachineFactory for Positions {
    fn create(&self, _: RegionId, _: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        Ok(Box::new(Position(LogPos::default())))
    }
}

#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
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

struct Running {
    parts: StoreParts,
    clock: Arc<Ticking>,
}

impl Running {
    fn open(log: &MemDisk, snapshots: &MemDisk, life: u64) -> Running {
        let mut config = StoreConfig::new(STORE, Life(life), life);
        (config.checkpoint_log_bytes, config.log_tail_entries) = (2048, 0);
        let inboxes = Inboxes::new(&config);
        let clock = Arc::new(Ticking::default());
        clock.0.store(1, Ordering::Relaxed);
        let disks = Disks {
            log: Arc::new(log.clone()),
            snapshots: Arc::new(snapshots.clone()),
            log_config: WalConfig::small(),
        };
        let transport = Arc::new(Nowhere);
        let around = Surroundings {
            clock: clock.clone(),
            transport,
            factory: Arc::new(Positions),
            inboxes,
            watcher: Arc::new(NoWatcher),
        };
        let replica = ReplicaId::new(1, STORE);
        let membership = Membership::of_voters(vec![replica]);
        let birth = |region| {
            let (membership, genesis) = (membership.clone(), Bytes::new());
            Birth { region, replica, membership, genesis, descent: Descent::Genesis, campaign: true }
        };
        let parts = StoreParts::open(config, disks, around, vec![birth(WRITTEN_ON), birth(LEFT_ALONE)])
            .expect("nothing fails here");
        Running { parts, clock }
    }

    /// Lets `ticks` pass, with everything that is to be done in each.
    fn settle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let now = Tick(1 + self.clock.0.fetch_add(1, Ordering::Relaxed));
            while self.parts.workers[0].turn(now)
                | self.parts.syncer.step()
                | self.parts.pool.step()
                | self.parts.keeper.step(now)
            {}
        }
    }

    fn write(&mut self, regions: &[RegionId], count: usize) {
        for &region in regions.iter().cycle().take(count * regions.len()) {
            let request = Request {
                kind: RequestKind::Write,
                body: Bytes::from(vec![7; 256]),
                timeout: None,
                reply: Box::new(|answer| assert!(answer.is_ok())),
            };
            self.parts.submit(region, request);
        }
        self.settle(300);
    }

    /// First, last, and whether it was stopped.
    fn log(&self, region: RegionId) -> (u64, u64, bool) {
        let all = self.parts.region_status();
        let status = all.iter().find(|status| status.region == region).expect("nothing fails here");
        (status.first.0, status.last.0, status.stopped.is_some())
    }
}

#[test]
fn a_region_behind_a_damaged_checkpoint_stops_and_loses_nothing() {
    let (log, snapshots) = (MemDisk::new(1), MemDisk::new(2));
    let mut store = Running::open(&log, &snapshots, 1);
    store.settle(10);
    store.write(&[WRITTEN_ON, LEFT_ALONE], 20);
    store.write(&[WRITTEN_ON], 20);
    store.write(&[WRITTEN_ON], 2);
    assert_eq!(snapshots.list().expect("a list").len(), 2, "a file of both, a file of one");
    let (first, last, is_stopped) = store.log(WRITTEN_ON);
    assert!(
        first > 21 && last == 43 && !is_stopped,
        "compacted behind its second checkpoint: {first}, {last}"
    );
    drop(store);

    // The newest file holds the newest state of the region that was written on.
    let newest = snapshots.list().expect("nothing fails here").into_iter().max().expect("nothing fails here");
    let file = snapshots.open(&newest).expect("nothing fails here");
    let mut bytes = vec![0; file.len().expect("nothing fails here") as usize];
    file.read_at(0, &mut bytes).expect("nothing fails here");
    let middle = bytes.windows(64).position(|window| window == [b'.'; 64]).expect("the padding");
    file.write_at(middle as u64 + 100, b"rot").expect("nothing fails here");
    drop(file);

    for life in 2..4 {
        let mut store = Running::open(&log, &snapshots, life);
        store.settle(300);
        assert_eq!(store.log(WRITTEN_ON), (first, last, true), "in life {life}");
        let (_, _, is_stopped) = store.log(LEFT_ALONE);
        assert!(!is_stopped, "its neighbour runs");
    }
}

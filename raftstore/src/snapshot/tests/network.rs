//! Two stores with a keeper each, a worker's part played by hand, and a network between them that may do anything.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;
use skep_wal::MemDisk;

use super::{Pattern, at, check_pattern, meta};
use crate::apply::{ApplyLimits, ApplyOutcome, ApplyPool, ApplySink, CommittedLog, Job, SnapshotPurpose};
use crate::ids::{Index, Life, RegionId, ReplicaId, StoreId, Term, Tick};
use crate::machine::{Committed, Fatal, SnapshotSource, StateMachine};
use crate::message::StoreMessage;
use crate::raft::LogPos;
use crate::snapshot::{
    Checkpoints, Keeper, KeeperLimits, KeeperOutcome, KeeperParts, KeeperSink, KeeperTask,
};
use crate::transport::{Lane, Transport};
use crate::wire;

/// A machine that is at an index and has so many bytes.
pub(super) struct Blob {
    pub(super) region: RegionId,
    pub(super) index: u64,
    pub(super) bytes: u64,
}

impl StateMachine for Blob {
    fn applied(&self) -> LogPos {
        at(self.index)
    }
    fn apply(&mut self, _: &[Committed], _: &mut Vec<Bytes>) -> Result<(), Fatal> {
        Err(Fatal("it only has snapshots".to_owned()))
    }
    fn read(&mut self, _: &Bytes) -> Bytes {
        Bytes::new()
    }
    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(Copied(Pattern { region: self.region, at: at(self.index), bytes: self.bytes })))
    }
    fn restore(&mut self, from: &mut dyn Read) -> Result<(), Fatal> {
        let mut index = [0; 8];
        let read = from.read_exact(&mut index).map(|()| u64::from_le_bytes(index));
        let index = read.map_err(|error| Fatal(error.to_string()))?;
        self.bytes = check_pattern(self.region, index, from).map_err(|error| Fatal(error.to_string()))?;
        self.index = index;
        Ok(())
    }
    fn size(&self) -> u64 {
        self.bytes
    }
    fn digest(&self) -> u64 {
        self.bytes
    }
}

/// A pattern behind its index.
struct Copied(Pattern);

impl SnapshotSource for Copied {
    fn at(&self) -> LogPos {
        self.0.at
    }
    fn write_to(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0.at.index.0.to_le_bytes())?;
        Box::new(self.0).write_to(out)
    }
}

/// What the network does to frames, in per cent, and with which chance.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) delayed: u64,
}

/// Frames under way: from, to, frame.
#[derive(Default)]
pub(super) struct Network {
    frames: Mutex<VecDeque<(StoreId, StoreId, Bytes)>>,
    chance: Mutex<u64>,
}

struct Wire {
    from: StoreId,
    network: Arc<Network>,
}

impl Transport for Wire {
    fn send(&self, to: StoreId, lane: Lane, frame: Bytes) -> bool {
        assert_eq!(lane, Lane::Snapshot);
        self.network.frames.lock().push_back((self.from, to, frame));
        true
    }
}

impl Network {
    pub(super) fn new(seed: u64) -> Arc<Network> {
        Arc::new(Network { frames: Mutex::default(), chance: Mutex::new(seed) })
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.lock().iter().map(|(_, _, frame)| frame.len()).sum()
    }

    fn per_cent(&self) -> u64 {
        let mut chance = self.chance.lock();
        *chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*chance >> 33) % 100
    }

    /// What arrives now.
    pub(super) fn deliver(&self, weather: Weather) -> Vec<(StoreId, StoreId, Bytes)> {
        let mut arrived = Vec::new();
        let frames = std::mem::take(&mut *self.frames.lock());
        for frame in frames {
            if self.per_cent() < weather.lost {
                continue;
            }
            if self.per_cent() < weather.repeated {
                self.frames.lock().push_back(frame.clone());
            }
            if self.per_cent() < weather.delayed {
                self.frames.lock().push_back(frame);
            } else {
                arrived.push(frame);
            }
        }
        arrived
    }
}

/// What came out of the pool and the keeper.
#[derive(Default)]
struct Desk {
    applied: Mutex<Vec<ApplyOutcome>>,
    kept: Mutex<Vec<KeeperOutcome>>,
}

impl ApplySink for Desk {
    fn outcome(&self, outcome: ApplyOutcome) {
        self.applied.lock().push(outcome);
    }
}

impl KeeperSink for Desk {
    fn kept(&self, outcome: KeeperOutcome) {
        self.kept.lock().push(outcome);
    }
}

struct NoLog;

impl CommittedLog for NoLog {
    fn read(
        &self,
        _: RegionId,
        _: Index,
        _: Index,
        _: usize,
        _: &mut Vec<(Index, Term, Bytes)>,
    ) -> Result<(), String> {
        Err("there is none".to_owned())
    }
}

/// A store without a log: machines, a pool, a keeper.
pub(super) struct Node {
    pub(super) store: StoreId,
    pub(super) disk: MemDisk,
    pub(super) pool: Arc<ApplyPool>,
    pub(super) keeper: Keeper,
    pub(super) tasks: Sender<KeeperTask>,
    desk: Arc<Desk>,
    /// Whether it wants what it receives.
    pub(super) wants: bool,
    /// What the worker would be told, in words.
    pub(super) events: Vec<String>,
}

impl Node {
    pub(super) fn new(
        store: StoreId,
        life: u64,
        disk: MemDisk,
        network: &Arc<Network>,
        limits: KeeperLimits,
    ) -> Node {
        let desk = Arc::new(Desk::default());
        let pool = ApplyPool::new(Arc::new(NoLog), desk.clone(), ApplyLimits::default());
        let (checkpoints, _) = Checkpoints::open(Arc::new(disk.clone()), store).unwrap();
        let (tasks, receiver) = unbounded();
        let keeper = Keeper::new(KeeperParts {
            store,
            life: Life(life),
            disk: Arc::new(disk.clone()),
            checkpoints,
            pool: pool.clone(),
            transport: Arc::new(Wire { from: store, network: network.clone() }),
            sink: desk.clone(),
            tasks: receiver,
            maintain: Box::new(Vec::new),
            limits,
        });
        Node { store, disk, pool, keeper, tasks, desk, wants: true, events: Vec::new() }
    }

    pub(super) fn host(&self, region: RegionId, index: u64, bytes: u64) {
        self.pool.register(region, Box::new(Blob { region, index, bytes }), at(index));
    }

    pub(super) fn send_snapshot(&self, region: RegionId, to: StoreId, term: u64) {
        let (from, to, term) = (ReplicaId::new(1, self.store), ReplicaId::new(1, to), Term(term));
        self.pool.handle(region).unwrap().push(Job::Snapshot(SnapshotPurpose::Follower { to, from, term }));
    }

    pub(super) fn tell(&self, task: KeeperTask) {
        self.tasks.send(task).unwrap();
    }

    pub(super) fn arrived(&self, from: StoreId, frame: Bytes) {
        for message in wire::decode(frame).unwrap() {
            match message {
                StoreMessage::SnapshotChunk(chunk) => self.tell(KeeperTask::Chunk { from, chunk }),
                StoreMessage::SnapshotAck(ack) => self.tell(KeeperTask::Ack { from, ack }),
                other => panic!("{other:?}"),
            }
        }
    }

    /// One round of everything that the store's threads would do.
    pub(super) fn step(&mut self, now: Tick) {
        while self.keeper.step(now) {}
        while self.pool.step() {}
        let applied = std::mem::take(&mut *self.desk.applied.lock());
        for outcome in applied {
            match outcome {
                ApplyOutcome::SnapshotTaken { region, purpose, source } => {
                    let meta = meta(source.at().index.0);
                    self.tell(KeeperTask::SnapshotTaken { region, purpose, meta, source });
                }
                ApplyOutcome::Restored { received, .. } => self.tell(KeeperTask::Adopt(received)),
                ApplyOutcome::NotRestored { received, why, .. } => {
                    self.events.push(why);
                    self.tell(KeeperTask::Discard(received));
                }
                ApplyOutcome::Failed { why, .. } => self.events.push(why),
                ApplyOutcome::Split { children, .. } => panic!("nobody asked for {children:?}"),
                ApplyOutcome::Applied { .. } => {}
            }
        }
        let kept = std::mem::take(&mut *self.desk.kept.lock());
        for outcome in kept {
            match outcome {
                KeeperOutcome::Received(received) if self.wants => {
                    let handle = self.pool.handle(received.region).unwrap();
                    handle.push(Job::Restore(received.into()));
                }
                KeeperOutcome::Received(received) => self.tell(KeeperTask::Discard(received)),
                KeeperOutcome::Adopted(received) => {
                    self.events.push(format!("adopted {:?}", received.meta.at))
                }
                KeeperOutcome::Checkpointed { region, at } => {
                    self.events.push(format!("checkpointed {region} {at:?}"));
                }
                KeeperOutcome::Pinning { region, through, .. } => {
                    self.events.push(format!("{region} pins {through:?}"));
                }
                KeeperOutcome::Sent { at, .. } => self.events.push(format!("sent {at:?}")),
            }
        }
    }
}

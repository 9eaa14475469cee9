//! The keeper: the one background thread of a store that writes checkpoints, moves snapshots and tidies the log.
//!
//! *A checkpoint*, so that the log may forget:
//!
//! 1. The worker (its region's log has grown) or `maintain` (the region pins the oldest segments) asks for one.
//! 2. The keeper asks the region's machine through the apply pool: many regions at a time.
//! 3. An apply thread takes the snapshot, O(1); the worker adds who takes part and hands it to the keeper.
//! 4. When all have come, or some let themselves be waited for too long, the keeper streams them into one temporary
//!    file and syncs it. *Nothing has changed yet: a crash leaves a temporary file, which the next start removes.*
//! 5. It renames the file and syncs the directory. *From here on the states are durable.* Files that nobody needs any
//!    more are removed.
//! 6. It reports `Checkpointed`, and the worker lets the log forget.
//!
//! *A snapshot that leaves*, for a follower that needs what the log has forgotten:
//!
//! 1. The protocol asks the worker, the worker the apply pool, the worker hands the snapshot to the keeper (as above).
//! 2. The keeper spools it into a temporary file. *Not synced: it is of no use after a restart.*
//! 3. It sends chunks, a window of them at a time, and follows the acknowledgements: on after them, back to them when
//!    they stop, for a limited time.
//! 4. It reports `Sent`: with the position when the receiver says `Installed`, without one when it gave up.
//!
//! *A snapshot that arrives*:
//!
//! 1. The worker hands each chunk to the keeper, which appends it to a temporary file if it is the next and its running
//!    checksum holds, and acknowledges.
//! 2. After the last it finishes the file, verifies all of it and syncs it. *Durable, and nobody's state.*
//! 3. It reports `Received`. The worker asks the protocol whether the snapshot is wanted; if not, it says `Discard`, or `Held`.
//! 4. If it is, an apply thread restores the machine from the file, all or nothing. *After a crash here, the machine is
//!    made of the older checkpoint and the log again.*
//! 5. The worker says `Adopt`; the keeper renames the file to a checkpoint and syncs the directory. *From here on the
//!    snapshot is the region's state, whatever the log says: a start that finds it ahead of the log restarts the log
//!    after it.*
//! 6. It acknowledges `Installed` and reports `Adopted`; the worker lets the log go on after the snapshot.
//!
//! A crash of the receiver in steps 1 to 4 makes it answer "nothing received" and the sender start over.
//!
//! What fails because of the disk keeps the old data, is told in [`KeeperCounters::trouble`], and is tried again later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use skep_wal::Disk;

use super::checkpoints::{Checkpoints, Taken};
use super::counters::KeeperCounters;
use super::limits::KeeperLimits;
use super::receive::Incomings;
use super::received::ReceivedSnapshot;
use super::send::Outgoings;
use super::task::{KeeperOutcome, KeeperSink, KeeperTask};
use crate::apply::{ApplyPool, Job, SnapshotPurpose};
use crate::ids::{Index, Life, RegionId, StoreId, Tick};
use crate::message::TransferState;
use crate::transport::Transport;

/// How many tasks a step takes before it works on what it has.
const TASKS_PER_STEP_MAX: usize = 256;
/// How long the thread sleeps at most, so that it notices what is due.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Tidies the log, and names the regions whose entries pin its oldest segments, and through which entry: they are
/// checkpointed.
pub type Maintain = Box<dyn FnMut() -> Vec<(RegionId, Index)> + Send>;

/// What a keeper is made of.
pub struct KeeperParts {
    /// Which store's.
    pub store: StoreId,
    /// Which of its lives: it makes the numbers of transfers unique.
    pub life: Life,
    /// The snapshot directory.
    pub disk: Arc<dyn Disk>,
    /// What is in it.
    pub checkpoints: Checkpoints,
    /// Where snapshots are asked for.
    pub pool: Arc<ApplyPool>,
    /// How chunks and acknowledgements get to other stores.
    pub transport: Arc<dyn Transport>,
    /// Who is told.
    pub sink: Arc<dyn KeeperSink>,
    /// Where tasks come from. Bounded: what does not fit comes again (chunks, acknowledgements, checkpoints).
    pub tasks: Receiver<KeeperTask>,
    /// Tidies the log.
    pub maintain: Maintain,
    /// How much at a time.
    pub limits: KeeperLimits,
}

/// See the page of this file.
pub struct Keeper {
    checkpoints: Checkpoints,
    pool: Arc<ApplyPool>,
    sink: Arc<dyn KeeperSink>,
    tasks: Receiver<KeeperTask>,
    maintain: Maintain,
    limits: KeeperLimits,
    counters: Arc<KeeperCounters>,
    outgoings: Outgoings,
    incomings: Incomings,
    /// Regions to be checkpointed, and from when on.
    wanted: BTreeMap<RegionId, Tick>,
    /// Regions that were asked for a snapshot, and when.
    asked: BTreeMap<RegionId, Tick>,
    /// Snapshots that have come.
    taken: VecDeque<Taken>,
    /// When the first of those in `taken` came.
    taken_since: Tick,
    /// Restored machines whose file could not be adopted yet, and when to try again.
    adopting: Vec<(Tick, ReceivedSnapshot)>,
    maintain_at: Tick,
    /// When files are carried again after that failed.
    carry_at: Tick,
    is_stopped: bool,
}

impl Keeper {
    /// A keeper that has not begun.
    pub fn new(parts: KeeperParts) -> Keeper {
        let KeeperParts { store, life, disk, checkpoints, pool, transport, sink, tasks, maintain, limits } =
            parts;
        let counters = Arc::new(KeeperCounters::default());
        Keeper {
            checkpoints,
            pool,
            sink,
            tasks,
            maintain,
            limits,
            outgoings: Outgoings::new(store, life, disk.clone(), transport.clone(), limits),
            incomings: Incomings::new(store, disk, transport, limits),
            counters,
            wanted: BTreeMap::new(),
            asked: BTreeMap::new(),
            taken: VecDeque::new(),
            taken_since: Tick(0),
            adopting: Vec::new(),
            maintain_at: Tick(0),
            carry_at: Tick(0),
            is_stopped: false,
        }
    }

    /// What it has done, for whoever reports it.
    pub fn counters(&self) -> Arc<KeeperCounters> {
        self.counters.clone()
    }

    /// Takes tasks and does what is due. True if there is more to do at once.
    pub fn step(&mut self, now: Tick) -> bool {
        for _ in 0..TASKS_PER_STEP_MAX {
            let Ok(task) = self.tasks.try_recv() else { break };
            self.take(task, now);
        }
        self.tidy(now);
        self.ask(now);
        self.write(now);
        self.adopt(now);
        for (region, to, at) in self.outgoings.step(now, &self.counters) {
            self.sink.kept(KeeperOutcome::Sent { region, to, at });
        }
        self.incomings.step(now);
        !self.is_stopped && !self.tasks.is_empty()
    }

    /// The body of the keeper's thread: ends after [`KeeperTask::Stop`], or when nobody can send a task any more.
    pub fn run(&mut self, now: impl Fn() -> Tick) {
        while !self.is_stopped {
            if self.step(now()) {
                continue;
            }
            match self.tasks.recv_timeout(SLEEP_MAX) {
                Ok(task) => self.take(task, now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, task: KeeperTask, now: Tick) {
        match task {
            KeeperTask::Checkpoint(regions) => self.want(regions, now),
            KeeperTask::SnapshotTaken { region, purpose, meta, source } => match purpose {
                SnapshotPurpose::Checkpoint => self.take_state(Taken { region, meta, source }, now),
                SnapshotPurpose::Follower { to, from, term } => {
                    if !self.outgoings.take(Taken { region, meta, source }, to, from, term) {
                        self.sink.kept(KeeperOutcome::Sent { region, to, at: None });
                    }
                }
            },
            KeeperTask::NotTaken(region) => {
                self.asked.remove(&region);
            }
            KeeperTask::Forget(region) => {
                self.asked.remove(&region);
                self.wanted.remove(&region);
                self.taken.retain(|taken| taken.region != region);
                let adopting = self.adopting.extract_if(.., |(_, received)| received.region == region);
                for (_, received) in adopting.collect::<Vec<_>>() {
                    self.incomings.discard(received, TransferState::Refused);
                }
                self.checkpoints.forget(region);
            }
            KeeperTask::Chunk { from, chunk } => {
                if let Some(received) =
                    self.incomings.take(from, chunk, &mut self.checkpoints, now, &self.counters)
                {
                    self.counters.received.fetch_add(1, Ordering::Relaxed);
                    self.sink.kept(KeeperOutcome::Received(received));
                }
            }
            KeeperTask::Ack { from, ack } => self.outgoings.acknowledged(from, ack, now),
            KeeperTask::Adopt(received) => self.adopting.push((now, received)),
            KeeperTask::Discard(received) => self.incomings.discard(received, TransferState::Refused),
            KeeperTask::Held(received) => self.incomings.discard(received, TransferState::Installed),
            KeeperTask::Stop => self.is_stopped = true,
        }
    }

    fn want(&mut self, regions: Vec<RegionId>, now: Tick) {
        for region in regions {
            if !self.asked.contains_key(&region) && !self.taken.iter().any(|taken| taken.region == region) {
                self.wanted.entry(region).or_insert(now);
            }
        }
    }

    fn take_state(&mut self, taken: Taken, now: Tick) {
        self.asked.remove(&taken.region);
        if self.taken.is_empty() {
            self.taken_since = now;
        }
        self.taken.push_back(taken);
    }

    fn tidy(&mut self, now: Tick) {
        if now >= self.maintain_at {
            self.maintain_at = now.after(self.limits.maintain_ticks);
            for (region, through) in (self.maintain)() {
                match self.checkpoints.newest(region) {
                    // What pins is in a checkpoint already: the worker has to let go of it.
                    Some(info) if info.at.index >= through => {
                        self.sink.kept(KeeperOutcome::Pinning { region, at: info.at, through });
                    }
                    Some(_) | None => self.want(vec![region], now),
                }
            }
        }
    }

    /// Asks for snapshots of the regions that are due, up to the limit; again if no answer has come.
    fn ask(&mut self, now: Tick) {
        let retry = self.limits.retry_ticks;
        let unanswered = self.asked.extract_if(.., |_, since| now.since(*since) >= retry);
        self.wanted.extend(unanswered.map(|(region, _)| (region, now)));
        let room = self.limits.checkpoint_regions_max.saturating_sub(self.asked.len() + self.taken.len());
        let due: BTreeSet<RegionId> = self
            .wanted
            .iter()
            .filter(|(_, from)| **from <= now)
            .map(|(region, _)| *region)
            .take(room)
            .collect();
        for region in due {
            self.wanted.remove(&region);
            // A region that is gone, or whose machine has failed, has nothing to be written.
            if let Some(handle) = self.pool.handle(region).filter(|handle| !handle.is_without_machine()) {
                self.asked.insert(region, now);
                handle.push(Job::Snapshot(SnapshotPurpose::Checkpoint));
            }
        }
    }

    fn write(&mut self, now: Tick) {
        let is_waited_for =
            !self.asked.is_empty() && now.since(self.taken_since) < self.limits.checkpoint_wait_ticks;
        let is_ready = !self.taken.is_empty() && !is_waited_for;
        let carries = now >= self.carry_at && self.checkpoints.wants_carrying();
        if !is_ready && !carries {
            return;
        }
        let regions: BTreeSet<RegionId> = self.taken.iter().map(|taken| taken.region).collect();
        match self.checkpoints.write(&mut self.taken) {
            Ok(written) => {
                self.counters.files_written.fetch_add(u64::from(written.bytes > 0), Ordering::Relaxed);
                self.counters.bytes_written.fetch_add(written.bytes, Ordering::Relaxed);
                self.counters.went_well();
                for (region, error) in written.failed {
                    self.counters.went_wrong(&error);
                    self.wanted.insert(region, now.after(self.limits.retry_ticks));
                }
                for (region, at) in written.done {
                    self.sink.kept(KeeperOutcome::Checkpointed { region, at });
                }
            }
            Err(error) => {
                self.counters.went_wrong(&error);
                let later = now.after(self.limits.retry_ticks);
                self.carry_at = later;
                // The rest would most likely fail as well, and keeping it would pin memory: take it anew.
                self.taken.clear();
                self.wanted.extend(regions.into_iter().map(|region| (region, later)));
            }
        }
    }

    fn adopt(&mut self, now: Tick) {
        for (due, received) in std::mem::take(&mut self.adopting) {
            if due > now {
                self.adopting.push((due, received));
                continue;
            }
            match self.checkpoints.adopt(&received) {
                Ok(()) => {
                    self.incomings.installed(&received);
                    self.sink.kept(KeeperOutcome::Adopted(received));
                }
                Err(error) => {
                    self.counters.went_wrong(&error);
                    self.adopting.push((now.after(self.limits.retry_ticks), received));
                }
            }
        }
    }
}

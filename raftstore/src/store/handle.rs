//! A running store: its threads, and what its owner can ask of it.
//!
//! Threads, however many regions there are: one per worker, one for the sync, `apply_threads` for applying, one for
//! the keeper. The transport has its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::RecvTimeoutError;
use parking_lot::Mutex;

use super::config::TICK;
use super::error::OpenError;
use super::inbox::{Control, Turned};
use super::open::{Hosted, StoreParts};
use super::request::{Reply, Request};
use super::status::{RegionStatus, StoreStatus};
use super::submitter::Submitter;
use super::troubles::Troubles;
use super::worker::{Shared, Worker};
use crate::apply::ApplyPool;
use crate::ids::{RegionId, ReplicaId, StoreId};
use crate::raft::{Membership, Role};
use crate::snapshot::KeeperTask;

const PANICKED: &str = "one of its threads panicked; this is a bug, please report it";
/// How long `stop` waits for commands that are under way.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a report of the regions may take before it is given without those that did not answer.
const REPORT: Duration = Duration::from_secs(1);
/// A worker with a full disk tries again this often.
const DISK_FULL_RETRY: Duration = Duration::from_millis(100);

/// A running store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pool: Arc<ApplyPool>,
    hosted: Vec<Hosted>,
    troubles: Troubles,
    /// Those that write to the log. Taken by whoever stops the store.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that are in machines, and may be for long.
    appliers: Mutex<Vec<JoinHandle<()>>>,
}

impl StoreParts {
    /// Gives the parts their threads.
    pub fn spawn(self) -> Result<Store, OpenError> {
        let StoreParts { workers, syncer, pool, mut keeper, shared, hosted, troubles, .. } = self;
        let (mut threads, mut appliers) = (Vec::new(), Vec::new());
        let id = shared.config.id;
        for mut worker in workers {
            threads.push(spawn(&shared, format!("{id}-worker"), move || worker.run())?);
        }
        threads.push(spawn(&shared, format!("{id}-sync"), move || syncer.run())?);
        for _ in 0..shared.config.apply_threads.max(1) {
            let pool = pool.clone();
            appliers.push(spawn(&shared, format!("{id}-apply"), move || pool.run())?);
        }
        let clock = shared.clock.clone();
        threads.push(spawn(&shared, format!("{id}-keeper"), move || keeper.run(|| clock.now()))?);
        let (threads, appliers) = (Mutex::new(threads), Mutex::new(appliers));
        Ok(Store { inner: Arc::new(Inner { shared, pool, hosted, troubles, threads, appliers }) })
    }
}

/// Waits until they have ended, whoever is the first to wait.
fn join_all(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in std::mem::take(&mut *threads.lock()) {
        // A thread that panicked has said so already; one that stops the store must not wait for itself.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}

/// A thread whose panic stops the store, not the process.
fn spawn(
    shared: &Arc<Shared>,
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let inboxes = shared.inboxes.clone();
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            inboxes.stop(PANICKED);
        }
    };
    thread::Builder::new().name(name).spawn(guarded).map_err(OpenError::Thread)
}

impl Worker {
    /// The body of a worker's thread. However it ends, everything is answered, and so is what comes later.
    fn run(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.turns())).is_err() {
            self.shared.inboxes.stop(PANICKED);
        }
        self.stop();
        self.shared.inboxes.end(self.number);
    }

    fn turns(&mut self) {
        while !self.is_stopped {
            let now = self.shared.clock.now();
            if !self.turn(now) && !self.is_stopped {
                self.wait();
            }
        }
    }

    /// Sleeps until something arrives or is due.
    fn wait(&mut self) {
        let now = self.shared.clock.now();
        let quiet = match self.quiet_until() {
            _ if self.is_disk_full => DISK_FULL_RETRY,
            Some(tick) => TICK.saturating_mul(tick.since(now).min(6000) as u32),
            None => Duration::from_secs(60),
        };
        match self.receiver.recv_timeout(quiet) {
            Ok(item) => self.first = Some(item),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_stopped = true,
        }
    }
}

impl Store {
    /// Which store.
    pub fn id(&self) -> StoreId {
        self.inner.shared.config.id
    }

    /// The regions that it hosted when it was opened.
    pub fn hosted(&self) -> &[Hosted] {
        &self.inner.hosted
    }

    /// Takes a command for whoever leads `region`. Never blocks; the reply is called once, perhaps before this returns.
    ///
    /// Commands of one store for one region take effect in the order in which they are submitted, across changes of
    /// leader, each once; a read sees every write that was submitted before it. (A write may take effect before a read
    /// that was submitted earlier and is not answered yet.)
    pub fn submit(&self, region: RegionId, request: Request) {
        self.inner.shared.inboxes.submit(region, request);
    }

    /// Answers a query from the replica of `region` that is here, whoever leads it and however far behind this one is. No
    /// other store is asked. Never blocks.
    pub fn read_here(&self, region: RegionId, query: Bytes, reply: Reply) {
        let Shared { config, inboxes, .. } = &*self.inner.shared;
        let (id, inboxes, pool) = (config.id, inboxes.clone(), self.inner.pool.clone());
        Submitter { id, inboxes, pool }.read_here(region, query, reply);
    }

    /// Asks the leader of `region`, if it is here, to hand over to `to`.
    pub fn transfer_leadership(&self, region: RegionId, to: ReplicaId) {
        self.inner.shared.inboxes.owner_control(region, Control::Transfer { region, to });
    }

    /// Says where a region is that this store may not host: its commands are sent there.
    pub fn learn(&self, region: RegionId, membership: Membership) {
        self.inner.shared.inboxes.learn(region, membership);
    }

    /// Hands over every region that this store leads and somebody else can lead. Waits until that is done, or `limit` is over.
    pub fn hand_over(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.inner.shared.inboxes.is_stopped() {
            let leads = |status: &RegionStatus| {
                status.role == Role::Leader && status.membership.voters.len() > 1 && status.stopped.is_none()
            };
            if !self.region_status().iter().any(leads) {
                return;
            }
            self.order_all(|| Control::HandOver);
            thread::sleep(5 * TICK);
        }
    }

    fn order_all(&self, control: impl Fn() -> Control) {
        let inboxes = &self.inner.shared.inboxes;
        (0..inboxes.workers()).for_each(|worker| inboxes.control(worker, control()));
    }

    /// Every region's replica as it is now. Waits for the workers, a second at most.
    pub fn region_status(&self) -> Vec<RegionStatus> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        if self.inner.shared.inboxes.is_stopped() {
            return Vec::new();
        }
        self.order_all(|| Control::Status(sender.clone()));
        let reports =
            (0..self.inner.shared.inboxes.workers()).map_while(|_| receiver.recv_timeout(REPORT).ok());
        let mut regions: Vec<RegionStatus> = reports.flatten().collect();
        regions.sort_by_key(|status| status.region);
        regions
    }

    /// The store as it is now.
    pub fn status(&self) -> StoreStatus {
        let Shared { config, inboxes, wal, counters, .. } = &*self.inner.shared;
        let regions = self.region_status();
        let (stopped, running): (Vec<_>, Vec<_>) =
            regions.iter().partition(|region| region.stopped.is_some());
        let usage = wal.usage();
        StoreStatus {
            id: config.id,
            failed: self.failed(),
            replicas: regions.len(),
            leaders: running.iter().filter(|region| region.role == Role::Leader).count(),
            led: running.iter().filter(|region| region.leader.is_some()).count(),
            stopped: stopped.len(),
            unanswered: inboxes.unanswered(),
            entries_appended: counters.entries_appended.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            log_segments: usage.segments as u64,
            log_bytes: usage.log_bytes,
            troubles: self.troubles(),
        }
    }

    /// What an operator should know of it while it runs, in sentences: damage that opening found, a full disk, checkpoints that fail.
    pub fn troubles(&self) -> Vec<String> {
        self.inner.troubles.now(&self.inner.shared.wal)
    }

    /// What was turned away.
    pub fn turned(&self) -> &Turned {
        &self.inner.shared.inboxes.turned
    }

    /// Why the store stopped, if it did.
    pub fn failed(&self) -> Option<String> {
        let inboxes = &self.inner.shared.inboxes;
        inboxes.is_stopped().then(|| inboxes.stop_reason())
    }

    /// Answers what is under way (for two seconds at most), makes everything durable, and ends the threads.
    pub fn stop(&self) {
        let Shared { inboxes, wal, keeper, sync, .. } = &*self.inner.shared;
        let deadline = Instant::now() + DRAIN;
        while inboxes.unanswered() > 0 && !inboxes.is_stopped() && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        inboxes.stop("it was closed");
        sync.poke();
        self.inner.pool.close();
        let _ = keeper.send(KeeperTask::Stop);
        join_all(&self.inner.threads);
        // Nobody appends any more. If it fails, nothing that was promised is lost: the log is poisoned and says so when opened.
        let _ = wal.rest();
        join_all(&self.inner.appliers);
    }
}

//! Opening a store: what the log and the checkpoints hold becomes replicas, or a new store's regions are born.
//!
//! 1. The log is opened (it repairs its own tail) and the checkpoints are listed.
//! 2. Births whose stream does not exist yet are written and synced.
//! 3. Each stream becomes a replica: its machine is restored from its checkpoint, and its log goes on from there. A
//!    machine that is ahead of its log (a snapshot was adopted, then the lights went out) restarts the log behind it.
//! 4. A replica whose log is damaged, or whose machine cannot be restored, is stopped and says why; the others run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use crossbeam_channel::unbounded;
use skep_wal::{Batch, Disk, OpenReport, Wal, WalConfig};

use super::birth::{BIRTH, Birth};
use super::clock::Clock;
use super::committed_log::SharedLog;
use super::config::StoreConfig;
use super::error::OpenError;
use super::inbox::{Control, Inboxes};
use super::opening::Opening;
use super::removal::tombstone;
use super::request::Request;
use super::status::{Counters, RegionNews, RegionStatus};
use super::submitter::Submitter;
use super::sync::{SyncSignal, Syncer};
use super::troubles::Troubles;
use super::watcher::Watcher;
use super::worker::{Shared, Worker};
use crate::apply::{ApplyLimits, ApplyPool};
use crate::ids::{Index, RegionId, ReplicaId};
use crate::machine::MachineFactory;
use crate::raft::{HardState, Membership};
use crate::snapshot::{Checkpoints, Keeper, KeeperLimits, KeeperParts, Maintain};
use crate::transport::Transport;

/// A command's number has the store's life above these bits: in nine years at a million commands a second the rest is
/// used up, and no answer is 65,536 lives late.
const LIFE_SHIFT: u32 = 48;

/// Where a store keeps its files.
pub struct Disks {
    /// The log.
    pub log: Arc<dyn Disk>,
    /// Checkpoints, and snapshots on their way.
    pub snapshots: Arc<dyn Disk>,
    /// How the log is laid out.
    pub log_config: WalConfig,
}

/// A store that is open and not running: its pieces, to be given threads, or to be stepped by hand.
pub struct StoreParts {
    /// Those who own regions. Call `turn`.
    pub workers: Vec<Worker>,
    /// Who makes the log durable. Call `step`.
    pub syncer: Syncer,
    /// Who applies. Call `step`.
    pub pool: Arc<ApplyPool>,
    /// Who checkpoints and moves snapshots. Call `step`.
    pub keeper: Keeper,
    pub(super) shared: Arc<Shared>,
    pub(super) hosted: Vec<Hosted>,
    pub(super) log_report: OpenReport,
    pub(super) troubles: Troubles,
}

/// A region that the store hosts when it is opened.
#[derive(Clone, Debug)]
pub struct Hosted {
    /// Which region.
    pub region: RegionId,
    /// What its machine says that it is; empty if it waits for its machine.
    pub description: Bytes,
}

/// What opening is given, besides the files.
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to other stores.
    pub transport: Arc<dyn Transport>,
    /// Makes state machines.
    pub factory: Arc<dyn MachineFactory>,
    /// What the transport delivers to.
    pub inboxes: Arc<Inboxes>,
    /// Is told what the regions are, from the first turn on.
    pub watcher: Arc<dyn Watcher>,
}

impl StoreParts {
    /// Opens a store. `births` are made if they are not there yet.
    pub fn open(
        config: StoreConfig,
        disks: Disks,
        around: Surroundings,
        births: Vec<Birth>,
    ) -> Result<StoreParts, OpenError> {
        if let Some(birth) = births.iter().find(|birth| !birth.membership.witnesses.is_empty()) {
            return Err(OpenError::Witnesses(birth.region));
        }
        let Surroundings { clock, transport, factory, inboxes, watcher } = around;
        let log_config = disks.log_config.clone();
        let (wal, log_report) = Wal::open(disks.log, disks.log_config)?;
        let wal = Arc::new(wal);
        let snapshots = disks.snapshots;
        let (checkpoints, known) =
            Checkpoints::open(snapshots.clone(), config.id).map_err(OpenError::Checkpoints)?;
        let batch_bytes_max = log_config.frame_bytes_max() / 4;
        bear(&wal, &births, batch_bytes_max)?;

        let counters = Arc::new(Counters::default());
        let pool = ApplyPool::new(Arc::new(SharedLog(wal.clone())), inboxes.clone(), ApplyLimits::default());
        let (syncer, sync) = Syncer::new(wal.clone(), inboxes.clone(), counters.clone());
        let (keeper, tasks) = unbounded();
        let shared = Shared {
            inboxes,
            wal,
            clock,
            transport,
            keeper,
            sync,
            counters,
            pool: pool.clone(),
            factory: factory.clone(),
            watcher,
            batch_bytes_max,
            // A late answer to a command of an earlier life must find no command of this one.
            newest_seq: AtomicU64::new(config.life.0 << LIFE_SHIFT),
            newest_attempt: AtomicU64::default(),
            space: Default::default(),
            config,
        };
        let shared = Arc::new(shared);
        let opening =
            Opening { shared: &shared, pool: &pool, factory: &*factory, checkpoints: &checkpoints, known };
        let (workers, hosted) = opening.host_all(&births)?;
        let found = Troubles::found(&log_report, checkpoints.damaged());
        let keeper = Keeper::new(KeeperParts {
            store: shared.config.id,
            life: shared.config.life,
            disk: snapshots,
            checkpoints,
            pool: pool.clone(),
            transport: shared.transport.clone(),
            sink: shared.inboxes.clone(),
            tasks,
            maintain: maintain(shared.wal.clone(), shared.sync.clone(), shared.inboxes.clone()),
            limits: KeeperLimits::default(),
        });
        let troubles = Troubles::new(found, keeper.counters());
        Ok(StoreParts { workers, syncer, pool, keeper, shared, hosted, log_report, troubles })
    }

    /// A way to submit commands that outlives this.
    pub fn submitter(&self) -> Submitter {
        let Shared { config, inboxes, pool, .. } = &*self.shared;
        Submitter { id: config.id, inboxes: inboxes.clone(), pool: pool.clone() }
    }

    /// Takes a command, as [`Store::submit`](super::Store::submit) does.
    pub fn submit(&self, region: RegionId, request: Request) {
        self.shared.inboxes.submit(region, request);
    }

    /// Asks the leader of `region`, if it is here, to hand over to `to`.
    pub fn transfer_leadership(&self, region: RegionId, to: ReplicaId) {
        self.shared.inboxes.owner_control(region, Control::Transfer { region, to });
    }

    /// Says where a region is that this store may not host: its commands are sent there.
    pub fn learn(&self, region: RegionId, membership: Membership) {
        self.shared.inboxes.learn(region, membership);
    }

    /// Every region's replica as it is now.
    pub fn region_status(&self) -> Vec<RegionStatus> {
        let replicas = self.workers.iter().map(|worker| worker.replicas.len()).sum();
        let mut all = Vec::with_capacity(replicas);
        self.workers.iter().for_each(|worker| all.extend(worker.here().map(RegionStatus::of)));
        all
    }

    /// What of that is new, where `known` is what it was: cheaper than asking for all of it when little has happened.
    pub fn region_news(&self, known: &BTreeMap<RegionId, RegionStatus>) -> RegionNews {
        RegionNews::of(self.workers.iter().flat_map(Worker::here), known)
    }

    /// Why the store stopped, if it did.
    pub fn failed(&self) -> Option<String> {
        self.shared.inboxes.is_stopped().then(|| self.shared.inboxes.stop_reason())
    }

    /// Totals since it was opened.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// What opening the log found.
    pub const fn log_report(&self) -> &OpenReport {
        &self.log_report
    }

    /// The regions that the store hosted when it was opened.
    pub fn hosted(&self) -> &[Hosted] {
        &self.hosted
    }
}

/// What the keeper does for the log: prepares and recycles segments, and says whose entries pin the oldest.
fn maintain(wal: Arc<Wal>, sync: SyncSignal, inboxes: Arc<Inboxes>) -> Maintain {
    const REGIONS_AT_A_TIME: usize = 64;
    Box::new(move || match wal.maintain() {
        Ok(_) => {
            // What was carried to the head of the log frees its old place only when it is durable there.
            if wal.appended_lsn() > wal.durable_lsn() {
                sync.poke();
            }
            let pinning = wal.oldest(REGIONS_AT_A_TIME).into_iter();
            pinning.map(|(stream, through)| (RegionId(stream.0), Index(through))).collect()
        }
        Err(error) => {
            // A log that is not poisoned has refused and lost nothing (no space, no file descriptor): appending says so
            // where it matters.
            if wal.poisoned().is_some() {
                inboxes.stop(&error.to_string());
            }
            Vec::new()
        }
    })
}

/// Makes the regions that are not there yet and never were, durably.
fn bear(wal: &Wal, births: &[Birth], batch_bytes_max: u64) -> Result<(), OpenError> {
    let mut batch = Batch::new();
    let is_new = |birth: &&Birth| {
        let stream = birth.region.stream();
        let is_damaged = wal.stream(stream).is_some_and(|info| info.damaged.is_some());
        wal.state(stream, BIRTH).is_none() && tombstone(wal, birth.region).is_none() && !is_damaged
    };
    for birth in births.iter().filter(is_new) {
        birth.write(HardState::default(), &mut batch);
        if batch.bytes() >= batch_bytes_max {
            wal.append(&mut batch)?;
        }
    }
    if !batch.is_empty() {
        wal.append(&mut batch)?;
    }
    wal.sync()?;
    Ok(())
}

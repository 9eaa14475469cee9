//! Puts a store together from its directory: log, snapshots, transport, machines.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use skep_raftstore::ids::RegionId;
use skep_raftstore::machine::{Fatal, MachineFactory, StateMachine};
use skep_raftstore::store::{
    Birth, Disks, Inboxes, StoreConfig, StoreParts, Surroundings, SystemClock, TICK,
};
use skep_raftstore::transport;
use skep_raftstore::transport::tcp::{TcpLimits, TcpTransport};
use skep_wal::{Disk, RealDisk, WalConfig};

use crate::agenda::Agenda;
use crate::config::{StoreSettings, Timing};
use crate::descriptor::RegionDescriptor;
use crate::engine::chart::Chart;
use crate::engine::steward::Errand;
use crate::limits::COMMAND_BYTES_MAX;
use crate::machine::MemoryMachine;
use crate::memory_use::MemoryUse;
use crate::region::RegionMachine;
use crate::router::Router;
use crate::store_dir::{DirectoryError, Problem, StoreDir};
use crate::{Error, draw};

/// A store that is open and has no threads of its own yet; its transport has.
pub(crate) struct Assembled {
    pub(crate) dir: StoreDir,
    pub(crate) parts: StoreParts,
    pub(crate) transport: Arc<TcpTransport>,
    /// Its regions, as their machines describe them, after what else is known.
    pub(crate) regions: Vec<RegionDescriptor>,
    /// What its workers tell about regions.
    pub(crate) router: Arc<Router>,
    /// The way to its steward.
    pub(crate) errands: (Sender<Errand>, Receiver<Errand>),
    /// When its values expire.
    pub(crate) agenda: Arc<Agenda>,
    /// What their data takes.
    pub(crate) memory: Arc<MemoryUse>,
}

/// What a store begins with, besides its directory.
#[derive(Default)]
pub(crate) struct Origin {
    /// Regions that it makes if it is not born yet.
    pub(crate) births: Vec<Birth>,
    /// Regions of its cluster. A store that has none itself asks there; one that knows of none at all has lost them.
    pub(crate) known: Vec<RegionDescriptor>,
}

impl Origin {
    /// Nothing but its own.
    pub(crate) fn births(births: Vec<Birth>) -> Origin {
        Origin { births, known: Vec::new() }
    }
}

/// Opens the store in `dir`. If it is not born yet, then it is.
pub(crate) fn assemble(
    mut dir: StoreDir,
    settings: &StoreSettings,
    listener: TcpListener,
    origin: Origin,
) -> Result<Assembled, Error> {
    let config = store_config(&dir, settings)?;
    let inboxes = Inboxes::new(&config);
    let identity = dir.identity();
    let transport = TcpTransport::start_on(
        transport::Identity {
            cluster: identity.cluster,
            store: identity.store,
            uuid: identity.uuid,
            life: identity.life,
        },
        listener,
        Arc::clone(&inboxes) as Arc<dyn transport::Receiver>,
        TcpLimits::default(),
    )
    .map_err(|error| Error::Open(format!("it cannot listen for other stores: {error}")))?;
    let agenda = Arc::new(Agenda::default());
    let errands = channel();
    let command_bytes_max = COMMAND_BYTES_MAX.min(settings.segment_bytes as usize / 2);
    let router = Router::new(Some(settings.request_timeout), command_bytes_max);
    let chart = Chart { router: Arc::clone(&router), steward: errands.0.clone() };
    let memory = MemoryUse::new(settings.memory_limit);
    let around = Surroundings {
        clock: Arc::new(SystemClock::new()),
        transport: Arc::clone(&transport) as Arc<dyn transport::Transport>,
        factory: Arc::new(MemoryMachines { agenda: Arc::clone(&agenda), memory: Arc::clone(&memory) }),
        inboxes,
        watcher: Arc::new(chart),
    };
    let is_born = dir.identity().is_born;
    let births = if is_born { Vec::new() } else { origin.births };
    let parts = StoreParts::open(config, disks(&dir, settings)?, around, births)
        .map_err(|error| Error::Open(format!("{}: {error}", dir.path().display())))?;
    let mut regions = origin.known;
    regions.extend(hosted(&parts)?);
    if regions.is_empty() {
        return Err(DirectoryError::new(&dir.log(), Problem::Missing).into());
    }
    if !is_born {
        dir.set_born()?;
    }
    Ok(Assembled { dir, parts, transport, regions, router, errands, agenda, memory })
}

/// Takes the address that other stores connect to.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|error| Error::Open(format!("it cannot listen on {address}: {error}")))
}

fn store_config(dir: &StoreDir, settings: &StoreSettings) -> Result<StoreConfig, Error> {
    let identity = dir.identity();
    let Timing { election_min, election_max, heartbeat } = settings.timing;
    let in_ticks = |time: Duration| time.as_nanos().div_ceil(TICK.as_nanos()) as u64;
    Ok(StoreConfig {
        election_ticks_min: in_ticks(election_min),
        election_ticks_max: in_ticks(election_max),
        heartbeat_ticks: in_ticks(heartbeat),
        workers: settings.workers,
        apply_threads: settings.apply_threads,
        request_timeout: settings.request_timeout,
        large_bytes: settings.split_bytes,
        ..StoreConfig::new(identity.store, identity.life, draw::seed()?)
    })
}

fn disks(dir: &StoreDir, settings: &StoreSettings) -> Result<Disks, Error> {
    let open = |path: PathBuf| match RealDisk::open(&path) {
        Ok(disk) => Ok(Arc::new(disk) as Arc<dyn Disk>),
        Err(error) => Err(DirectoryError::io(&path, &error)),
    };
    let log_config = WalConfig { segment_bytes: settings.segment_bytes, ..WalConfig::default() };
    Ok(Disks { log: open(dir.log())?, snapshots: open(dir.snapshots())?, log_config })
}

fn hosted(parts: &StoreParts) -> Result<Vec<RegionDescriptor>, Error> {
    let described = parts.hosted().iter().filter(|hosted| !hosted.description.is_empty());
    let regions = described.map(|hosted| {
        RegionDescriptor::decode(&hosted.description)
            .map_err(|error| Error::Open(format!("what {} says of itself is {error}", hosted.region)))
    });
    regions.collect()
}

/// Makes regions whose data is in memory.
#[derive(Default)]
pub(crate) struct MemoryMachines {
    /// Told when their values expire.
    pub(crate) agenda: Arc<Agenda>,
    /// Where they count what they hold.
    pub(crate) memory: Arc<MemoryUse>,
}

impl MachineFactory for MemoryMachines {
    fn create(&self, region: RegionId, genesis: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        let machine = RegionMachine::new(region, genesis, MemoryMachine::default())?;
        Ok(Box::new(machine.with_agenda(Arc::clone(&self.agenda)).counted_in(&self.memory)))
    }
}

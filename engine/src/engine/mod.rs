//! One store's front: takes commands for any key, sends each to the region that has it, and answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Duration;

use skep_raftstore::ids::{ClusterId, Life, RegionId, StoreId};
use skep_raftstore::store::{RegionStatus, Store, StoreStatus};
use skep_raftstore::transport::tcp::TcpTransport;

use crate::agenda::Agenda;
use crate::assemble::{self, Assembled, Origin, assemble};
use crate::config::{EngineConfig, Opened, StoreSettings};
use crate::descriptor::RegionDescriptor;
use crate::limits::REGIONS_MAX;
use crate::memory_use::MemoryUse;
use crate::region_ids::RegionIds;
use crate::router::Router;
use crate::store_dir::{self, DirectoryError, Found, Identity, NO_CLUSTER, Problem, StoreDir};
use crate::{Answer, Command, Error, Write, draw, plan, sweeper};
use scan::{count_expiring, count_keys};
use steward::Errand;

mod batches;
pub(crate) mod chart;
mod moves;
mod ranges;
mod scan;
pub(crate) mod steward;
mod typed;

pub use moves::Progress;
pub use ranges::RegionInfo;

/// How long closing waits for other stores to take over what this one leads.
const HAND_OVER: Duration = Duration::from_millis(500);

/// A store that is open. Clones are the same store; the last one that is dropped closes it.
///
/// ```no_run
/// # fn main() -> Result<(), skep_engine::Error> {
/// use skep_engine::{Engine, EngineConfig};
///
/// let engine = Engine::open(EngineConfig::new("data"))?;
/// engine.put("answer", "42").wait()?;
/// assert_eq!(engine.get("answer").wait()?.as_deref(), Some(&b"42"[..]));
/// engine.close();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    transport: Arc<TcpTransport>,
    router: Arc<Router>,
    region_ids: RegionIds,
    split_bytes: u64,
    errands: Sender<Errand>,
    memory: Arc<MemoryUse>,
    request_timeout: Duration,
    opened: Opened,
    cluster: ClusterId,
    agenda: Arc<Agenda>,
    is_closed: AtomicBool,
    /// Keeps the directory locked.
    _dir: StoreDir,
}

impl Engine {
    /// Opens the one store of a cluster of its own. A directory that is missing or empty becomes a new one.
    pub fn open(config: EngineConfig) -> Result<Engine, Error> {
        let settings = config.settings();
        let EngineConfig { dir, cluster, listen, regions, .. } = config;
        if !(1..=REGIONS_MAX).contains(&regions) {
            return Err(Error::Impossible { regions, stores: 1 });
        }
        let dir = match store_dir::look(&dir)? {
            Found::Store(identity) if identity.cluster == NO_CLUSTER => {
                return Err(DirectoryError::new(&dir, Problem::Unfounded).into());
            }
            Found::Store(_) => StoreDir::open(&dir, cluster)?,
            Found::Nothing => StoreDir::create(&dir, new_identity(cluster)?)?,
        };
        let is_new = !dir.identity().is_born;
        let stores = [dir.identity().store];
        let births =
            if is_new { plan::births(&plan::regions(regions, &stores), &stores, 0) } else { Vec::new() };
        Engine::start(
            assemble(dir, &settings, assemble::listen(listen)?, Origin::births(births))?,
            &settings,
            is_new,
        )
    }

    /// Gives a store its threads.
    pub(crate) fn start(
        assembled: Assembled,
        settings: &StoreSettings,
        is_new: bool,
    ) -> Result<Engine, Error> {
        let Assembled { dir, parts, transport, regions, router, errands, agenda, memory } = assembled;
        let count = regions.len() as u32;
        let region_ids = RegionIds::open(dir.identity().store, &dir.region_ids())?;
        let (sender, receiver) = errands;
        router.set_store(parts.submitter());
        router.learn(&regions);
        let store = parts.spawn().map_err(|error| Error::Open(error.to_string()))?;
        let inner = Inner {
            store,
            transport,
            router,
            region_ids,
            split_bytes: settings.split_bytes,
            errands: sender,
            memory,
            request_timeout: settings.request_timeout,
            opened: if is_new { Opened::New { regions: count } } else { Opened::Existing { regions: count } },
            cluster: dir.identity().cluster,
            agenda: Arc::clone(&agenda),
            is_closed: AtomicBool::new(false),
            _dir: dir,
        };
        let inner = Arc::new(inner);
        steward::start(&inner, receiver)?;
        let engine = Engine { inner };
        sweeper::start(&engine, agenda)?;
        Ok(engine)
    }

    /// The engine, as long as its owner keeps it.
    pub(crate) fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.inner))
    }

    /// Carries out `command`, and calls `reply` with the answer: on a thread of the store, which it must not block, or
    /// at once if the command cannot be sent. Never blocks.
    ///
    /// Commands for keys of one region take effect in the order in which they are given, and a read sees every write
    /// given before it. A write that is given while an earlier read is unanswered may take effect before that read.
    pub fn execute(&self, command: Command, reply: impl FnOnce(Result<Answer, Error>) + Send + 'static) {
        match command {
            Command::CountKeys { key } => self.count_share(key, count_keys, reply),
            Command::CountExpiring { key } => self.count_share(key, count_expiring, reply),
            command => match self.inner.memory.reserve(&command) {
                Ok(reserved) => self.inner.router.execute(&command, move |answer| {
                    // Kept until the command is carried out, or is not.
                    drop(reserved);
                    reply(answer);
                }),
                Err(error) => reply(Err(error)),
            },
        }
    }

    /// The same for a batch that need not be whole: where its keys lie in several regions, or come to while it is under
    /// way, each region carries out its own part, at its own time. After an error some of the parts may have been
    /// carried out.
    pub fn execute_divided(
        &self,
        batch: Vec<Write>,
        reply: impl FnOnce(Result<Answer, Error>) + Send + 'static,
    ) {
        let command = Command::Batch { writes: batch };
        match self.inner.memory.reserve(&command) {
            Ok(reserved) => self.inner.router.execute_divided(&command, move |answer| {
                drop(reserved);
                reply(answer);
            }),
            Err(error) => reply(Err(error)),
        }
    }

    /// Answers a query from this store's own replica: at once, from a state that may be behind, and without order among
    /// the commands given before and after. Where this store has no replica that can answer, the same as
    /// [`execute`](Engine::execute). What has expired is judged by the replica's time alone.
    ///
    /// How many are under way is for the caller to limit: they are not counted with the others.
    pub fn execute_stale(&self, query: Command, reply: impl FnOnce(Result<Answer, Error>) + Send + 'static) {
        self.inner.router.execute_here(query, reply);
    }

    /// Which region has `key`, as far as this store knows.
    pub fn region_of(&self, key: &[u8]) -> RegionId {
        self.inner.router.table().region_of(key).id
    }

    /// The region that has `key`, as far as this store knows.
    pub fn region_at(&self, key: &[u8]) -> RegionDescriptor {
        self.inner.router.table().region_of(key).clone()
    }

    /// All regions, in the order of their keys, as far as this store knows.
    pub fn regions(&self) -> Vec<RegionDescriptor> {
        self.inner.router.table().regions()
    }

    /// The store's name.
    pub fn store_id(&self) -> StoreId {
        self.inner.store.id()
    }

    /// The cluster's name.
    pub fn cluster_id(&self) -> ClusterId {
        self.inner.cluster
    }

    /// Whether its directory was new.
    pub fn opened(&self) -> Opened {
        self.inner.opened
    }

    /// The store as it is now. Waits for its workers, a second at most.
    pub fn store_status(&self) -> StoreStatus {
        self.inner.store.status()
    }

    /// What an operator should know of it while it runs, in sentences. Waits for nobody.
    pub fn troubles(&self) -> Vec<String> {
        self.inner.store.troubles()
    }

    /// Its replicas as they are now. Waits for its workers, a second at most.
    pub fn region_status(&self) -> Vec<RegionStatus> {
        self.inner.store.region_status()
    }

    /// Bytes of memory that the data of its regions takes, with what each pair costs beside its bytes.
    pub fn memory_used(&self) -> u64 {
        self.inner.memory.used()
    }

    /// How much it may take.
    pub fn memory_limit(&self) -> Option<u64> {
        self.inner.memory.limit()
    }

    /// Why the store stopped, if it did.
    pub fn failed(&self) -> Option<String> {
        self.inner.store.failed()
    }

    /// Its connections to other stores.
    pub(crate) fn transport(&self) -> &TcpTransport {
        &self.inner.transport
    }

    /// Whether it was told to close.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.is_closed.load(Ordering::Acquire)
    }

    /// Whether every command it was given is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.failed().is_some() || self.store_status().unanswered == 0
    }

    /// Hands over what the store leads, answers what is under way, makes everything durable and ends its threads.
    /// What is given to it afterwards is answered [`Error::StoreStopped`]. Others can open the directory once the last
    /// clone is dropped.
    pub fn close(&self) {
        self.inner.close(HAND_OVER);
    }

    /// Closes it without waiting for others to take over.
    pub(crate) fn close_alone(&self) {
        self.inner.close(Duration::ZERO);
    }
}

/// A way back to an engine that does not keep it open.
pub(crate) struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    /// The engine, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(|inner| Engine { inner })
    }
}

fn new_identity(cluster: Option<ClusterId>) -> Result<Identity, Error> {
    Ok(Identity {
        cluster: cluster.map_or_else(draw::cluster_id, Ok)?,
        store: draw::store_id(&[])?,
        uuid: draw::uuid()?,
        life: Life(1),
        is_born: false,
    })
}

impl Inner {
    fn close(&self, hand_over: Duration) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.agenda.close();
        // It has gone already if nobody listens.
        let _ = self.errands.send(Errand::Stop);
        self.store.hand_over(hand_over);
        self.store.stop();
        self.router.stop(&Error::StoreStopped("it was closed".into()));
        self.transport.stop();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

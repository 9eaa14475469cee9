//! One store of a cluster whose other stores run elsewhere: found by their addresses, met in whatever order they start.
//!
//! ```text
//! start: own directory looked at, the others asked once -> refused in words, nothing touched
//!        member already -> opened
//!        else  bootstrap: rounds of questions -> promise -> founded -> opened       (thread, judge.rs decides)
//!                                             -> others have founded without it -> opened, with no regions
//! opened: watch: addresses of stores that are away are asked again and again        (the same thread)
//! ```

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use skep_raftstore::codec::{ADDRESS_BYTES_MAX, Introduction, LISTED_MAX, Stage};
use skep_raftstore::ids::{Life, StoreId};
use skep_raftstore::transport;
use skep_raftstore::transport::tcp::Doorman;

use crate::cluster_status::ClusterStatus;
use crate::config::{ClusteredConfig, Opened};
use crate::engine::Engine;
use crate::limits::REGIONS_MAX;
use crate::store_dir::{self, DirectoryError, Found, Identity, NO_CLUSTER, Problem, StoreDir};
use crate::{Error, draw, plan};
use bootstrap::Bootstrap;
use founding::Founding;

mod bootstrap;
mod founding;
mod judge;
mod round;
mod status;
mod succession;
mod watch;

/// Stores of such a cluster, at most: each region has a replica on every one of them. Beyond: [`Error::Refused`].
pub const STORES_MAX: usize = LISTED_MAX;

/// News that nobody has asked for. Beyond, older ones go.
const NEWS_MAX: usize = 64;

/// One store of a cluster whose other stores run elsewhere. Dropping it closes it.
pub struct ClusteredStore {
    shared: Arc<Shared>,
    /// Taken by whoever closes the store.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How far a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    /// There is no cluster yet, for this reason.
    Forming(String),
    /// It serves what the others have in a cluster that they founded, and has no replicas of some regions yet.
    Joining(String),
    /// It is open.
    Open,
    /// It could not be opened, for this reason.
    Failed(String),
}

/// What the store's owner and its thread share.
struct Shared {
    config: ClusteredConfig,
    engine: OnceLock<Engine>,
    is_stopping: AtomicBool,
    /// Written by the thread, copied by whoever asks.
    phase: Mutex<Phase>,
    /// Sentences that somebody should read, and the last of each kind, so that none is repeated.
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    unread: Vec<String>,
    said: BTreeSet<String>,
}

impl ClusteredStore {
    /// Opens the store in `config.dir`, with `listener` bound where other stores connect. A store that belongs to a cluster is
    /// open when this returns; a new one looks for the others and founds, or joins, a cluster later. An error is a
    /// refusal: nothing was touched, unless the store is damaged.
    pub fn start(config: ClusteredConfig, listener: TcpListener) -> Result<ClusteredStore, Error> {
        let config = checked(config)?;
        let found = look(&config.dir)?;
        let own = introduction(&config, &found);
        let failed =
            |error: std::io::Error| Error::Open(format!("it cannot listen for other stores: {error}"));
        let doorman = Doorman::start(listener, own.clone()).map_err(failed)?;
        let heard = round::ask_all(&own, &others(&config));
        if let Some(why) = judge::refusal(&own, &heard) {
            return Err(Error::Refused(why));
        }
        let (dir, promise) = open_directory(&config.dir, &found)?;
        let shared = Arc::new(Shared {
            config,
            engine: OnceLock::new(),
            is_stopping: AtomicBool::new(false),
            phase: Mutex::new(Phase::Forming("looking for the other stores".into())),
            news: Mutex::default(),
        });
        let bootstrap = Bootstrap::new(Arc::clone(&shared), dir, doorman, promise);
        let next = bootstrap.begin(&heard)?;
        let thread = thread::Builder::new().name("skep-discovery".into()).spawn(move || next.run());
        let thread = thread.map_err(|error| Error::Open(format!("no thread could be started: {error}")))?;
        Ok(ClusteredStore { shared, thread: Mutex::new(Some(thread)) })
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.shared.phase.lock().clone()
    }

    /// Whether its directory was new, once it is open.
    pub fn opened(&self) -> Option<Opened> {
        self.shared.engine.get().map(Engine::opened)
    }

    /// The store, once it is open; until then nothing.
    pub fn engines(&self) -> &[Engine] {
        self.shared.engine.get().map_or(&[], std::slice::from_ref)
    }

    /// The cluster as this store knows it, once it is open. Waits for its workers, a second at most.
    pub fn status(&self) -> Option<ClusterStatus> {
        self.shared.engine.get().map(status::of)
    }

    /// What somebody should know and has not been told: sentences, each said once.
    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.news.lock().unread)
    }

    /// Hands over what the store leads, answers what is under way, makes everything durable and ends its threads. An error
    /// is why it had stopped before.
    pub fn close(&self) -> Result<(), Error> {
        self.shared.is_stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take() {
            // A panic has been reported by the panic hook.
            let _ = thread.join();
        }
        let Some(engine) = self.shared.engine.get() else { return Ok(()) };
        let failed = engine.failed();
        let is_new = !engine.is_closed();
        engine.close();
        failed.filter(|_| is_new).map_or(Ok(()), |why| Err(Error::StoreStopped(why)))
    }
}

impl Drop for ClusteredStore {
    fn drop(&mut self) {
        // What failed has been reported by the store that it failed on.
        let _ = self.close();
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Tells, unless it was told before.
    fn tell(&self, sentence: String) {
        let mut news = self.news.lock();
        if news.said.len() >= NEWS_MAX {
            news.said.clear();
        }
        if news.unread.len() < NEWS_MAX && news.said.insert(sentence.clone()) {
            news.unread.push(sentence);
        }
    }

    /// Waits, but not for long if the store is being closed.
    fn pause(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        let mut left = time;
        while !self.is_stopping() && !left.is_zero() {
            let step = left.min(STEP);
            thread::sleep(step);
            left -= step;
        }
    }
}

/// What the configuration says, if it is possible.
fn checked(mut config: ClusteredConfig) -> Result<ClusteredConfig, Error> {
    let refused = |why: String| Err(Error::Refused(why));
    let count = config.stores.len();
    if !(1..=STORES_MAX).contains(&count) {
        return refused(format!(
            "{count} stores are listed: list 1 to {STORES_MAX}, all of the cluster's, this one among them"
        ));
    }
    if !(1..=REGIONS_MAX).contains(&config.regions) {
        return Err(Error::Impossible { regions: config.regions, stores: count as u32 });
    }
    if let Some(address) = config.stores.iter().find(|address| !is_address(address)) {
        return refused(format!(
            "'{address}' is listed and is no address: write HOST:PORT, such as 10.0.0.1:7101"
        ));
    }
    config.stores.sort_unstable();
    if let Some(pair) = config.stores.windows(2).find(|pair| pair[0] == pair[1]) {
        return refused(format!("{} is listed twice: list every store once", pair[0]));
    }
    if !config.stores.contains(&config.address) {
        let listed = config.stores.join(", ");
        return refused(format!(
            "this store's address {} is not among the listed ones ({listed}): list it, written in the same way",
            config.address
        ));
    }
    Ok(config)
}

fn is_address(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    address.len() <= ADDRESS_BYTES_MAX && port.is_some_and(|(host, port)| !host.is_empty() && port != 0)
}

/// What is in the directory, if it can be this store's and nobody has it open.
fn look(dir: &Path) -> Result<Found, Error> {
    let found = store_dir::look(dir)?;
    if let Found::Store(identity) = &found {
        store_dir::check_free(dir)?;
        if identity.cluster != NO_CLUSTER && Founding::read(dir)?.is_none() {
            return Err(DirectoryError::new(dir, Problem::Alone).into());
        }
    }
    Ok(found)
}

/// What the store says of itself before it has opened anything.
fn introduction(config: &ClusteredConfig, found: &Found) -> Introduction {
    let identity = match found {
        Found::Nothing => {
            transport::Identity { cluster: NO_CLUSTER, store: StoreId(0), uuid: [0; 16], life: Life(0) }
        }
        Found::Store(identity) => spoken(identity),
    };
    let mut own = Introduction::new(identity);
    if identity.cluster != NO_CLUSTER {
        // Whether it is more than that is known when it is open.
        own.set_stage(Stage::Joining);
    }
    own.address.clone_from(&config.address);
    own.listed.clone_from(&config.stores);
    own.regions = config.regions;
    own.plan = plan::VERSION;
    own
}

fn spoken(identity: &Identity) -> transport::Identity {
    transport::Identity {
        cluster: identity.cluster,
        store: identity.store,
        uuid: identity.uuid,
        life: identity.life,
    }
}

fn open_directory(dir: &Path, found: &Found) -> Result<(StoreDir, Option<Founding>), Error> {
    let opened = match found {
        Found::Store(_) => StoreDir::open(dir, None)?,
        Found::Nothing => StoreDir::create(dir, new_identity()?)?,
    };
    Ok((opened, Founding::read(dir)?))
}

fn new_identity() -> Result<Identity, Error> {
    Ok(Identity {
        cluster: NO_CLUSTER,
        store: draw::store_id(&[])?,
        uuid: draw::uuid()?,
        life: Life(1),
        is_born: false,
    })
}

/// All listed addresses but the own one.
fn others(config: &ClusteredConfig) -> Vec<String> {
    config.stores.iter().filter(|address| **address != config.address).cloned().collect()
}

#[cfg(test)]
mod tests;

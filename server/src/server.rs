//! What all connections share: the stores, who is connected, totals, and whether it is time to stop.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skep_engine::Engine;
use tokio::sync::watch;

use crate::clients::Clients;
use crate::cursors::Cursors;
use crate::hosted::Hosted;
use crate::open_files::OpenFiles;
use crate::password::Password;

/// The version of Redis whose behaviour is followed. Clients choose by it what they send.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

/// See the page of this file. `Server::new` makes one.
pub struct Server {
    hosted: Hosted,
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) request_timeout: Duration,
    pub(crate) password: Option<Password>,
    pub(crate) started: Instant,
    pub(crate) clients: Clients,
    pub(crate) cursors: Cursors,
    pub(crate) allow_flush: bool,
    pub(crate) open_files: OpenFiles,
    /// What the next number drawn by chance is made of.
    dice: AtomicU64,
    next_store: AtomicUsize,
    totals: [AtomicU64; 4],
    stop: watch::Sender<bool>,
}

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address that clients connect to, as it was bound.
    pub listen: SocketAddr,
    /// The data directory, for those who ask.
    pub data: PathBuf,
    /// How long a command may take.
    pub request_timeout: Duration,
    /// What clients must give before anything else, if anything.
    pub password: Option<Password>,
    /// Whether FLUSHALL and FLUSHDB delete everything, or refuse to.
    pub allow_flush: bool,
}

/// Counts since the start, or to be added to them.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Totals {
    pub(crate) commands: u64,
    pub(crate) input_bytes: u64,
    pub(crate) output_bytes: u64,
    /// Connections beyond the limit.
    pub(crate) rejected: u64,
}

/// See [`Server::stopping`].
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Returns when it is time to stop.
    pub(crate) async fn asked(&mut self) {
        // An error would mean that the server is gone: also a reason to stop.
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await;
    }
}

impl Server {
    /// A server of these stores.
    pub fn new(hosted: impl Into<Hosted>, config: ServerConfig) -> Server {
        Server {
            hosted: hosted.into(),
            listen: config.listen,
            // Without a working directory there is nothing better than what was written.
            data: std::path::absolute(&config.data).unwrap_or(config.data),
            request_timeout: config.request_timeout,
            password: config.password,
            started: Instant::now(),
            clients: Clients::default(),
            cursors: Cursors::new(seed()),
            allow_flush: config.allow_flush,
            open_files: OpenFiles::lift(),
            dice: AtomicU64::new(seed()),
            next_store: AtomicUsize::new(0),
            totals: Default::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// The stores that are served.
    pub fn hosted(&self) -> &Hosted {
        &self.hosted
    }

    /// Tells all connections to finish what they have and to close, and the listeners to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// To wait for the time to stop.
    pub(crate) fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    pub(crate) fn stores(&self) -> &[Engine] {
        self.hosted.engines()
    }

    /// The store for the next connection: one after the other, without those that failed. Every store serves
    /// every key, so any will do; if all have failed, one of them says so.
    pub(crate) fn choose_store(&self) -> Engine {
        let stores = self.stores();
        let turn = self.next_store.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..stores.len()).map(|step| &stores[turn.wrapping_add(step) % stores.len()]);
        let chosen = in_turn().find(|store| store.failed().is_none()).or_else(|| in_turn().next());
        chosen.expect("clients are served once there is a store").clone()
    }

    /// A number that nobody can foresee who does not try to.
    pub(crate) fn chance(&self) -> u64 {
        // SplitMix64.
        let state = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn count(&self, more: Totals) {
        let counts = [more.commands, more.input_bytes, more.output_bytes, more.rejected];
        for (total, count) in self.totals.iter().zip(counts) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let [commands, input_bytes, output_bytes, rejected] =
            [0, 1, 2, 3].map(|at| self.totals[at].load(Ordering::Relaxed));
        Totals { commands, input_bytes, output_bytes, rejected }
    }
}

/// Another one in each process: what the standard library keys its hash maps with.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

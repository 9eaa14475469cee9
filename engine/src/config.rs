//! How a store is opened, alone or with others in this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use skep_raftstore::ids::ClusterId;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const WORKERS: usize = 1;
/// What is in memory does not block, so that one thread applies for all regions.
const APPLY_THREADS: usize = 1;
const SEGMENT_BYTES: u64 = 64 << 20;
const SPLIT_BYTES: u64 = 64 << 20;

/// Any free port, reachable from this machine alone.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How one store is opened, as a cluster of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EngineConfig {
    /// Its directory. Made if it is missing or empty.
    pub dir: PathBuf,
    /// The cluster that the directory must belong to, if that matters.
    pub cluster: Option<ClusterId>,
    /// Where it listens for other stores. Any free port on loopback.
    pub listen: SocketAddr,
    /// How many regions a new directory is cut into; an existing one keeps its own. One.
    pub regions: u32,
    /// How long a command may take, elections and changes of leader included, before it is answered
    /// [`Error::TimedOut`](crate::Error). Five seconds.
    pub request_timeout: Duration,
    /// Threads that drive regions. One.
    pub workers: usize,
    /// Threads that apply what is committed. One.
    pub apply_threads: usize,
    /// Bytes of a segment of the log: a multiple of 4 KiB, at most 1 GiB. 64 MiB. A command takes half of one at most,
    /// so that below 34 MiB the largest are refused.
    pub segment_bytes: u64,
    /// A region whose keys and values take more bytes than this is split. 64 MiB: a replica of it is moved in a second.
    pub split_bytes: u64,
    /// Bytes of memory that the data of the store may take, with what each pair costs beside its bytes. Beyond, writes that
    /// add to it are answered [`Error::OutOfMemory`](crate::Error) by the store that takes them; reads and deletes go on.
    /// No limit.
    pub memory_limit: Option<u64>,
}

impl EngineConfig {
    /// A store in `dir`, with the values given at each field.
    pub fn new(dir: impl Into<PathBuf>) -> EngineConfig {
        EngineConfig {
            dir: dir.into(),
            cluster: None,
            listen: LOOPBACK,
            regions: 1,
            request_timeout: REQUEST_TIMEOUT,
            workers: WORKERS,
            apply_threads: APPLY_THREADS,
            segment_bytes: SEGMENT_BYTES,
            split_bytes: SPLIT_BYTES,
            memory_limit: None,
        }
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings {
            request_timeout: self.request_timeout,
            workers: self.workers,
            apply_threads: self.apply_threads,
            segment_bytes: self.segment_bytes,
            timing: Timing::default(),
            split_bytes: self.split_bytes,
            memory_limit: self.memory_limit,
        }
    }
}

/// How several stores of one cluster are opened in this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalConfig {
    /// The directory that holds theirs. Made if it is missing or empty.
    pub dir: PathBuf,
    /// How many stores a new directory gets, each with a replica of every region; an existing one keeps its own. Three.
    pub stores: u32,
    /// How many regions a new directory is cut into; an existing one keeps its own. Sixteen.
    pub regions: u32,
    /// As in [`EngineConfig`].
    pub request_timeout: Duration,
    /// As in [`EngineConfig`], for each store.
    pub workers: usize,
    /// As in [`EngineConfig`], for each store.
    pub apply_threads: usize,
    /// As in [`EngineConfig`], for each store.
    pub segment_bytes: u64,
    /// As in [`EngineConfig`].
    pub split_bytes: u64,
    /// As in [`EngineConfig`], for each store.
    pub memory_limit: Option<u64>,
}

impl LocalConfig {
    /// A cluster in `dir`, with the values given at each field.
    pub fn new(dir: impl Into<PathBuf>) -> LocalConfig {
        LocalConfig {
            dir: dir.into(),
            stores: 3,
            regions: 16,
            request_timeout: REQUEST_TIMEOUT,
            workers: WORKERS,
            apply_threads: APPLY_THREADS,
            segment_bytes: SEGMENT_BYTES,
            split_bytes: SPLIT_BYTES,
            memory_limit: None,
        }
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings {
            request_timeout: self.request_timeout,
            workers: self.workers,
            apply_threads: self.apply_threads,
            segment_bytes: self.segment_bytes,
            split_bytes: self.split_bytes,
            memory_limit: self.memory_limit,
            timing: Timing::default(),
        }
    }
}

/// How one store of a cluster with a process for each store is opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusteredConfig {
    /// Its directory. Made if it is missing or empty.
    pub dir: PathBuf,
    /// Where the other stores reach it, as it is written in `stores`.
    pub address: String,
    /// The addresses of all stores, this one's among them, in any order; the same for all of them. At most nine.
    pub stores: Vec<String>,
    /// How many regions a new cluster is cut into; the same for all stores of it. Sixteen.
    pub regions: u32,
    /// How long a store that was wiped must have been away before another takes its place. Thirty seconds.
    pub replace_after: Duration,
    /// As in [`EngineConfig`].
    pub request_timeout: Duration,
    /// As in [`EngineConfig`].
    pub workers: usize,
    /// As in [`EngineConfig`].
    pub apply_threads: usize,
    /// As in [`EngineConfig`].
    pub segment_bytes: u64,
    /// As in [`EngineConfig`].
    pub split_bytes: u64,
    /// As in [`EngineConfig`].
    pub memory_limit: Option<u64>,
    /// When leaders are missed.
    pub timing: Timing,
}

/// When a leader is missed. Stores of one cluster should agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// The shortest silence of a leader after which a replica asks for an election. One second.
    pub election_min: Duration,
    /// The longest; each replica draws its own in between. Two seconds.
    pub election_max: Duration,
    /// How often a leader that has nothing to say says so. A quarter of a second.
    pub heartbeat: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            election_min: Duration::from_secs(1),
            election_max: Duration::from_secs(2),
            heartbeat: Duration::from_millis(250),
        }
    }
}

impl ClusteredConfig {
    /// A store in `dir`, alone in its cluster, with the values given at each field.
    pub fn new(dir: impl Into<PathBuf>, address: impl Into<String>) -> ClusteredConfig {
        let address = address.into();
        ClusteredConfig {
            dir: dir.into(),
            stores: vec![address.clone()],
            address,
            regions: 16,
            replace_after: Duration::from_secs(30),
            request_timeout: REQUEST_TIMEOUT,
            workers: WORKERS,
            apply_threads: APPLY_THREADS,
            segment_bytes: SEGMENT_BYTES,
            split_bytes: SPLIT_BYTES,
            memory_limit: None,
            timing: Timing::default(),
        }
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings {
            request_timeout: self.request_timeout,
            workers: self.workers,
            apply_threads: self.apply_threads,
            segment_bytes: self.segment_bytes,
            timing: self.timing,
            split_bytes: self.split_bytes,
            memory_limit: self.memory_limit,
        }
    }
}

/// What is set for every store alike.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    pub(crate) request_timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) apply_threads: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) timing: Timing,
    pub(crate) split_bytes: u64,
    pub(crate) memory_limit: Option<u64>,
}

/// Whether a directory was new, and what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It was made, and cut into so many regions.
    New {
        /// How many.
        regions: u32,
    },
    /// It was there, with so many regions.
    Existing {
        /// How many.
        regions: u32,
    },
}

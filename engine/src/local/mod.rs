//! Several stores of one cluster in this process, each with its own directory, log, port and threads.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use skep_raftstore::ids::ClusterId;

use crate::Error;
use crate::assemble::Assembled;
use crate::cluster_status::{ClusterStatus, MemberStatus};
use crate::config::{LocalConfig, Opened};
use crate::engine::Engine;
use cluster_file::ClusterFile;
use form::Formed;

mod cluster_file;
mod form;

/// How long closing waits for commands that are under way.
const DRAIN: Duration = Duration::from_secs(2);
/// How long opening waits for the stores to be connected.
const CONNECT: Duration = Duration::from_millis(500);
/// How often a condition that is waited for is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Several stores of one cluster in this process. Dropping it closes it.
pub struct LocalCluster {
    file: ClusterFile,
    engines: Vec<Engine>,
    opened: Opened,
    is_closed: AtomicBool,
    /// Keeps the directory locked.
    _lock: File,
}

impl LocalCluster {
    /// Opens the cluster in a directory. One that is missing or empty becomes a new cluster; making one that was
    /// interrupted is finished.
    pub fn open(config: LocalConfig) -> Result<LocalCluster, Error> {
        let Formed { file, is_new, stores, lock } = form::form(&config)?;
        introduce(&file, &stores);
        let settings = config.settings();
        let start = |store| Engine::start(store, &settings, is_new);
        let engines = stores.into_iter().map(start).collect::<Result<Vec<Engine>, Error>>()?;
        let opened = engines[0].opened();
        Ok(LocalCluster { file, engines, opened, is_closed: AtomicBool::new(false), _lock: lock })
    }

    /// Whether its directory was new.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// The cluster's name.
    pub fn cluster_id(&self) -> ClusterId {
        self.file.cluster
    }

    /// The stores. Each takes commands for every key.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// One of the stores; beyond the last, counting starts over.
    pub fn engine(&self, at: usize) -> &Engine {
        &self.engines[at % self.engines.len()]
    }

    /// Waits until every store that has not failed knows a leader for each of its regions. A replica that has stopped is not
    /// waited for: others answer for it.
    pub fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        let ready = wait_until(timeout, || {
            let running =
                self.engines.iter().map(Engine::store_status).filter(|store| store.failed.is_none());
            running.into_iter().all(|store| store.led + store.stopped == store.replicas)
        });
        if ready { Ok(()) } else { Err(Error::TimedOut) }
    }

    /// The cluster as it is now. Waits for the stores' workers, a second at most.
    pub fn status(&self) -> ClusterStatus {
        let stores = self.engines.iter().map(MemberStatus::here).collect();
        ClusterStatus::of(self.file.cluster, stores, &self.engines)
    }

    /// Answers what is under way (for two seconds at most), then closes store after store, each handing over what it
    /// leads. The first store that had failed before is the error; the others are closed all the same. Others can open
    /// the directory once this and all clones of its engines are dropped.
    pub fn close(&self) -> Result<(), Error> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // As long as all stores run, each command under way can still be answered.
        wait_until(DRAIN, || self.engines.iter().all(|engine| engine.is_idle()));
        let failed = self.engines.iter().find_map(Engine::failed);
        if let Some((last, others)) = self.engines.split_last() {
            others.iter().for_each(Engine::close);
            // Nobody is left to take over from it.
            last.close_alone();
        }
        failed.map_or(Ok(()), |why| Err(Error::StoreStopped(why)))
    }
}

/// Tells every store where the others are, and waits a moment until they are connected: a store that asks to lead
/// before anyone can answer has to wait for an election timeout before it asks again.
fn introduce(file: &ClusterFile, stores: &[Assembled]) {
    for store in stores {
        for (member, other) in file.stores.iter().zip(stores) {
            store.transport.set_peer(member.store, Some(member.uuid), other.transport.local_addr());
        }
    }
    wait_until(CONNECT, || {
        stores.iter().all(|store| store.transport.peer_states().iter().all(|peer| peer.up))
    });
}

fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // What failed has been reported by the store that it failed on.
        let _ = self.close();
    }
}

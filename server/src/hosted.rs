//! The stores that this process is the front of: several of one cluster, or one whose others run elsewhere.

use std::sync::Arc;
use std::time::Duration;

use skep_engine::{ClusterStatus, ClusteredStore, Engine, Error, LocalCluster, Phase};

/// The stores that this process is the front of.
pub enum Hosted {
    /// A whole cluster.
    Local(Arc<LocalCluster>),
    /// One store of a cluster. It may not be open yet.
    One(Arc<ClusteredStore>),
}

impl From<Arc<LocalCluster>> for Hosted {
    fn from(cluster: Arc<LocalCluster>) -> Hosted {
        Hosted::Local(cluster)
    }
}

impl From<Arc<ClusteredStore>> for Hosted {
    fn from(store: Arc<ClusteredStore>) -> Hosted {
        Hosted::One(store)
    }
}

impl Hosted {
    /// Those that are open.
    pub fn engines(&self) -> &[Engine] {
        match self {
            Hosted::Local(cluster) => cluster.engines(),
            Hosted::One(store) => store.engines(),
        }
    }

    /// The state of the cluster, as far as it is known here; nothing while no store is open.
    pub fn status(&self) -> Option<ClusterStatus> {
        match self {
            Hosted::Local(cluster) => Some(cluster.status()),
            Hosted::One(store) => store.status(),
        }
    }

    /// Why no store is open, if that is so.
    pub fn waits_for(&self) -> Option<String> {
        match self {
            Hosted::Local(_) => None,
            Hosted::One(store) => match store.phase() {
                Phase::Forming(why) => Some(format!("forming a cluster: {why}")),
                Phase::Joining(why) => Some(format!("joining: {why}")),
                Phase::Failed(why) => Some(why),
                Phase::Open => None,
            },
        }
    }

    /// Why each store that has stopped did.
    pub fn failures(&self) -> Vec<String> {
        match self {
            Hosted::One(store) if matches!(store.phase(), Phase::Failed(_)) => {
                self.waits_for().into_iter().collect()
            }
            Hosted::Local(_) | Hosted::One(_) => self.engines().iter().filter_map(Engine::failed).collect(),
        }
    }

    /// Whether no store is left.
    pub fn is_lost(&self) -> bool {
        self.failures().len() >= self.engines().len().max(1)
    }

    /// Waits until every open store knows a leader for each of its regions.
    pub fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        match self {
            Hosted::Local(cluster) => cluster.wait_ready(timeout),
            Hosted::One(_) => Ok(()),
        }
    }

    /// What is not as it should be with the stores that run here, each with its sentence.
    pub fn troubles(&self) -> Vec<String> {
        let of = |engine: &Engine| {
            let store = engine.store_id();
            engine.troubles().into_iter().map(move |trouble| format!("store {store}: {trouble}"))
        };
        self.engines().iter().flat_map(of).collect()
    }

    /// What somebody should know and has not been told.
    pub fn news(&self) -> Vec<String> {
        match self {
            Hosted::Local(_) => Vec::new(),
            Hosted::One(store) => store.news(),
        }
    }

    /// Hands over, drains, syncs and closes. An error is why a store had stopped before.
    pub fn close(&self) -> Result<(), Error> {
        match self {
            Hosted::Local(cluster) => cluster.close(),
            Hosted::One(store) => store.close(),
        }
    }
}

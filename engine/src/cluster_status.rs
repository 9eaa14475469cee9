//! How a cluster fares, as its stores in this process know it.

use std::collections::BTreeMap;

use skep_raftstore::ids::{ClusterId, RegionId, ReplicaId, StoreId};
use skep_raftstore::raft::Role;
use skep_raftstore::store::{RegionStatus, StoreStatus};

use crate::engine::Engine;

/// How a cluster fares.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterStatus {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Each of its stores.
    pub stores: Vec<MemberStatus>,
    /// How many regions (not replicas) it has.
    pub regions: u32,
    /// How many of them have a leader.
    pub leaders: u32,
    /// How many stores that run may still be lost without stopping any region.
    pub losable: u32,
}

/// How one store of a cluster fares.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberStatus {
    /// Which store.
    pub id: StoreId,
    /// Where it is reached by others, if it is elsewhere.
    pub address: Option<String>,
    /// Whether it runs.
    pub condition: MemberCondition,
    /// Replicas it hosts.
    pub replicas: usize,
    /// Of those, how many lead their region.
    pub leaders: usize,
    /// What only a store in this process can tell.
    pub own: Option<StoreStatus>,
}

/// Whether a store runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberCondition {
    /// It does.
    Running,
    /// It is in this process and stopped, for this reason.
    Failed(String),
    /// It is elsewhere and cannot be reached, for this reason.
    Away(String),
}

impl MemberStatus {
    /// The store in this process.
    pub(crate) fn here(engine: &Engine) -> MemberStatus {
        let own = engine.store_status();
        MemberStatus {
            id: own.id,
            address: None,
            condition: own.failed.clone().map_or(MemberCondition::Running, MemberCondition::Failed),
            replicas: own.replicas,
            leaders: own.leaders,
            own: Some(own),
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.condition == MemberCondition::Running
    }
}

/// What is known about one region.
#[derive(Default)]
struct Seen {
    voters: Vec<StoreId>,
    /// Stores whose replica has stopped.
    stopped: Vec<StoreId>,
    leaders: Vec<StoreId>,
}

impl Seen {
    fn add(&mut self, replica: &RegionStatus) {
        self.voters = replica.membership.voters.iter().map(|voter| voter.store()).collect();
        if replica.stopped.is_some() {
            self.stopped.push(replica.replica.store());
        }
        if replica.role == Role::Leader {
            self.leaders.push(replica.replica.store());
        } else {
            self.leaders.extend(replica.leader.map(ReplicaId::store));
        }
    }

    /// Voters beyond the majority that serve, by what `runs` says about their stores; `None` if there is no majority.
    fn spare(&self, runs: impl Fn(StoreId) -> bool) -> Option<usize> {
        let serving =
            self.voters.iter().filter(|store| runs(**store) && !self.stopped.contains(store)).count();
        serving.checked_sub(self.voters.len() / 2 + 1)
    }
}

impl ClusterStatus {
    /// Put together from what the stores in this process say of their replicas, and from which stores run.
    pub(crate) fn of(cluster: ClusterId, stores: Vec<MemberStatus>, engines: &[Engine]) -> ClusterStatus {
        let mut regions: BTreeMap<RegionId, Seen> = BTreeMap::new();
        for engine in engines {
            regions.extend(engine.regions().iter().map(|region| (region.id, Seen::default())));
        }
        for engine in engines.iter().filter(|engine| engine.failed().is_none()) {
            for replica in engine.region_status() {
                regions.entry(replica.region).or_default().add(&replica);
            }
        }
        let runs = |id: StoreId| stores.iter().any(|store| store.id == id && store.runs());
        let is_led =
            |seen: &&Seen| seen.spare(runs).is_some() && seen.leaders.iter().any(|leader| runs(*leader));
        let leaders = regions.values().filter(is_led).count() as u32;
        let losable = regions.values().map(|seen| seen.spare(runs).unwrap_or(0)).min().unwrap_or(0) as u32;
        ClusterStatus { cluster, regions: regions.len() as u32, leaders, losable, stores }
    }
}

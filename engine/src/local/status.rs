//! How a cluster of stores in this process fares.

use std::collections::BTreeMap;

use skep_raftstore::ids::{ClusterId, RegionId};
use skep_raftstore::raft::Role;
use skep_raftstore::store::StoreStatus;

use crate::engine::Engine;

/// How a cluster fares.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterStatus {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Each of its stores.
    pub stores: Vec<StoreStatus>,
    /// How many regions (not replicas) it has.
    pub regions: u32,
    /// How many of them have a leader.
    pub leaders: u32,
    /// How many stores that run may still be lost without stopping any region.
    pub losable: u32,
}

/// What the stores say about one region.
#[derive(Default)]
struct Seen {
    voters: usize,
    running: usize,
    has_leader: bool,
}

impl ClusterStatus {
    pub(super) fn of(cluster: ClusterId, stores: usize, engines: &[Engine]) -> ClusterStatus {
        let mut regions: BTreeMap<RegionId, Seen> = engines[0]
            .regions()
            .iter()
            .map(|region| (region.id, Seen { voters: stores, ..Seen::default() }))
            .collect();
        for engine in engines.iter().filter(|engine| engine.failed().is_none()) {
            for replica in engine.region_status() {
                let seen = regions.entry(replica.region).or_default();
                seen.voters = replica.membership.voters.len();
                seen.running += usize::from(replica.stopped.is_none());
                seen.has_leader |= replica.role == Role::Leader;
            }
        }
        let losable = |seen: &Seen| seen.running.saturating_sub(seen.voters / 2 + 1);
        ClusterStatus {
            cluster,
            stores: engines.iter().map(Engine::store_status).collect(),
            regions: regions.len() as u32,
            leaders: regions.values().filter(|seen| seen.has_leader).count() as u32,
            losable: regions.values().map(losable).min().unwrap_or(0) as u32,
        }
    }
}

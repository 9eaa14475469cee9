//! How the cluster fares, as one of its stores knows it: its own replicas, and whom it reaches.

use std::collections::{BTreeMap, BTreeSet};

use skep_raftstore::ids::{ReplicaId, StoreId};
use skep_raftstore::store::RegionStatus;
use skep_raftstore::transport::tcp::PeerState;

use crate::cluster_status::{ClusterStatus, MemberCondition, MemberStatus};
use crate::engine::Engine;

pub(super) fn of(engine: &Engine) -> ClusterStatus {
    let regions = engine.region_status();
    let mut peers: BTreeMap<StoreId, Option<PeerState>> =
        members(&regions).into_iter().map(|id| (id, None)).collect();
    peers.extend(engine.transport().peer_states().into_iter().map(|peer| (peer.store, Some(peer))));
    peers.remove(&engine.store_id());
    let mut stores = vec![MemberStatus::here(engine)];
    stores.extend(peers.into_iter().map(|(id, peer)| elsewhere(id, peer, &regions)));
    stores.sort_by_key(|store| store.id);
    ClusterStatus::of(engine.cluster_id(), stores, std::slice::from_ref(engine))
}

/// All stores that have a replica of any of these regions.
pub(super) fn members(regions: &[RegionStatus]) -> BTreeSet<StoreId> {
    let replicas = regions.iter().flat_map(|region| {
        let membership = &region.membership;
        [&membership.voters, &membership.outgoing, &membership.learners].into_iter().flatten()
    });
    replicas.map(|replica| replica.store()).collect()
}

fn elsewhere(id: StoreId, peer: Option<PeerState>, regions: &[RegionStatus]) -> MemberStatus {
    let replicas =
        regions.iter().filter(|region| members(std::slice::from_ref(region)).contains(&id)).count();
    let leaders = regions.iter().filter(|region| region.leader.map(ReplicaId::store) == Some(id)).count();
    let condition = match &peer {
        Some(peer) if peer.up => MemberCondition::Running,
        Some(PeerState { refusal: Some(why), .. }) => MemberCondition::Away(why.clone()),
        Some(_) => MemberCondition::Away("it was not reached yet".into()),
        None => MemberCondition::Away("none of the listed addresses leads to it".into()),
    };
    MemberStatus {
        id,
        address: peer.map(|peer| peer.addr.to_string()),
        condition,
        replicas,
        leaders,
        own: None,
    }
}

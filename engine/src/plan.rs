//! What a new cluster will look like: which stores, which regions, who leads them first.

use bytes::Bytes;
use skep_raftstore::ids::{Epoch, RegionId, ReplicaId, StoreId};
use skep_raftstore::raft::Membership;
use skep_raftstore::store::{Birth, Descent};

use crate::boundaries::boundaries;
use crate::descriptor::RegionDescriptor;

/// The version of all this. Stores that plan one cluster, each by itself, must have the same.
pub(crate) const VERSION: u32 = 1;

/// The number of the membership that a region is born with; part of its first replicas' names.
const FIRST_MEMBERSHIP: u32 = 1;
const FIRST_EPOCH: Epoch = Epoch { version: 1, membership: FIRST_MEMBERSHIP as u64 };

/// `count` regions that tile the key space, each with a replica on every one of `stores`; named by the first store.
pub(crate) fn regions(count: u32, stores: &[StoreId]) -> Vec<RegionDescriptor> {
    let voters = stores.iter().map(|store| ReplicaId::new(FIRST_MEMBERSHIP, *store)).collect();
    let membership = Membership { number: FIRST_MEMBERSHIP.into(), ..Membership::of_voters(voters) };
    let boundaries = boundaries(count);
    let starts = std::iter::once(Bytes::new()).chain(boundaries.iter().cloned());
    let ends = boundaries.iter().cloned().map(Some).chain(std::iter::once(None));
    let ranges = (1..=count).zip(starts.zip(ends));
    let regions = ranges.map(|(number, (start, end))| RegionDescriptor {
        id: RegionId::new(stores[0], number),
        start,
        end,
        epoch: FIRST_EPOCH,
        membership: membership.clone(),
    });
    regions.collect()
}

/// What `stores[at]` has to make of `regions`. Each store asks to lead its share of them.
pub(crate) fn births(regions: &[RegionDescriptor], stores: &[StoreId], at: usize) -> Vec<Birth> {
    let births = regions.iter().enumerate().map(|(number, region)| Birth {
        region: region.id,
        replica: ReplicaId::new(FIRST_MEMBERSHIP, stores[at]),
        membership: region.membership.clone(),
        genesis: region.encode().into(),
        descent: Descent::Genesis,
        campaign: number % stores.len() == at,
    });
    births.collect()
}

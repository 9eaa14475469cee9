//! Who is told what a store's regions are: the owner of the keys, who routes by it and decides when a region is too large.

use bytes::Bytes;

use crate::ids::RegionId;

/// Is told about the regions of a store. Called on its workers: it must be quick and must not block.
pub trait Watcher: Send + Sync {
    /// A replica of this region is here, can be sent commands, and its machine describes it so. Told when a replica is made, and
    /// whenever its machine says something new.
    fn region_is(&self, region: RegionId, description: &Bytes);

    /// This store leads a region whose size is beyond [`StoreConfig::large_bytes`](super::StoreConfig). Told again when it
    /// has grown on, not for as long as nothing is written.
    fn is_large(&self, region: RegionId, bytes: u64);
}

/// Wants to know nothing.
pub struct NoWatcher;

impl Watcher for NoWatcher {
    fn region_is(&self, _: RegionId, _: &Bytes) {}

    fn is_large(&self, _: RegionId, _: u64) {}
}

//! What the workers of a store tell its engine about regions: what they are to the router, which are large to the steward.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use skep_raftstore::ids::RegionId;
use skep_raftstore::store::Watcher;

use super::steward::Errand;
use crate::descriptor::RegionDescriptor;
use crate::router::Router;

/// See the page of this file.
pub(crate) struct Chart {
    pub(crate) router: Arc<Router>,
    pub(crate) steward: Sender<Errand>,
}

impl Watcher for Chart {
    fn region_is(&self, _: RegionId, description: &Bytes) {
        // It comes from a machine of this very process.
        if let Ok(region) = RegionDescriptor::decode(description) {
            self.router.learn(&[region]);
        }
    }

    fn is_large(&self, region: RegionId, bytes: u64) {
        // Whoever would listen has gone with the store.
        let _ = self.steward.send(Errand::Split { region, bytes });
    }
}

//! A way to a store for whoever asks it, open or running.

use std::sync::Arc;

use bytes::Bytes;

use super::inbox::Inboxes;
use super::request::{Reply, Request, SubmitError};
use crate::apply::{ApplyPool, Job};
use crate::ids::{RegionId, StoreId};
use crate::raft::Membership;

/// See the page of this file. Each method does what that of [`Store`](super::Store) does.
#[derive(Clone)]
pub struct Submitter {
    pub(super) id: StoreId,
    pub(super) inboxes: Arc<Inboxes>,
    pub(super) pool: Arc<ApplyPool>,
}

impl Submitter {
    /// Which store.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// Takes a command for whoever leads `region`.
    pub fn submit(&self, region: RegionId, request: Request) {
        self.inboxes.submit(region, request);
    }

    /// Answers a query from the replica that is here.
    pub fn read_here(&self, region: RegionId, query: Bytes, reply: Reply) {
        if self.inboxes.is_stopped() {
            return reply(Err(SubmitError::StoreStopped(self.inboxes.stop_reason())));
        }
        let Some(handle) = self.pool.handle(region) else { return reply(Err(SubmitError::NoRegion)) };
        let reply = Box::new(move |answer: Result<Bytes, String>| {
            reply(answer.map_err(SubmitError::RegionStopped));
        });
        handle.push(Job::ReadHere { query, reply });
    }

    /// Says who has the replicas of a region that has none here.
    pub fn learn(&self, region: RegionId, membership: Membership) {
        self.inboxes.learn(region, membership);
    }
}

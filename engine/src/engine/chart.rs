//! What the workers of a store tell its engine about regions, from before the engine is there until after it is gone.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::RegionId;
use skep_raftstore::store::Watcher;

use super::Inner;
use super::steward::Errand;
use crate::descriptor::RegionDescriptor;

/// See the page of this file.
pub(crate) struct Chart {
    // Held to look at who listens, or to keep one item for it.
    listener: Mutex<Listener>,
    steward: Sender<Errand>,
}

enum Listener {
    /// Nobody yet: what was said meanwhile.
    Nobody(Vec<RegionDescriptor>),
    Engine(Weak<Inner>),
}

impl Chart {
    pub(crate) fn new(steward: Sender<Errand>) -> Chart {
        Chart { listener: Mutex::new(Listener::Nobody(Vec::new())), steward }
    }

    /// From here on `inner` is told.
    pub(super) fn tell(&self, inner: &Arc<Inner>) {
        let listener = Listener::Engine(Arc::downgrade(inner));
        let before = std::mem::replace(&mut *self.listener.lock(), listener);
        if let Listener::Nobody(said) = before {
            inner.learn(&said);
        }
    }
}

impl Watcher for Chart {
    fn region_is(&self, _: RegionId, description: &Bytes) {
        // It comes from a machine of this very process.
        let Ok(region) = RegionDescriptor::decode(description) else { return };
        let inner = match &mut *self.listener.lock() {
            Listener::Nobody(said) => return said.push(region),
            Listener::Engine(inner) => inner.upgrade(),
        };
        if let Some(inner) = inner {
            inner.learn(&[region]);
        }
    }

    fn is_large(&self, region: RegionId, bytes: u64) {
        // Whoever would listen has gone with the store.
        let _ = self.steward.send(Errand::Split { region, bytes });
    }
}

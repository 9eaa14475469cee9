//! The ends of the network, with an observer between them and the store: what leaves and what arrives is read along.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::StoreId;
use skep_raftstore::transport::{Lane, Receiver, Transport};
use skep_raftstore::wire;

use super::ledger::Ledger;

/// The sending end of a store.
pub(super) struct Sending {
    pub(super) store: StoreId,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
}

/// The receiving end of a store.
pub(super) struct Receiving {
    pub(super) store: StoreId,
    pub(super) receiver: Arc<dyn Receiver>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
}

impl Transport for Sending {
    fn send(&self, to: StoreId, lane: Lane, frame: Bytes) -> bool {
        if let Ok(messages) = wire::decode(frame.clone()) {
            self.ledger.lock().leaves(self.store, to, frame.len(), &messages);
        }
        self.transport.send(to, lane, frame)
    }
}

impl Receiving {
    /// A frame that has been here before arrives once more.
    pub(super) fn replayed(&self, from: StoreId, frame: Bytes) {
        self.receiver.received(from, frame);
    }
}

impl Receiver for Receiving {
    fn received(&self, from: StoreId, frame: Bytes) {
        if let Ok(messages) = wire::decode(frame.clone()) {
            let sightings = &mut self.ledger.lock().sightings;
            messages.iter().for_each(|message| sightings.arrives(self.store, from, message));
            sightings.remember(self.store, from, &frame);
        }
        self.receiver.received(from, frame);
    }

    fn peer(&self, store: StoreId, up: bool) {
        self.receiver.peer(store, up);
    }
}

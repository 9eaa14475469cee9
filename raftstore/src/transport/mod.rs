//! How frames get from one store to another.
//!
//! A transport may lose, delay, repeat or reorder frames, and says so by saying nothing. It never alters one.

mod chance;
pub mod memory;
pub mod tcp;

use bytes::Bytes;

use crate::ids::{ClusterId, Life, StoreId};

/// Which queue a frame waits in. An urgent frame never waits behind a bulk one; snapshots have a connection
/// of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Heartbeats and votes.
    Urgent,
    /// Entries, their acknowledgements, forwarded commands.
    Bulk,
    /// Chunks of snapshots.
    Snapshot,
}

/// Who a store is: what it says of itself when it meets another, and what the other checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Which cluster it belongs to.
    pub cluster: ClusterId,
    /// Which store of it.
    pub store: StoreId,
    /// Drawn with the data directory: tells apart two stores that were given the same id.
    pub uuid: [u8; 16],
    /// How often its directory has been opened. An earlier life is refused once a later one was met.
    pub life: Life,
}

/// The sending half.
pub trait Transport: Send + Sync {
    /// Queues `frame` for `to` and never blocks. False if it was dropped at once (unknown store, full queue,
    /// no connection).
    fn send(&self, to: StoreId, lane: Lane, frame: Bytes) -> bool;
}

/// The receiving half: implemented by the store.
pub trait Receiver: Send + Sync {
    /// A whole frame whose checksum held, from a store whose identity was checked. `bytes` is counted against
    /// the store's budget; it must not block for long.
    fn received(&self, from: StoreId, frame: Bytes);

    /// The connection towards `store` was made or lost. Frames sent before a loss may be lost.
    fn peer(&self, store: StoreId, up: bool);
}

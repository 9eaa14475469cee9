//! The names of things: stores, regions, replicas, clusters.

use std::fmt;

pub use crate::raft::{Index, ReplicaId, Term, Tick};

/// One data directory and what serves it. Drawn at random when the directory is made, never zero, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u32);

/// A region: a range of keys and the Raft group that replicates it. Never reused.
///
/// The upper half is the store that made the region, the lower half that store's counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u64);

/// A cluster: drawn at bootstrap, checked in every handshake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// How often a store's directory has been opened. Grows by one, durably, with every start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Life(pub u64);

/// One of a store's starts over with the commands of a region. Grows over all its lives, for those of a later life are the
/// higher ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Attempt {
    /// The store's life.
    pub life: Life,
    /// The store's count of them in this life.
    pub number: u64,
}

/// Where a region stands: `version` moves with its range, `membership` with its replicas.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch {
    /// Moves when the range of keys changes.
    pub version: u64,
    /// Moves when the set of replicas changes.
    pub membership: u64,
}

impl RegionId {
    /// The `counter`-th region made by `store`.
    pub const fn new(store: StoreId, counter: u32) -> RegionId {
        RegionId((store.0 as u64) << 32 | counter as u64)
    }

    /// The stream of the log that belongs to this region.
    pub const fn stream(self) -> skep_wal::StreamId {
        skep_wal::StreamId(self.0)
    }
}

impl ReplicaId {
    /// The replica on `store` that was added by the membership change with this number.
    pub const fn new(membership: u32, store: StoreId) -> ReplicaId {
        ReplicaId((membership as u64) << 32 | store.0 as u64)
    }

    /// The number of the membership change that added it.
    pub const fn membership(self) -> u64 {
        self.0 >> 32
    }

    /// The store that this replica lives on.
    pub const fn store(self) -> StoreId {
        StoreId(self.0 as u32)
    }
}

macro_rules! shown_as {
    ($type:ident, $format:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}
shown_as!(StoreId, "s{:08x}");
shown_as!(RegionId, "r{:x}");
shown_as!(ClusterId, "c{:016x}");

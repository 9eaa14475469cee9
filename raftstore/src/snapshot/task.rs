//! What the keeper is told, and what it reports.

use super::received::ReceivedSnapshot;
use crate::apply::SnapshotPurpose;
use crate::ids::{Index, RegionId, ReplicaId, StoreId};
use crate::machine::SnapshotSource;
use crate::message::{SnapshotAck, SnapshotChunk, SnapshotMeta};
use crate::raft::LogPos;

/// What the keeper is told.
pub enum KeeperTask {
    /// These regions are worth a checkpoint.
    Checkpoint(Vec<RegionId>),
    /// A snapshot was taken.
    SnapshotTaken {
        /// Of which region.
        region: RegionId,
        /// What for.
        purpose: SnapshotPurpose,
        /// What it contains.
        meta: SnapshotMeta,
        /// The state.
        source: Box<dyn SnapshotSource>,
    },
    /// A checkpoint of this region has to wait for others; it will be asked for anew.
    NotTaken(RegionId),
    /// The region is no longer here: its checkpoint is of no use.
    Forget(RegionId),
    /// A piece of a snapshot arrived.
    Chunk {
        /// The store that it came from.
        from: StoreId,
        /// The piece.
        chunk: SnapshotChunk,
    },
    /// News of a snapshot that was sent.
    Ack {
        /// The store that it came from.
        from: StoreId,
        /// The news.
        ack: SnapshotAck,
    },
    /// The machine has been restored from it: make it the region's checkpoint.
    Adopt(ReceivedSnapshot),
    /// It is not wanted.
    Discard(ReceivedSnapshot),
    /// The replica has everything that is in it: the sender may go on behind it.
    Held(ReceivedSnapshot),
    /// End the thread.
    Stop,
}

/// What the keeper reports.
#[derive(Debug)]
pub enum KeeperOutcome {
    /// The region's state through here is durable on its own.
    Checkpointed {
        /// Which region.
        region: RegionId,
        /// Through where.
        at: LogPos,
    },
    /// Entries of this region, through `through`, keep the oldest segments of the log although its checkpoint has them.
    Pinning {
        /// Which region.
        region: RegionId,
        /// Through where its checkpoint goes: not less than `through`.
        at: LogPos,
        /// The last entry that pins.
        through: Index,
    },
    /// A snapshot is here, verified and durable; answered by `Adopt` (after `Job::Restore`) or by `Discard`.
    Received(ReceivedSnapshot),
    /// It is the region's checkpoint now.
    Adopted(ReceivedSnapshot),
    /// A transfer has ended.
    Sent {
        /// Of which region.
        region: RegionId,
        /// To whom.
        to: ReplicaId,
        /// What the follower has now; `None` if it did not get it.
        at: Option<LogPos>,
    },
}

impl KeeperOutcome {
    /// The region that it is about.
    pub const fn region(&self) -> RegionId {
        match self {
            KeeperOutcome::Checkpointed { region, .. }
            | KeeperOutcome::Pinning { region, .. }
            | KeeperOutcome::Sent { region, .. } => *region,
            KeeperOutcome::Received(received) | KeeperOutcome::Adopted(received) => received.region,
        }
    }
}

/// Takes what the keeper reports. Called on its thread; must not block.
pub trait KeeperSink: Send + Sync {
    /// Something was done.
    fn kept(&self, outcome: KeeperOutcome);
}

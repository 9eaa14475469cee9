//! What the apply threads are asked, and what they answer.

use bytes::Bytes;

use crate::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use crate::machine::{Child, SnapshotSource, StateMachine};
use crate::raft::LogPos;
use crate::snapshot::ReceivedSnapshot;

/// Who waits for a reply: the store that took the command, and its number for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplyTo {
    /// The store.
    pub store: StoreId,
    /// Its number.
    pub seq: u64,
}

/// An entry whose reply somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Where it was proposed.
    pub index: Index,
    /// In which term. If another term's entry stands there, the command was lost: its origin sends it again.
    pub term: Term,
    /// Who waits.
    pub to: ReplyTo,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotPurpose {
    /// For this store's own disk, so that the log may forget what it contains.
    Checkpoint,
    /// For a follower that needs entries which the log has forgotten.
    Follower {
        /// The follower.
        to: ReplicaId,
        /// The replica that sends it.
        from: ReplicaId,
        /// That replica's term.
        term: Term,
    },
}

/// Called once with the answer of a replica, or why it has none; on an apply thread: it must be quick and must not block.
pub type ReadReply = Box<dyn FnOnce(Result<Bytes, String>) + Send>;

/// One thing to do with a region's machine. Jobs of a region are done in the order in which they were pushed.
pub enum Job {
    /// Apply the log's entries through here.
    Apply {
        /// The last of them.
        through: Index,
        /// Whose replies are wanted, sorted by index.
        wanted: Vec<Wanted>,
    },
    /// Answer these from the state as it is after the jobs before.
    Read {
        /// The queries, and who asks.
        queries: Vec<(ReplyTo, Bytes)>,
    },
    /// Answer this from the state as it is, whoever leads: perhaps an old one.
    ReadHere {
        /// The query.
        query: Bytes,
        /// Told the answer, or why the machine has none.
        reply: ReadReply,
    },
    /// Take a snapshot.
    Snapshot(SnapshotPurpose),
    /// Replace the state by a received one.
    Restore(Box<ReceivedSnapshot>),
    /// Go on with this machine, if there is none.
    MoveIn {
        /// The machine.
        machine: Box<dyn StateMachine>,
        /// Through where its state goes.
        at: LogPos,
    },
    /// Reply with the state's digest: eight bytes, little-endian.
    Digest {
        /// Who asks.
        to: ReplyTo,
    },
    /// Drop the machine. Nothing is done for this region any more.
    Stop,
}

/// What came of it. At most one `Applied` for a pass over a mailbox.
pub enum ApplyOutcome {
    /// Entries were applied, or queries answered, or both.
    Applied {
        /// Of which region.
        region: RegionId,
        /// Through where its state goes now.
        at: LogPos,
        /// The replies, in the order of effect.
        replies: Vec<(ReplyTo, Bytes)>,
        /// Bytes of its data.
        size: u64,
        /// What the region is now, if that has changed.
        description: Option<Bytes>,
    },
    /// Regions were split off. Said before the replies to the entry that did it, and to those after it.
    Split {
        /// From which region.
        region: RegionId,
        /// Each with the store that proposed it.
        children: Vec<(Child, StoreId)>,
    },
    /// A snapshot was taken; writing it is somebody else's work.
    SnapshotTaken {
        /// Of which region.
        region: RegionId,
        /// What for.
        purpose: SnapshotPurpose,
        /// The state.
        source: Box<dyn SnapshotSource>,
    },
    /// The state was replaced. It is durable only when the keeper has adopted the file.
    Restored {
        /// Of which region.
        region: RegionId,
        /// By what.
        received: ReceivedSnapshot,
        /// Bytes of its data.
        size: u64,
        /// What the region is now, if that has changed.
        description: Option<Bytes>,
    },
    /// The state was not replaced and is what it was: the region can go on.
    NotRestored {
        /// Of which region.
        region: RegionId,
        /// What was of no use.
        received: ReceivedSnapshot,
        /// Why, as a sentence.
        why: String,
    },
    /// The region's machine has stopped for good. Said again for each later job.
    Failed {
        /// Which region.
        region: RegionId,
        /// Why, as a sentence.
        why: String,
    },
}

impl ApplyOutcome {
    /// The region that it is about.
    pub const fn region(&self) -> RegionId {
        match self {
            ApplyOutcome::Applied { region, .. }
            | ApplyOutcome::Split { region, .. }
            | ApplyOutcome::SnapshotTaken { region, .. }
            | ApplyOutcome::Restored { region, .. }
            | ApplyOutcome::NotRestored { region, .. }
            | ApplyOutcome::Failed { region, .. } => *region,
        }
    }
}

/// Takes the outcomes. Called on the apply threads; must not block.
pub trait ApplySink: Send + Sync {
    /// Something was done. Outcomes of one region come in order.
    fn outcome(&self, outcome: ApplyOutcome);
}

/// Where committed entries are read from.
pub trait CommittedLog: Send + Sync {
    /// Pushes entries `first..=last` of `region`: at least one, then as many as fit into `bytes_max`. An error is a
    /// sentence.
    fn read(
        &self,
        region: RegionId,
        first: Index,
        last: Index,
        bytes_max: usize,
        out: &mut Vec<(Index, Term, Bytes)>,
    ) -> Result<(), String>;
}

//! What stores say to each other: the messages of many regions, and what stores pass on for their clients.

use bytes::Bytes;

use crate::ids::{Attempt, RegionId};
use crate::raft::{self, LogPos, Membership, ReplicaId, Term};

/// One item of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreMessage {
    /// From one replica of a region to another.
    Raft {
        /// Whose.
        region: RegionId,
        /// The message.
        message: raft::Message,
    },
    /// Commands that the sender's clients gave it, for the region's leader.
    Submit(Submit),
    /// Answers to them.
    Replies(Replies),
    /// The leader did not take them.
    Refused(Refused),
    /// The leader has no room to write some of them.
    DiskFull(DiskFull),
    /// The sender's disk has no room for more of the log.
    ShortOfSpace,
    /// A replica of the receiver was removed.
    Remove(Removal),
    /// A replica of the sender that was removed is gone, durably, and will not come back.
    Removed(Removal),
    /// A piece of a snapshot.
    SnapshotChunk(SnapshotChunk),
    /// How far a snapshot has been received.
    SnapshotAck(SnapshotAck),
}

impl StoreMessage {
    /// The region that it is about; zero if it is about the store.
    pub const fn region(&self) -> RegionId {
        match self {
            StoreMessage::Raft { region, .. } => *region,
            StoreMessage::Submit(submit) => submit.region,
            StoreMessage::Replies(replies) => replies.region,
            StoreMessage::Refused(refused) => refused.region,
            StoreMessage::DiskFull(full) => full.region,
            StoreMessage::ShortOfSpace => RegionId(0),
            StoreMessage::Remove(removal) | StoreMessage::Removed(removal) => removal.region,
            StoreMessage::SnapshotChunk(chunk) => chunk.region,
            StoreMessage::SnapshotAck(ack) => ack.region,
        }
    }
}

/// A run of one store's commands for one region, in the order in which they must take effect.
///
/// `(attempt, position)` lets the leader take only an unbroken run: an attempt starts at position zero with the oldest
/// unanswered command, and what does not continue it is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submit {
    /// For which region.
    pub region: RegionId,
    /// Which of the sender's starts over; a higher one replaces a lower one.
    pub attempt: Attempt,
    /// How many commands of this attempt went before the first of these.
    pub position: u64,
    /// The sender's lowest unanswered number in this region.
    pub lowest: u64,
    /// The commands.
    pub items: Vec<SubmitItem>,
}

/// One command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubmitItem {
    /// The sender's number for it.
    pub seq: u64,
    /// What becomes of it.
    pub kind: RequestKind,
    /// The command or the query, for the state machine.
    pub body: Bytes,
}

/// Whether a request goes through the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RequestKind {
    /// It becomes one entry of the log.
    Write = 1,
    /// It is answered from the state, after a quorum confirmed that nothing newer is committed.
    Read = 2,
    /// Like a write, and may change which keys the region has. What arrives after it waits until it is applied, so that
    /// there is at most one under way.
    Change = 3,
    /// The leader is to hand over to the replica whose id (eight bytes, little-endian) is the body. Answered when that has
    /// begun.
    Lead = 4,
    /// The leader is to take the next step of a [`Move`](crate::store::Move), which is the body. Answered at once with how far
    /// it has come ([`Moved`](crate::store::Moved)).
    Move = 5,
}

impl RequestKind {
    /// Whether it becomes an entry that is as long as whoever sent it wants.
    pub const fn is_write(self) -> bool {
        match self {
            RequestKind::Write | RequestKind::Change => true,
            RequestKind::Read | RequestKind::Lead | RequestKind::Move => false,
        }
    }
}

/// Answers, each to one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replies {
    /// From which region.
    pub region: RegionId,
    /// The number of the command, and what the state machine said.
    pub results: Vec<(u64, Bytes)>,
}

/// A run of commands that was not taken. Nothing of it was or will be proposed by this refusal's sender in this attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// For which region.
    pub region: RegionId,
    /// Which attempt.
    pub attempt: Attempt,
    /// Why.
    pub reason: Refusal,
}

/// There is no room for the next write of an attempt. Nothing from there on was or will be taken by the sender in this attempt;
/// what an earlier attempt brought may have been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFull {
    /// For which region.
    pub region: RegionId,
    /// Which attempt.
    pub attempt: Attempt,
    /// How many commands of it were taken before.
    pub position: u64,
}

/// Why a leader (or one who is not) does not take commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Somebody else leads, perhaps this one.
    NotLeader(Option<ReplicaId>),
    /// Commands before these did not arrive: start over.
    Gap,
    /// No room: try again a little later.
    Busy,
    /// The region is not here.
    NoRegion,
    /// The region is here and has stopped: its state machine failed or its log is damaged.
    Stopped,
}

/// A replica that was removed from its region: a membership without it is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removal {
    /// From which region.
    pub region: RegionId,
    /// Which replica.
    pub replica: ReplicaId,
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotChunk {
    /// Of which region.
    pub region: RegionId,
    /// Who sends it, in which term.
    pub from: ReplicaId,
    /// For which replica.
    pub to: ReplicaId,
    /// The sender's term.
    pub term: Term,
    /// The sender's number for this transfer.
    pub transfer: u64,
    /// What the snapshot contains.
    pub meta: SnapshotMeta,
    /// How many bytes went before these.
    pub offset: u64,
    /// Whether the snapshot ends here.
    pub last: bool,
    /// CRC32 of the whole snapshot's bytes up to the end of this piece.
    pub crc: u32,
    /// The piece.
    pub data: Bytes,
}

/// What a snapshot contains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotMeta {
    /// The last entry it contains.
    pub at: LogPos,
    /// Who took part in the group at that entry.
    pub membership: Membership,
    /// What the region was born with.
    pub genesis: Bytes,
}

/// How far a snapshot has been received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotAck {
    /// Of which region.
    pub region: RegionId,
    /// The transfer's number.
    pub transfer: u64,
    /// How many bytes are held; the next piece starts there.
    pub received: u64,
    /// What became of it.
    pub state: TransferState,
}

/// What became of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TransferState {
    /// Go on.
    Receiving = 1,
    /// The whole of it is verified, durable and in force.
    Installed = 2,
    /// It is of no use (damaged, stale, another is under way): stop.
    Refused = 3,
}

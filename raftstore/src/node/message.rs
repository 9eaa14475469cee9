//! What nodes of one group say to each other: the core's messages, and pieces of snapshots.

use bytes::Bytes;

use super::types::{Index, NodeId, Term};
use crate::raft::{self, LogPos, Membership, ReplicaId};

/// A message. Opaque to its driver, but for where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub(crate) group: u64,
    pub(crate) content: Content,
}

/// What is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// By the protocol.
    Raft(raft::Message),
    /// A piece of a snapshot.
    Snapshot(SnapshotPart),
    /// How much of one has arrived.
    Received(SnapshotReceived),
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SnapshotPart {
    pub(crate) from: ReplicaId,
    pub(crate) to: ReplicaId,
    /// The sender's term, in which it leads.
    pub(crate) term: raft::Term,
    /// The last entry that the snapshot contains.
    pub(crate) at: LogPos,
    /// Who took part at that entry.
    pub(crate) config: Membership,
    /// Where in the snapshot the piece begins.
    pub(crate) offset: u64,
    /// How long the whole of it is.
    pub(crate) total: u64,
    pub(crate) data: Bytes,
}

/// An answer to a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SnapshotReceived {
    pub(crate) from: ReplicaId,
    pub(crate) to: ReplicaId,
    /// The term of the piece.
    pub(crate) term: raft::Term,
    /// Which snapshot.
    pub(crate) index: raft::Index,
    /// Where the piece began that is answered.
    pub(crate) offset: u64,
    /// How far it has arrived: the next piece begins here.
    pub(crate) received: u64,
    /// Whether that is all there is to send: it is installed, or of no use any more.
    pub(crate) done: bool,
}

impl Message {
    /// The group it belongs to.
    pub const fn group(&self) -> u64 {
        self.group
    }

    /// Who says it.
    pub const fn from(&self) -> NodeId {
        self.ends().0.0
    }

    /// To whom.
    pub const fn to(&self) -> NodeId {
        self.ends().1.0
    }

    /// In which term; of a pre-vote, the term it would be.
    pub const fn term(&self) -> Term {
        match &self.content {
            Content::Raft(message) => message.term.0,
            Content::Snapshot(part) => part.term.0,
            Content::Received(received) => received.term.0,
        }
    }

    /// The last entry of a snapshot, if the message is about one.
    pub const fn snapshot_index(&self) -> Option<Index> {
        match &self.content {
            Content::Raft(_) => None,
            Content::Snapshot(part) => Some(part.at.index.0),
            Content::Received(received) => Some(received.index.0),
        }
    }

    const fn ends(&self) -> (ReplicaId, ReplicaId) {
        match &self.content {
            Content::Raft(message) => (message.from, message.to),
            Content::Snapshot(part) => (part.from, part.to),
            Content::Received(received) => (received.from, received.to),
        }
    }
}

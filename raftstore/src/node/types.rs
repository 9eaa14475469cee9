//! The words of a group driven by hand: numbers, roles, entries, snapshots.

use bytes::{BufMut, Bytes, BytesMut};

use crate::raft::{self, EntryKind as Kind, Membership, Payload};

/// A node. Never reused: a copy that lost its disk comes back under a new number.
pub type NodeId = u64;

/// A leader's reign. Zero is before the first election.
pub type Term = u64;

/// A place in the log. The first entry has index 1; zero is before it.
pub type Index = u64;

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Role {
    /// Follows, or waits for someone to follow, or asks whether an election would succeed.
    #[default]
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What an entry means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A command for the state machine.
    Normal,
    /// A change of membership: for the protocol alone.
    Config,
    /// A new leader's first entry: carries nothing, and is for the protocol alone.
    NoOp,
}

/// One entry of the log. Its bytes are shared: a clone copies nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place.
    pub index: Index,
    payload: Payload,
}

/// What must be durable before a term or a vote is revealed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HardState {
    /// The newest term seen.
    pub term: Term,
    /// Who got this node's vote in `term`.
    pub voted_for: Option<NodeId>,
}

/// The state machine through an entry, as bytes, and who took part there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The last entry it contains.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
    /// Who took part in the group at `index`.
    pub config: Membership,
    /// The application's own bytes.
    pub data: Bytes,
}

impl LogEntry {
    /// An entry that carries a command.
    pub fn new(term: Term, index: Index, command: impl AsRef<[u8]>) -> LogEntry {
        LogEntry { term, index, payload: command_payload(command.as_ref()) }
    }

    /// An entry as a log stored it: [`bytes`](LogEntry::bytes) gave these. `None` if no entry has such bytes.
    pub fn from_bytes(term: Term, index: Index, bytes: Bytes) -> Option<LogEntry> {
        Payload::parse(bytes).map(|payload| LogEntry { term, index, payload })
    }

    /// What a log has to store of it beside term and index.
    pub fn bytes(&self) -> &Bytes {
        self.payload.bytes()
    }

    /// What it means.
    pub fn kind(&self) -> EntryKind {
        match self.payload.kind() {
            Kind::Command | Kind::Change => EntryKind::Normal,
            Kind::Membership => EntryKind::Config,
            Kind::NoOp | Kind::Stripped => EntryKind::NoOp,
        }
    }

    /// What the application proposed; empty if the entry is none of its own.
    pub fn command(&self) -> Bytes {
        match self.kind() {
            EntryKind::Normal => self.payload.body(),
            EntryKind::Config | EntryKind::NoOp => Bytes::new(),
        }
    }
}

impl From<raft::Entry> for LogEntry {
    fn from(entry: raft::Entry) -> LogEntry {
        LogEntry { term: entry.term.0, index: entry.index.0, payload: entry.payload }
    }
}

impl From<LogEntry> for raft::Entry {
    fn from(entry: LogEntry) -> raft::Entry {
        let (index, term) = (raft::Index(entry.index), raft::Term(entry.term));
        raft::Entry { index, term, payload: entry.payload }
    }
}

/// The one copy that a command takes on its way in.
pub(super) fn command_payload(command: &[u8]) -> Payload {
    let mut bytes = BytesMut::with_capacity(1 + command.len());
    bytes.put_u8(Kind::Command as u8);
    bytes.put_slice(command);
    Payload::parse(bytes.freeze()).unwrap_or_else(Payload::no_op)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_its_bytes_say() {
        let entry = LogEntry::new(3, 7, b"set x");
        assert_eq!((entry.kind(), &entry.command()[..]), (EntryKind::Normal, &b"set x"[..]));
        assert_eq!(LogEntry::from_bytes(3, 7, entry.bytes().clone()), Some(entry));
        let no_op = LogEntry::from_bytes(3, 8, Payload::no_op().bytes().clone()).unwrap();
        assert_eq!((no_op.kind(), no_op.command().len()), (EntryKind::NoOp, 0));
        assert_eq!(LogEntry::from_bytes(3, 9, Bytes::from_static(&[9, 9])), None);
        assert_eq!(LogEntry::from_bytes(3, 9, Bytes::new()), None);
    }
}

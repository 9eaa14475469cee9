//! The protocol's own numbers, and entries.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::membership::Membership;
use super::membership_bytes;

/// A leader's reign. Zero is before the first election.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// A place in one group's log. The first entry has index 1; zero is before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Index(pub u64);

/// One unit of logical time. The core never asks for it; it is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

/// One copy of one group on one store. Never reused, so that a copy that was removed and added again
/// cannot inherit a vote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// The number of one write that a core asked for; grows by one with each. Answered by `Persisted`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct WriteSeq(pub u64);

/// A caller's name for a read, or for many reads that share one round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct ReadId(pub u64);

/// Where a log ends, or what stands before an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogPos {
    /// Index of the entry.
    pub index: Index,
    /// Term of the entry.
    pub term: Term,
}

/// What must be durable before a term or a vote is revealed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HardState {
    /// The newest term seen.
    pub term: Term,
    /// Who got this replica's vote in `term`.
    pub vote: Option<ReplicaId>,
}

/// What an entry means to the protocol. The first byte of its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EntryKind {
    /// A new leader's first entry: carries nothing, proves that all before it is committed.
    NoOp = 1,
    /// A command for the state machine.
    Command = 2,
    /// A change of membership.
    Membership = 3,
    /// A command for the state machine that changes which keys the region has. Names the store that proposed it.
    Change = 4,
    /// What a witness has in place of a command: that there is an entry. Nobody else has it, and nobody applies it.
    Stripped = 5,
}

/// The bytes of an entry, as they stand in the log and on the wire: one byte of [`EntryKind`], then the body.
///
/// A shared slice (of a received frame, or of the mapped log); cloning it copies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

/// One entry of a group's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// Kind and body.
    pub payload: Payload,
}

/// The entries of one message. Mostly it is one, and one needs no allocation.
pub type Entries = SmallVec<[Entry; 1]>;

impl Index {
    /// The index after this one.
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    pub const fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl Term {
    /// The term after this one.
    pub const fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl Tick {
    /// `ticks` later.
    pub const fn after(self, ticks: u64) -> Tick {
        Tick(self.0 + ticks)
    }

    /// How many ticks have passed since `earlier`; zero if it is not earlier.
    pub const fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl EntryKind {
    /// The kind with this byte, if there is one.
    pub const fn from_byte(byte: u8) -> Option<EntryKind> {
        match byte {
            1 => Some(EntryKind::NoOp),
            2 => Some(EntryKind::Command),
            3 => Some(EntryKind::Membership),
            4 => Some(EntryKind::Change),
            5 => Some(EntryKind::Stripped),
            _ => None,
        }
    }
}

impl Payload {
    /// A leader's first entry.
    pub const fn no_op() -> Payload {
        Payload(Bytes::from_static(&[EntryKind::NoOp as u8]))
    }

    /// Takes bytes whose first byte is a known [`EntryKind`]; `None` for any others.
    pub fn parse(bytes: Bytes) -> Option<Payload> {
        let kind = EntryKind::from_byte(*bytes.first()?);
        kind.map(|_| Payload(bytes))
    }

    /// What the entry means to the protocol.
    pub fn kind(&self) -> EntryKind {
        EntryKind::from_byte(self.0[0]).unwrap_or(EntryKind::NoOp)
    }

    /// A change of membership.
    pub fn of_membership(membership: &Membership) -> Payload {
        let mut bytes = BytesMut::with_capacity(1 + membership_bytes::encoded_bytes(membership));
        bytes.put_u8(EntryKind::Membership as u8);
        membership_bytes::encode(membership, &mut bytes);
        Payload(bytes.freeze())
    }

    /// The membership that the entry brings, if it is a change of membership and makes sense: somebody who keeps the data has to vote.
    pub fn membership(&self) -> Option<Membership> {
        if self.kind() != EntryKind::Membership {
            return None;
        }
        let (membership, length) = membership_bytes::decode(&self.0[1..]).ok()?;
        (length == self.0.len() - 1 && membership.makes_sense()).then_some(membership)
    }

    /// What a witness is sent of it: who takes part, and of all else only that it is there.
    #[must_use]
    pub fn stripped(&self) -> Payload {
        match self.kind() {
            EntryKind::Membership => self.clone(),
            EntryKind::NoOp | EntryKind::Command | EntryKind::Change | EntryKind::Stripped => {
                Payload(Bytes::from_static(&[EntryKind::Stripped as u8]))
            }
        }
    }

    /// What follows the kind.
    pub fn body(&self) -> Bytes {
        self.0.slice(1..)
    }

    /// Kind and body, as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} B)", self.kind(), self.0.len() - 1)
    }
}

impl fmt::Debug for LogPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index.0, self.term.0)
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
                write!(f, "{}", self.0)
            }
        }
    };
}
shown_as!(Term, "t{}");
shown_as!(Index, "i{}");
shown_as!(Tick, "+{}");
shown_as!(ReplicaId, "p{:x}");

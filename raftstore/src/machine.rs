//! What committed entries are handed to: the state machine of a region.

use std::fmt;
use std::io;

use bytes::Bytes;

use crate::ids::{Index, Life, RegionId, StoreId};
use crate::raft::{LogPos, Membership, Term};

/// A wall clock's milliseconds since 1970, as the leader that proposed an entry saw it.
///
/// Two leaders' clocks may differ, so a machine goes by the largest stamp it has applied, never by its own clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Stamp(pub u64);

/// Which command of which store an entry carries: what makes a retry safe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The store that took the command from its client.
    pub store: StoreId,
    /// That store's life. Commands of an older life than one already seen are refused.
    pub life: Life,
    /// The command's number, growing within a life.
    pub seq: u64,
    /// The lowest number of this store that it may still send again to this region: what lies below is answered.
    pub lowest: u64,
}

/// A committed entry, ready to be applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Its place in the log.
    pub index: Index,
    /// Its leader's term.
    pub term: Term,
    /// Its leader's clock.
    pub stamp: Stamp,
    /// Whose command it is; `None` for a leader's no-op (and then `body` is empty).
    pub origin: Option<Origin>,
    /// The store that proposed it, if it is a change ([`RequestKind::Change`](crate::message::RequestKind)): only such an
    /// entry may make regions.
    pub proposer: Option<StoreId>,
    /// Who takes part in the region from here on, if the entry says so.
    pub membership: Option<Membership>,
    /// The command. A slice of the log: copy what is kept.
    pub body: Bytes,
}

/// A region that an entry split off another one.
pub struct Child {
    /// Its name. Never used before.
    pub region: RegionId,
    /// What its machine would be made from; a restart asks the factory with it.
    pub genesis: Bytes,
    /// Who takes part: the stores of the region that it was split off.
    pub membership: Membership,
    /// The entry that split it off. Its own log goes on from there, and so does what its machine counts.
    pub at: LogPos,
    /// Its state: what the other one had of its keys.
    pub machine: Box<dyn StateMachine>,
}

/// One region's state. Applied to by one thread at a time, in log order, each entry once.
///
/// The driver replays from the entry after [`applied`](StateMachine::applied), so what a machine keeps must carry the
/// position that it was applied through.
pub trait StateMachine: Send {
    /// The last entry that is contained, durable or not.
    fn applied(&self) -> LogPos;

    /// Applies `batch`, whose first index is the one after `applied()`, and pushes exactly one reply for each of its
    /// entries. A command that cannot be carried out is a reply, the same on every replica; an `Err` stops the region.
    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal>;

    /// What the last [`apply`](StateMachine::apply) split off, in the order of the entries; handed out once. The same on every
    /// replica, also when the entry is applied again after a restart.
    fn take_children(&mut self) -> Vec<Child> {
        Vec::new()
    }

    /// What the region is now, for those who send commands to it, if that has changed since this was last asked. Means
    /// nothing here.
    fn take_description(&mut self) -> Option<Bytes> {
        None
    }

    /// Answers a query from the present state.
    fn read(&mut self, query: &Bytes) -> Bytes;

    /// The present state, cheap to take and independent of what is applied later.
    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal>;

    /// Replaces the whole state by what a [`SnapshotSource`] wrote. On an `Err` the old state is untouched.
    fn restore(&mut self, from: &mut dyn io::Read) -> Result<(), Fatal>;

    /// Bytes of user data, approximately. O(1).
    fn size(&self) -> u64;

    /// A number that is equal on replicas that applied the same entries. May walk all data.
    fn digest(&self) -> u64;
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} split off at {:?}", self.region, self.at)
    }
}

/// A state at one point in time, on its way to a file or another store.
pub trait SnapshotSource: Send {
    /// The last entry it contains.
    fn at(&self) -> LogPos;

    /// Writes the whole of it, in pieces.
    fn write_to(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()>;
}

/// Makes the machines of a store.
pub trait MachineFactory: Send + Sync {
    /// A machine in the state that the region was born with. `genesis` is what was given when it was made.
    fn create(&self, region: RegionId, genesis: &[u8]) -> Result<Box<dyn StateMachine>, Fatal>;
}

/// Why a region cannot go on. Other regions do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fatal(pub String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

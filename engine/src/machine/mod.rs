//! What holds the ordered data of a region: the seam behind which machines are exchanged.
//!
//! A machine knows keys and values. It knows no log, no session, no range: the [region](crate::region) decides every
//! write before the machine sees it, and hands over what it must remember itself (where it stands in the log, who was
//! answered what) as opaque bytes, to be kept with the data and never apart from it.

use std::io;
use std::ops::ControlFlow;

use skep_raftstore::machine::{Fatal, Stamp};

pub use memory::MemoryMachine;
pub use octets::Octets;

mod memory;
mod octets;

/// A value, and when it expires.
///
/// A machine keeps what has expired until it is told to remove it: whether it still counts is for the region to judge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The value.
    pub value: Octets,
    /// From when on it does not exist any more; `None` if it never expires.
    pub expires: Option<Stamp>,
}

/// In which order keys are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// The smallest first.
    Rising,
    /// The greatest first.
    Falling,
}

/// The ordered data of one region.
///
/// Invariants:
/// - A read sees every write before it, committed or not.
/// - What survives a restart, if anything does, is the state at some `commit`, data and system bytes together.
pub trait KeyMachine: Send + 'static {
    /// The data at one point in time.
    type Snapshot: KeySnapshot + 'static;

    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Held>, Fatal>;

    /// Shows `visit` the pairs with `range.0 <= key < range.1`, in order, until it breaks off.
    fn scan(&self, range: (&[u8], Option<&[u8]>), order: Order, visit: &mut Visit<'_>) -> Result<(), Fatal>;

    /// Sets `key`.
    fn put(&mut self, key: &[u8], held: Held) -> Result<(), Fatal>;

    /// Deletes `key`; what stood there.
    fn remove(&mut self, key: &[u8]) -> Result<Option<Held>, Fatal>;

    /// Deletes every key.
    fn clear(&mut self) -> Result<(), Fatal>;

    /// Shows `visit` the keys whose values expire, the first to expire first, until it breaks off. Costs nothing where
    /// nothing expires.
    fn expiring(&self, visit: &mut VisitExpiring<'_>) -> Result<(), Fatal>;

    /// How many keys have a value that expires. O(1).
    fn count_expiring(&self) -> u64;

    /// Everything since the last commit belongs together, and with `system`. A machine that survives restarts writes
    /// them in one atomic step; one that does not has nothing to do.
    fn commit(&mut self, system: &dyn System) -> Result<(), Fatal>;

    /// The committed data, cheap to take and independent of later writes.
    fn snapshot(&mut self) -> Result<Self::Snapshot, Fatal>;

    /// Replaces all data by `pairs`, and what was committed with it by `system`. On an `Err` nothing has changed.
    fn replace(&mut self, pairs: &mut Pairs<'_>, system: &[u8]) -> Result<(), Fatal>;

    /// Hands everything from `key` on over to another machine. Costs little, however much it is.
    fn split_off(&mut self, key: &[u8]) -> Result<Self, Fatal>
    where
        Self: Sized;

    /// Keys, in order, that would cut the data into about so many pieces of about as many bytes.
    fn cuts(&self, pieces: u32) -> Result<Vec<Octets>, Fatal>;

    /// How many keys there are. O(1).
    fn count(&self) -> u64;

    /// Bytes of keys and values, approximately. O(1).
    fn size(&self) -> u64;

    /// Bytes of memory that the data takes, approximately. O(1).
    fn memory(&self) -> u64;
}

/// The data of a region at one point in time.
pub trait KeySnapshot: Send {
    /// Shows `visit` every pair, in order.
    fn visit(&self, visit: &mut Export<'_>) -> io::Result<()>;
}

/// What the region must remember with the data. Turned into bytes only for a machine that writes it down.
pub trait System {
    /// Its bytes.
    fn encode(&self) -> Vec<u8>;
}

/// Is shown a key, its value, and when that expires.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8], Option<Stamp>) -> ControlFlow<()> + 'a;

/// Is shown when a value expires, and its key.
pub type VisitExpiring<'a> = dyn FnMut(Stamp, &[u8]) -> ControlFlow<()> + 'a;

/// Takes a key, its value, and when that expires, to somewhere that may fail.
pub type Export<'a> = dyn FnMut(&[u8], &[u8], Option<Stamp>) -> io::Result<()> + 'a;

/// Keys and values in order, from somewhere that may fail.
pub type Pairs<'a> = dyn Iterator<Item = Result<(Octets, Held), Fatal>> + 'a;

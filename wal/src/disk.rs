//! The seam between the log and the machine: what a directory and a file must be able to do.
//!
//! Everything that touches storage goes through these two traits, so that a simulator can put a disk of its
//! own underneath and lose exactly what a power cut may lose.

use std::io;
use std::sync::Arc;

use crate::map::Mapping;

/// A directory that one process owns.
///
/// A created, renamed or removed name is durable only after `sync_dir`.
pub trait Disk: Send + Sync {
    /// Opens a file that exists, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file; it is an error if the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in the directory, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Renames a file, replacing what stood at `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name. Files that are open stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all changes of names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// 64 bits that nobody can have used before: salts and identities are made of them.
    fn random(&self) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`, lengthening the file if needed. Visible at once, durable after
    /// `sync`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `buffer` from `offset` on; fewer bytes than asked for means the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// The same, from the medium and not from the page cache, as far as the file system can: `Reached` says
    /// so.
    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)>;
    /// Makes everything written so far durable. After an error nothing is known about what was written
    /// before.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or lengthens the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Gives the file real, zeroed blocks for its first `bytes`, so that writing there later can neither run
    /// out of space nor need anything but the data itself to be synced. Fails with `StorageFull` when there
    /// is no room.
    fn prewrite(&self, bytes: u64) -> io::Result<()>;
    /// Maps the first `bytes` for reading, if this disk can.
    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapping>>>;
}

/// How far down a direct read went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// The device itself answered.
    Medium,
    /// The file system has no direct reads: the page cache was dropped as far as possible, and may have
    /// answered.
    Cache,
}

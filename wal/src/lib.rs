//! One log shared by many streams: one write per batch, one sync for all of them.
//!
//! A process that keeps thousands of small logs (Raft groups, queues, tables) cannot sync each of them on its
//! own. [`Wal`] keeps them all in one: a [`Batch`] holds records of any number of streams and reaches the log
//! atomically, and one [`Wal::sync`] makes durable whatever was appended before it began, for everyone.
//!
//! ```text
//!  Batch ── append ──▶ frame ──▶ segment file (64 MiB, prepared ahead, recycled) ── sync ──▶ durable
//!                        │            │
//!                        ▼            └── mapped for reading while hot: entries are slices, not copies
//!                      index: stream ▶ runs of entries, hard state, named states
//! ```
//!
//! A stream is a sequence of entries with indexes and terms, a small *hard state*, and a few *named states*.
//! The log knows nothing about what they mean. Entries are replaced from an index on by appending there
//! again, cut with
//! `truncate`, forgotten from the old end with `compact`, and all of it with `remove`.
//!
//! # Promises
//!
//! - [`Wal::append`] is atomic over all streams of the batch, and readable at once. It waits for no sync.
//! - What lies below [`Wal::durable_lsn`] survives power loss. After a crash the log is some prefix of what was
//!   appended that includes all that was durable.
//! - Bytes are checked before they are trusted. Damage to durable bytes is told from a torn tail, and only the streams
//!   that are hit are marked ([`StreamInfo::damaged`]).
//! - The first failed sync is the last: the log then refuses all work ([`WalError::Poisoned`]).
//! - A full disk is an error ([`WalError::Full`]), never a signal, and leaves the log usable.
//!
//! # Threads
//!
//! All methods take `&self`. Any thread appends; whoever has something to wait for calls `sync`; one thread
//! calls [`Wal::maintain`] now and then, which prepares files, carries idle streams forward and recycles
//! segments.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig};
//!
//! # fn main() -> Result<(), skep_wal::WalError> {
//! let disk = MemDisk::new(1); // `RealDisk::open("data/log")?` outside of tests
//! let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small())?;
//!
//! let (bees, wasps) = (StreamId(1), StreamId(2));
//! let mut batch = Batch::new();
//! batch.entries(bees, 1, 1, [b"nectar".as_slice(), b"pollen"]);
//! batch.entries(wasps, 1, 4, [b"jam".as_slice()]);
//! let end = wal.append(&mut batch)?;
//! assert!(wal.sync()? >= end); // one sync for both
//!
//! batch.entries(wasps, 2, 4, [b"never synced".as_slice()]);
//! wal.append(&mut batch)?;
//! disk.crash(42);
//!
//! let (wal, _) = Wal::open(Arc::new(disk), WalConfig::small())?;
//! let mut entries = Vec::new();
//! wal.read(bees, 1, 2, usize::MAX, &mut entries)?;
//! assert_eq!(&entries[1].payload[..], b"pollen");
//! assert!(wal.stream(wasps).is_some_and(|info| info.last_index >= 1));
//! # Ok(())
//! # }
//! ```

mod append;
mod batch;
mod carry;
mod config;
mod disk;
mod error;
mod find;
mod format;
mod ids;
mod index;
mod live;
mod log;
mod maintain;
mod map;
mod mem_disk;
mod mem_file;
mod mem_state;
mod mutant;
mod read;
mod real_disk;
mod recover;
mod repeats;
mod rewrite;
mod scan;
mod segments;
mod stream;
mod sync;

pub use batch::Batch;
pub use config::{
    HARD_STATE_BYTES_MAX, PAGE_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, STATE_BYTES_MAX, WalConfig,
};
pub use disk::{Disk, DiskFile, Reached};
pub use error::{Damage, DamagedPart, Misuse, WalError};
pub use ids::{Lsn, StateName, StreamId};
pub use log::{StreamInfo, Usage, Wal};
pub use maintain::Maintained;
pub use map::Mapping;
pub use mem_disk::{DiskCounters, MemDisk};
pub use mem_file::SECTOR_BYTES;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use read::LogEntry;
pub use real_disk::RealDisk;
pub use recover::OpenReport;

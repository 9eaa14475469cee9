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
//! # Example: append, sync, read back
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
//!
//! # Example: group commit
//!
//! Threads append what they have and ask for a sync when they must know that it is durable. Whoever comes while one runs
//! waits for it, and then one of them runs the next for all.
//!
//! ```
//! # use std::sync::Arc;
//! # use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig};
//! # fn main() -> Result<(), skep_wal::WalError> {
//! let (wal, _) = Wal::open(Arc::new(MemDisk::new(1)), WalConfig::small())?;
//! std::thread::scope(|scope| {
//!     for writer in 1..=8 {
//!         let wal = &wal;
//!         scope.spawn(move || {
//!             let mut batch = Batch::new();
//!             for index in 1..=100 {
//!                 batch.entries(StreamId(writer), index, 1, [b"entry".as_slice()]);
//!                 let end = wal.append(&mut batch).expect("there is room");
//!                 assert!(wal.sync().expect("the disk is well") >= end);
//!             }
//!         });
//!     }
//! });
//! assert!(wal.usage().syncs <= 800);
//! # Ok(())
//! # }
//! ```
//!
//! # Example: compaction, and the end
//!
//! ```
//! # use std::sync::Arc;
//! # use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig, WalError};
//! # fn main() -> Result<(), WalError> {
//! # let disk = MemDisk::new(1);
//! # let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small())?;
//! let (bees, mut batch) = (StreamId(1), Batch::new());
//! for index in 1..=2000 {
//!     batch.entries(bees, index, 1, [[0; 200].as_slice()]);
//!     wal.append(&mut batch)?;
//! }
//! // Everything through 1,990 is kept elsewhere by now. The log may forget it, and segments come free.
//! batch.compact(bees, 1990, 1);
//! wal.append(&mut batch)?;
//! let before = wal.usage().segments;
//! for _ in 0..2 {
//!     wal.sync()?;
//!     wal.maintain()?; // a thread of yours calls this now and then
//! }
//! assert!(wal.usage().segments < before);
//! let gone = wal.read(bees, 1, 1, 1024, &mut Vec::new());
//! assert!(matches!(gone, Err(WalError::NotFound { held: (1991, 2000), .. })));
//! wal.rest()?; // all durable, and proven to be
//! # Ok(())
//! # }
//! ```

mod ahead;
mod append;
mod batch;
mod buffer;
mod carry;
mod config;
mod disk;
mod error;
mod find;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod id_table;
mod ids;
mod index;
mod inspect;
mod live;
mod log;
mod maintain;
mod map;
mod medium_log;
mod mem_disk;
mod mem_file;
mod mem_state;
mod mutant;
mod overlay;
mod paged;
mod read;
mod real_disk;
mod recover;
mod repeats;
mod rewrite;
mod runs;
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
pub use inspect::{InspectedSegment, Inspection, SegmentState, inspect};
pub use log::{StreamInfo, Usage, Wal};
pub use maintain::Maintained;
pub use map::Mapping;
pub use medium_log::MediumLog;
pub use mem_disk::{DiskCounters, MemDisk};
pub use mem_file::SECTOR_BYTES;
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use read::LogEntry;
pub use real_disk::RealDisk;
pub use recover::OpenReport;

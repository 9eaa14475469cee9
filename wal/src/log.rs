//! The log itself: its parts and their locks, and what it can tell about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::append::Head;
use crate::config::WalConfig;
use crate::disk::Disk;
use crate::error::{Damage, WalError};
use crate::index::Index;
use crate::mutant::Build;
use crate::recover::{self, OpenReport};
use crate::segments::{Spares, Table};
use crate::stream::Shared;
use crate::{Lsn, StateName, StreamId};

/// One log shared by many streams. See the crate's page.
///
/// Locks, in the order in which they are taken: `maintaining`, `syncing`, `head`, then either `catalog` or
/// `spares`. None but the first two is ever held while waiting for the disk, but where a file has to be prepared at once for the next
/// segment, or a full disk has refused its beginning: then all appends wait.
pub struct Wal {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: WalConfig,
    pub(crate) build: Build,
    /// The identity of the log, in every segment.
    pub(crate) log: u128,
    /// Held by the one `maintain` that runs.
    pub(crate) maintaining: Mutex<()>,
    /// Held by the one sync that runs.
    pub(crate) syncing: Mutex<()>,
    /// Where the next frame goes.
    pub(crate) head: Mutex<Head>,
    /// What stands where. Changed only under `head`, by recovery, or to take out the oldest segment.
    pub(crate) catalog: RwLock<Catalog>,
    /// Files beside the log.
    pub(crate) spares: Mutex<Spares>,
    pub(crate) appended: AtomicU64,
    pub(crate) durable: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) poison: OnceLock<Arc<str>>,
    /// The last file that was wanted could not be had: the disk is full.
    pub(crate) is_short: AtomicBool,
}

/// The index of the streams and the table of the segments, which change together.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) index: Index,
    pub(crate) table: Table,
}

/// What the log knows about one stream.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// Everything through this index was compacted, or came as a snapshot; 0 for a log from its beginning.
    pub base_index: u64,
    /// The term of the entry at `base_index`.
    pub base_term: u64,
    /// The last entry, or `base_index` when there is none.
    pub last_index: u64,
    /// Its term.
    pub last_term: u64,
    /// The hard state, empty if none was ever written.
    pub hard_state: Bytes,
    /// Where each distinct term begins: (first index, term), oldest first.
    pub runs: Vec<(u64, u64)>,
    /// What recovery found hit.
    pub damaged: Option<Damage>,
}

/// How much room the log takes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Segments that are part of the log.
    pub segments: usize,
    /// Files that stand ready to become segments.
    pub spare_segments: usize,
    /// Files that are free but for slices somebody holds.
    pub held_segments: usize,
    /// Length of a segment.
    pub segment_bytes: u64,
    /// Bytes on disk: all of these files.
    pub log_bytes: u64,
    /// Bytes that are still needed.
    pub live_bytes: u64,
    /// Syncs that completed since the log was opened.
    pub syncs: u64,
}

impl Wal {
    /// Opens the log in a directory, or begins one if there is none. Reads and checks all of it, and makes
    /// durable whatever of its end was not proven to be; only then is anything handed out.
    pub fn open(disk: Arc<dyn Disk>, config: WalConfig) -> Result<(Wal, OpenReport), WalError> {
        config.check()?;
        recover::open(disk, config)
    }

    /// The position through which the log is known to survive power loss. It only grows.
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// The position after the last frame.
    pub fn appended_lsn(&self) -> Lsn {
        Lsn(self.appended.load(Ordering::Acquire))
    }

    /// Why the log stopped for good, if it did.
    pub fn poisoned(&self) -> Option<WalError> {
        self.poison.get().map(|cause| WalError::Poisoned { cause: Arc::clone(cause) })
    }

    /// Whether the disk has no room for another segment. A good time to stop writing entries and to compact: what is
    /// prepared lasts for a while, and after that batches with entries are refused (`WalError::Full`).
    pub fn is_short_of_space(&self) -> bool {
        self.is_short.load(Ordering::Acquire)
    }

    pub(crate) fn check_poison(&self) -> Result<(), WalError> {
        self.poisoned().map_or(Ok(()), Err)
    }

    /// Stops the log for good; the first cause stays.
    pub(crate) fn poison(&self, error: &WalError) -> WalError {
        let cause = self.poison.get_or_init(|| error.to_string().into());
        WalError::Poisoned { cause: Arc::clone(cause) }
    }

    /// What is known about a stream; `None` if it was never written, or was removed.
    pub fn stream(&self, stream: StreamId) -> Option<StreamInfo> {
        self.catalog.read().index.info(stream)
    }

    /// A named state of a stream.
    pub fn state(&self, stream: StreamId, name: StateName) -> Option<Bytes> {
        self.catalog.read().index.state(stream, name)
    }

    /// All streams, sorted by number.
    pub fn streams(&self) -> Vec<StreamId> {
        self.catalog.read().index.ids()
    }

    /// How much room the log takes.
    pub fn usage(&self) -> Usage {
        let (segments, live_bytes) = {
            let catalog = self.catalog.read();
            (catalog.table.len(), catalog.index.shared.live.bytes())
        };
        let (spare_segments, held_segments) = {
            let spares = self.spares.lock();
            (spares.ready.len(), spares.held())
        };
        let files = (segments + spare_segments + held_segments) as u64;
        Usage {
            segments,
            spare_segments,
            held_segments,
            segment_bytes: self.config.segment_bytes,
            log_bytes: files * self.config.segment_bytes,
            live_bytes,
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }

    /// The streams with the oldest entries, each with the last of those in that segment: their owner should make them durable
    /// elsewhere and compact. Nothing is named while all entries lie in a few segments. (What else may stand in segments
    /// before them is carried, once the entries are gone.)
    pub fn oldest(&self, limit: usize) -> Vec<(StreamId, u64)> {
        let active = self.head.lock().active.number;
        let mut catalog = self.catalog.write();
        let slack = self.config.slack_segments.max(1);
        if catalog.table.len() <= slack {
            return Vec::new();
        }
        let (mut oldest, mut pins) = (active.saturating_sub(slack as u32), Vec::new());
        catalog.index.each(|stream, Shared { pool, .. }| {
            if stream.runs.is_empty() || stream.runs_oldest > oldest {
                return;
            }
            let Some(segment) = stream.oldest_run(pool).filter(|segment| *segment <= oldest) else { return };
            if segment < oldest {
                oldest = segment;
                pins.clear();
            }
            let there = stream.runs.iter(pool).filter(|run| run.segment == segment);
            pins.push((stream.id, there.last().map_or(0, |run| run.last())));
        });
        pins.sort();
        pins.truncate(limit);
        pins
    }
}

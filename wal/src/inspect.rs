//! Looking at the log of a process that has stopped, without changing a byte of it.
//!
//! The log is opened as always, but on a disk laid over the real one that keeps in memory what opening would write.

use std::sync::Arc;

use crate::Lsn;
use crate::config::{PAGE_BYTES, WalConfig};
use crate::disk::Disk;
use crate::error::WalError;
use crate::find;
use crate::log::Wal;
use crate::overlay::Overlay;
use crate::recover::OpenReport;

/// What is in the directory of a log.
pub struct Inspection {
    /// What opening the log finds.
    pub report: OpenReport,
    /// The segments of the log, oldest first.
    pub segments: Vec<InspectedSegment>,
    /// Files that stand ready to become segments; nothing in them is needed.
    pub free: Vec<String>,
    /// Length of a segment in bytes.
    pub segment_bytes: u64,
    /// Everything before this position is proven to be durable by the log itself.
    pub proven: Lsn,
    /// The log as it will be once it is opened: for reading. What is written to it is nowhere.
    pub log: Wal,
}

/// A segment of the log.
#[derive(Clone, Debug)]
pub struct InspectedSegment {
    /// Its number.
    pub number: u32,
    /// Its file.
    pub file: String,
    /// The position of its first frame.
    pub start: Lsn,
    /// What becomes of it.
    pub state: SegmentState,
}

/// What becomes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// So many states and runs of entries in it are needed, of so many bytes.
    Live {
        /// How many.
        items: u64,
        /// Bytes of them, at most.
        bytes: u64,
    },
    /// Nothing in it is needed: it is recycled when those before it are.
    Reclaimable,
    /// It lies behind what is proven: what is whole in it is written again into a new segment, then it is free.
    OldEnd,
}

/// Looks at the log in a directory. `None` if there is none.
pub fn inspect(disk: Arc<dyn Disk>) -> Result<Option<Inspection>, WalError> {
    let mut config = WalConfig::default();
    let Some(segment_bytes) = segment_bytes(&*disk, &config)? else { return Ok(None) };
    config.segment_bytes = segment_bytes;
    let mut files = find::files(&*disk, &config)?;
    files.newest_bytes = Default::default(); // opening reads them itself
    let (log, report) = Wal::open(Arc::new(Overlay::new(disk)), config.clone())?;
    let segments = files.chain.iter().map(|found| InspectedSegment {
        number: found.header.number,
        file: found.file.name.clone(),
        start: Lsn(found.header.start),
        state: state(&log, found.header.number),
    });
    Ok(Some(Inspection {
        segments: segments.collect(),
        free: files.free.iter().map(|file| file.name.clone()).collect(),
        segment_bytes: config.segment_bytes,
        proven: Lsn(log.appended_lsn().0 - report.rewritten_bytes),
        report,
        log,
    }))
}

/// How long the segments are. `None` if there are none.
fn segment_bytes(disk: &dyn Disk, config: &WalConfig) -> Result<Option<u64>, WalError> {
    Ok(find::files(disk, config)?.chain.last().map(|newest| newest.header.segment_bytes))
}

fn state(log: &Wal, number: u32) -> SegmentState {
    let catalog = log.catalog.read();
    match catalog.index.shared.live.iter().find(|segment| segment.number == number) {
        None => SegmentState::OldEnd,
        Some(segment) if segment.items == 0 => SegmentState::Reclaimable,
        Some(segment) => SegmentState::Live { items: segment.items, bytes: segment.bytes },
    }
}

impl InspectedSegment {
    /// The position behind its last byte, if it was filled.
    pub fn end_max(&self, segment_bytes: u64) -> Lsn {
        Lsn(self.start.0 + segment_bytes - PAGE_BYTES)
    }
}

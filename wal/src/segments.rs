//! The files of the log: which segments it consists of, which files stand ready, which wait to be free.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use crate::config::{PAGE_BYTES, WalConfig};
use crate::disk::{Disk, DiskFile};
use crate::error::WalError;
use crate::map::Mapping;
use crate::mutant::{Build, Mutant};

/// What the names of segment files begin with. A name says nothing else: the number stands in the header.
const NAME_PREFIX: &str = "segment-";

/// A file that is, was or will be a segment.
#[derive(Clone)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// A segment of the log. Whoever reads its file holds it; it is not recycled while anybody does.
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// The position of the first byte behind the header page.
    pub(crate) start: u64,
    pub(crate) salt: u64,
    pub(crate) file: SegmentFile,
}

impl Segment {
    /// Where in the file a position of the log stands.
    pub(crate) fn offset_of(&self, lsn: u64) -> u64 {
        PAGE_BYTES + (lsn - self.start)
    }
}

/// A segment in the table, with its mapping while it is hot.
pub(crate) struct Row {
    pub(crate) segment: Arc<Segment>,
    pub(crate) map: Option<Arc<Mapping>>,
    /// Still alive when slices are held after the mapping was given up here.
    handed: Weak<Mapping>,
}

/// The segments of the log, oldest first.
#[derive(Default)]
pub(crate) struct Table {
    rows: VecDeque<Row>,
}

impl Table {
    /// A segment joins at the end; of all, only the newest `hot` stay mapped.
    pub(crate) fn push(&mut self, segment: Arc<Segment>, map: Option<Arc<Mapping>>, hot: usize) {
        let handed = map.as_ref().map_or_else(Weak::new, Arc::downgrade);
        self.rows.push_back(Row { segment, map, handed });
        if let Some(cooled) = self.rows.len().checked_sub(hot + 1) {
            self.rows[cooled].map = None;
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Row> {
        let at = self.rows.partition_point(|row| row.segment.number < number);
        self.rows.get(at).filter(|row| row.segment.number == number)
    }

    /// The oldest segment leaves, if it is older than `number`.
    pub(crate) fn pop_before(&mut self, number: u32) -> Option<Retired> {
        self.rows.front().filter(|row| row.segment.number < number)?;
        let row = self.rows.pop_front()?;
        Some(Retired { segment: row.segment, handed: row.handed })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// A segment that left the log. Its file may still be read by those who asked before.
pub(crate) struct Retired {
    segment: Arc<Segment>,
    handed: Weak<Mapping>,
}

impl Retired {
    /// The file, once nobody can see its bytes any more.
    fn release(self, build: Build) -> Result<SegmentFile, Retired> {
        if self.handed.strong_count() > 0 && !build.is(Mutant::RecycledWhileRead) {
            return Err(self);
        }
        let handed = self.handed;
        Arc::try_unwrap(self.segment)
            .map(|segment| segment.file)
            .map_err(|segment| Retired { segment, handed })
    }
}

/// Files that are not part of the log.
#[derive(Default)]
pub(crate) struct Spares {
    /// Ready to be used: right length, real blocks, a durable name, nothing in them that matters.
    pub(crate) ready: Vec<SegmentFile>,
    /// Left the log, perhaps still being read.
    retired: Vec<Retired>,
    next_name: u64,
    build: Build,
}

impl Spares {
    pub(crate) fn new(ready: Vec<SegmentFile>, names: &[String], build: Build) -> Spares {
        let taken = names.iter().filter_map(|name| name.strip_prefix(NAME_PREFIX)?.parse::<u64>().ok());
        Spares { ready, retired: Vec::new(), next_name: taken.max().unwrap_or(0) + 1, build }
    }

    /// A segment left the log for good: what freed it is durable.
    pub(crate) fn retire(&mut self, retired: Retired) {
        self.retired.push(retired);
    }

    /// Makes ready whatever retired file is not being read any more; says how many.
    pub(crate) fn reclaim(&mut self) -> usize {
        let before = self.ready.len();
        for retired in std::mem::take(&mut self.retired) {
            match retired.release(self.build) {
                Ok(file) => self.ready.push(file),
                Err(still_read) => self.retired.push(still_read),
            }
        }
        self.ready.len() - before
    }

    /// A name for a new file.
    pub(crate) fn name(&mut self) -> String {
        let name = format!("{NAME_PREFIX}{:08}", self.next_name);
        self.next_name += 1;
        name
    }

    /// Files that wait for their last reader.
    pub(crate) fn held(&self) -> usize {
        self.retired.len()
    }
}

/// Whether a file of the directory belongs to the log.
pub(crate) fn is_segment_name(name: &str) -> bool {
    name.strip_prefix(NAME_PREFIX).is_some_and(|digits| digits.parse::<u64>().is_ok())
}

/// How preparing a file failed: a failed sync is not like other failures.
pub(crate) enum PrepareError {
    /// Nothing is lost, and the log may go on.
    Refused(WalError),
    /// A sync failed: nobody knows what the disk holds.
    Sync(WalError),
}

/// Creates a file with real blocks and a durable name.
pub(crate) fn prepare(
    disk: &dyn Disk,
    name: String,
    config: &WalConfig,
) -> Result<SegmentFile, PrepareError> {
    let bytes = config.segment_bytes;
    let file = disk.create(&name).map_err(|error| PrepareError::Refused(refusal(error, &name, bytes)))?;
    if let Err(error) = file.prewrite(bytes) {
        // The half-made file goes again; if even that fails, the next start finds it blank and uses it.
        let _ = disk.remove(&name);
        return Err(PrepareError::Refused(refusal(error, &name, bytes)));
    }
    file.sync().map_err(|error| PrepareError::Sync(WalError::io("syncing", &name, error)))?;
    if config.build().is(Mutant::NamesNotSynced) {
        return Ok(SegmentFile { name, file });
    }
    disk.sync_dir()
        .map_err(|error| PrepareError::Sync(WalError::io("syncing the directory of", &name, error)))?;
    Ok(SegmentFile { name, file })
}

/// What a failed creation or write means for the caller.
pub(crate) fn refusal(error: io::Error, name: &str, segment_bytes: u64) -> WalError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WalError::Full { segment_bytes },
        _ => WalError::io("writing", name, error),
    }
}

//! The way out: entries as slices of the hot mapping, or read from older segments and checked.

use std::sync::Arc;

use bytes::Bytes;

use crate::StreamId;
use crate::error::WalError;
use crate::format::{self, ENTRY_SLOT_BYTES};
use crate::log::{Catalog, Wal};
use crate::map::Mapping;
use crate::mutant::{Build, Mutant};
use crate::runs::Run;
use crate::segments::Segment;

/// An entry of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// Its index in the stream.
    pub index: u64,
    /// The term it was written with.
    pub term: u64,
    /// Its bytes: a slice of the log where possible. Keep it for long only as a copy: it holds back the
    /// recycling of a whole segment.
    pub payload: Bytes,
}

/// A part of a run, and where its bytes are to be had.
pub(crate) struct Part {
    run: Run,
    segment: Arc<Segment>,
    map: Option<Arc<Mapping>>,
}

impl Wal {
    /// Reads the entries from `first` through `last` into `out`: at least one, and then as many as fit into
    /// `bytes_max` bytes of payload.
    pub fn read(
        &self,
        stream: StreamId,
        first: u64,
        last: u64,
        bytes_max: usize,
        out: &mut Vec<LogEntry>,
    ) -> Result<(), WalError> {
        let parts = parts(&self.catalog.read(), stream, (first, last))?;
        let mut left = bytes_max;
        let start = out.len();
        for part in &parts {
            let body = Body::of(part, stream, self.build)?;
            for slot in 0..usize::from(part.run.count) {
                let payload = body.payload(part, stream, slot)?;
                if payload.len() > left && out.len() > start {
                    return Ok(());
                }
                left = left.saturating_sub(payload.len());
                out.push(LogEntry { index: part.run.first + slot as u64, term: part.run.term, payload });
            }
        }
        Ok(())
    }
}

/// The bytes of exactly one run, wherever they are; every entry is checked unless this process wrote it
/// lately.
pub(crate) fn read_run(catalog: &Catalog, stream: StreamId, run: &Run) -> Option<Part> {
    let row = catalog.table.get(run.segment)?;
    let known = catalog.index.get(stream)?.holds(run, &catalog.index.shared.pool);
    known.then(|| Part { run: *run, segment: Arc::clone(&row.segment), map: row.map.clone() })
}

impl Part {
    /// All payloads of the part.
    pub(crate) fn payloads(&self, stream: StreamId) -> Result<Vec<Bytes>, WalError> {
        let body = Body::of(self, stream, Build::default())?;
        (0..usize::from(self.run.count)).map(|slot| body.payload(self, stream, slot)).collect()
    }

    fn damaged(&self, stream: StreamId, slot: usize) -> WalError {
        WalError::Damaged {
            stream,
            index: self.run.first + slot as u64,
            segment: u64::from(self.segment.number),
            offset: u64::from(self.run.offset),
        }
    }
}

/// Finds the parts of runs that cover the range.
fn parts(catalog: &Catalog, id: StreamId, (first, last): (u64, u64)) -> Result<Vec<Part>, WalError> {
    let (stream, pool) = (catalog.index.get(id), &catalog.index.shared.pool);
    let held = stream.map_or((1, 0), |stream| (stream.base.0 + 1, stream.last(pool).0));
    let missing = || WalError::NotFound { stream: id, first, last, held };
    let stream = stream.filter(|_| first >= held.0 && first <= last && last <= held.1).ok_or_else(missing)?;
    let mut at = stream.run_of(first, pool).ok_or_else(missing)?;
    let mut parts = Vec::with_capacity(1);
    let mut next = first;
    while next <= last {
        let run = stream.runs.get(at, pool).ok_or_else(missing)?.part(next, last).ok_or_else(missing)?;
        let row = catalog.table.get(run.segment).ok_or_else(missing)?;
        parts.push(Part { run, segment: Arc::clone(&row.segment), map: row.map.clone() });
        next = run.last() + 1;
        at += 1;
    }
    Ok(parts)
}

/// The body of a run's record, in memory.
struct Body {
    bytes: Bytes,
    /// Whether the bytes came from the file, and have to be checked.
    check: bool,
}

impl Body {
    fn of(part: &Part, stream: StreamId, build: Build) -> Result<Body, WalError> {
        let (offset, length) = (u64::from(part.run.offset), u64::from(part.run.bytes));
        if let Some(map) = &part.map {
            let bytes = map.slice(offset, length).ok_or_else(|| part.damaged(stream, 0))?;
            return Ok(Body { bytes, check: false });
        }
        // A large record is read whole even when a part of it is wanted: records are as large as their owner
        // made them, and readers go on where they stopped.
        let mut bytes = vec![0; length as usize];
        let read = part.segment.file.file.read_at(offset, &mut bytes);
        if !matches!(read, Ok(read) if read == bytes.len()) {
            return Err(part.damaged(stream, 0));
        }
        Ok(Body { bytes: Bytes::from(bytes), check: !build.is(Mutant::ReadUnchecked) })
    }

    fn payload(&self, part: &Part, stream: StreamId, slot: usize) -> Result<Bytes, WalError> {
        let in_record = usize::from(part.run.skip) + slot;
        let (range, crc) = format::entry_range(&self.bytes, in_record, self.bytes.len())
            .filter(|(range, _)| range.start >= ENTRY_SLOT_BYTES)
            .ok_or_else(|| part.damaged(stream, slot))?;
        let payload = self.bytes.slice(range);
        let index = part.run.first + slot as u64;
        if self.check && !format::check_entry(part.segment.salt, stream.0, index, &payload, crc) {
            return Err(part.damaged(stream, slot));
        }
        Ok(payload)
    }
}

//! Making the unproven end of the log durable: it is written again into fresh segments, whose headers are
//! written last.
//!
//! A header is the commit point. Until it is durable the old segments are the log; from then on the new ones
//! are, and nothing of the old end counts any more.

use std::sync::Arc;

use crate::append::{Head, Placed, take_effect};
use crate::batch::Batch;
use crate::config::WalConfig;
use crate::disk::Disk;
use crate::error::WalError;
use crate::find::Files;
use crate::format::{self, Before, FramePlace, SegmentHeader};
use crate::log::Catalog;
use crate::mutant::Mutant;
use crate::recover::Recovery;
use crate::repeats::Repeats;
use crate::segments::{self, PrepareError, Segment, SegmentFile, Spares};

/// Where the log goes on.
pub(crate) struct Fresh {
    pub(crate) log: u128,
    pub(crate) head: Head,
}

/// Step 6: writes the tail again, makes it durable, and only then makes it part of the log.
pub(crate) fn tail(
    disk: &dyn Disk,
    config: &WalConfig,
    recovery: &mut Recovery,
    spares: &mut Spares,
    files: &Files,
    log_start: u32,
) -> Result<Fresh, WalError> {
    let mut writer =
        Writer { disk, config, spares, segments: Vec::new(), end: recovery.proven, scratch: Vec::new() };
    let first = files.next_number;
    writer.begin(&mut recovery.catalog, first)?;
    for kept in std::mem::take(&mut recovery.tail) {
        writer.frame(&mut recovery.catalog, &kept, (recovery.proven, log_start))?;
    }
    let random = || disk.random().map_err(|error| WalError::io("drawing an identity for", "the log", error));
    let log = match files.log {
        Some(log) => log,
        None => u128::from(random()?) << 64 | u128::from(random()?),
    };
    if !config.build().is(Mutant::TailNotSynced) {
        writer.sync()?;
    }
    let previous = files.chain.last().map_or(0, |found| found.header.number);
    writer.headers(log, previous, log_start)?;
    writer.sync()?;
    let newest = first + writer.segments.len() as u32 - 1;
    recovery.report.rewritten_bytes = writer.end - recovery.proven;
    recovery.finish(newest);
    let head = writer.head(log_start, newest + 1, std::mem::take(&mut recovery.last));
    Ok(Fresh { log, head })
}

/// A frame that has to be written again.
pub(crate) struct Kept {
    pub(crate) repeats: Batch,
    pub(crate) records: Batch,
    pub(crate) before: Before,
}

struct Writer<'a> {
    disk: &'a dyn Disk,
    config: &'a WalConfig,
    spares: &'a mut Spares,
    segments: Vec<Arc<Segment>>,
    end: u64,
    scratch: Vec<u8>,
}

impl Writer<'_> {
    fn begin(&mut self, catalog: &mut Catalog, number: u32) -> Result<(), WalError> {
        let file = self.file()?;
        let salt =
            self.disk.random().map_err(|error| WalError::io("drawing a salt for", &file.name, error))?;
        let segment = Arc::new(Segment { number, start: self.end, salt, file });
        let map = segment.file.file.map(self.config.segment_bytes).unwrap_or(None);
        catalog.index.shared.live.push(number);
        catalog.table.push(Arc::clone(&segment), map, self.config.hot_segments);
        self.segments.push(segment);
        Ok(())
    }

    fn file(&mut self) -> Result<SegmentFile, WalError> {
        if let Some(file) = self.spares.ready.pop() {
            return Ok(file);
        }
        segments::prepare(self.disk, self.spares.name(), self.config)
            .map_err(|(PrepareError::Refused(error) | PrepareError::Sync(error))| error)
    }

    fn newest(&self) -> Arc<Segment> {
        Arc::clone(self.segments.last().expect("a segment was begun before anything is written"))
    }

    fn frame(
        &mut self,
        catalog: &mut Catalog,
        kept: &Kept,
        (durable, log_start): (u64, u32),
    ) -> Result<(), WalError> {
        let (repeats, records) = (kept.repeats.records(), kept.records.records());
        let bodies = repeats.bodies.len() + records.bodies.len();
        let bytes = format::frame_bytes(repeats.heads.len(), records.heads.len(), bodies);
        let bytes_max = self.config.frame_bytes_max();
        if bytes > bytes_max {
            return Err(WalError::BatchTooLarge { bytes, bytes_max });
        }
        if self.newest().offset_of(self.end) + bytes > self.config.segment_bytes {
            self.begin(catalog, self.newest().number + 1)?;
        }
        let segment = self.newest();
        let place = FramePlace {
            salt: segment.salt,
            segment: segment.number,
            lsn: self.end,
            durable,
            gap: 0,
            log_start,
            before: kept.before,
        };
        format::encode_frame(&place, repeats, records, &mut self.scratch);
        let offset = segment.offset_of(self.end);
        self.write(&segment, offset, &self.scratch)?;
        self.end += self.scratch.len() as u64;
        let slots: Vec<u32> = records.heads.iter().map(|head| catalog.index.slot(head.stream)).collect();
        take_effect(catalog, &Placed { segment: segment.number, offset, repeats, records }, &slots);
        Ok(())
    }

    fn write(&self, segment: &Segment, offset: u64, bytes: &[u8]) -> Result<(), WalError> {
        let refusal = |error| segments::refusal(error, &segment.file.name, self.config.segment_bytes);
        segment.file.file.write_at(offset, bytes).map_err(refusal)
    }

    /// A sync that fails here ends the attempt to open; the next one begins with what the medium holds.
    fn sync(&self) -> Result<(), WalError> {
        for segment in &self.segments {
            let name = &segment.file.name;
            segment.file.file.sync().map_err(|error| WalError::io("syncing", name, error))?;
        }
        Ok(())
    }

    fn headers(&self, log: u128, previous: u32, log_start: u32) -> Result<(), WalError> {
        let numbers = self.segments.iter().map(|segment| segment.number);
        let group = (self.segments[0].number, self.newest().number);
        let befores = std::iter::once(previous).chain(numbers);
        for (segment, previous) in self.segments.iter().zip(befores) {
            let header = SegmentHeader {
                log,
                number: segment.number,
                previous,
                start: segment.start,
                salt: segment.salt,
                // All frames of the group are durable by now.
                durable: self.end,
                segment_bytes: self.config.segment_bytes,
                group,
                log_start,
            };
            self.write(segment, 0, &header.page())?;
        }
        Ok(())
    }

    fn head(self, log_start: u32, next_number: u32, repeats: Repeats) -> Head {
        Head {
            active: self.newest(),
            end: self.end,
            page_break: true,
            is_cut_off: false,
            log_start,
            announced: (log_start, self.end),
            records_end: self.end,
            proven: self.end,
            unsynced: Vec::new(),
            next_number,
            repeats,
            scratch: self.scratch,
            slots: Vec::new(),
        }
    }
}

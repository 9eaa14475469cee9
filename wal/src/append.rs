//! The way in: one frame per batch, one write per frame, under one short lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Lsn;
use crate::batch::Batch;
use crate::config::PAGE_BYTES;
use crate::error::WalError;
use crate::format::{self, FramePlace, Kind, Records, SegmentHeader};
use crate::index::Place;
use crate::log::{Catalog, Wal};
use crate::mutant::Mutant;
use crate::repeats::Repeats;
use crate::segments::{self, PrepareError, Segment, SegmentFile};

/// The head of the log: where the next frame goes. The lock around it is held for one frame at a time, and
/// never over a sync.
pub(crate) struct Head {
    pub(crate) active: Arc<Segment>,
    /// The position after the last frame.
    pub(crate) end: u64,
    /// A sync has begun since the last frame: the next one starts on a page of its own, unless `is_cut_off`.
    pub(crate) page_break: bool,
    /// A frame that begins at `end` may have been cut off by a full disk: the next one overwrites its beginning, whatever page that
    /// is on, or who opens the log would take that for the next frame.
    pub(crate) is_cut_off: bool,
    /// The first segment that is still needed, as every frame says from now on.
    pub(crate) log_start: u32,
    /// The last `log_start` that a frame has said, and the end of the first frame that said it.
    pub(crate) announced: (u32, u64),
    /// The end of the last frame with records in it, its own or repeated ones, and the durable position that the last frame carries.
    pub(crate) records_end: u64,
    pub(crate) proven: u64,
    /// Segments with bytes that no sync has covered, oldest first.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    pub(crate) next_number: u32,
    /// What the next frame repeats of the last one.
    pub(crate) repeats: Repeats,
    pub(crate) scratch: Vec<u8>,
    pub(crate) slots: Vec<u32>,
}

impl Wal {
    /// Appends a batch: atomic over all its streams, readable at once, durable after a later `sync`. Returns
    /// the position after it, and leaves the batch empty for the next use; after an error the batch is as it
    /// was and nothing of it is in the log.
    ///
    /// On a full disk, batches with entries are refused while there is still room for others (`reserve_segments`).
    ///
    /// Takes no system call that waits for the disk, unless no prepared segment is left (see `maintain`).
    pub fn append(&self, batch: &mut Batch) -> Result<Lsn, WalError> {
        self.check_poison()?;
        if let Some(refusal) = batch.refusal() {
            return Err(refusal.clone());
        }
        if batch.is_empty() {
            return Ok(self.appended_lsn());
        }
        let mut head = self.head.lock();
        let end = self.append_frame(&mut head, batch)?;
        drop(head);
        batch.clear();
        Ok(Lsn(end))
    }

    /// Writes a batch as a frame at the head and lets it take effect. A batch without records is a frame that
    /// only says what is durable, and repeats.
    pub(crate) fn append_frame(&self, head: &mut Head, batch: &Batch) -> Result<u64, WalError> {
        let (bytes, bytes_max) = (batch.bytes(), self.config.frame_bytes_max());
        if bytes > bytes_max {
            return Err(WalError::BatchTooLarge { bytes, bytes_max });
        }
        self.check_batch(head, batch)?;
        if head.frame_bytes(batch) > bytes_max {
            self.put_frame(head, &Batch::new())?;
        }
        self.put_frame(head, batch)
    }

    /// Writes a batch that makes sense and fits.
    fn put_frame(&self, head: &mut Head, batch: &Batch) -> Result<u64, WalError> {
        let gap = self.make_room(head, (head.frame_bytes(batch), Needs::of(batch)))?;
        let place = FramePlace {
            salt: head.active.salt,
            segment: head.active.number,
            lsn: head.end + gap,
            durable: self.watermark(head),
            gap: gap as u32,
            log_start: head.log_start,
            before: head.repeats.before,
        };
        format::encode_frame(&place, head.repeats.batch.records(), batch.records(), &mut head.scratch);
        let offset = head.active.offset_of(place.lsn);
        if let Err(error) = self.write_frame(head, offset) {
            head.is_cut_off = gap == 0;
            return Err(error);
        }
        let placed = Placed {
            segment: head.active.number,
            offset,
            repeats: head.repeats.batch.records(),
            records: batch.records(),
        };
        take_effect(&mut self.catalog.write(), &placed, &head.slots);
        self.advance(head, &place, batch);
        self.appended.store(head.end, Ordering::Release);
        Ok(head.end)
    }

    /// What a frame written now calls durable.
    fn watermark(&self, head: &Head) -> u64 {
        if self.build.is(Mutant::WatermarkTooFar) {
            return head.end;
        }
        self.durable.load(Ordering::Acquire)
    }

    fn check_batch(&self, head: &mut Head, batch: &Batch) -> Result<(), WalError> {
        let mut catalog = self.catalog.write();
        let checked = catalog.index.check(&batch.heads, &mut head.slots);
        if checked.is_err() {
            head.slots.iter().for_each(|slot| catalog.index.forget_if_blank(*slot));
        }
        checked
    }

    /// Makes sure that the frame fits into the active segment; says how many bytes are left unused before it.
    fn make_room(&self, head: &mut Head, (bytes, needs): (u64, Needs)) -> Result<u64, WalError> {
        let offset = head.active.offset_of(head.end);
        let gap = if head.page_break && self.config.align_after_sync && !head.is_cut_off {
            offset.next_multiple_of(PAGE_BYTES) - offset
        } else {
            0
        };
        if offset + gap + bytes <= self.config.segment_bytes {
            return Ok(gap);
        }
        self.roll_over(head, needs)?;
        Ok(0)
    }

    /// Begins the next segment.
    fn roll_over(&self, head: &mut Head, needs: Needs) -> Result<(), WalError> {
        let header = self.next_header(head)?;
        let file = self.next_file(needs)?;
        if let Err(error) = file.file.write_at(0, &header.page()) {
            let refusal = segments::refusal(error, &file.name, self.config.segment_bytes);
            self.undo_begin(&file)?;
            return Err(refusal);
        }
        let SegmentHeader { number, start, salt, .. } = header;
        let segment = Arc::new(Segment { number, start, salt, file });
        self.enlist(&mut self.catalog.write(), Arc::clone(&segment));
        head.unsynced.push(Arc::clone(&segment));
        head.active = segment;
        head.next_number += 1;
        Ok(())
    }

    /// A full disk may have let a header through in part, one copy of it: whoever opens the log would take this file for the next
    /// segment, and what is appended to the active one from now on for nothing. So it goes, durably, before anything is.
    fn undo_begin(&self, file: &SegmentFile) -> Result<(), WalError> {
        let removed = self.disk.remove(&file.name).map_err(|error| ("removing", error));
        let removed = removed.and_then(|()| self.disk.sync_dir().map_err(|error| ("syncing after", error)));
        removed.map_err(|(doing, error)| self.poison(&WalError::io(doing, &file.name, error)))
    }

    fn next_header(&self, head: &Head) -> Result<SegmentHeader, WalError> {
        let salt = self
            .disk
            .random()
            .map_err(|error| WalError::io("drawing a salt for", "the next segment", error))?;
        Ok(SegmentHeader {
            log: self.log,
            number: head.next_number,
            previous: head.active.number,
            start: head.end,
            salt,
            durable: self.durable.load(Ordering::Acquire),
            segment_bytes: self.config.segment_bytes,
            group: (head.next_number, head.next_number),
            log_start: head.log_start,
        })
    }

    /// A file to go on in. Entries leave the reserve alone: if no other is left, they wait until one is prepared.
    fn next_file(&self, needs: Needs) -> Result<SegmentFile, WalError> {
        let reserve = match needs {
            Needs::Room if self.build.is(Mutant::NoReserve) => 0,
            Needs::Room => self.config.reserve_segments,
            Needs::Reserve => 0,
        };
        loop {
            {
                let mut spares = self.spares.lock();
                if spares.ready.len() > reserve
                    && let Some(file) = spares.ready.pop()
                {
                    return Ok(file);
                }
            }
            let file = self.prepare_one()?;
            self.spares.lock().ready.push(file);
        }
    }

    /// Adds a segment to the tables. A mapping that cannot be had is done without: reads then copy.
    pub(crate) fn enlist(&self, catalog: &mut Catalog, segment: Arc<Segment>) {
        let map = segment.file.file.map(self.config.segment_bytes).unwrap_or(None);
        catalog.index.shared.live.push(segment.number);
        catalog.table.push(segment, map, self.config.hot_segments);
    }

    /// Prepares a file that can become a segment.
    pub(crate) fn prepare_one(&self) -> Result<SegmentFile, WalError> {
        let name = self.spares.lock().name();
        let prepared = segments::prepare(&*self.disk, name, &self.config);
        self.is_short
            .store(matches!(prepared, Err(PrepareError::Refused(WalError::Full { .. }))), Ordering::Release);
        prepared.map_err(|error| match error {
            PrepareError::Refused(error) => error,
            PrepareError::Sync(error) => self.poison(&error),
        })
    }

    fn write_frame(&self, head: &Head, offset: u64) -> Result<(), WalError> {
        let file = &head.active.file;
        file.file.write_at(offset, &head.scratch).map_err(|error| {
            match segments::refusal(error, &file.name, self.config.segment_bytes) {
                // What was written of the frame is no frame; the next one overwrites it.
                full @ WalError::Full { .. } => full,
                error => self.poison(&error),
            }
        })
    }

    fn advance(&self, head: &mut Head, place: &FramePlace, batch: &Batch) {
        head.end = place.lsn + head.scratch.len() as u64;
        (head.page_break, head.is_cut_off) = (false, false);
        head.proven = place.durable;
        if !(batch.heads.is_empty() && head.repeats.batch.is_empty()) {
            head.records_end = head.end;
        }
        head.repeats.follow(batch.records(), head.scratch.len() as u32);
        if self.build.is(Mutant::NoRepeats) {
            head.repeats.batch.clear();
        }
        if head.announced.0 != place.log_start {
            head.announced = (place.log_start, head.end);
        }
        if head.unsynced.last().is_none_or(|last| last.number != head.active.number) {
            head.unsynced.push(Arc::clone(&head.active));
        }
    }
}

/// Which files a batch may begin when the disk is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// It holds entries: any but the reserve.
    Room,
    /// It holds none, and may be what makes room again: the reserve, too.
    Reserve,
}

impl Needs {
    fn of(batch: &Batch) -> Needs {
        let has_entries = batch.heads.iter().any(|head| head.kind == Kind::Entries);
        if has_entries { Needs::Room } else { Needs::Reserve }
    }
}

impl Head {
    fn frame_bytes(&self, batch: &Batch) -> u64 {
        let repeats = &self.repeats.batch;
        let bodies = repeats.bodies.len() + batch.bodies.len();
        format::frame_bytes(repeats.heads.len(), batch.heads.len(), bodies)
    }
}

/// A frame that was written, and where.
pub(crate) struct Placed<'a> {
    pub(crate) segment: u32,
    /// Where it begins in the segment file.
    pub(crate) offset: u64,
    pub(crate) repeats: Records<'a>,
    pub(crate) records: Records<'a>,
}

/// Lets the records of a written frame take effect, in their order. The slots are those of its own records.
pub(crate) fn take_effect(catalog: &mut Catalog, frame: &Placed<'_>, slots: &[u32]) {
    let first = format::bodies_offset(frame.repeats.heads.len() + frame.records.heads.len());
    let mut offset = frame.offset as usize + first;
    for (head, body) in frame.repeats.each() {
        let slot = catalog.index.slot(head.stream);
        catalog.index.repeat(slot, Place { segment: frame.segment, offset: offset as u32 }, body);
        offset += body.len();
    }
    let mut removed = false;
    for ((head, body), slot) in frame.records.each().zip(slots) {
        catalog.index.apply(*slot, head, Place { segment: frame.segment, offset: offset as u32 }, body);
        removed |= head.kind == Kind::Remove;
        offset += body.len();
    }
    if removed {
        slots.iter().for_each(|slot| catalog.index.forget_if_blank(*slot));
    }
}

//! The way in: one frame per batch, one write per frame, under one short lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Lsn;
use crate::batch::Batch;
use crate::config::PAGE_BYTES;
use crate::error::WalError;
use crate::format::{self, FramePlace, Kind, SegmentHeader};
use crate::index::Place;
use crate::log::{Catalog, Wal};
use crate::segments::{self, PrepareError, Segment, SegmentFile};

/// The head of the log: where the next frame goes. The lock around it is held for one frame at a time, and
/// never over a sync.
pub(crate) struct Head {
    pub(crate) active: Arc<Segment>,
    /// The position after the last frame.
    pub(crate) end: u64,
    /// A sync has begun since the last frame: the next one starts on a page of its own.
    pub(crate) page_break: bool,
    /// The first segment that is still needed, as every frame says from now on.
    pub(crate) log_start: u32,
    /// The last `log_start` that a frame has said, and the end of the first frame that said it.
    pub(crate) announced: (u32, u64),
    /// The end of the last frame with records in it, and the durable position that the last frame carries.
    pub(crate) records_end: u64,
    pub(crate) proven: u64,
    /// Segments with bytes that no sync has covered, oldest first.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    pub(crate) next_number: u32,
    pub(crate) scratch: Vec<u8>,
    pub(crate) slots: Vec<u32>,
}

impl Wal {
    /// Appends a batch: atomic over all its streams, readable at once, durable after a later `sync`. Returns
    /// the position after it, and leaves the batch empty for the next use; after an error the batch is as it
    /// was and nothing of it is in the log.
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
    /// only says what is durable.
    pub(crate) fn append_frame(&self, head: &mut Head, batch: &Batch) -> Result<u64, WalError> {
        let bytes = batch.bytes();
        let bytes_max = self.config.frame_bytes_max();
        if bytes > bytes_max {
            return Err(WalError::BatchTooLarge { bytes, bytes_max });
        }
        self.check_batch(head, batch)?;
        let gap = self.make_room(head, bytes)?;
        let place = FramePlace {
            salt: head.active.salt,
            segment: head.active.number,
            lsn: head.end + gap,
            durable: self.durable.load(Ordering::Acquire),
            gap: gap as u32,
            log_start: head.log_start,
        };
        format::encode_frame(&place, &batch.heads, &batch.bodies, &mut head.scratch);
        let offset = head.active.offset_of(place.lsn);
        self.write_frame(head, offset)?;
        self.advance(head, &place, batch);
        take_effect(&mut self.catalog.write(), batch, &head.slots, (head.active.number, offset));
        self.appended.store(head.end, Ordering::Release);
        Ok(head.end)
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
    fn make_room(&self, head: &mut Head, bytes: u64) -> Result<u64, WalError> {
        let offset = head.active.offset_of(head.end);
        let gap = if head.page_break && self.config.align_after_sync {
            offset.next_multiple_of(PAGE_BYTES) - offset
        } else {
            0
        };
        if offset + gap + bytes <= self.config.segment_bytes {
            return Ok(gap);
        }
        self.roll_over(head)?;
        Ok(0)
    }

    /// Begins the next segment.
    fn roll_over(&self, head: &mut Head) -> Result<(), WalError> {
        let salt = self
            .disk
            .random()
            .map_err(|error| WalError::io("drawing a salt for", "the next segment", error))?;
        let ready = self.spares.lock().ready.pop();
        let file = match ready {
            Some(file) => file,
            None => self.prepare_one()?,
        };
        let header = SegmentHeader {
            log: self.log,
            number: head.next_number,
            previous: head.active.number,
            start: head.end,
            salt,
            durable: self.durable.load(Ordering::Acquire),
            segment_bytes: self.config.segment_bytes,
            group: (head.next_number, head.next_number),
            log_start: head.log_start,
        };
        if let Err(error) = file.file.write_at(0, &header.page()) {
            let refusal = segments::refusal(error, &file.name, self.config.segment_bytes);
            self.spares.lock().ready.push(file);
            return Err(refusal);
        }
        let segment = Arc::new(Segment { number: header.number, start: header.start, salt, file });
        self.enlist(&mut self.catalog.write(), Arc::clone(&segment));
        head.unsynced.push(Arc::clone(&segment));
        head.active = segment;
        head.next_number += 1;
        Ok(())
    }

    /// Adds a segment to the tables. A mapping that cannot be had is done without: reads then copy.
    pub(crate) fn enlist(&self, catalog: &mut Catalog, segment: Arc<Segment>) {
        let map = segment.file.file.map(self.config.segment_bytes).unwrap_or(None);
        catalog.index.live.push(segment.number);
        catalog.table.push(segment, map, self.config.hot_segments);
    }

    /// Prepares a file that can become a segment.
    pub(crate) fn prepare_one(&self) -> Result<SegmentFile, WalError> {
        let name = self.spares.lock().name();
        segments::prepare(&*self.disk, name, self.config.segment_bytes).map_err(|error| match error {
            PrepareError::Refused(error) => error,
            PrepareError::Sync(error) => self.poison(&error),
        })
    }

    fn write_frame(&self, head: &mut Head, offset: u64) -> Result<(), WalError> {
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
        head.page_break = false;
        head.proven = place.durable;
        if head.announced.0 != place.log_start {
            head.announced = (place.log_start, head.end);
        }
        if !batch.heads.is_empty() {
            head.records_end = head.end;
        }
        if head.unsynced.last().is_none_or(|last| last.number != head.active.number) {
            head.unsynced.push(Arc::clone(&head.active));
        }
    }
}

/// Lets the records of a written frame take effect, in their order.
pub(crate) fn take_effect(catalog: &mut Catalog, batch: &Batch, slots: &[u32], (segment, frame): (u32, u64)) {
    let mut body = 0;
    let first = frame as usize + format::bodies_offset(batch.heads.len());
    let mut removed = false;
    for (head, slot) in batch.heads.iter().zip(slots) {
        let end = body + head.body_bytes as usize;
        let place = Place { segment, offset: (first + body) as u32 };
        catalog.index.apply(*slot, head, place, &batch.bodies[body..end]);
        removed |= head.kind == Kind::Remove;
        body = end;
    }
    if removed {
        slots.iter().for_each(|slot| catalog.index.forget_if_blank(*slot));
    }
}

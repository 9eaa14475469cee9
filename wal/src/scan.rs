//! Reading a segment's bytes from front to back when nothing about them is known yet. No file is touched
//! here.

use std::ops::Range;

use crate::config::PAGE_BYTES;
use crate::find::Found;
use crate::format::{self, FRAME_ALIGN, FRAME_HEADER_BYTES, Fault, FrameHead, RecordHead};
use crate::mutant::{Build, Mutant};

/// The bytes of a segment, header page included, as far as the segment reaches.
pub(crate) struct SegmentBytes<'a> {
    pub(crate) number: u32,
    pub(crate) salt: u64,
    /// The position of the byte behind the header page.
    pub(crate) start: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) build: Build,
}

/// A frame whose head is whole.
pub(crate) struct FoundFrame {
    pub(crate) head: FrameHead,
    pub(crate) records: Vec<FoundRecord>,
    /// Whether everything in it is whole.
    pub(crate) whole: bool,
}

/// A record of a frame.
pub(crate) struct FoundRecord {
    pub(crate) head: RecordHead,
    /// Where its body begins in the file.
    pub(crate) offset: u32,
    /// Of a state that was read ahead: where its body begins among those that were kept.
    pub(crate) state: u32,
    pub(crate) whole: bool,
    /// Whether it repeats a hard state of the frame before.
    pub(crate) is_repeat: bool,
}

/// Where the bodies of records are.
#[derive(Clone, Copy)]
pub(crate) enum Bodies<'a> {
    /// All of them, where they stand in the segment.
    Segment(&'a [u8]),
    /// Those of states alone, one behind the other: nobody asks for others of what was checked already.
    States(&'a [u8]),
}

impl<'a> Bodies<'a> {
    pub(crate) fn of(self, record: &FoundRecord) -> &'a [u8] {
        let (bytes, start) = match self {
            Bodies::Segment(bytes) => (bytes, record.offset),
            Bodies::States(_) if record.head.kind.is_run() => return &[],
            Bodies::States(bytes) => (bytes, record.state),
        };
        &bytes[start as usize..][..record.head.body_bytes as usize]
    }
}

impl<'a> SegmentBytes<'a> {
    pub(crate) fn of(found: &Found, bytes: &'a [u8], build: Build) -> SegmentBytes<'a> {
        let header = &found.header;
        SegmentBytes { number: header.number, salt: header.salt, start: header.start, bytes, build }
    }

    /// The bodies of the records that are found in these bytes.
    pub(crate) fn bodies(&self) -> Bodies<'a> {
        Bodies::Segment(self.bytes)
    }

    fn lsn(&self, offset: usize) -> u64 {
        self.start + offset as u64 - PAGE_BYTES
    }

    fn offset(&self, lsn: u64) -> usize {
        (PAGE_BYTES + (lsn - self.start)) as usize
    }

    /// The position of the first byte of the next page, or `lsn` if a page begins there.
    pub(crate) fn page_after(&self, lsn: u64) -> u64 {
        self.lsn(self.offset(lsn).next_multiple_of(PAGE_BYTES as usize))
    }

    /// The position after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.lsn(self.bytes.len())
    }

    /// The frame that follows on position `lsn`: right there, or on the next page if it says that it left a
    /// gap.
    pub(crate) fn follow(&self, lsn: u64) -> Result<FrameHead, Fault> {
        let offset = self.offset(lsn);
        for at in [offset, offset.next_multiple_of(PAGE_BYTES as usize)] {
            match self.head_at(at) {
                Ok(head) if head.place.gap as usize == at - offset => return Ok(head),
                Err(Fault::Newer(version)) => return Err(Fault::Newer(version)),
                _ => {}
            }
        }
        Err(Fault::Invalid)
    }

    /// The frame that follows on position `lsn`, with its records.
    pub(crate) fn follow_whole(&self, lsn: u64) -> Result<FoundFrame, Fault> {
        let frame = self.open(&self.follow(lsn)?);
        // Heads with a right checksum that do not add up are nothing that was ever written.
        let adds_up = frame.records.len() == frame.head.records as usize;
        if adds_up { Ok(frame) } else { Err(Fault::Invalid) }
    }

    /// Whether something that was meant as a frame of this segment begins at `lsn`, or anywhere behind it.
    pub(crate) fn has_remains(&self, lsn: u64) -> bool {
        let offset = self.offset(lsn);
        let meant =
            |at: usize| self.bytes.get(at..).is_some_and(|bytes| format::may_be_frame(bytes, self.salt));
        meant(offset) || meant(offset.next_multiple_of(PAGE_BYTES as usize)) || self.search(lsn).is_some()
    }

    /// Whether more bytes than these could show a frame that follows on position `lsn`.
    pub(crate) fn may_follow(&self, lsn: u64) -> bool {
        let offset = self.offset(lsn);
        self.is_lax()
            || [offset, offset.next_multiple_of(PAGE_BYTES as usize)].into_iter().any(|at| {
                let bytes = self.bytes.get(at..).unwrap_or_default();
                bytes.len() < FRAME_HEADER_BYTES || format::may_be_frame(bytes, self.salt)
            })
    }

    /// The first frame with a whole head at or behind `lsn`.
    pub(crate) fn search(&self, lsn: u64) -> Option<FrameHead> {
        let first = self.offset(lsn).next_multiple_of(FRAME_ALIGN);
        if self.is_lax() {
            return (first..self.bytes.len()).step_by(FRAME_ALIGN).find_map(|at| self.head_at(at).ok());
        }
        // Most of what is searched is blank: only where the salt stands a closer look is worth it.
        let salts = self.bytes.get(first + format::SALT_AT..)?.chunks_exact(FRAME_ALIGN);
        let salt = self.salt.to_le_bytes();
        salts
            .enumerate()
            .filter(|(_, word)| **word == salt)
            .find_map(|(n, _)| self.head_at(first + n * FRAME_ALIGN).ok())
    }

    /// All frames with whole heads, holes skipped.
    pub(crate) fn heads(&self) -> Vec<FrameHead> {
        let mut heads = Vec::new();
        let mut lsn = self.start;
        while let Some(head) = self.follow(lsn).ok().or_else(|| self.search(lsn)) {
            lsn = head.place.lsn + u64::from(head.length);
            heads.push(head);
        }
        heads
    }

    /// Whether this is a wrong build that takes what stands elsewhere for its own.
    fn is_lax(&self) -> bool {
        self.build.is(Mutant::SaltUnchecked) || self.build.is(Mutant::PlaceUnchecked)
    }

    fn head_at(&self, offset: usize) -> Result<FrameHead, Fault> {
        let bytes = self.bytes.get(offset..).unwrap_or_default();
        if self.is_lax() {
            return self.head_of_a_stranger(bytes, offset);
        }
        format::decode_frame(bytes, self.number, self.salt, self.lsn(offset))
    }

    /// What wrong builds take for a frame.
    fn head_of_a_stranger(&self, bytes: &[u8], offset: usize) -> Result<FrameHead, Fault> {
        let Some((segment, salt, lsn)) = format::said_place(bytes) else { return Err(Fault::Invalid) };
        let mut head = if self.build.is(Mutant::SaltUnchecked) {
            format::decode_frame(bytes, segment, salt, self.lsn(offset))?
        } else {
            format::decode_frame(bytes, self.number, self.salt, lsn)?
        };
        head.place.lsn = self.lsn(offset);
        Ok(head)
    }

    /// The records of a frame, each checked.
    pub(crate) fn open(&self, head: &FrameHead) -> FoundFrame {
        let offset = self.offset(head.place.lsn);
        let frame = &self.bytes[offset..offset + head.length as usize];
        let trailer = self.is_lax()
            || format::decode_trailer(frame, self.salt).is_some_and(|(lsn, _)| lsn == head.place.lsn);
        let Some(decoded) = format::decode_records(head, frame) else {
            return FoundFrame { head: *head, records: Vec::new(), whole: false };
        };
        let mut records = Vec::with_capacity(decoded.len());
        let mut end = format::bodies_offset(decoded.len());
        for (n, (record, at)) in decoded.into_iter().enumerate() {
            end = at + record.body_bytes as usize;
            let body = &frame[at..end];
            let salt = if self.build.is(Mutant::SaltUnchecked) { head.place.salt } else { self.salt };
            let whole = format::check_body(salt, &record, body) || self.build.is(Mutant::BodiesUnchecked);
            let is_repeat = n < head.repeats as usize;
            records.push(FoundRecord {
                head: record,
                offset: (offset + at) as u32,
                state: 0,
                whole,
                is_repeat,
            });
        }
        let bodies = records.iter().all(|record| record.whole);
        let whole = bodies && trailer && format::is_padding_blank(head, end, frame);
        FoundFrame { head: *head, records, whole }
    }

    /// Whom the frames in a hole were about, by their trailers; `None` unless these account for the whole
    /// hole.
    pub(crate) fn streams_of_hole(&self, hole: Range<u64>) -> Option<Vec<u64>> {
        let mut streams = Vec::new();
        let mut end = hole.end;
        while end > hole.start {
            let (frame, named) = self.trailer_before(end, hole.start)?;
            streams.extend(named);
            // The first frame of the hole may have left a gap behind the last whole one.
            end = if frame == self.page_after(hole.start) { hole.start } else { frame };
        }
        streams.sort_unstable();
        streams.dedup();
        Some(streams)
    }

    /// The last trailer that ends at `end`, or at most a page before it.
    fn trailer_before(&self, end: u64, floor: u64) -> Option<(u64, Vec<u64>)> {
        let lowest = floor.max(end.saturating_sub(PAGE_BYTES));
        let from = self.offset(floor);
        let mut at = end;
        while at > lowest {
            let found = format::decode_trailer(self.bytes.get(from..self.offset(at))?, self.salt);
            if let Some((frame, streams)) = found.filter(|(frame, _)| (floor..at).contains(frame)) {
                return Some((frame, streams));
            }
            at = at.saturating_sub(FRAME_ALIGN as u64);
        }
        None
    }
}

//! What a caller collects before it is appended: records of many streams, already checksummed.
//!
//! Payloads are copied and checksummed here, on the caller's own time; under the log's lock only the salt of
//! the segment has to be mixed in.

use crate::config::{HARD_STATE_BYTES_MAX, STATE_BYTES_MAX};
use crate::error::{Misuse, WalError};
use crate::format::{self, ENTRY_SLOT_BYTES, Kind, RecordHead, Records};
use crate::{StateName, StreamId};

/// Records that reach the log together: after a crash all of them are there or none. They take effect in the
/// order in which they were added.
///
/// ```
/// use skep_wal::{Batch, StreamId};
/// let mut batch = Batch::new();
/// batch.entries(StreamId(1), 1, 7, [b"one".as_slice(), b"two"]);
/// batch.hard_state(StreamId(1), b"term 7");
/// assert!(batch.bytes() > 0);
/// ```
#[derive(Default, Debug)]
pub struct Batch {
    pub(crate) heads: Vec<RecordHead>,
    pub(crate) bodies: Vec<u8>,
    too_long: Option<WalError>,
}

impl Batch {
    /// An empty batch. Keep it and append it again and again: it keeps its memory.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.too_long.is_none()
    }

    /// What the batch will take in the log, in bytes: without the rounding up to a page after a sync, and without the
    /// repeats of the hard states that were appended just before it.
    pub fn bytes(&self) -> u64 {
        format::frame_bytes(0, self.heads.len(), self.bodies.len())
    }

    pub(crate) fn records(&self) -> Records<'_> {
        Records { heads: &self.heads, bodies: &self.bodies }
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bodies.clear();
        self.too_long = None;
    }

    /// Adds a run of entries of one term, beginning at `first_index`. They replace whatever stood at
    /// `first_index` and above.
    pub fn entries<'a>(
        &mut self,
        stream: StreamId,
        first_index: u64,
        term: u64,
        payloads: impl IntoIterator<Item = &'a [u8]>,
    ) {
        self.run(Kind::Entries, (stream, first_index, term), payloads);
    }

    /// Replaces the stream's hard state: at most `HARD_STATE_BYTES_MAX` bytes that mean nothing to the log.
    pub fn hard_state(&mut self, stream: StreamId, bytes: &[u8]) {
        self.state_record(Kind::HardState, stream, 0, bytes, HARD_STATE_BYTES_MAX);
    }

    /// Replaces one of the stream's named states: at most `STATE_BYTES_MAX` bytes that mean nothing to the
    /// log.
    pub fn state(&mut self, stream: StreamId, name: StateName, bytes: &[u8]) {
        self.state_record(Kind::State, stream, name.0, bytes, STATE_BYTES_MAX);
    }

    /// Forgets the entries from `first_removed` on.
    pub fn truncate(&mut self, stream: StreamId, first_removed: u64) {
        self.mark(Kind::Truncate, stream, first_removed, 0);
    }

    /// Forgets the entries through `through_index`, whose term was `through_term`.
    pub fn compact(&mut self, stream: StreamId, through_index: u64, through_term: u64) {
        self.mark(Kind::Compact, stream, through_index, through_term);
    }

    /// Forgets all entries; the log of the stream goes on after `base_index`. Its states stay.
    pub fn restart(&mut self, stream: StreamId, base_index: u64, base_term: u64) {
        self.mark(Kind::Restart, stream, base_index, base_term);
    }

    /// Forgets the stream with everything in it. What is added after this is a new stream of the same number.
    pub fn remove(&mut self, stream: StreamId) {
        self.mark(Kind::Remove, stream, 0, 0);
    }

    /// Entries written again, elsewhere, because their old place is to be freed: they replace nothing.
    pub(crate) fn carried<'a>(
        &mut self,
        stream: StreamId,
        first_index: u64,
        term: u64,
        payloads: impl IntoIterator<Item = &'a [u8]>,
    ) {
        self.run(Kind::Carried, (stream, first_index, term), payloads);
    }

    /// A record as it was found in a frame of another segment: the salt is taken out of its checksums again.
    pub(crate) fn copy(&mut self, salt: u64, head: &RecordHead, body: &[u8]) {
        let start = self.bodies.len();
        self.bodies.extend_from_slice(body);
        if head.kind.is_run() {
            format::salt_table(salt, head, &mut self.bodies[start..]);
        }
        self.heads.push(*head);
    }

    /// Takes the hard states of a stream out again.
    pub(crate) fn forget(&mut self, stream: u64) {
        let (mut kept, mut at) = (Batch::new(), 0);
        for head in &self.heads {
            let body = &self.bodies[at..at + head.body_bytes as usize];
            at += body.len();
            if head.stream != stream {
                kept.copy(0, head, body);
            }
        }
        *self = kept;
    }

    /// The first thing that was added and may not be.
    pub(crate) fn refusal(&self) -> Option<&WalError> {
        self.too_long.as_ref()
    }

    fn run<'a>(
        &mut self,
        kind: Kind,
        (stream, first_index, term): (StreamId, u64, u64),
        payloads: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let mut payloads = payloads.into_iter().peekable();
        let mut first_index = first_index;
        while payloads.peek().is_some() {
            let start = self.bodies.len();
            let count = self.run_body(start, &mut payloads);
            let head = RecordHead {
                kind,
                name: 0,
                count,
                crc: 0,
                stream: stream.0,
                index: first_index,
                term,
                body_bytes: (self.bodies.len() - start) as u32,
            };
            self.heads.push(head);
            first_index += u64::from(count);
        }
    }

    /// Writes one record's table and payloads at the end of `bodies`.
    fn run_body<'a>(&mut self, start: usize, payloads: &mut impl Iterator<Item = &'a [u8]>) -> u16 {
        let (expected, _) = payloads.size_hint();
        let mut room = expected.clamp(1, usize::from(u16::MAX));
        self.bodies.resize(start + room * ENTRY_SLOT_BYTES, 0);
        let mut count = 0;
        while count < usize::from(u16::MAX) {
            let Some(payload) = payloads.next() else { break };
            if count == room {
                let more = (room * 2).min(usize::from(u16::MAX));
                self.shift_payloads(start, (room, count), more);
                room = more;
            }
            let at = (self.bodies.len() - start) as u32;
            format::put_entry_slot(&mut self.bodies[start..], count, at, crc32fast::hash(payload));
            self.bodies.extend_from_slice(payload);
            count += 1;
        }
        if count < room {
            self.shift_payloads(start, (room, count), count);
        }
        count as u16
    }

    /// Makes the table of a record `to` entries long instead of `from`, moving the payloads behind it.
    fn shift_payloads(&mut self, start: usize, (from, count): (usize, usize), to: usize) {
        let old = start + from * ENTRY_SLOT_BYTES;
        let new = start + to * ENTRY_SLOT_BYTES;
        let end = self.bodies.len();
        if new > old {
            self.bodies.resize(end + (new - old), 0);
        }
        self.bodies.copy_within(old..end, new);
        self.bodies.truncate(end + new - old);
        for slot in 0..count {
            let (at, crc) = format::entry_slot(&self.bodies[start..], slot);
            let moved = at as usize + new - old;
            format::put_entry_slot(&mut self.bodies[start..], slot, moved as u32, crc);
        }
    }

    fn state_record(&mut self, kind: Kind, stream: StreamId, name: u8, bytes: &[u8], bytes_max: usize) {
        if bytes.len() > bytes_max {
            let what = Misuse::StateTooLong { bytes: bytes.len() as u64, bytes_max: bytes_max as u64 };
            self.too_long.get_or_insert(WalError::Misuse { stream, what });
            return;
        }
        self.bodies.extend_from_slice(bytes);
        let (count, crc, body_bytes) = (0, crc32fast::hash(bytes), bytes.len() as u32);
        self.heads.push(RecordHead {
            kind,
            name,
            count,
            crc,
            stream: stream.0,
            index: 0,
            term: 0,
            body_bytes,
        });
    }

    fn mark(&mut self, kind: Kind, stream: StreamId, index: u64, term: u64) {
        let (name, count, crc, body_bytes) = (0, 0, 0, 0);
        self.heads.push(RecordHead { kind, name, count, crc, stream: stream.0, index, term, body_bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the number of payloads becomes known, the body is the same.
    #[test]
    fn the_size_hint_changes_nothing() {
        let payloads: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; usize::from(n)]).collect();
        for count in [1, 2, 3, 63, 64, 100] {
            let mut hinted = Batch::new();
            hinted.entries(StreamId(1), 1, 1, payloads[..count].iter().map(Vec::as_slice));
            let mut blind = Batch::new();
            blind.entries(StreamId(1), 1, 1, payloads[..count].iter().map(Vec::as_slice).filter(|_| true));
            assert_eq!(hinted.bodies, blind.bodies);
            assert_eq!(hinted.heads, blind.heads);
        }
    }

    /// No payloads, no record.
    #[test]
    fn empty_runs_are_nothing() {
        let mut batch = Batch::new();
        batch.entries(StreamId(1), 1, 1, []);
        assert!(batch.is_empty());
        batch.hard_state(StreamId(1), &[0; 65]);
        assert!(!batch.is_empty() && batch.refusal().is_some());
    }
}

//! The bytes of a record: its head, and the table of entries at the beginning of a run's body.

use super::{put_u32, put_u64, u32_at, u64_at};

/// Bytes of a record's head.
pub(crate) const RECORD_HEAD_BYTES: usize = 40;
/// Bytes per entry in the table at the head of a run's body: where it starts, and its checksum.
pub(crate) const ENTRY_SLOT_BYTES: usize = 8;

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A run of entries of one term, which replaces what stood at its first index and above.
    Entries = 1,
    /// A run of entries that were written before and are written again elsewhere; it replaces nothing.
    Carried = 2,
    /// The hard state of a stream.
    HardState = 3,
    /// A named state of a stream.
    State = 4,
    /// Forgets the entries from an index on.
    Truncate = 5,
    /// Forgets the entries through an index.
    Compact = 6,
    /// Forgets all entries and goes on after an index.
    Restart = 7,
    /// Forgets the stream.
    Remove = 8,
}

impl Kind {
    fn decode(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Entries,
            2 => Kind::Carried,
            3 => Kind::HardState,
            4 => Kind::State,
            5 => Kind::Truncate,
            6 => Kind::Compact,
            7 => Kind::Restart,
            8 => Kind::Remove,
            _ => return None,
        })
    }

    pub(crate) fn is_run(self) -> bool {
        matches!(self, Kind::Entries | Kind::Carried)
    }
}

/// The head of a record: all of it but its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHead {
    pub(crate) kind: Kind,
    /// Of a named state.
    pub(crate) name: u8,
    /// Of entries in a run.
    pub(crate) count: u16,
    /// Of a run: the checksum of its table. Of a state: of its bytes.
    pub(crate) crc: u32,
    pub(crate) stream: u64,
    /// The first index of a run; the index that truncate, compact and restart are about.
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) body_bytes: u32,
}

impl RecordHead {
    pub(super) fn encode(&self) -> [u8; RECORD_HEAD_BYTES] {
        let mut out = [0; RECORD_HEAD_BYTES];
        out[0] = self.kind as u8;
        out[1] = self.name;
        out[2..4].copy_from_slice(&self.count.to_le_bytes());
        put_u32(&mut out, 4, self.crc);
        put_u64(&mut out, 8, self.stream);
        put_u64(&mut out, 16, self.index);
        put_u64(&mut out, 24, self.term);
        put_u32(&mut out, 32, self.body_bytes);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<RecordHead> {
        let head = RecordHead {
            kind: Kind::decode(bytes[0])?,
            name: bytes[1],
            count: u16::from_le_bytes([bytes[2], bytes[3]]),
            crc: u32_at(bytes, 4),
            stream: u64_at(bytes, 8),
            index: u64_at(bytes, 16),
            term: u64_at(bytes, 24),
            body_bytes: u32_at(bytes, 32),
        };
        let table = usize::from(head.count) * ENTRY_SLOT_BYTES;
        let fits = head.kind.is_run() == (head.count > 0) && table <= head.body_bytes as usize;
        (fits && head.index.checked_add(u64::from(head.count)).is_some()).then_some(head)
    }
}

/// Whether a record's body is what its head says.
pub(crate) fn check_body(salt: u64, head: &RecordHead, body: &[u8]) -> bool {
    if !head.kind.is_run() {
        return head.body_bytes == 0 || crc32fast::hash(body) == head.crc;
    }
    let table = &body[..usize::from(head.count) * ENTRY_SLOT_BYTES];
    crc32fast::hash(table) == head.crc
        && (0..usize::from(head.count)).all(|slot| {
            let index = head.index + slot as u64;
            entry(body, slot)
                .is_some_and(|(payload, crc)| check_entry(salt, head.stream, index, payload, crc))
        })
}

/// Whether an entry's payload matches the checksum that stands in the log for it.
pub(crate) fn check_entry(salt: u64, stream: u64, index: u64, payload: &[u8], crc: u32) -> bool {
    crc32fast::hash(payload) ^ entry_mask(salt, stream, index) == crc
}

/// The range of an entry in a run's body, and its checksum. Every offset is checked: the table may be
/// damaged.
pub(crate) fn entry_range(
    body: &[u8],
    slot: usize,
    body_bytes: usize,
) -> Option<(std::ops::Range<usize>, u32)> {
    let total = u32_at(body.get(..ENTRY_SLOT_BYTES)?, 0) as usize / ENTRY_SLOT_BYTES;
    if slot >= total || body.len() < (slot + 1) * ENTRY_SLOT_BYTES {
        return None;
    }
    let (start, crc) = entry_slot(body, slot);
    let end = if slot + 1 == total {
        body_bytes
    } else {
        u32_at(body.get((slot + 1) * ENTRY_SLOT_BYTES..(slot + 2) * ENTRY_SLOT_BYTES)?, 0) as usize
    };
    let start = start as usize;
    (start <= end && end <= body_bytes).then_some((start..end, crc))
}

fn entry(body: &[u8], slot: usize) -> Option<(&[u8], u32)> {
    let (range, crc) = entry_range(body, slot, body.len())?;
    Some((&body[range], crc))
}

/// Where an entry starts in its run's body, and its checksum.
pub(crate) fn entry_slot(body: &[u8], slot: usize) -> (u32, u32) {
    (u32_at(body, slot * ENTRY_SLOT_BYTES), u32_at(body, slot * ENTRY_SLOT_BYTES + 4))
}

/// Writes one line of a run's table.
pub(crate) fn put_entry_slot(body: &mut [u8], slot: usize, start: u32, crc: u32) {
    put_u32(body, slot * ENTRY_SLOT_BYTES, start);
    put_u32(body, slot * ENTRY_SLOT_BYTES + 4, crc);
}

/// Mixes the salt into the checksums of a run's table, or takes it out again.
pub(crate) fn salt_table(salt: u64, head: &RecordHead, body: &mut [u8]) {
    let table = &mut body[..usize::from(head.count) * ENTRY_SLOT_BYTES];
    for (slot, line) in table.chunks_exact_mut(ENTRY_SLOT_BYTES).enumerate() {
        let crc = u32_at(line, 4) ^ entry_mask(salt, head.stream, head.index + slot as u64);
        put_u32(line, 4, crc);
    }
}

/// What is mixed into an entry's checksum, so that bytes of another segment, stream or index never pass for
/// it.
fn entry_mask(salt: u64, stream: u64, index: u64) -> u32 {
    let mixed = salt ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)) as u32
}

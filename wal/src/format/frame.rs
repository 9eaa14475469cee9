//! The bytes of a frame: header, heads of its records, their bodies, and the list of its streams once more.
//!
//! The first records may be *repeats*: hard states of the frame before, written a second time so that the loss of a
//! frame never takes a vote with it. They are not in the list: a frame is not about their streams.

use super::record::{ENTRY_SLOT_BYTES, Kind, RECORD_HEAD_BYTES, RecordHead, salt_table};
use super::{FORMAT_VERSION, Fault, put_u32, put_u64, u32_at, u64_at};
use crate::config::PAGE_BYTES;

/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;
/// Bytes of a frame's trailer behind its list of streams.
pub(crate) const TRAILER_BYTES: usize = 24;
/// Frames begin and end on multiples of this.
pub(crate) const FRAME_ALIGN: usize = 8;
/// What a record takes beside its body: its head, and its place in the list of streams.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = RECORD_HEAD_BYTES as u64 + 8;
/// The type of a frame that holds records. Zero is no type: blank bytes are no frame.
const FRAME_TYPE: u8 = 1;
/// Mixed into the salt where it stands in a trailer, so that a trailer is never taken for a header.
const TRAILER_MIX: u64 = 0x736b_6570_7461_696c;
/// Where the salt stands in a frame header: what a search for frames looks at first.
pub(crate) const SALT_AT: usize = 40;
/// The heads and the list of streams are at least so far apart that no sector holds bytes of both.
const APART_BYTES: usize = 512;

const _: () =
    assert!(FRAME_HEADER_BYTES.is_multiple_of(FRAME_ALIGN) && RECORD_HEAD_BYTES.is_multiple_of(FRAME_ALIGN));

/// Where a frame is written and what it says beside its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FramePlace {
    /// The salt of its segment.
    pub(crate) salt: u64,
    /// The number of its segment.
    pub(crate) segment: u32,
    /// The position of its first byte.
    pub(crate) lsn: u64,
    /// What was known to be durable when it was written.
    pub(crate) durable: u64,
    /// Bytes left unused between the frame before it and this one.
    pub(crate) gap: u32,
    /// The first segment that is still needed.
    pub(crate) log_start: u32,
    pub(crate) before: Before,
}

/// What a frame says about the frame before it, for the case that it is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Before {
    /// Its length in bytes; 0 for not known.
    pub(crate) length: u32,
    /// Whether it held nothing but entries, cuts of entries, and hard states, which are repeated here.
    pub(crate) is_plain: bool,
}

/// Records of a frame: their heads, and their bodies one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Records<'a> {
    pub(crate) heads: &'a [RecordHead],
    pub(crate) bodies: &'a [u8],
}

impl<'a> Records<'a> {
    /// Each record with its body.
    pub(crate) fn each(self) -> impl Iterator<Item = (&'a RecordHead, &'a [u8])> {
        let mut bodies = self.bodies;
        self.heads.iter().map(move |head| {
            let body;
            (body, bodies) = bodies.split_at(head.body_bytes as usize);
            (head, body)
        })
    }
}

/// A frame's header after its checksum was found right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHead {
    pub(crate) place: FramePlace,
    /// Bytes of the whole frame.
    pub(crate) length: u32,
    /// Of all records.
    pub(crate) records: u32,
    /// So many of them, the first ones, repeat hard states of the frame before.
    pub(crate) repeats: u32,
}

/// Bytes of a frame with so many repeats, records of its own, and bytes of bodies of both.
pub(crate) fn frame_bytes(repeats: usize, records: usize, bodies: usize) -> u64 {
    (list_offset(repeats, records, bodies) + records * 8 + TRAILER_BYTES) as u64
}

/// Bytes between a frame's start and its list of streams.
fn list_offset(repeats: usize, records: usize, bodies: usize) -> usize {
    let apart = if records == 0 { 0 } else { APART_BYTES };
    (bodies_offset(repeats + records) + bodies.max(apart)).next_multiple_of(FRAME_ALIGN)
}

/// Bytes between a frame's start and its first body.
pub(crate) fn bodies_offset(records: usize) -> usize {
    FRAME_HEADER_BYTES + records * RECORD_HEAD_BYTES
}

/// Writes a frame into `out`. The checksums in the bodies are those a batch made: without salt.
pub(crate) fn encode_frame(
    place: &FramePlace,
    repeats: Records<'_>,
    records: Records<'_>,
    out: &mut Vec<u8>,
) {
    let bodies = repeats.bodies.len() + records.bodies.len();
    let (first, count) = (repeats.heads.len(), records.heads.len());
    out.clear();
    out.reserve(frame_bytes(first, count, bodies) as usize);
    out.resize(bodies_offset(first + count), 0);
    out.extend_from_slice(repeats.bodies);
    out.extend_from_slice(records.bodies);
    let mut body = bodies_offset(first + count);
    for (n, head) in repeats.heads.iter().chain(records.heads).enumerate() {
        let mut head = *head;
        if head.kind.is_run() {
            let table = &mut out[body..body + usize::from(head.count) * ENTRY_SLOT_BYTES];
            salt_table(place.salt, &head, table);
            head.crc = crc32fast::hash(table);
        }
        let at = FRAME_HEADER_BYTES + n * RECORD_HEAD_BYTES;
        out[at..at + RECORD_HEAD_BYTES].copy_from_slice(&head.encode());
        body += head.body_bytes as usize;
    }
    out.resize(list_offset(first, count, bodies), 0);
    put_trailer(place, records.heads, out);
    put_frame_header(place, (first as u32, count as u32), out);
}

fn put_trailer(place: &FramePlace, heads: &[RecordHead], out: &mut Vec<u8>) {
    let start = out.len();
    for head in heads {
        out.extend_from_slice(&head.stream.to_le_bytes());
    }
    out.extend_from_slice(&place.lsn.to_le_bytes());
    out.extend_from_slice(&(place.salt ^ TRAILER_MIX).to_le_bytes());
    out.extend_from_slice(&(heads.len() as u32).to_le_bytes());
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

fn put_frame_header(place: &FramePlace, (repeats, records): (u32, u32), out: &mut [u8]) {
    let records = repeats + records;
    let length = out.len() as u32;
    out[0] = FRAME_TYPE;
    out[1] = FORMAT_VERSION as u8;
    put_u32(out, 8, length);
    put_u32(out, 12, records);
    put_u64(out, 16, place.lsn);
    put_u64(out, 24, place.durable);
    put_u32(out, 32, place.gap);
    put_u32(out, 36, place.log_start);
    put_u64(out, SALT_AT, place.salt);
    put_u32(out, 48, place.segment);
    put_u32(out, 52, place.before.length);
    put_u32(out, 56, repeats);
    out[60] = u8::from(place.before.is_plain);
    let crc = head_crc(place.salt, &out[..bodies_offset(records as usize)]);
    put_u32(out, 4, crc);
}

/// The checksum over a frame's header and its records' heads; the field itself is left out.
fn head_crc(salt: u64, head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt as u32);
    hasher.update(&head[..4]);
    hasher.update(&head[8..]);
    hasher.finalize()
}

/// Whether bytes could begin a frame of this segment: a cheap look before `decode_frame`.
pub(crate) fn may_be_frame(bytes: &[u8], salt: u64) -> bool {
    bytes.len() >= FRAME_HEADER_BYTES && bytes[0] == FRAME_TYPE && u64_at(bytes, SALT_AT) == salt
}

/// Gives bytes the place in a log that they have, and the checksum that they then need; their length, if they are a frame
/// by that. For tests that want to get past the checksums.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn make_right(bytes: &mut [u8], (segment, salt, lsn): (u32, u64, u64)) -> Option<usize> {
    let records = u32_at(bytes, 12) as usize;
    let heads = records.checked_mul(RECORD_HEAD_BYTES)?.checked_add(FRAME_HEADER_BYTES)?;
    if heads > bytes.len() {
        return None;
    }
    put_u64(bytes, 16, lsn);
    put_u64(bytes, SALT_AT, salt);
    put_u32(bytes, 48, segment);
    let crc = head_crc(salt, &bytes[..heads]);
    put_u32(bytes, 4, crc);
    decode_frame(bytes, segment, salt, lsn).ok().map(|head| head.length as usize)
}

/// The segment number, salt and position that bytes claim for themselves, unchecked.
pub(crate) fn said_place(bytes: &[u8]) -> Option<(u32, u64, u64)> {
    let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
    Some((u32_at(bytes, 48), u64_at(bytes, SALT_AT), u64_at(bytes, 16)))
}

/// Reads the header of a frame that must be of this segment and stand at `lsn`. `bytes` reach from its start
/// to the end of the segment; no length in them is believed before it was found to fit.
pub(crate) fn decode_frame(bytes: &[u8], segment: u32, salt: u64, lsn: u64) -> Result<FrameHead, Fault> {
    if !may_be_frame(bytes, salt) {
        return Err(Fault::Invalid);
    }
    let (length, records, repeats) = (u32_at(bytes, 8), u32_at(bytes, 12), u32_at(bytes, 56));
    let own = records.saturating_sub(repeats);
    let least = frame_bytes(repeats.min(records) as usize, own as usize, 0);
    if repeats > records
        || least > u64::from(length)
        || u64::from(length) > bytes.len() as u64
        || !length.is_multiple_of(FRAME_ALIGN as u32)
    {
        return Err(Fault::Invalid);
    }
    if head_crc(salt, &bytes[..bodies_offset(records as usize)]) != u32_at(bytes, 4) {
        return Err(Fault::Invalid);
    }
    if u32::from(bytes[1]) > FORMAT_VERSION {
        return Err(Fault::Newer(u32::from(bytes[1])));
    }
    let place = FramePlace {
        salt,
        segment: u32_at(bytes, 48),
        lsn: u64_at(bytes, 16),
        durable: u64_at(bytes, 24),
        gap: u32_at(bytes, 32),
        log_start: u32_at(bytes, 36),
        before: Before { length: u32_at(bytes, 52), is_plain: bytes[60] == 1 },
    };
    if bytes[1] == 0
        || place.segment != segment
        || place.lsn != lsn
        || place.durable > lsn
        || place.log_start > segment
        || u64::from(place.gap) > lsn.min(PAGE_BYTES - 1)
    {
        return Err(Fault::Invalid);
    }
    Ok(FrameHead { place, length, records, repeats })
}

/// The records of a frame whose head is whole, each with the start of its body in the frame; `None` if they do not fill
/// it exactly.
pub(crate) fn decode_records(head: &FrameHead, frame: &[u8]) -> Option<Vec<(RecordHead, usize)>> {
    let mut records = Vec::with_capacity(head.records as usize);
    let mut body = bodies_offset(head.records as usize);
    for n in 0..head.records as usize {
        let at = FRAME_HEADER_BYTES + n * RECORD_HEAD_BYTES;
        let record = RecordHead::decode(&frame[at..at + RECORD_HEAD_BYTES])?;
        records.push((record, body));
        body = body.checked_add(record.body_bytes as usize)?;
    }
    let bodies = body - bodies_offset(head.records as usize);
    let repeats = head.repeats as usize;
    let are_repeats = records[..repeats].iter().all(|(record, _)| record.kind == Kind::HardState);
    let fits = frame_bytes(repeats, records.len() - repeats, bodies) == u64::from(head.length);
    (are_repeats && fits).then_some(records)
}

/// Whether the bytes between the last body and the list of streams are the zeros that they were written as.
pub(crate) fn is_padding_blank(head: &FrameHead, bodies_end: usize, frame: &[u8]) -> bool {
    let list = head.length as usize - TRAILER_BYTES - (head.records - head.repeats) as usize * 8;
    frame.get(bodies_end..list).is_some_and(|padding| padding.iter().all(|byte| *byte == 0))
}

/// The trailer that ends at the end of `bytes`: where its frame began, and the streams it names.
pub(crate) fn decode_trailer(bytes: &[u8], salt: u64) -> Option<(u64, Vec<u64>)> {
    let fixed = bytes.len().checked_sub(TRAILER_BYTES)?;
    let tail = &bytes[fixed..];
    if u64_at(tail, 8) != salt ^ TRAILER_MIX {
        return None;
    }
    let streams_bytes = (u32_at(tail, 16) as usize).checked_mul(8)?;
    let start = fixed.checked_sub(streams_bytes)?;
    if crc32fast::hash(&bytes[start..bytes.len() - 4]) != u32_at(tail, 20) {
        return None;
    }
    let streams = bytes[start..fixed].chunks_exact(8).map(|stream| u64_at(stream, 0)).collect();
    Some((u64_at(tail, 0), streams))
}

//! The bytes of a segment, written and read: the only place that knows them. No file is touched here.
//!
//! `docs/WAL_FORMAT.md` has the tables. All numbers are little-endian; all checksums are CRC-32 (IEEE).

mod frame;
#[cfg(test)]
mod golden;
mod record;
mod segment;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use frame::make_right;
pub(crate) use frame::{
    Before, FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHead, FramePlace, RECORD_OVERHEAD_BYTES, Records, SALT_AT,
    bodies_offset, decode_frame, decode_records, decode_trailer, encode_frame, frame_bytes, is_padding_blank,
    may_be_frame, said_place,
};
pub(crate) use record::{
    ENTRY_SLOT_BYTES, Kind, RecordHead, check_body, check_entry, entry_range, entry_slot, put_entry_slot,
    salt_table,
};
pub(crate) use segment::SegmentHeader;

/// The newest format this build reads, and the one it writes.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Never written, damaged, or left over from an earlier use of the file.
    Invalid,
    /// Whole, and written by a newer build.
    Newer(u32),
}

fn put_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

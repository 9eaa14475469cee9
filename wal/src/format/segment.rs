//! The bytes of a segment's header page.

use super::{FORMAT_VERSION, Fault, put_u32, put_u64, u32_at, u64_at};
use crate::config::PAGE_BYTES;

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"SKEPWAL\x01";
/// Bytes of a segment header; two copies stand in the header page, in different sectors.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;
/// Where the copies of the segment header begin.
pub(crate) const SEGMENT_HEADER_AT: [usize; 2] = [0, 2048];

const _: () = assert!(SEGMENT_HEADER_AT[1] + SEGMENT_HEADER_BYTES <= PAGE_BYTES as usize);

/// What a segment says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    /// Which log it belongs to.
    pub(crate) log: u128,
    /// Numbers grow; they are never used twice.
    pub(crate) number: u32,
    /// The segment before it; 0 for none.
    pub(crate) previous: u32,
    /// The position of its first byte behind the header page, which is also where the segment before it
    /// ended.
    pub(crate) start: u64,
    /// Mixed into every checksum, and new with every use of the file.
    pub(crate) salt: u64,
    /// What was durable when the header was written.
    pub(crate) durable: u64,
    /// The length of the file.
    pub(crate) segment_bytes: u64,
    /// The first and the last of the segments that came to be together: they count only if all are there.
    pub(crate) group: (u32, u32),
    /// The first segment that was needed.
    pub(crate) log_start: u32,
}

impl SegmentHeader {
    /// The header page: two copies of the header, and zeros.
    pub(crate) fn page(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES as usize];
        let bytes = self.encode();
        for at in SEGMENT_HEADER_AT {
            page[at..at + SEGMENT_HEADER_BYTES].copy_from_slice(&bytes);
        }
        page
    }

    fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.log.to_le_bytes());
        put_u32(&mut out, 32, self.number);
        put_u32(&mut out, 36, self.previous);
        put_u64(&mut out, 40, self.start);
        put_u64(&mut out, 48, self.salt);
        put_u64(&mut out, 56, self.durable);
        put_u64(&mut out, 64, self.segment_bytes);
        put_u32(&mut out, 72, self.group.0);
        put_u32(&mut out, 76, self.group.1);
        put_u32(&mut out, 80, self.log_start);
        let crc = crc32fast::hash(&out);
        put_u32(&mut out, 12, crc);
        out
    }

    /// Reads a header page. Of two whole copies that differ (the page was being rewritten) the newer one
    /// counts.
    pub(crate) fn decode(page: &[u8]) -> Result<SegmentHeader, Fault> {
        let copies = SEGMENT_HEADER_AT.map(|at| match page.get(at..at + SEGMENT_HEADER_BYTES) {
            Some(bytes) => SegmentHeader::decode_copy(bytes),
            None => Err(Fault::Invalid),
        });
        match copies {
            [Err(Fault::Newer(version)), _] | [_, Err(Fault::Newer(version))] => Err(Fault::Newer(version)),
            [Ok(first), Ok(second)] => Ok(if second.number > first.number { second } else { first }),
            [Ok(one), Err(Fault::Invalid)] | [Err(Fault::Invalid), Ok(one)] => Ok(one),
            [Err(Fault::Invalid), Err(Fault::Invalid)] => Err(Fault::Invalid),
        }
    }

    /// Whether a copy is neither whole nor blank: never the mark of a power cut, for a copy lies in one sector.
    pub(crate) fn has_damaged_copy(page: &[u8]) -> bool {
        SEGMENT_HEADER_AT
            .iter()
            .filter_map(|at| page.get(*at..at + SEGMENT_HEADER_BYTES))
            .any(|copy| SegmentHeader::decode_copy(copy).is_err() && copy.iter().any(|byte| *byte != 0))
    }

    fn decode_copy(bytes: &[u8]) -> Result<SegmentHeader, Fault> {
        let mut plain = [0; SEGMENT_HEADER_BYTES];
        plain.copy_from_slice(bytes);
        put_u32(&mut plain, 12, 0);
        if bytes[0..8] != MAGIC || u32_at(bytes, 12) != crc32fast::hash(&plain) {
            return Err(Fault::Invalid);
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION => {}
            version if version > FORMAT_VERSION => return Err(Fault::Newer(version)),
            _ => return Err(Fault::Invalid),
        }
        let header = SegmentHeader {
            log: u128::from(u64_at(bytes, 16)) | u128::from(u64_at(bytes, 24)) << 64,
            number: u32_at(bytes, 32),
            previous: u32_at(bytes, 36),
            start: u64_at(bytes, 40),
            salt: u64_at(bytes, 48),
            durable: u64_at(bytes, 56),
            segment_bytes: u64_at(bytes, 64),
            group: (u32_at(bytes, 72), u32_at(bytes, 76)),
            log_start: u32_at(bytes, 80),
        };
        if header.number == 0
            || header.previous >= header.number
            || header.log_start > header.number
            || header.segment_bytes <= PAGE_BYTES
        {
            return Err(Fault::Invalid);
        }
        Ok(header)
    }
}

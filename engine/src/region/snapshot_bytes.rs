//! The bytes of a region's snapshot.
//!
//! Little-endian; every CRC is IEEE CRC32.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `SKEPSNAP` |
//! | | u16 | format, 1 |
//! | | u16 | zero |
//! | | u32, u32 | length and CRC of the state |
//! | state | | [state](super::state) |
//! | block, any number | u32, u32, u32 | length of its pairs (never zero), their count, CRC of these two numbers and the pairs |
//! | | | the pairs |
//! | end | u32, u32 | zero, zero |
//! | | u64 | count of all pairs |
//! | | u32 | CRC of the sixteen bytes before |
//!
//! A pair is: flags u8 (1: it expires; another bit that is set is newer), key (length u32, bytes), value (length u32,
//! bytes), and if it expires the time: u64, milliseconds since 1970. Keys grow.

use crc32fast::Hasher;
use skep_raftstore::machine::Stamp;

use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

pub(super) const HEADER_BYTES: usize = 20;
pub(super) const BLOCK_HEADER_BYTES: usize = 12;
/// What stands in the end beside a block's two numbers.
pub(super) const END_REST_BYTES: usize = 8;

/// Bytes of a block's pairs beyond which it is closed. A larger pair has a block of its own.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of a block's pairs, at most.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + 17 + KEY_BYTES_MAX + VALUE_BYTES_MAX;

const MAGIC: [u8; 8] = *b"SKEPSNAP";
const FORMAT: u16 = 1;
const NO_FLAGS: u8 = 0;
const EXPIRES: u8 = 1;

/// What the header says.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) state_bytes: u32,
    pub(super) state_crc: u32,
}

/// What the first numbers of a block say.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum BlockHeader {
    Pairs {
        bytes: usize,
        count: u32,
        crc: u32,
    },
    /// The first four of the last eight bytes of the whole: the lower half of the count of pairs.
    End {
        pairs_low: u32,
    },
}

pub(super) fn header(state: &[u8]) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    out[12..16].copy_from_slice(&(state.len() as u32).to_le_bytes());
    out[16..].copy_from_slice(&crc32fast::hash(state).to_le_bytes());
    out
}

pub(super) fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Unreadable> {
    let mut from = Reader::new(bytes);
    if from.array()? != MAGIC {
        return Err(Unreadable::Damaged("no snapshot of a region"));
    }
    match from.u16()? {
        FORMAT => {}
        0 => return Err(Unreadable::Damaged("a snapshot of format zero")),
        newer => return Err(Unreadable::Newer("format of a snapshot", newer.into())),
    }
    match from.u16()? {
        0 => {}
        newer => return Err(Unreadable::Newer("flags of a snapshot", newer.into())),
    }
    Ok(Header { state_bytes: from.u32()?, state_crc: from.u32()? })
}

/// A key, its value, and when that expires.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8], Option<Stamp>);

pub(super) fn put_pair(block: &mut Vec<u8>, (key, value, expires): Pair<'_>) {
    block.push(if expires.is_some() { EXPIRES } else { NO_FLAGS });
    put_string(block, key);
    put_string(block, value);
    if let Some(at) = expires {
        block.extend_from_slice(&at.0.to_le_bytes());
    }
}

pub(super) fn take_pair<'a>(from: &mut Reader<'a>) -> Result<Pair<'a>, Unreadable> {
    let expires = match from.u8()? {
        NO_FLAGS => false,
        EXPIRES => true,
        newer => return Err(Unreadable::Newer("flags of a pair", newer.into())),
    };
    let (key, value) = (from.string(KEY_BYTES_MAX)?, from.string(VALUE_BYTES_MAX)?);
    Ok((key, value, if expires { Some(Stamp(from.u64()?)) } else { None }))
}

pub(super) fn block_header(pairs: &[u8], count: u32) -> [u8; BLOCK_HEADER_BYTES] {
    let mut out = [0; BLOCK_HEADER_BYTES];
    out[..4].copy_from_slice(&(pairs.len() as u32).to_le_bytes());
    out[4..8].copy_from_slice(&count.to_le_bytes());
    out[8..].copy_from_slice(&block_crc(pairs, count).to_le_bytes());
    out
}

pub(super) fn block_crc(pairs: &[u8], count: u32) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&(pairs.len() as u32).to_le_bytes());
    hasher.update(&count.to_le_bytes());
    hasher.update(pairs);
    hasher.finalize()
}

pub(super) fn decode_block_header(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<BlockHeader, Unreadable> {
    let mut from = Reader::new(bytes);
    let (bytes, count, third) = (from.u32()? as usize, from.u32()?, from.u32()?);
    match (bytes, count) {
        (0, 0) => Ok(BlockHeader::End { pairs_low: third }),
        (0, _) | (_, 0) => Err(Unreadable::Damaged("an empty block")),
        (bytes, _) if bytes > BLOCK_BYTES_MAX => Err(Unreadable::Damaged("a block beyond its limit")),
        (bytes, count) => Ok(BlockHeader::Pairs { bytes, count, crc: third }),
    }
}

/// The end of a snapshot of `pairs` pairs.
pub(super) fn end(pairs: u64) -> [u8; BLOCK_HEADER_BYTES + END_REST_BYTES] {
    let mut out = [0; BLOCK_HEADER_BYTES + END_REST_BYTES];
    out[8..16].copy_from_slice(&pairs.to_le_bytes());
    let crc = crc32fast::hash(&out[..16]);
    out[16..].copy_from_slice(&crc.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(header(b"state"), *b"SKEPSNAP\x01\0\0\0\x05\0\0\0\xfb\xd2\x93\xa3");
        let mut pairs = Vec::new();
        put_pair(&mut pairs, (b"k", b"vw", None));
        assert_eq!(pairs, b"\0\x01\0\0\0k\x02\0\0\0vw");
        assert_eq!(block_header(&pairs, 1)[..8], *b"\x0c\0\0\0\x01\0\0\0");
        put_pair(&mut pairs, (b"l", b"", Some(Stamp(258))));
        let expiring = b"\x01\x01\0\0\0l\0\0\0\0\x02\x01\0\0\0\0\0\0";
        assert_eq!(pairs[12..], *expiring);
        assert_eq!(take_pair(&mut Reader::new(expiring)), Ok((&b"l"[..], &b""[..], Some(Stamp(258)))));
        assert_eq!(end(3)[..16], *b"\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0");
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = header(b"");
        bytes[8] = 2;
        assert_eq!(decode_header(&bytes), Err(Unreadable::Newer("format of a snapshot", 2)));
        bytes[0] = b'x';
        assert_eq!(decode_header(&bytes), Err(Unreadable::Damaged("no snapshot of a region")));
        let newer = Unreadable::Newer("flags of a pair", 2);
        assert_eq!(take_pair(&mut Reader::new(b"\x02\0\0\0\0\0\0\0\0")), Err(newer));
        let beyond = [0xff; BLOCK_HEADER_BYTES];
        assert_eq!(decode_block_header(&beyond), Err(Unreadable::Damaged("a block beyond its limit")));
    }
}

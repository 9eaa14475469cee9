//! The bytes of what is asked of a region about its range: to be split, and where it could be.
//!
//! A split is the body of a change's log entry, the question that of a query. Little-endian; `string` is a length (u32) and
//! that many bytes. The kinds are none of those of [commands](crate::command_bytes).
//!
//! | bytes | what |
//! |---|---|
//! | u64 | version of the region that it was sent to |
//! | u8 | kind, below |
//! | | what the kind says |
//!
//! | kind | what | fields |
//! |---|---|---|
//! | 128 | split | membership: u64 (of the region's epoch), count: u16, and so many of: region: u64, its first key: string. Keys grow |
//! | 129 | where to split | pieces: u32 |

use bytes::Bytes;
use skep_raftstore::ids::{Epoch, RegionId};

use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::SPLIT_KEY_BYTES_MAX;

const SPLIT: u8 = 128;
const CUTS: u8 = 129;
/// Where the kind stands.
const KIND_AT: usize = 8;
/// Bytes of the smallest piece of a split: its region and the length of its key.
const PIECE_BYTES_MIN: usize = 12;

/// A region is to be cut into several: it keeps what lies before the first key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Split {
    /// What the region must be for this to be done.
    pub(crate) epoch: Epoch,
    /// The new regions and their first keys, which grow.
    pub(crate) pieces: Vec<(RegionId, Bytes)>,
}

impl Split {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = head(self.epoch.version, SPLIT);
        out.extend_from_slice(&self.epoch.membership.to_le_bytes());
        out.extend_from_slice(&(self.pieces.len() as u16).to_le_bytes());
        for (region, key) in &self.pieces {
            out.extend_from_slice(&region.0.to_le_bytes());
            put_string(&mut out, key);
        }
        Bytes::from(out)
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Split, Unreadable> {
        let mut from = Reader::new(body);
        let version = from.u64()?;
        match from.u8()? {
            SPLIT => {}
            0 => return Err(Unreadable::Damaged("a change of kind zero")),
            newer => return Err(Unreadable::Newer("change", newer.into())),
        }
        let epoch = Epoch { version, membership: from.u64()? };
        let count = usize::from(from.u16()?);
        if count == 0 || count > from.left() / PIECE_BYTES_MIN {
            return Err(Unreadable::Damaged("a split into an impossible number of regions"));
        }
        let mut pieces: Vec<(RegionId, Bytes)> = Vec::with_capacity(count);
        for _ in 0..count {
            let (region, key) = (RegionId(from.u64()?), from.string(SPLIT_KEY_BYTES_MAX)?);
            if pieces.last().is_some_and(|(_, last)| *last >= *key) {
                return Err(Unreadable::Damaged("a split whose keys do not grow"));
            }
            pieces.push((region, Bytes::copy_from_slice(key)));
        }
        from.end()?;
        Ok(Split { epoch, pieces })
    }
}

/// The question where a region at `version` could be cut into so many pieces.
pub(crate) fn encode_cuts(version: u64, pieces: u32) -> Bytes {
    let mut out = head(version, CUTS);
    out.extend_from_slice(&pieces.to_le_bytes());
    Bytes::from(out)
}

/// The version and the number of pieces, if `query` is that question.
pub(crate) fn decode_cuts(query: &[u8]) -> Option<(u64, u32)> {
    if query.get(KIND_AT) != Some(&CUTS) {
        return None;
    }
    let mut from = Reader::new(query);
    let version = from.u64().ok()?;
    from.u8().ok()?;
    let pieces = from.u32().ok()?;
    from.end().is_ok().then_some((version, pieces))
}

fn head(version: u64, kind: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&version.to_le_bytes());
    out.push(kind);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(keys: [&'static str; 2]) -> Split {
        let pieces = keys.into_iter().zip([7, 8]).map(|(key, region)| (RegionId(region), key.into()));
        Split { epoch: Epoch { version: 3, membership: 4 }, pieces: pieces.collect() }
    }

    #[test]
    fn golden_bytes() {
        let golden = b"\x03\0\0\0\0\0\0\0\x80\x04\0\0\0\0\0\0\0\x02\0\
            \x07\0\0\0\0\0\0\0\x01\0\0\0a\x08\0\0\0\0\0\0\0\x02\0\0\0bc";
        assert_eq!(split(["a", "bc"]).encode(), &golden[..]);
        assert_eq!(Split::decode(golden), Ok(split(["a", "bc"])));
        let golden = b"\x03\0\0\0\0\0\0\0\x81\x02\0\0\0";
        assert_eq!(encode_cuts(3, 2), &golden[..]);
        assert_eq!(decode_cuts(golden), Some((3, 2)));
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = split(["a", "bc"]).encode().to_vec();
        for length in 0..bytes.len() {
            assert!(matches!(Split::decode(&bytes[..length]), Err(Unreadable::Damaged(_))), "{length} bytes");
        }
        let unordered = Unreadable::Damaged("a split whose keys do not grow");
        assert_eq!(Split::decode(&split(["b", "b"]).encode()), Err(unordered));
        bytes[KIND_AT] = 130;
        assert_eq!(Split::decode(&bytes), Err(Unreadable::Newer("change", 130)));
        assert_eq!(decode_cuts(&bytes), None);
    }
}

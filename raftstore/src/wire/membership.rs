//! Who takes part in a group, as bytes: in a snapshot's description, in a region's birth record, in an entry.
//!
//! The layout is that of `raft/membership_bytes.rs`; here it is read from shared bytes, with words for what is wrong.

use bytes::{Buf, Bytes};

use super::cursor::Cursor;
use super::error::WireError;
use crate::raft::Membership;
use crate::raft::membership_bytes::{self, BadMembership};

pub use crate::raft::membership_bytes::encode;

/// Takes a membership off the front of `bytes`, which on success start after it and else are as they were.
pub fn take(bytes: &mut Bytes) -> Result<Membership, WireError> {
    let (membership, length) = membership_bytes::decode(bytes).map_err(in_words)?;
    bytes.advance(length);
    Ok(membership)
}

pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Membership, WireError> {
    let (membership, length) = membership_bytes::decode(cursor.left_bytes()).map_err(in_words)?;
    cursor.skip(length);
    Ok(membership)
}

const fn in_words(bad: BadMembership) -> WireError {
    match bad {
        BadMembership::Cut => WireError::Truncated { what: "a membership" },
        BadMembership::Unsorted => WireError::Value { what: "a membership's order" },
        BadMembership::Witnesses => WireError::Value { what: "a membership's witnesses" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::ReplicaId;
    use crate::wire::samples::{hex, unhex};
    use bytes::{BufMut, BytesMut};

    fn ids(ids: &[u64]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn a_membership_is_taken_and_what_follows_is_left() {
        let voters = Membership::of_voters(ids(&[1, 2]));
        let membership = Membership { number: 9, learners: ids(&[3]), ..voters };
        let mut out = BytesMut::new();
        encode(&membership, &mut out);
        let golden =
            "0900000000000000 02000000 0100000000000000 0200000000000000 00000000 01000000 0300000000000000";
        assert_eq!(hex(&out), golden.replace(' ', ""));
        out.put_slice(b"rest");
        let mut bytes = out.freeze();
        assert_eq!(take(&mut bytes), Ok(membership));
        assert_eq!(&bytes[..], b"rest");
    }

    #[test]
    fn one_that_is_cut_or_unsorted_or_absurdly_long_is_refused() {
        let golden = unhex("0900000000000000 010000000100000000000000 00000000 00000000");
        for length in 0..golden.len() {
            let mut cut = golden.slice(..length);
            assert!(matches!(take(&mut cut), Err(WireError::Truncated { .. })), "{length} bytes");
            assert_eq!(cut.len(), length);
        }
        for twice in [
            "0900000000000000 02000000 0200000000000000 0200000000000000 00000000 00000000",
            "0900000000000000 ffffffff",
        ] {
            assert!(take(&mut unhex(twice)).is_err());
        }
    }
}

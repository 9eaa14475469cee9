//! Who takes part in a group, as bytes: in a snapshot's description, in a region's birth record, in an entry.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use crate::raft::{Membership, ReplicaId};

/// Appends `membership` to `out`.
pub fn encode(membership: &Membership, out: &mut BytesMut) {
    for list in [&membership.voters, &membership.outgoing, &membership.learners] {
        out.put_u32_le(list.len() as u32);
        list.iter().for_each(|replica| out.put_u64_le(replica.0));
    }
}

/// Takes a membership off the front of `bytes`, which on success start after it and else are as they were.
pub fn take(bytes: &mut Bytes) -> Result<Membership, WireError> {
    let mut cursor = Cursor::new(bytes, 0);
    let membership = decode(&mut cursor)?;
    let rest = cursor.rest();
    *bytes = rest;
    Ok(membership)
}

pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Membership, WireError> {
    let mut list = || -> Result<Vec<ReplicaId>, WireError> {
        let count = cursor.count("a membership's replicas", 8)?;
        let replicas: Vec<ReplicaId> = (0..count)
            .map(|_| cursor.u64("a membership's replica").map(ReplicaId))
            .collect::<Result<_, _>>()?;
        // Sorted and without repetition: what counts majorities relies on it.
        if replicas.is_sorted_by(|a, b| a < b) {
            Ok(replicas)
        } else {
            Err(WireError::Value { what: "a membership's order" })
        }
    };
    Ok(Membership { voters: list()?, outgoing: list()?, learners: list()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::samples::{hex, unhex};

    fn ids(ids: &[u64]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn a_membership_is_taken_and_what_follows_is_left() {
        let membership = Membership { voters: ids(&[1, 2]), outgoing: vec![], learners: ids(&[3]) };
        let mut out = BytesMut::new();
        encode(&membership, &mut out);
        let golden = "02000000 0100000000000000 0200000000000000 00000000 01000000 0300000000000000";
        assert_eq!(hex(&out), golden.replace(' ', ""));
        out.put_slice(b"rest");
        let mut bytes = out.freeze();
        assert_eq!(take(&mut bytes), Ok(membership));
        assert_eq!(&bytes[..], b"rest");
    }

    #[test]
    fn one_that_is_cut_or_unsorted_or_absurdly_long_is_refused() {
        let golden = unhex("010000000100000000000000 00000000 00000000");
        for length in 0..golden.len() {
            let mut cut = golden.slice(..length);
            assert!(matches!(take(&mut cut), Err(WireError::Truncated { .. })), "{length} bytes");
            assert_eq!(cut.len(), length);
        }
        for twice in ["02000000 0200000000000000 0200000000000000 00000000 00000000", "ffffffff"] {
            assert!(take(&mut unhex(twice)).is_err());
        }
    }
}

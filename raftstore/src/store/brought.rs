//! What the log remembers of the memberships that its entries bring, so that opening it need not read the entries.
//!
//! `version u8 | count u32 | count x (index u64, term u64, membership)`, as the named state 2 of the region's stream,
//! replaced whenever a membership entry is appended, in the same batch as that entry or an earlier one. What names an
//! entry that the log does not hold counts for nothing: it was overwritten, or never arrived there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skep_wal::StateName;

use crate::raft::{Brought, Index, LogPos, Term};
use crate::wire::{WireError, membership};

pub(super) const BROUGHT: StateName = StateName(2);
const VERSION: u8 = 1;
const WHAT: &str = "a record of memberships";

pub(super) fn encode(brought: &[Brought]) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + 96 * brought.len());
    out.put_u8(VERSION);
    out.put_u32_le(brought.len() as u32);
    for Brought { at, membership } in brought {
        out.put_u64_le(at.index.0);
        out.put_u64_le(at.term.0);
        membership::encode(membership, &mut out);
    }
    out
}

pub(super) fn decode(mut bytes: Bytes) -> Result<Vec<Brought>, WireError> {
    if bytes.len() < 5 {
        return Err(WireError::Truncated { what: WHAT });
    }
    match bytes.get_u8() {
        VERSION => {}
        0 => return Err(WireError::Value { what: WHAT }),
        found => return Err(WireError::Newer { what: WHAT, found, known: VERSION }),
    }
    let count = bytes.get_u32_le();
    let mut brought = Vec::new();
    for _ in 0..count {
        if bytes.len() < 16 {
            return Err(WireError::Truncated { what: WHAT });
        }
        let at = LogPos { index: Index(bytes.get_u64_le()), term: Term(bytes.get_u64_le()) };
        brought.push(Brought { at, membership: membership::take(&mut bytes)? });
    }
    match bytes.len() {
        0 => Ok(brought),
        bytes => Err(WireError::Trailing { what: WHAT, bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Membership, ReplicaId};

    fn example() -> Vec<Brought> {
        let at = |index| LogPos { index: Index(index), term: Term(2) };
        let of = |voters: &[u64]| Membership::of_voters(voters.iter().copied().map(ReplicaId).collect());
        vec![Brought { at: at(5), membership: of(&[1]) }, Brought { at: at(9), membership: of(&[1, 2]) }]
    }

    #[test]
    fn golden_bytes() {
        let golden = b"\x01\x01\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(&encode(&example()[..1])[..], golden);
        assert_eq!(decode(encode(&example()).freeze()), Ok(example()));
        assert_eq!(decode(encode(&[]).freeze()), Ok(Vec::new()));
    }

    #[test]
    fn what_is_newer_or_cut_or_too_long_is_refused() {
        let whole = encode(&example());
        let mut newer = whole.clone();
        newer[0] = VERSION + 1;
        assert!(matches!(decode(newer.freeze()), Err(WireError::Newer { .. })));
        for length in 0..whole.len() {
            assert!(decode(whole.clone().freeze().slice(..length)).is_err(), "{length} bytes");
        }
        let mut longer = whole;
        longer.put_u8(0);
        assert!(matches!(decode(longer.freeze()), Err(WireError::Trailing { .. })));
    }
}

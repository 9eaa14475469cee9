//! What a [`WalLog`](super::WalLog) keeps in its streams, as bytes: term and vote, and what a snapshot's pieces make up.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::types::HardState;
use crate::raft::{LogPos, Membership};
use crate::wire::{WireError, membership};

/// The version of both.
const VERSION: u8 = 1;
/// Version, whether there is a vote, term, vote.
const HARD_STATE_BYTES: usize = 18;
/// Version, index, term, first piece, pieces, length; the membership follows.
const HELD_BYTES_MIN: usize = 41;

/// A snapshot whose bytes lie in a stream: which one it is, and which entries of that stream are its pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HeldSnapshot {
    /// The last entry it contains.
    pub(super) at: LogPos,
    /// Who took part there.
    pub(super) config: Membership,
    /// Where its pieces begin in the stream.
    pub(super) first: u64,
    /// How many there are.
    pub(super) count: u64,
    /// How long they are together.
    pub(super) length: u64,
}

/// `version u8 | voted u8 | term u64 | vote u64`; the vote is zero if there is none.
pub(super) fn encode_hard_state(state: HardState) -> [u8; HARD_STATE_BYTES] {
    let mut bytes = [0; HARD_STATE_BYTES];
    let mut out = &mut bytes[..];
    out.put_u8(VERSION);
    out.put_u8(u8::from(state.voted_for.is_some()));
    out.put_u64_le(state.term);
    out.put_u64_le(state.voted_for.unwrap_or(0));
    bytes
}

/// The state in `bytes`, all of them; no bytes are the state of a log that never had one.
pub(super) fn decode_hard_state(mut bytes: &[u8]) -> Result<HardState, WireError> {
    const WHAT: &str = "a node's hard state";
    if bytes.is_empty() {
        return Ok(HardState::default());
    }
    check_version(bytes[0], WHAT)?;
    if bytes.len() != HARD_STATE_BYTES {
        return Err(WireError::Truncated { what: WHAT });
    }
    bytes.advance(1);
    let has_voted = match bytes.get_u8() {
        0 => false,
        1 => true,
        _ => return Err(WireError::Value { what: WHAT }),
    };
    let (term, vote) = (bytes.get_u64_le(), bytes.get_u64_le());
    Ok(HardState { term, voted_for: has_voted.then_some(vote) })
}

/// `version u8 | index u64 | term u64 | first u64 | count u64 | length u64 | membership`.
pub(super) fn encode_held(held: &HeldSnapshot) -> Bytes {
    let mut out = BytesMut::with_capacity(HELD_BYTES_MIN);
    out.put_u8(VERSION);
    for number in [held.at.index.0, held.at.term.0, held.first, held.count, held.length] {
        out.put_u64_le(number);
    }
    membership::encode(&held.config, &mut out);
    out.freeze()
}

/// The description in `bytes`, all of them.
pub(super) fn decode_held(mut bytes: Bytes) -> Result<HeldSnapshot, WireError> {
    const WHAT: &str = "a node's snapshot";
    check_version(*bytes.first().ok_or(WireError::Truncated { what: WHAT })?, WHAT)?;
    if bytes.len() < HELD_BYTES_MIN {
        return Err(WireError::Truncated { what: WHAT });
    }
    bytes.advance(1);
    let mut number = || bytes.get_u64_le();
    let at = LogPos { index: crate::raft::Index(number()), term: crate::raft::Term(number()) };
    let (first, count, length) = (number(), number(), number());
    let config = membership::take(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(WireError::Trailing { what: WHAT, bytes: bytes.len() });
    }
    Ok(HeldSnapshot { at, config, first, count, length })
}

fn check_version(found: u8, what: &'static str) -> Result<(), WireError> {
    match found {
        VERSION => Ok(()),
        0 => Err(WireError::Value { what }),
        _ => Err(WireError::Newer { what, found, known: VERSION }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Index, ReplicaId, Term};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_hard_states() {
        let voted = HardState { term: 7, voted_for: Some(0) };
        assert_eq!(hex(&encode_hard_state(voted)), "010107000000000000000000000000000000");
        assert_eq!(decode_hard_state(&encode_hard_state(voted)), Ok(voted));
        let free = HardState { term: 9, voted_for: None };
        assert_eq!(hex(&encode_hard_state(free)), "010009000000000000000000000000000000");
        assert_eq!(decode_hard_state(&encode_hard_state(free)), Ok(free));
        assert_eq!(decode_hard_state(b""), Ok(HardState::default()));
    }

    #[test]
    fn golden_snapshot_description() {
        let held = HeldSnapshot {
            at: LogPos { index: Index(9), term: Term(3) },
            config: Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]),
            first: 5,
            count: 2,
            length: 70_000,
        };
        let bytes = encode_held(&held);
        let golden = "010900000000000000030000000000000005000000000000000200000000000000701101000000\
                      0000";
        assert!(hex(&bytes).starts_with(&golden.replace(' ', "")), "{}", hex(&bytes));
        assert_eq!(decode_held(bytes.clone()), Ok(held));
        for length in 0..bytes.len() {
            assert!(decode_held(bytes.slice(..length)).is_err(), "{length} bytes");
        }
        assert!(matches!(decode_held([&bytes[..], &[0]].concat().into()), Err(WireError::Trailing { .. })));
    }

    #[test]
    fn newer_versions_are_refused_by_name() {
        let newer = [&[2][..], &[0; 60]].concat();
        assert_eq!(
            decode_hard_state(&newer),
            Err(WireError::Newer { what: "a node's hard state", found: 2, known: 1 })
        );
        assert_eq!(
            decode_held(newer.into()),
            Err(WireError::Newer { what: "a node's snapshot", found: 2, known: 1 })
        );
        assert!(decode_hard_state(&[0; HARD_STATE_BYTES]).is_err());
        assert!(decode_hard_state(&[1; 5]).is_err());
    }
}

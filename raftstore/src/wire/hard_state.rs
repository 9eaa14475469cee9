//! Term and vote, and whose they are, as the log keeps them.
//!
//! The log writes hard states twice, so that the loss of one frame takes none. Whose they are stands here for the same
//! reason: a replica whose birth record is lost still knows under which name it may have voted.

use super::error::WireError;
use crate::raft::{HardState, ReplicaId, Term};

/// The version of these bytes.
pub const VERSION: u8 = 2;
/// Version, term, vote, replica.
pub const BYTES: usize = 25;
/// Of version 1, which did not say whose they are.
const BYTES_1: usize = 17;

/// `version u8 | term u64 | vote u64 | replica u64`; a vote of zero is none.
pub fn encode(replica: ReplicaId, state: HardState) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&state.term.0.to_le_bytes());
    bytes[9..17].copy_from_slice(&state.vote.map_or(0, |replica| replica.0).to_le_bytes());
    bytes[17..].copy_from_slice(&replica.0.to_le_bytes());
    bytes
}

/// The state in `bytes`, all of them, and whose it is, if they say so.
pub fn decode(bytes: &[u8]) -> Result<(Option<ReplicaId>, HardState), WireError> {
    let length = match bytes.first() {
        None => return Err(WireError::Truncated { what: "a hard state" }),
        Some(&found) if found > VERSION => {
            return Err(WireError::Newer { what: "a hard state", found, known: VERSION });
        }
        Some(0) => return Err(WireError::Value { what: "a hard state's version" }),
        Some(1) => BYTES_1,
        Some(_) => BYTES,
    };
    if bytes.len() > length {
        return Err(WireError::Trailing { what: "a hard state", bytes: bytes.len() - length });
    }
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|number| u64::from_le_bytes(*number));
    let some = |number: u64| (number != 0).then_some(ReplicaId(number));
    match (number(1), number(9), number(17)) {
        (Some(term), Some(vote), replica) if bytes.len() == length => {
            Ok((replica.and_then(some), HardState { term: Term(term), vote: some(vote) }))
        }
        _ => Err(WireError::Truncated { what: "a hard state" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::samples::{hex, unhex};

    const OWN: ReplicaId = ReplicaId(0x1_0000_0003);

    #[test]
    fn golden_bytes() {
        let voted = HardState { term: Term(7), vote: Some(ReplicaId(0x1_0000_0002)) };
        assert_eq!(hex(&encode(OWN, voted)), "02070000000000000002000000010000000300000001000000");
        assert_eq!(decode(&encode(OWN, voted)), Ok((Some(OWN), voted)));
        let fresh = HardState::default();
        assert_eq!(decode(&encode(OWN, fresh)), Ok((Some(OWN), fresh)));
        let version_1 = unhex("01 0700000000000000 0200000001000000");
        assert_eq!(decode(&version_1), Ok((None, voted)));
    }

    #[test]
    fn what_is_cut_or_longer_or_newer_is_refused() {
        let good = encode(OWN, HardState { term: Term(7), vote: None });
        for length in 0..BYTES {
            assert_eq!(decode(&good[..length]), Err(WireError::Truncated { what: "a hard state" }));
        }
        assert!(matches!(decode(&[&good[..], &[0]].concat()), Err(WireError::Trailing { .. })));
        let longer = unhex("01 0700000000000000 0000000000000000 00");
        assert!(matches!(decode(&longer), Err(WireError::Trailing { bytes: 1, .. })));
        let newer = decode(&unhex("03 0700000000000000 0000000000000000"));
        assert_eq!(newer, Err(WireError::Newer { what: "a hard state", found: 3, known: 2 }));
        assert!(matches!(decode(&[0; BYTES]), Err(WireError::Value { .. })));
    }
}

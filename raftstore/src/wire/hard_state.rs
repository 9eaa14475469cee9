//! Term and vote, as the log keeps them.

use super::error::WireError;
use crate::raft::{HardState, ReplicaId, Term};

/// The version of these bytes.
pub const VERSION: u8 = 1;
/// Version, term, vote.
pub const BYTES: usize = 17;

/// `version u8 | term u64 | vote u64`; a vote of zero is none.
pub fn encode(state: HardState) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&state.term.0.to_le_bytes());
    bytes[9..].copy_from_slice(&state.vote.map_or(0, |replica| replica.0).to_le_bytes());
    bytes
}

/// The state in `bytes`, all of them.
pub fn decode(bytes: &[u8]) -> Result<HardState, WireError> {
    match bytes.first() {
        None => return Err(WireError::Truncated { what: "a hard state" }),
        Some(&found) if found > VERSION => {
            return Err(WireError::Newer { what: "a hard state", found, known: VERSION });
        }
        Some(0) => return Err(WireError::Value { what: "a hard state's version" }),
        Some(_) => {}
    }
    if bytes.len() > BYTES {
        return Err(WireError::Trailing { what: "a hard state", bytes: bytes.len() - BYTES });
    }
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|number| u64::from_le_bytes(*number));
    match (number(1), number(9)) {
        (Some(term), Some(vote)) => {
            Ok(HardState { term: Term(term), vote: (vote != 0).then_some(ReplicaId(vote)) })
        }
        _ => Err(WireError::Truncated { what: "a hard state" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::samples::{hex, unhex};

    #[test]
    fn golden_bytes() {
        let voted = HardState { term: Term(7), vote: Some(ReplicaId(0x1_0000_0002)) };
        assert_eq!(hex(&encode(voted)), "0107000000000000000200000001000000");
        assert_eq!(decode(&encode(voted)), Ok(voted));
        let fresh = HardState::default();
        assert_eq!(decode(&encode(fresh)), Ok(fresh));
    }

    #[test]
    fn what_is_cut_or_longer_or_newer_is_refused() {
        let good = encode(HardState { term: Term(7), vote: None });
        for length in 0..BYTES {
            assert_eq!(decode(&good[..length]), Err(WireError::Truncated { what: "a hard state" }));
        }
        assert!(matches!(decode(&[&good[..], &[0]].concat()), Err(WireError::Trailing { .. })));
        let newer = decode(&unhex("02 0700000000000000 0000000000000000"));
        assert_eq!(newer, Err(WireError::Newer { what: "a hard state", found: 2, known: 1 }));
        assert!(matches!(decode(&[0; BYTES]), Err(WireError::Value { .. })));
    }
}

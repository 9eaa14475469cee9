//! What a region is born with on a store, and how the log remembers it.
//!
//! As the named state 1 of the region's stream:
//!
//! ```text
//! version u8 (1) | replica u64 | descent u8 | of a split: parent u64, index u64, term u64 | membership | genesis
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skep_wal::{Batch, StateName};

use crate::ids::{Index, RegionId, ReplicaId, Term};
use crate::raft::{HardState, LogPos, Membership};
use crate::wire::{WireError, hard_state, membership};

pub(super) const BIRTH: StateName = StateName(1);
const VERSION: u8 = 1;
const WHAT: &str = "a birth record";

const OF_GENESIS: u8 = 1;
const OF_SPLIT: u8 = 2;
const OF_MESSAGE: u8 = 3;

/// The longest genesis that a birth record takes, in bytes.
pub const GENESIS_BYTES_MAX: usize = 60 << 10;

/// A region to be made on this store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Birth {
    /// Which region.
    pub region: RegionId,
    /// Which replica of it is this store's.
    pub replica: ReplicaId,
    /// Who takes part.
    pub membership: Membership,
    /// What its state machine starts from; means nothing here.
    pub genesis: Bytes,
    /// Where it comes from.
    pub descent: Descent,
    /// Whether this replica asks for an election at once instead of waiting for silence.
    pub campaign: bool,
}

/// Where a replica's first state comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descent {
    /// From its genesis: it was there when the store was made.
    Genesis,
    /// From another region of this store, which hands it its machine when it applies this entry, after a restart as well:
    /// its log and its base stay for that long. Its own log goes on after that position.
    Split {
        /// The other region.
        parent: RegionId,
        /// The entry.
        at: LogPos,
    },
    /// From a snapshot that its leader will send. Until then it is blank, and promises nothing but its vote.
    Message,
}

impl Birth {
    /// What its log begins after.
    pub(super) fn base(&self) -> LogPos {
        match self.descent {
            Descent::Genesis | Descent::Message => LogPos::default(),
            Descent::Split { at, .. } => at,
        }
    }

    /// Adds to `batch` what makes the region's stream what it is at birth.
    pub(super) fn write(&self, hard_state: HardState, batch: &mut Batch) {
        let (stream, base) = (self.region.stream(), self.base());
        batch.hard_state(stream, &hard_state::encode(self.replica, hard_state));
        if base != LogPos::default() {
            batch.restart(stream, base.index.0, base.term.0);
        }
        batch.state(stream, BIRTH, &self.encode());
    }

    pub(super) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(96 + self.genesis.len());
        out.put_u8(VERSION);
        out.put_u64_le(self.replica.0);
        match self.descent {
            Descent::Genesis => out.put_u8(OF_GENESIS),
            Descent::Split { parent, at } => {
                out.put_u8(OF_SPLIT);
                [parent.0, at.index.0, at.term.0].into_iter().for_each(|number| out.put_u64_le(number));
            }
            Descent::Message => out.put_u8(OF_MESSAGE),
        }
        membership::encode(&self.membership, &mut out);
        out.put_slice(&self.genesis);
        out
    }

    pub(super) fn decode(region: RegionId, mut bytes: Bytes) -> Result<Birth, WireError> {
        match bytes.try_get_u8().map_err(truncated)? {
            VERSION => {}
            0 => return Err(WireError::Value { what: WHAT }),
            found => return Err(WireError::Newer { what: WHAT, found, known: VERSION }),
        }
        let replica = ReplicaId(bytes.try_get_u64_le().map_err(truncated)?);
        let descent = decode_descent(&mut bytes)?;
        let membership = membership::take(&mut bytes)?;
        Ok(Birth { region, replica, membership, genesis: bytes, descent, campaign: false })
    }
}

fn decode_descent(bytes: &mut Bytes) -> Result<Descent, WireError> {
    match bytes.try_get_u8().map_err(truncated)? {
        OF_GENESIS => Ok(Descent::Genesis),
        OF_SPLIT => {
            let mut number = || bytes.try_get_u64_le().map_err(truncated);
            let parent = RegionId(number()?);
            Ok(Descent::Split { parent, at: LogPos { index: Index(number()?), term: Term(number()?) } })
        }
        OF_MESSAGE => Ok(Descent::Message),
        kind => Err(WireError::UnknownKind { what: WHAT, kind }),
    }
}

fn truncated(_: bytes::TryGetError) -> WireError {
    WireError::Truncated { what: WHAT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth(descent: Descent) -> Birth {
        let membership = Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]);
        let genesis = Bytes::from_static(b"range");
        Birth { region: RegionId(7), replica: ReplicaId(2), membership, genesis, descent, campaign: false }
    }

    fn split() -> Birth {
        birth(Descent::Split { parent: RegionId(6), at: LogPos { index: Index(5), term: Term(4) } })
    }

    #[test]
    fn a_birth_is_remembered() {
        for birth in [birth(Descent::Genesis), split(), birth(Descent::Message)] {
            assert_eq!(Birth::decode(RegionId(7), birth.encode().freeze()), Ok(birth));
        }
    }

    #[test]
    fn golden_bytes() {
        let mut golden =
            b"\x01\x02\0\0\0\0\0\0\0\x02\x06\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0".to_vec();
        golden.extend(b"\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0range");
        assert_eq!(split().encode(), golden);
    }

    #[test]
    fn a_newer_or_cut_record_is_refused() {
        let mut bytes = split().encode();
        bytes[0] = VERSION + 1;
        assert!(matches!(Birth::decode(RegionId(7), bytes.freeze()), Err(WireError::Newer { .. })));
        let mut bytes = split().encode();
        bytes[9] = 4;
        assert!(matches!(Birth::decode(RegionId(7), bytes.freeze()), Err(WireError::UnknownKind { .. })));
        let whole = split().encode().freeze();
        for length in 0..whole.len() - split().genesis.len() {
            assert!(Birth::decode(RegionId(7), whole.slice(..length)).is_err(), "{length} bytes");
        }
    }
}

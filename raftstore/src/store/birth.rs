//! What a region is born with on a store, and how the log remembers it.
//!
//! `version u8 | replica u64 | membership | genesis`, as the named state 1 of the region's stream.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skep_wal::StateName;

use crate::ids::{RegionId, ReplicaId};
use crate::raft::Membership;
use crate::wire::{WireError, membership};

pub(super) const BIRTH: StateName = StateName(1);
const VERSION: u8 = 1;

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
    /// Whether this replica asks for an election at once instead of waiting for silence.
    pub campaign: bool,
}

impl Birth {
    pub(super) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(64 + self.genesis.len());
        out.put_u8(VERSION);
        out.put_u64_le(self.replica.0);
        membership::encode(&self.membership, &mut out);
        out.put_slice(&self.genesis);
        out
    }

    pub(super) fn decode(region: RegionId, mut bytes: Bytes) -> Result<Birth, WireError> {
        let what = "a birth record";
        if bytes.len() < 9 {
            return Err(WireError::Truncated { what });
        }
        match bytes.get_u8() {
            VERSION => {}
            0 => return Err(WireError::Value { what }),
            found => return Err(WireError::Newer { what, found, known: VERSION }),
        }
        let replica = ReplicaId(bytes.get_u64_le());
        let membership = membership::take(&mut bytes)?;
        Ok(Birth { region, replica, membership, genesis: bytes, campaign: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth() -> Birth {
        let membership = Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]);
        let genesis = Bytes::from_static(b"range");
        Birth { region: RegionId(7), replica: ReplicaId(2), membership, genesis, campaign: false }
    }

    #[test]
    fn a_birth_is_remembered() {
        assert_eq!(Birth::decode(RegionId(7), birth().encode().freeze()), Ok(birth()));
    }

    #[test]
    fn a_newer_or_cut_record_is_refused() {
        let mut bytes = birth().encode();
        bytes[0] = VERSION + 1;
        assert!(matches!(Birth::decode(RegionId(7), bytes.freeze()), Err(WireError::Newer { .. })));
        let whole = birth().encode().freeze();
        for length in 0..whole.len() - birth().genesis.len() {
            assert!(Birth::decode(RegionId(7), whole.slice(..length)).is_err(), "{length} bytes");
        }
    }
}

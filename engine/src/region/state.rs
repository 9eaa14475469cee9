//! What a region remembers beside its data: where it stands in the log, who it is, who was answered what.
//!
//! Bytes (little-endian): format u8 (1), applied index u64 and term u64, stamp u64, descriptor (length u32, bytes),
//! [sessions](crate::sessions).

use skep_raftstore::ids::{Index, Term};
use skep_raftstore::machine::Stamp;
use skep_raftstore::raft::LogPos;

use crate::descriptor::RegionDescriptor;
use crate::layout::{Reader, Unreadable, put_string};
use crate::machine::System;
use crate::sessions::Sessions;

const FORMAT: u8 = 1;

/// What the engine owns in a region, and a machine stores with the data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RegionState {
    /// The last entry applied.
    pub(crate) applied: LogPos,
    /// The largest stamp applied.
    pub(crate) stamp: Stamp,
    pub(crate) descriptor: RegionDescriptor,
    pub(crate) sessions: Sessions,
}

impl RegionState {
    /// Before any entry.
    pub(crate) fn new(descriptor: RegionDescriptor) -> RegionState {
        RegionState {
            applied: LogPos::default(),
            stamp: Stamp::default(),
            descriptor,
            sessions: Sessions::default(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<RegionState, Unreadable> {
        let mut from = Reader::new(bytes);
        match from.u8()? {
            FORMAT => {}
            0 => return Err(Unreadable::Damaged("a region's state of format zero")),
            newer => return Err(Unreadable::Newer("format of a region's state", newer.into())),
        }
        let applied = LogPos { index: Index(from.u64()?), term: Term(from.u64()?) };
        let stamp = Stamp(from.u64()?);
        let descriptor = RegionDescriptor::decode(from.string(from.left())?)?;
        let sessions = Sessions::decode(&mut from)?;
        from.end()?;
        Ok(RegionState { applied, stamp, descriptor, sessions })
    }
}

impl System for RegionState {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [self.applied.index.0, self.applied.term.0, self.stamp.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_string(&mut out, &self.descriptor.encode());
        self.sessions.encode(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use skep_raftstore::ids::{Epoch, RegionId};

    use super::*;

    #[test]
    fn golden_bytes() {
        let descriptor = RegionDescriptor {
            id: RegionId(1),
            start: Default::default(),
            end: None,
            epoch: Epoch { version: 1, membership: 1 },
            membership: skep_raftstore::raft::Membership { number: 1, ..Default::default() },
        };
        let state = RegionState {
            applied: LogPos { index: Index(2), term: Term(3) },
            stamp: Stamp(4),
            ..RegionState::new(descriptor.clone())
        };
        let mut golden = b"\x01\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x24\0\0\0".to_vec();
        golden.extend(descriptor.encode());
        golden.extend([0; 4]);
        assert_eq!(state.encode(), golden);
        assert_eq!(RegionState::decode(&golden), Ok(state));
        golden[0] = 2;
        let newer = Unreadable::Newer("format of a region's state", 2);
        assert_eq!(RegionState::decode(&golden), Err(newer));
    }
}

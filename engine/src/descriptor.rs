//! What a region is: its name, its range of keys, its epoch, its replicas.
//!
//! The bytes are a region's *genesis* in the log, a part of its snapshots, and a part of the answer that corrects a
//! stale route. Little-endian; `string` is a length (u32) and that many bytes; `replicas` is a count (u16) and that
//! many ids (u64).
//!
//! | bytes | what |
//! |---|---|
//! | u8 | format, 1 |
//! | u64 | region |
//! | u64, u64 | epoch: version, membership |
//! | string | first key |
//! | u8, string | whether there is an end (0, 1); if so, the first key beyond |
//! | replicas × 3 | voters, outgoing voters, learners |

use bytes::Bytes;
use skep_raftstore::ids::{Epoch, RegionId, ReplicaId};
use skep_raftstore::raft::Membership;

use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::KEY_BYTES_MAX;

const FORMAT: u8 = 1;

/// A region.
///
/// Invariants: `start < end`, where no end is greater than every key; `epoch.membership` is the number of `membership`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionDescriptor {
    /// Its name.
    pub id: RegionId,
    /// Its first key.
    pub start: Bytes,
    /// The first key beyond it; `None` if it is the last region.
    pub end: Option<Bytes>,
    /// `version` moves with the range, `membership` with the replicas.
    pub epoch: Epoch,
    /// Its replicas.
    pub membership: Membership,
}

impl RegionDescriptor {
    /// Whether `key` lies in its range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }

    /// Its replicas are these from here on.
    pub(crate) fn follow(&mut self, membership: &Membership) {
        self.epoch.membership = membership.number;
        self.membership = membership.clone();
    }

    /// Its bytes, as described above.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for number in [self.id.0, self.epoch.version, self.epoch.membership] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_string(&mut out, &self.start);
        out.push(self.end.is_some().into());
        if let Some(end) = &self.end {
            put_string(&mut out, end);
        }
        for replicas in [&self.membership.voters, &self.membership.outgoing, &self.membership.learners] {
            out.extend_from_slice(&(replicas.len() as u16).to_le_bytes());
            replicas.iter().for_each(|replica| out.extend_from_slice(&replica.0.to_le_bytes()));
        }
        out
    }

    /// Reads what [`encode`](RegionDescriptor::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<RegionDescriptor, Unreadable> {
        let mut from = Reader::new(bytes);
        match from.u8()? {
            FORMAT => {}
            0 => return Err(Unreadable::Damaged("a region descriptor of format zero")),
            newer => return Err(Unreadable::Newer("format of a region descriptor", newer.into())),
        }
        let id = RegionId(from.u64()?);
        let epoch = Epoch { version: from.u64()?, membership: from.u64()? };
        let start = key(&mut from)?;
        let end = if from.flag("end of a region")? { Some(key(&mut from)?) } else { None };
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Err(Unreadable::Damaged("a region that ends before it starts"));
        }
        let membership = Membership {
            number: epoch.membership,
            voters: replicas(&mut from)?,
            outgoing: replicas(&mut from)?,
            learners: replicas(&mut from)?,
            // A store hosts none yet, and does not open with a region that has some.
            witnesses: Vec::new(),
        };
        from.end()?;
        Ok(RegionDescriptor { id, start, end, epoch, membership })
    }
}

fn key(from: &mut Reader<'_>) -> Result<Bytes, Unreadable> {
    from.string(KEY_BYTES_MAX).map(Bytes::copy_from_slice)
}

fn replicas(from: &mut Reader<'_>) -> Result<Vec<ReplicaId>, Unreadable> {
    let count = from.u16()? as usize;
    let ids = from.take(count * 8)?;
    Ok(ids.as_chunks::<8>().0.iter().map(|id| ReplicaId(u64::from_le_bytes(*id))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> RegionDescriptor {
        RegionDescriptor {
            id: RegionId(0x0102),
            start: Bytes::from_static(b"a"),
            end: Some(Bytes::from_static(b"bc")),
            epoch: Epoch { version: 3, membership: 4 },
            membership: Membership { number: 4, ..Membership::of_voters(vec![ReplicaId(0x1_0000_0005)]) },
        }
    }

    #[test]
    fn golden_bytes() {
        let golden =
            b"\x01\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0a\x01\x02\0\0\0bc\
            \x01\0\x05\0\0\0\x01\0\0\0\0\0\0\0";
        assert_eq!(example().encode(), golden);
        assert_eq!(RegionDescriptor::decode(golden), Ok(example()));
        for cut in 0..golden.len() {
            assert!(RegionDescriptor::decode(&golden[..cut]).is_err());
        }
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = example().encode();
        bytes[0] = 2;
        let newer = Unreadable::Newer("format of a region descriptor", 2);
        assert_eq!(RegionDescriptor::decode(&bytes), Err(newer));
        let backwards = RegionDescriptor { end: Some(Bytes::from_static(b"a")), ..example() };
        let damaged = Unreadable::Damaged("a region that ends before it starts");
        assert_eq!(RegionDescriptor::decode(&backwards.encode()), Err(damaged));
    }

    #[test]
    fn the_end_is_not_in_it() {
        let region = example();
        assert!(region.contains(b"a") && region.contains(b"bb"));
        assert!(!region.contains(b"bc") && !region.contains(b""));
        assert!(RegionDescriptor { end: None, ..region }.contains(b"\xff\xff"));
    }
}

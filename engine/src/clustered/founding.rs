//! With whom a store founds its cluster, what follows from that, and the file `founding` that remembers it.
//!
//! Everything about a new cluster, its name included, follows from the founding, so that all who agree on it make the
//! same cluster, each by itself.
//!
//! The file is written before the promise is given ([`discovery`](super::judge)), and replaced while there is no cluster.
//! In a store that joined a cluster later it says who founded that one.
//!
//! Bytes (little-endian):
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SKEPFOUN` |
//! | u16 | format, 1 |
//! | u16 | zero |
//! | u32 | version of the plan |
//! | u32 | regions |
//! | u32, then so many of u32 and 16 | founders: store, uuid; sorted by store |
//! | u32 | IEEE CRC32 of all before |

use std::path::Path;

use skep_raftstore::codec::LISTED_MAX;
use skep_raftstore::ids::{ClusterId, StoreId};
use skep_raftstore::store::Birth;

use crate::descriptor::RegionDescriptor;
use crate::layout::{Reader, Unreadable};
use crate::plan;
use crate::store_dir::{DirectoryError, Problem, files};

/// The file's name in a store's directory.
pub(super) const FOUNDING: &str = "founding";

const MAGIC: [u8; 8] = *b"SKEPFOUN";
const FORMAT: u16 = 1;
const CRC_BYTES: usize = 4;
const FILE_BYTES_MAX: u64 = 4096;

/// One who founds: a directory's store id and uuid.
pub(super) type Founder = (StoreId, [u8; 16]);

/// What a cluster is founded from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Founding {
    /// The version of [`plan`]; another makes other regions of the same.
    pub(super) plan: u32,
    /// Into how many regions the key space is cut.
    pub(super) regions: u32,
    founders: Vec<Founder>,
}

impl Founding {
    /// By these, in whatever order.
    pub(super) fn new(plan: u32, regions: u32, mut founders: Vec<Founder>) -> Founding {
        founders.sort_unstable();
        Founding { plan, regions, founders }
    }

    /// Sorted.
    pub(super) fn founders(&self) -> &[Founder] {
        &self.founders
    }

    /// The name of the cluster. As random as the uuids are, never zero.
    pub(super) fn cluster(&self) -> ClusterId {
        let halves = self.founders.iter().flat_map(|(_, uuid)| uuid.as_chunks::<8>().0);
        let id =
            halves.fold(u64::from(self.regions), |id, half| id.rotate_left(7) ^ u64::from_le_bytes(*half));
        ClusterId(id.max(1))
    }

    /// Its first regions.
    pub(super) fn descriptors(&self) -> Vec<RegionDescriptor> {
        plan::regions(self.regions, &self.stores())
    }

    /// What `store` has to make of them. Nothing if it is no founder.
    pub(super) fn births(&self, store: StoreId) -> Vec<Birth> {
        let stores = self.stores();
        let at = stores.iter().position(|founder| *founder == store);
        at.map_or_else(Vec::new, |at| plan::births(&self.descriptors(), &stores, at))
    }

    fn stores(&self) -> Vec<StoreId> {
        self.founders.iter().map(|(store, _)| *store).collect()
    }

    /// Reads the file of the store in `dir`, if it is there.
    pub(super) fn read(dir: &Path) -> Result<Option<Founding>, DirectoryError> {
        let path = dir.join(FOUNDING);
        let Some(bytes) = files::read(&path, FILE_BYTES_MAX)? else { return Ok(None) };
        let problem = match Founding::decode(&bytes) {
            Ok(founding) => return Ok(Some(founding)),
            Err(Unreadable::Newer(what, found)) => Problem::Newer(format!("{what} {found}")),
            Err(Unreadable::Damaged(what)) => Problem::Damaged(what.into()),
        };
        Err(DirectoryError::new(&path, problem))
    }

    /// Writes it, durably.
    pub(super) fn write(&self, dir: &Path) -> Result<(), DirectoryError> {
        files::replace(&dir.join(FOUNDING), &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(&self.plan.to_le_bytes());
        out.extend_from_slice(&self.regions.to_le_bytes());
        out.extend_from_slice(&(self.founders.len() as u32).to_le_bytes());
        for (store, uuid) in &self.founders {
            out.extend_from_slice(&store.0.to_le_bytes());
            out.extend_from_slice(uuid);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Founding, Unreadable> {
        let mut from = Reader::new(bytes);
        if from.array()? != MAGIC {
            return Err(Unreadable::Damaged("it does not say with whom a store founded its cluster"));
        }
        // The format comes before the checksum: a newer one may have it elsewhere.
        match from.u16()? {
            FORMAT => {}
            0 => return Err(Unreadable::Damaged("format zero")),
            newer => return Err(Unreadable::Newer("format", newer.into())),
        }
        match bytes.split_last_chunk::<CRC_BYTES>() {
            Some((head, crc)) if crc32fast::hash(head).to_le_bytes() == *crc => {}
            Some(_) | None => return Err(Unreadable::Damaged("its checksum does not hold")),
        }
        from.u16()?;
        let (plan, regions, count) = (from.u32()?, from.u32()?, from.u32()?);
        if count as usize > LISTED_MAX {
            return Err(Unreadable::Damaged("more founders than there can be"));
        }
        let mut founders = Vec::new();
        for _ in 0..count {
            founders.push((StoreId(from.u32()?), from.array()?));
        }
        from.take(CRC_BYTES)?;
        from.end()?;
        Ok(Founding::new(plan, regions, founders))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Founding {
        Founding::new(1, 2, vec![(StoreId(6), [6; 16]), (StoreId(5), *b"sixteen bytes...")])
    }

    #[test]
    fn golden_bytes() {
        let mut golden =
            b"SKEPFOUN\x01\0\0\0\x01\0\0\0\x02\0\0\0\x02\0\0\0\x05\0\0\0sixteen bytes...\x06\0\0\0".to_vec();
        golden.extend([6; 16]);
        golden.extend(crc32fast::hash(&golden).to_le_bytes());
        assert_eq!(example().encode(), golden);
        assert_eq!(Founding::decode(&golden), Ok(example()));
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = example().encode();
        assert!(Founding::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes[30] ^= 1;
        assert_eq!(Founding::decode(&bytes), Err(Unreadable::Damaged("its checksum does not hold")));
        bytes[8] = 2;
        assert_eq!(Founding::decode(&bytes), Err(Unreadable::Newer("format", 2)));
    }

    /// Every founder, by itself, makes its replica of the same regions, and each region is asked for by one of them.
    #[test]
    fn everything_follows_from_who_founds_in_whatever_order() {
        let one = Founding::new(1, 4, vec![(StoreId(1), [1; 16]), (StoreId(2), [2; 16])]);
        let other = Founding::new(1, 4, vec![(StoreId(2), [2; 16]), (StoreId(1), [1; 16])]);
        assert_eq!((one.cluster(), one.descriptors()), (other.cluster(), other.descriptors()));
        let wiped = Founding::new(1, 4, vec![(StoreId(1), [1; 16]), (StoreId(3), [3; 16])]);
        assert_ne!(one.cluster(), wiped.cluster());
        assert_eq!(one.births(StoreId(1)).len(), 4);
        let campaigns = one.births(StoreId(1)).into_iter().zip(one.births(StoreId(2)));
        assert!(campaigns.map(|(one, two)| (one.campaign, two.campaign)).all(|(one, two)| one != two));
        assert!(one.births(StoreId(3)).is_empty());
    }
}

//! The file `cluster`: which stores and regions a directory of several stores was made with.
//!
//! It is written before anything else, so that making a cluster that is interrupted can be finished as it was meant,
//! and once more when all stores have their regions: from then on a store whose directory is gone has lost it.
//!
//! Bytes (little-endian; `string` is a length (u32) and that many bytes):
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `SKEPCLUS` |
//! | u16 | format, 1 |
//! | u16 | 1 if all stores have their regions, else 0 |
//! | u64 | cluster |
//! | u32, then so many of u32 and 16 | stores: name, uuid; the first lies in `store-1` |
//! | u32, then so many strings | [regions](crate::RegionDescriptor) as they were born |
//! | u32 | IEEE CRC32 of all before |

use std::path::Path;

use skep_raftstore::ids::{ClusterId, StoreId};

use crate::descriptor::RegionDescriptor;
use crate::layout::{Reader, Unreadable, put_string};
use crate::store_dir::{DirectoryError, Problem, files};

const MAGIC: [u8; 8] = *b"SKEPCLUS";
const FORMAT: u16 = 1;
const CRC_BYTES: usize = 4;
/// A hundred thousand regions with boundaries of three hundred bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a directory of several stores was made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ClusterFile {
    pub(super) cluster: ClusterId,
    /// Whether all stores have their regions.
    pub(super) is_formed: bool,
    pub(super) stores: Vec<Member>,
    pub(super) regions: Vec<RegionDescriptor>,
}

/// One store of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) store: StoreId,
    pub(super) uuid: [u8; 16],
}

impl ClusterFile {
    /// Reads it, if it is there.
    pub(super) fn read(path: &Path) -> Result<Option<ClusterFile>, DirectoryError> {
        let Some(bytes) = files::read(path, FILE_BYTES_MAX)? else { return Ok(None) };
        let problem = match ClusterFile::decode(&bytes) {
            Ok(file) => return Ok(Some(file)),
            Err(Unreadable::Newer(what, found)) => Problem::Newer(format!("{what} {found}")),
            Err(Unreadable::Damaged(what)) => Problem::Damaged(what.into()),
        };
        Err(DirectoryError::new(path, problem))
    }

    /// Writes it, durably.
    pub(super) fn write(&self, path: &Path) -> Result<(), DirectoryError> {
        files::replace(path, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&u16::from(self.is_formed).to_le_bytes());
        out.extend_from_slice(&self.cluster.0.to_le_bytes());
        out.extend_from_slice(&(self.stores.len() as u32).to_le_bytes());
        for member in &self.stores {
            out.extend_from_slice(&member.store.0.to_le_bytes());
            out.extend_from_slice(&member.uuid);
        }
        out.extend_from_slice(&(self.regions.len() as u32).to_le_bytes());
        self.regions.iter().for_each(|region| put_string(&mut out, &region.encode()));
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<ClusterFile, Unreadable> {
        let mut from = Reader::new(bytes);
        if from.array()? != MAGIC {
            return Err(Unreadable::Damaged("it does not describe a cluster of Skep's"));
        }
        // The format comes before the checksum: a newer one may have it elsewhere.
        match from.u16()? {
            FORMAT => {}
            0 => return Err(Unreadable::Damaged("format zero")),
            newer => return Err(Unreadable::Newer("format", newer.into())),
        }
        check_crc(bytes)?;
        let is_formed = from.u16()? != 0;
        let cluster = ClusterId(from.u64()?);
        let mut stores = Vec::new();
        for _ in 0..from.u32()? {
            stores.push(Member { store: StoreId(from.u32()?), uuid: from.array()? });
        }
        let mut regions = Vec::new();
        for _ in 0..from.u32()? {
            regions.push(RegionDescriptor::decode(from.string(from.left())?)?);
        }
        from.take(CRC_BYTES)?;
        from.end()?;
        Ok(ClusterFile { cluster, is_formed, stores, regions })
    }
}

fn check_crc(bytes: &[u8]) -> Result<(), Unreadable> {
    match bytes.split_last_chunk::<CRC_BYTES>() {
        Some((head, crc)) if crc32fast::hash(head).to_le_bytes() == *crc => Ok(()),
        Some(_) | None => Err(Unreadable::Damaged("its checksum does not hold")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    fn example() -> ClusterFile {
        let stores = vec![
            Member { store: StoreId(5), uuid: *b"sixteen bytes..." },
            Member { store: StoreId(6), uuid: [6; 16] },
        ];
        let names: Vec<StoreId> = stores.iter().map(|member| member.store).collect();
        let regions = plan::regions(2, &names);
        ClusterFile { cluster: ClusterId(0x0102), is_formed: false, stores, regions }
    }

    #[test]
    fn golden_bytes() {
        let mut golden =
            b"SKEPCLUS\x01\0\0\0\x02\x01\0\0\0\0\0\0\x02\0\0\0\x05\0\0\0sixteen bytes...".to_vec();
        golden
            .extend(b"\x06\0\0\0\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x06\x02\0\0\0");
        for region in &example().regions {
            put_string(&mut golden, &region.encode());
        }
        golden.extend(crc32fast::hash(&golden).to_le_bytes());
        assert_eq!(example().encode(), golden);
        assert_eq!(ClusterFile::decode(&golden), Ok(example()));
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = example().encode();
        assert!(ClusterFile::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes[30] ^= 1;
        assert_eq!(ClusterFile::decode(&bytes), Err(Unreadable::Damaged("its checksum does not hold")));
        bytes[8] = 2;
        assert_eq!(ClusterFile::decode(&bytes), Err(Unreadable::Newer("format", 2)));
    }
}

//! The names of the regions that a store makes: its own name and a number, each given once, whatever happens.
//!
//! Numbers are reserved in blocks: a file says which number nobody was given yet, and is replaced durably before one of the
//! block is given. What is left of a block when the store ends is never used.
//!
//! The file `region-ids`, little-endian, 20 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SKEPRIDS` |
//! | 8 | u32 | format, 1 |
//! | 12 | u32 | the first number that is not reserved |
//! | 16 | u32 | IEEE CRC32 of the bytes before |

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use skep_raftstore::ids::{RegionId, StoreId};

use crate::layout::{Reader, Unreadable};
use crate::limits::REGIONS_MAX;
use crate::store_dir::{DirectoryError, Problem, files};

const MAGIC: [u8; 8] = *b"SKEPRIDS";
const FORMAT: u32 = 1;
const FILE_BYTES: usize = 20;
const CRC_AT: usize = 16;

/// Numbers reserved at a time: a sync for each block, and so many numbers lost when a store ends.
const BLOCK: u32 = 1024;
/// Below it are the regions that a new cluster begins with.
const FIRST: u32 = 1 << 20;
const _: () = assert!(FIRST > REGIONS_MAX);

/// See the page of this file.
pub(crate) struct RegionIds {
    store: StoreId,
    path: PathBuf,
    // Held while a block is reserved, which syncs a file.
    numbers: Mutex<Numbers>,
}

struct Numbers {
    next: u32,
    /// The first that is not reserved.
    reserved: u32,
}

impl RegionIds {
    /// Those of `store`, whose file is at `path` once the first block is reserved.
    pub(crate) fn open(store: StoreId, path: &Path) -> Result<RegionIds, DirectoryError> {
        let next = match files::read(path, FILE_BYTES as u64 + 1)? {
            None => FIRST,
            Some(bytes) => decode(&bytes).map_err(|error| {
                let problem = match error {
                    Unreadable::Newer(what, found) => Problem::Newer(format!("{what} {found}")),
                    Unreadable::Damaged(what) => Problem::Damaged(what.into()),
                };
                DirectoryError::new(path, problem)
            })?,
        };
        Ok(RegionIds {
            store,
            path: path.to_path_buf(),
            numbers: Mutex::new(Numbers { next, reserved: next }),
        })
    }

    /// A name that no region has or had.
    pub(crate) fn take(&self) -> Result<RegionId, DirectoryError> {
        let mut numbers = self.numbers.lock();
        if numbers.next == numbers.reserved {
            let reserved = numbers.reserved.checked_add(BLOCK).ok_or_else(|| {
                DirectoryError::new(&self.path, Problem::Damaged("every name of a region was given".into()))
            })?;
            files::replace(&self.path, &encode(reserved))?;
            numbers.reserved = reserved;
        }
        numbers.next += 1;
        Ok(RegionId::new(self.store, numbers.next - 1))
    }
}

fn encode(next: u32) -> [u8; FILE_BYTES] {
    let mut out = [0; FILE_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    out[12..16].copy_from_slice(&next.to_le_bytes());
    let crc = crc32fast::hash(&out[..CRC_AT]);
    out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Result<u32, Unreadable> {
    let mut from = Reader::new(bytes);
    if from.array()? != MAGIC {
        return Err(Unreadable::Damaged("it is no file of region names"));
    }
    match from.u32()? {
        FORMAT => {}
        0 => return Err(Unreadable::Damaged("format zero")),
        newer => return Err(Unreadable::Newer("format of the region names", newer)),
    }
    let next = from.u32()?;
    if crc32fast::hash(&bytes[..CRC_AT]) != from.u32()? {
        return Err(Unreadable::Damaged("its checksum does not hold"));
    }
    from.end()?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_name_is_given_once_whatever_happens_to_the_process() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("region-ids");
        let mut given = std::collections::BTreeSet::new();
        for _ in 0..3 {
            // What is not dropped in order is what a process that was killed leaves behind: the file.
            let ids = RegionIds::open(StoreId(7), &path).unwrap();
            for _ in 0..BLOCK + 10 {
                assert!(given.insert(ids.take().unwrap()), "a name was given twice");
            }
        }
        assert_eq!(given.first(), Some(&RegionId::new(StoreId(7), FIRST)));
    }

    #[test]
    fn golden_bytes_and_what_is_refused() {
        let mut bytes = encode(0x0102).to_vec();
        assert_eq!(bytes[..CRC_AT], *b"SKEPRIDS\x01\0\0\0\x02\x01\0\0");
        assert_eq!(decode(&bytes), Ok(0x0102));
        assert!(decode(&bytes[..19]).is_err());
        bytes[13] ^= 1;
        assert_eq!(decode(&bytes), Err(Unreadable::Damaged("its checksum does not hold")));
        bytes[8] = 2;
        assert_eq!(decode(&bytes), Err(Unreadable::Newer("format of the region names", 2)));
    }
}

//! The bytes of the file `identity`: who the store in a directory is.
//!
//! Little-endian, 64 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SKEPSTOR` |
//! | 8 | u16 | format of the directory and of everything in it, 1 |
//! | 10 | u16 | 1 if its regions were made, 0 if that was not finished |
//! | 12 | u32 | store |
//! | 16 | u64 | cluster |
//! | 24 | 16 | uuid |
//! | 40 | u64 | life: how often it was opened |
//! | 48 | 12 | zeros |
//! | 60 | u32 | IEEE CRC32 of the bytes before |

use skep_raftstore::ids::{ClusterId, Life, StoreId};

use crate::layout::{Reader, Unreadable};

const MAGIC: [u8; 8] = *b"SKEPSTOR";
const FORMAT: u16 = 1;
pub(super) const IDENTITY_BYTES: usize = 64;
const CRC_AT: usize = 60;

/// Who a store is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) store: StoreId,
    pub(crate) uuid: [u8; 16],
    pub(crate) life: Life,
    /// Whether its regions were made: from then on an empty log is a lost log.
    pub(crate) is_born: bool,
}

impl Identity {
    pub(super) fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut out = [0; IDENTITY_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        out[10..12].copy_from_slice(&u16::from(self.is_born).to_le_bytes());
        out[12..16].copy_from_slice(&self.store.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.cluster.0.to_le_bytes());
        out[24..40].copy_from_slice(&self.uuid);
        out[40..48].copy_from_slice(&self.life.0.to_le_bytes());
        let crc = crc32fast::hash(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if these are not the bytes of any identity.
    pub(super) fn decode(bytes: &[u8]) -> Option<Result<Identity, Unreadable>> {
        bytes.starts_with(&MAGIC).then(|| decode_known(bytes))
    }
}

fn decode_known(bytes: &[u8]) -> Result<Identity, Unreadable> {
    let mut from = Reader::new(bytes);
    from.take(MAGIC.len())?;
    // The format comes before the checksum: a newer one may have it elsewhere.
    match from.u16()? {
        FORMAT => {}
        0 => return Err(Unreadable::Damaged("format zero")),
        newer => return Err(Unreadable::Newer("format", newer.into())),
    }
    if bytes.len() != IDENTITY_BYTES || crc32fast::hash(&bytes[..CRC_AT]).to_le_bytes() != bytes[CRC_AT..] {
        return Err(Unreadable::Damaged("its checksum does not hold"));
    }
    let is_born = from.u16()? != 0;
    let store = StoreId(from.u32()?);
    let cluster = ClusterId(from.u64()?);
    Ok(Identity { cluster, store, uuid: from.array()?, life: Life(from.u64()?), is_born })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Identity {
        Identity {
            cluster: ClusterId(0x0102),
            store: StoreId(3),
            uuid: *b"sixteen bytes...",
            life: Life(4),
            is_born: true,
        }
    }

    #[test]
    fn golden_bytes() {
        let golden = b"SKEPSTOR\x01\0\x01\0\x03\0\0\0\x02\x01\0\0\0\0\0\0sixteen bytes...\x04\0\0\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\0\0\0\0";
        let bytes = example().encode();
        assert_eq!(bytes[..CRC_AT], *golden);
        assert_eq!(bytes[CRC_AT..], crc32fast::hash(golden).to_le_bytes());
        assert_eq!(Identity::decode(&bytes), Some(Ok(example())));
    }

    #[test]
    fn refused_by_name() {
        let mut bytes = example().encode();
        bytes[20] ^= 1;
        let damaged = Unreadable::Damaged("its checksum does not hold");
        assert_eq!(Identity::decode(&bytes), Some(Err(damaged)));
        assert_eq!(Identity::decode(&bytes[..40]), Some(Err(damaged)));
        bytes[8] = 2;
        assert_eq!(Identity::decode(&bytes), Some(Err(Unreadable::Newer("format", 2))));
        bytes[0] = b'x';
        assert_eq!(Identity::decode(&bytes), None);
    }
}

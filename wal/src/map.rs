//! The read mapping of a file, and the only `unsafe` code of the project.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

/// A file mapped for reading. Bytes enter the file by writes beside the mapping; Linux keeps the two
/// coherent.
///
/// What is always true:
/// - the file has real blocks for all that is mapped, and is not cut while a `Mapping` lives;
/// - bytes that were handed out are not written again while the slice lives: whoever recycles the file first sees
///   that no `Arc<Mapping>` is left (every slice holds one).
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps the first `bytes` of `file`.
    pub(crate) fn new(file: &File, bytes: u64) -> io::Result<Mapping> {
        let length = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let raw = MmapOptions::new().len(length).map_raw_read_only(file)?;
        Ok(Mapping { raw })
    }

    /// `length` bytes from `start` on, without a copy; `None` outside the mapping. The caller hands over only ranges
    /// that were completely written before, and keeps them unwritten while the slice lives.
    pub(crate) fn slice(self: &Arc<Mapping>, start: u64, length: u64) -> Option<Bytes> {
        let end = start.checked_add(length)?;
        if end > self.raw.len() as u64 {
            return None;
        }
        Some(Bytes::from_owner(Slice {
            map: Arc::clone(self),
            start: start as usize,
            length: length as usize,
        }))
    }
}

/// A range of a mapping that keeps the mapping alive.
struct Slice {
    map: Arc<Mapping>,
    start: usize,
    length: usize,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `slice` checked that the range lies inside the mapping, which lives as long as `self.map`.
        // The bytes were written before the range was handed out and are not written again while the `Arc` is
        // held (see the type), so nothing changes under the reference. A raw mapping is used so that no
        // reference ever covers the bytes beside the range, which other threads do write.
        unsafe { std::slice::from_raw_parts(self.map.raw.as_ptr().add(self.start), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// A write beside the mapping is seen through it, and a slice outlives the file and the handle.
    #[test]
    fn slices_see_writes_and_keep_the_mapping() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0; 8192], 0).unwrap();
        let map = Arc::new(Mapping::new(&file, 8192).unwrap());
        file.write_all_at(b"honey", 4094).unwrap();
        let slice = map.slice(4094, 5).unwrap();
        let held = Arc::downgrade(&map);
        drop((map, file));
        assert_eq!(&slice[..], b"honey");
        assert_eq!(held.strong_count(), 1);
        drop(slice);
        assert_eq!(held.strong_count(), 0);
    }

    /// Nothing outside the mapping is ever handed out.
    #[test]
    fn ranges_are_checked() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0; 4096], 0).unwrap();
        let map = Arc::new(Mapping::new(&file, 4096).unwrap());
        assert!(map.slice(4000, 97).is_none());
        assert!(map.slice(u64::MAX, 2).is_none());
        assert!(map.slice(4096, 0).is_some());
    }
}

//! A disk laid over another one: it shows the files below, and keeps in memory whatever is written. Nothing below is
//! ever changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Reached};
use crate::map::Mapping;
use crate::mem_disk::MemDisk;

const PAGE: u64 = 4096;

/// See the page of this file.
pub(crate) struct Overlay {
    below: Arc<dyn Disk>,
    /// Files that were created here.
    above: MemDisk,
    removed: Mutex<BTreeSet<String>>,
}

impl Overlay {
    pub(crate) fn new(below: Arc<dyn Disk>) -> Overlay {
        Overlay { below, above: MemDisk::new(1), removed: Mutex::default() }
    }
}

impl Disk for Overlay {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if let Ok(file) = self.above.open(name) {
            return Ok(file);
        }
        if self.removed.lock().contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(OverlayFile { below: self.below.open(name)?, written: Mutex::default() }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.above.create(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let removed = self.removed.lock();
        let mut names = self.below.list()?;
        names.retain(|name| !removed.contains(name));
        names.extend(self.above.list()?);
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.above.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.above.remove(name).is_err() {
            self.removed.lock().insert(name.to_owned());
        }
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        self.below.random()
    }
}

/// A file below, and the pages that were written over it.
struct OverlayFile {
    below: Arc<dyn DiskFile>,
    written: Mutex<BTreeMap<u64, Box<[u8; PAGE as usize]>>>,
}

impl OverlayFile {
    /// Lays the written pages over what was read from below.
    fn cover(&self, offset: u64, buffer: &mut [u8]) {
        let end = offset + buffer.len() as u64;
        for (number, page) in self.written.lock().range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = number * PAGE;
            let (from, to) = (start.max(offset), (start + PAGE).min(end));
            buffer[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
        }
    }
}

impl DiskFile for OverlayFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (number, start) = (at / PAGE, (at % PAGE) as usize);
            let piece = &bytes[done..(done + PAGE as usize - start).min(bytes.len())];
            let mut written = self.written.lock();
            let page = match written.entry(number) {
                std::collections::btree_map::Entry::Occupied(page) => page.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let mut page = Box::new([0; PAGE as usize]);
                    self.below.read_at(number * PAGE, &mut page[..])?;
                    place.insert(page)
                }
            };
            page[start..start + piece.len()].copy_from_slice(piece);
            done += piece.len();
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.below.read_at(offset, buffer)?;
        self.cover(offset, &mut buffer[..read]);
        Ok(read)
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        let (read, reached) = self.below.read_direct(offset, buffer)?;
        self.cover(offset, &mut buffer[..read]);
        Ok((read, reached))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn prewrite(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        Ok(None)
    }
}

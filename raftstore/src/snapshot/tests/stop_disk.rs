//! A disk whose store dies after so many changes: each one after that fails and does nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_wal::{Disk, DiskFile, Mapping, MemDisk, Reached};

#[derive(Clone)]
pub(super) struct StopDisk {
    disk: MemDisk,
    left: Arc<AtomicU64>,
}

struct StopFile {
    file: Arc<dyn DiskFile>,
    left: Arc<AtomicU64>,
}

impl StopDisk {
    pub(super) fn new(disk: MemDisk, changes: u64) -> StopDisk {
        StopDisk { disk, left: Arc::new(AtomicU64::new(changes)) }
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(StopFile { file, left: self.left.clone() })
    }
}

fn spend(left: &AtomicU64) -> io::Result<()> {
    let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    spent.map(drop).map_err(|_| io::Error::other("the store is dead"))
}

impl Disk for StopDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name).map(|file| self.file(file))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.left)?;
        self.disk.create(name).map(|file| self.file(file))
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        spend(&self.left)?;
        self.disk.sync_dir()
    }
    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }
}

impl DiskFile for StopFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        spend(&self.left)?;
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        self.file.read_direct(offset, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        spend(&self.left)?;
        self.file.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        spend(&self.left)?;
        self.file.set_len(bytes)
    }
    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        spend(&self.left)?;
        self.file.prewrite(bytes)
    }
    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        self.file.map(bytes)
    }
}

//! A disk on which something else happens in the middle of a sync or a read, once, or a write ends too early.

#![cfg_attr(
    not(feature = "mutants"),
    expect(dead_code, reason = "only wrong builds are met in the middle of something")
)]

use std::io;
use std::sync::{Arc, Mutex};

use skep_wal::{Disk, DiskFile, Mapping, MemDisk, Reached};

type Action = Box<dyn FnOnce() + Send>;

/// When the action runs: before the next read, or between the end of a sync and its report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Read,
    Synced,
}

#[derive(Clone)]
pub(crate) struct HookDisk {
    pub(crate) disk: MemDisk,
    action: Arc<Mutex<Option<(When, Action)>>>,
    /// The next write has room for so many bytes.
    room: Arc<Mutex<Option<usize>>>,
}

impl HookDisk {
    pub(crate) fn new() -> HookDisk {
        HookDisk { disk: MemDisk::new(1), action: Arc::default(), room: Arc::default() }
    }

    /// The next write finds the disk full after so many bytes, as one into blocks that are shared with a copy may.
    pub(crate) fn cut_off_next_write(&self, after: usize) {
        *self.room.lock().unwrap() = Some(after);
    }

    pub(crate) fn once(&self, when: When, action: impl FnOnce() + Send + 'static) {
        *self.action.lock().unwrap() = Some((when, Box::new(action)));
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookFile { file, disk: self.clone() })
    }

    fn reach(&self, now: When) {
        let action = self.action.lock().unwrap().take_if(|(when, _)| *when == now);
        if let Some((_, action)) = action {
            action();
        }
    }
}

impl Disk for HookDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(self.disk.create(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }
}

struct HookFile {
    file: Arc<dyn DiskFile>,
    disk: HookDisk,
}

impl DiskFile for HookFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(room) = self.disk.room.lock().unwrap().take() {
            self.file.write_at(offset, &bytes[..room])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.reach(When::Read);
        self.file.read_at(offset, buffer)
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        self.file.read_direct(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.disk.reach(When::Synced);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        self.file.prewrite(bytes)
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        self.file.map(bytes)
    }
}

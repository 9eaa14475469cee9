//! The power of one machine: when it goes, between any two touches of its disks, both disks lose what was not synced.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use skep_wal::{Disk, DiskFile, Mapping, MemDisk, Reached};

/// See the page of this file. Clones are the same machine.
#[derive(Clone)]
pub(super) struct Power {
    state: Arc<Mutex<State>>,
    log: MemDisk,
    snapshots: MemDisk,
}

struct State {
    is_off: bool,
    /// So many more changes of a disk, and the power goes, with this seed.
    fuse: Option<(u64, u64)>,
}

impl Power {
    /// Two empty disks, and power.
    pub(super) fn new(seed: u64) -> Power {
        let state = State { is_off: false, fuse: None };
        Power {
            state: Arc::new(Mutex::new(state)),
            log: MemDisk::new(seed),
            snapshots: MemDisk::new(seed ^ 0xd15c),
        }
    }

    pub(super) fn log(&self) -> Arc<dyn Disk> {
        Arc::new(PoweredDisk { power: self.clone(), disk: self.log.clone() })
    }

    pub(super) fn snapshots(&self) -> Arc<dyn Disk> {
        Arc::new(PoweredDisk { power: self.clone(), disk: self.snapshots.clone() })
    }

    /// The log's disk itself, to be made to fail.
    pub(super) fn log_disk(&self) -> &MemDisk {
        &self.log
    }

    /// The snapshots' disk itself, to be made to fail.
    pub(super) fn snapshot_disk(&self) -> &MemDisk {
        &self.snapshots
    }

    pub(super) fn is_off(&self) -> bool {
        self.state.lock().is_off
    }

    /// The power goes after `changes` more changes of a disk.
    pub(super) fn light_fuse(&self, changes: u64, seed: u64) {
        self.state.lock().fuse = Some((changes, seed));
    }

    /// It does not, after all.
    pub(super) fn put_out_fuse(&self) {
        self.state.lock().fuse = None;
    }

    /// The power goes now.
    pub(super) fn cut(&self, seed: u64) {
        let mut state = self.state.lock();
        self.go(&mut state, seed);
    }

    /// The process dies; the machine, and what its page cache holds, do not.
    pub(super) fn kill(&self) {
        let mut state = self.state.lock();
        *state = State { is_off: true, fuse: None };
        self.log.restart();
        self.snapshots.restart();
    }

    /// It is there again.
    pub(super) fn restore(&self) {
        self.state.lock().is_off = false;
    }

    fn go(&self, state: &mut State, seed: u64) {
        *state = State { is_off: true, fuse: None };
        self.log.crash(seed);
        self.snapshots.crash(seed.rotate_left(17));
    }

    /// Before a change of a disk.
    fn spend(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match &mut state.fuse {
            Some((0, seed)) => {
                let seed = *seed;
                self.go(&mut state, seed);
            }
            Some((changes, _)) => *changes -= 1,
            None => {}
        }
        if state.is_off { Err(gone()) } else { Ok(()) }
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off() { Err(gone()) } else { Ok(()) }
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is off")
}

struct PoweredDisk {
    power: Power,
    disk: MemDisk,
}

struct PoweredFile {
    power: Power,
    file: Arc<dyn DiskFile>,
}

impl PoweredDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(PoweredFile { power: self.power.clone(), file })
    }
}

impl Disk for PoweredDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.power.check()?;
        self.disk.open(name).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.power.spend()?;
        self.disk.create(name).map(|file| self.file(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.power.check()?;
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.power.spend()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.power.spend()?;
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.power.spend()?;
        self.disk.sync_dir()
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }
}

impl DiskFile for PoweredFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.power.spend()?;
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        self.file.read_direct(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.power.spend()?;
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.power.spend()?;
        self.file.set_len(bytes)
    }

    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        self.power.spend()?;
        self.file.prewrite(bytes)
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        self.file.map(bytes)
    }
}

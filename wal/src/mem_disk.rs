//! A disk in memory for tests and simulations: it loses in a crash what a real one may lose, and fails on
//! request.
//!
//! Every file has two faces: what the page cache shows, and what the medium holds. A write changes the first
//! and marks its sectors dirty; a sync brings the two together. A crash decides for each dirty sector, and
//! for each change of a name since the last sync of the directory, by seed, whether it reached the medium.
//! Given the same seed and the same calls, everything is the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Reached};
use crate::map::Mapping;
use crate::mem_file::{Chance, File, PAGE};

/// What a disk was asked to do since it was made.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DiskCounters {
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of the directory.
    pub dir_syncs: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// A handle to a disk in memory; clones are the same disk.
#[derive(Clone)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names that no sync of the directory has covered, in order.
    pending: Vec<NameChange>,
    next_file: u64,
    random: u64,
    /// Handles of an earlier life of the machine are dead.
    life: u64,
    capacity: Option<u64>,
    fail_syncs: Option<SyncFailure>,
    counters: DiskCounters,
}

/// How a sync fails.
#[derive(Clone, Copy)]
struct SyncFailure {
    /// How many syncs succeed before.
    after: u64,
    /// Whether the dirty pages are dropped, so that the next sync reports success for nothing.
    drop_pages: bool,
}

enum NameChange {
    Set(String, u64),
    Unset(String),
    Rename(String, String, u64),
}

impl MemDisk {
    /// An empty disk. The seed decides only what `Disk::random` returns.
    pub fn new(seed: u64) -> MemDisk {
        let state = State { random: seed, ..State::default() };
        MemDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// The power goes and comes back: of everything that was not synced, any part may be lost. Files that
    /// were open answer with errors from now on.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state.lock();
        let mut chance = Chance(seed);
        state.life += 1;
        state.fail_syncs = None;
        for change in std::mem::take(&mut state.pending) {
            if chance.coin() {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        let named: Vec<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        state.files.values_mut().for_each(|file| file.crash(&mut chance));
    }

    /// The process ends, the machine goes on: files that were open answer with errors, nothing is lost.
    pub fn restart(&self) {
        self.state.lock().life += 1;
    }

    /// The sync after the next `after` ones fails, once, as does every sync of a directory counted with them.
    /// With
    /// `drop_pages` what it should have written stays in the cache and never reaches the medium, as on Linux.
    pub fn fail_sync(&self, after: u64, drop_pages: bool) {
        self.state.lock().fail_syncs = Some(SyncFailure { after, drop_pages });
    }

    /// Changes one bit, in the cache and on the medium. Says whether there was such a byte.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.names.get(name).copied() else { return false };
        let Some(file) = state.files.get_mut(&id) else { return false };
        file.flip(offset, bit)
    }

    /// Limits the disk to so many bytes of allocated blocks; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// What was done so far.
    pub fn counters(&self) -> DiskCounters {
        self.state.lock().counters
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Set(name, id) => {
                names.insert(name, id);
            }
            NameChange::Unset(name) => {
                names.remove(&name);
            }
            NameChange::Rename(from, to, id) => {
                names.remove(&from);
                names.insert(to, id);
            }
        }
    }
}

impl State {
    fn allocated(&self) -> u64 {
        self.files.values().map(|file| file.length.next_multiple_of(PAGE as u64)).sum()
    }

    fn change_name(&mut self, change: NameChange, again: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(again);
    }

    /// Lengthens a file if there is room.
    fn grow(&mut self, id: u64, length: u64) -> io::Result<()> {
        let now = self.files[&id].length;
        if length <= now {
            return Ok(());
        }
        let more = length.next_multiple_of(PAGE as u64) - now.next_multiple_of(PAGE as u64);
        if self.capacity.is_some_and(|capacity| more > 0 && self.allocated() + more > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(file) = self.files.get_mut(&id) {
            file.length = length;
        }
        Ok(())
    }

    /// Whether this sync is the one that fails, and whether it drops pages.
    fn sync_fails(&mut self) -> Option<bool> {
        let failure = self.fail_syncs.as_mut()?;
        if failure.after > 0 {
            failure.after -= 1;
            return None;
        }
        self.fail_syncs.take().map(|failure| failure.drop_pages)
    }
}

impl Disk for MemDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemFile { state: Arc::clone(&self.state), id, life: state.life }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.next_file;
        state.next_file += 1;
        state.files.insert(id, File::default());
        let set = || NameChange::Set(name.to_owned(), id);
        state.change_name(set(), set());
        Ok(Arc::new(MemFile { state: Arc::clone(&self.state), id, life: state.life }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let rename = || NameChange::Rename(from.to_owned(), to.to_owned(), id);
        state.change_name(rename(), rename());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let unset = || NameChange::Unset(name.to_owned());
        state.change_name(unset(), unset());
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.counters.dir_syncs += 1;
        if state.sync_fails().is_some() {
            return Err(io::Error::other("the sync was made to fail"));
        }
        state.pending.clear();
        state.durable_names = state.names.clone();
        let named: Vec<u64> = state.names.values().copied().collect();
        // Handles keep removed files readable on a real disk; here nobody reads one after removing it.
        state.files.retain(|id, _| named.contains(id));
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        let mut chance = Chance(state.random);
        let drawn = chance.next();
        state.random = chance.0;
        Ok(drawn)
    }
}

struct MemFile {
    state: Arc<Mutex<State>>,
    id: u64,
    life: u64,
}

impl MemFile {
    /// Does something with the file, unless the machine has crashed since it was opened.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.life != self.life || !state.files.contains_key(&self.id) {
            return Err(io::Error::other("the machine has gone since this file was opened"));
        }
        act(&mut state)
    }

    fn read(&self, offset: u64, buffer: &mut [u8], direct: bool) -> io::Result<usize> {
        self.with(|state| Ok(state.files[&self.id].read(offset, buffer, direct)))
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.grow(self.id, offset + bytes.len() as u64)?;
            state.counters.writes += 1;
            state.counters.bytes += bytes.len() as u64;
            if let Some(file) = state.files.get_mut(&self.id) {
                file.write(offset, bytes);
            }
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(offset, buffer, false)
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        self.read(offset, buffer, true).map(|read| (read, Reached::Medium))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.counters.syncs += 1;
            let failed = state.sync_fails();
            if let Some(file) = state.files.get_mut(&self.id).filter(|_| failed != Some(false)) {
                file.sync(failed.is_some());
            }
            match failed {
                Some(_) => Err(io::Error::other("the sync was made to fail")),
                None => Ok(()),
            }
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files[&self.id].length))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.with(|state| {
            state.grow(self.id, bytes)?;
            if let Some(file) = state.files.get_mut(&self.id) {
                file.cut(bytes);
            }
            Ok(())
        })
    }

    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        self.with(|state| {
            state.grow(self.id, bytes)?;
            state.counters.bytes += bytes;
            Ok(())
        })
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        Ok(None)
    }
}

//! A disk in memory for tests and simulations: it loses in a crash what a real one may lose, and fails on
//! request.
//!
//! Every file has two faces: what the page cache shows, and what the medium may hold. A write changes the first
//! and marks its sectors dirty; a sync brings the two together. A crash decides for each dirty sector which of the
//! versions that it had since the last sync is on the medium, and for each change of a name since the last sync of
//! the directory whether it is: by seed, or one possibility after the other. Given the same seed and the same calls,
//! everything is the same.
//!
//! ```text
//!  medium ─── write ──▶ version ─── write ──▶ version (what the cache shows)      a sector between two syncs
//!    └───────────────────── any of them after a crash ─────────────────┘
//! ```
//!
//! After a failed sync pages may be clean and unwritten: the cache shows them, direct reads do not, and the next sync
//! reports success.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Reached};
use crate::map::Mapping;
use crate::mem_file::{Chance, File, SECTOR_BYTES};
use crate::mem_state::{Digits, Dirty, NameChange, State, SyncFailure};

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
    /// Bytes of the longest write.
    pub write_bytes_max: u64,
}

/// A handle to a disk in memory; clones are the same disk.
#[derive(Clone)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
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
        let mut chance = Chance(seed);
        self.state.lock().crash(&mut |outcomes| chance.of(outcomes));
    }

    /// Every image that a crash could leave, one after the other, each on a disk of its own: all combinations of the
    /// versions of all dirty sectors and of the changes of names. There are many: see `undecided`.
    pub fn images(&self) -> impl Iterator<Item = MemDisk> {
        let origin = self.fork();
        let mut digits = Some(Digits::default());
        std::iter::from_fn(move || {
            let mut now = digits.take()?;
            let image = origin.fork();
            image.state.lock().crash(&mut |outcomes| now.next(outcomes));
            digits = now.increment();
            Some(image)
        })
    }

    /// What is certainly on the medium, and nothing of what was not synced: the worst that a crash can leave. The disk itself
    /// goes on as it is. Changes with syncs only.
    pub fn medium(&self) -> MemDisk {
        let medium = self.fork();
        medium.state.lock().crash(&mut |_| 0);
        medium
    }

    /// The names that are certainly on the medium.
    pub(crate) fn medium_names(&self) -> Vec<String> {
        self.state.lock().durable_names.keys().cloned().collect()
    }

    /// Bytes of a file as the medium certainly has them; zeros where it has none.
    pub(crate) fn read_medium(&self, name: &str, offset: u64, buffer: &mut [u8]) {
        let state = self.state.lock();
        match state.durable_names.get(name).and_then(|id| state.files.get(id)) {
            Some(file) => file.read_medium(offset, buffer),
            None => buffer.fill(0),
        }
    }

    /// How many sectors and changes of names a crash would have to decide about.
    pub fn undecided(&self) -> u64 {
        let state = self.state.lock();
        state.pending.len() as u64 + state.files.values().map(File::dirty_sectors).sum::<u64>()
    }

    /// A copy of the disk as it is, caches included; files that are open belong to the original.
    pub fn fork(&self) -> MemDisk {
        let state = State { life: 0, ..self.state.lock().clone() };
        MemDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// The power goes after so many more changes (writes, syncs, names): all that come later fail, until `crash`.
    pub fn stop_after(&self, changes: u64) {
        self.state.lock().changes_left = Some(changes);
    }

    /// The process ends, the machine goes on: files that were open answer with errors, nothing is lost.
    pub fn restart(&self) {
        self.state.lock().life += 1;
    }

    /// The sync after the next `after` ones fails, once, as does every sync of a directory counted with them.
    /// With
    /// `drop_pages` what it should have written stays in the cache and never reaches the medium, as on Linux.
    pub fn fail_sync(&self, after: u64, drop_pages: bool) {
        let dirty = if drop_pages { Dirty::Dropped } else { Dirty::Stays };
        self.state.lock().fail_syncs = Some(SyncFailure { after, dirty });
    }

    /// The same, with pages dropped of which a part, chosen by the seed, did reach the medium.
    pub fn fail_sync_in_part(&self, after: u64, seed: u64) {
        self.state.lock().fail_syncs = Some(SyncFailure { after, dirty: Dirty::DroppedInPart(seed) });
    }

    /// Changes one bit, in the cache and on the medium. Says whether there was such a byte.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.names.get(name).copied() else { return false };
        let Some(file) = state.files.get_mut(&id) else { return false };
        file.flip(offset, bit)
    }

    /// A sector goes bad: reads that touch it fail from now on. Says whether there is such a file.
    pub fn break_sector(&self, name: &str, offset: u64) -> bool {
        let mut state = self.state.lock();
        let Some(id) = state.names.get(name).copied() else { return false };
        state.files.get_mut(&id).map(|file| file.bad.insert(offset / SECTOR_BYTES as u64)).is_some()
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

impl Disk for MemDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemFile { state: Arc::clone(&self.state), id, life: state.life }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.touch()?;
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
        state.touch()?;
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let rename = || NameChange::Rename(from.to_owned(), to.to_owned(), id);
        state.change_name(rename(), rename());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.touch()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let unset = || NameChange::Unset(name.to_owned());
        state.change_name(unset(), unset());
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.touch()?;
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

    /// Changes something, unless the power has gone.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.with(|state| {
            state.touch()?;
            act(state)
        })
    }

    fn read(&self, offset: u64, buffer: &mut [u8], direct: bool) -> io::Result<usize> {
        self.with(|state| {
            let file = &state.files[&self.id];
            let end = (offset + buffer.len() as u64).div_ceil(SECTOR_BYTES as u64);
            if file.bad.range(offset / SECTOR_BYTES as u64..end).next().is_some() {
                return Err(io::Error::other("the sector cannot be read"));
            }
            Ok(file.read(offset, buffer, direct))
        })
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            state.grow(self.id, offset + bytes.len() as u64)?;
            state.counters.writes += 1;
            state.counters.bytes += bytes.len() as u64;
            state.counters.write_bytes_max = state.counters.write_bytes_max.max(bytes.len() as u64);
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
        self.change(|state| {
            state.counters.syncs += 1;
            let failed = state.sync_fails();
            let Some(file) = state.files.get_mut(&self.id) else { return Ok(()) };
            match failed {
                None => {
                    file.sync();
                    return Ok(());
                }
                Some(Dirty::Stays) => {}
                Some(Dirty::Dropped) => file.drop_dirty(&mut |_| 0),
                Some(Dirty::DroppedInPart(seed)) => {
                    let mut chance = Chance(seed);
                    file.drop_dirty(&mut |outcomes| chance.of(outcomes));
                }
            }
            Err(io::Error::other("the sync was made to fail"))
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files[&self.id].length))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.change(|state| {
            state.grow(self.id, bytes)?;
            if let Some(file) = state.files.get_mut(&self.id) {
                file.cut(bytes);
            }
            Ok(())
        })
    }

    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        self.change(|state| {
            state.grow(self.id, bytes)?;
            state.counters.bytes += bytes;
            Ok(())
        })
    }

    fn map(&self, _bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        Ok(None)
    }
}

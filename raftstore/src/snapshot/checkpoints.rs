//! The checkpoint files of a store: which region's newest state lies where, and what may be removed.
//!
//! Always true:
//!
//! - A name `checkpoint-N` stands for a file that was written whole and synced before it got that name.
//! - The newest valid section of each region is the one with the highest index, and its file stays.
//! - A file is removed only when each of its sections has a newer valid one elsewhere, the damaged ones included. A file
//!   whose index cannot be read is never removed.
//! - Space: a file in which less than half of the section bytes are live is carried into the next written file, so that
//!   the files take at most twice what is live once the carrying has caught up; it moves 256 MiB per file at most.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use skep_wal::Disk;

use super::error::SnapshotError;
use super::file::{FileWriter, FoundSection, SectionPlace, SectionReader, read_index, read_section};
use super::format::FileHeader;
use super::received::ReceivedSnapshot;
use crate::ids::{RegionId, StoreId};
use crate::machine::SnapshotSource;
use crate::message::SnapshotMeta;
use crate::raft::{LogPos, Membership};

/// A file takes no further state once it is this long: it bounds what one write may cost.
const FILE_BYTES_FULL: u64 = 1 << 30;

const TEMPORARY: &str = ".tmp";
const PREFIX: &str = "checkpoint-";

/// Where a region's newest checkpoint is, and what it contains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointInfo {
    /// The last entry it contains.
    pub at: LogPos,
    /// Who took part in the group then.
    pub membership: Membership,
    /// What the region was born with.
    pub genesis: Bytes,
    /// The number of the file.
    pub file: u64,
    pub(super) place: SectionPlace,
}

/// A state to be written.
pub struct Taken {
    /// Of which region.
    pub region: RegionId,
    /// What it contains.
    pub meta: SnapshotMeta,
    /// The state.
    pub source: Box<dyn SnapshotSource>,
}

/// What one written file did.
#[derive(Default, Debug)]
pub(super) struct Checkpointed {
    /// Regions whose state through here is durable.
    pub(super) done: Vec<(RegionId, LogPos)>,
    /// Regions whose machine could not write its state, and why.
    pub(super) failed: Vec<(RegionId, SnapshotError)>,
    /// Bytes written.
    pub(super) bytes: u64,
}

/// See the page of this file.
pub struct Checkpoints {
    disk: Arc<dyn Disk>,
    store: StoreId,
    next: u64,
    pub(super) files: BTreeMap<u64, FileState>,
    pub(super) newest: BTreeMap<RegionId, CheckpointInfo>,
    damaged: Vec<SnapshotError>,
    /// Whether a file deserves carrying; worked out whenever the files change.
    wants_carrying: bool,
}

/// What is known of one file.
#[derive(Default)]
pub(super) struct FileState {
    /// Bytes of all sections that it was written with.
    pub(super) section_bytes: u64,
    /// Its damaged sections. The file is kept until there is something newer than each.
    pub(super) doubtful: Vec<(RegionId, LogPos)>,
    /// Its index cannot be read, so nobody knows what it holds.
    pub(super) is_unreadable: bool,
}

impl Checkpoints {
    /// Opens a directory, verifies all that is in it, and removes what was being written when the store ended.
    ///
    /// Damage is no error: see [`damaged`](Checkpoints::damaged). A file of a newer build or of another store is.
    pub fn open(
        disk: Arc<dyn Disk>,
        store: StoreId,
    ) -> Result<(Checkpoints, BTreeMap<RegionId, CheckpointInfo>), SnapshotError> {
        let names = disk.list().map_err(SnapshotError::io("listing", "the snapshot directory"))?;
        let (files, newest, damaged) = Default::default();
        let mut checkpoints =
            Checkpoints { disk, store, next: 1, files, newest, damaged, wants_carrying: false };
        let mut numbered = Vec::new();
        for name in &names {
            if let Some(number) = number_of(name) {
                checkpoints.take_file(name, number)?;
                numbered.push(number);
            }
        }
        checkpoints.next = numbered.into_iter().max().unwrap_or(0) + 1;
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
            checkpoints.disk.remove(name).map_err(SnapshotError::io("removing", name))?;
        }
        checkpoints.collect();
        let found = checkpoints.newest.clone();
        Ok((checkpoints, found))
    }

    /// What did not hold when the directory was opened or a file was carried. These states are not used and not
    /// deleted; an older valid one of the same region is used instead if there is one.
    pub fn damaged(&self) -> &[SnapshotError] {
        &self.damaged
    }

    /// A region's newest checkpoint.
    pub fn newest(&self, region: RegionId) -> Option<&CheckpointInfo> {
        self.newest.get(&region)
    }

    /// Reads what a region's machine wrote, if there is a checkpoint of it.
    pub fn load(&self, region: RegionId) -> Result<Option<SectionReader>, SnapshotError> {
        let Some(info) = self.newest.get(&region) else { return Ok(None) };
        let name = name_of(info.file);
        let file = self.disk.open(&name).map_err(SnapshotError::io("opening", &name))?;
        Ok(Some(SectionReader::new(file, &name, region, info.place)))
    }

    /// A region is no longer here. Files that hold nothing else go; in others its state is left over and never read.
    pub(super) fn forget(&mut self, region: RegionId) {
        if self.newest.remove(&region).is_some() {
            self.collect();
        }
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// A number for a new file. Never given twice, not even after a failure.
    pub(super) fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Writes states from the front of `batch` into one file, and what deserves carrying; what does not fit any more
    /// stays in `batch`. On an error all that was taken out is lost, and nothing on the disk has changed.
    pub(super) fn write(&mut self, batch: &mut VecDeque<Taken>) -> Result<Checkpointed, SnapshotError> {
        let number = self.take_number();
        let temporary = format!("{}{TEMPORARY}", name_of(number));
        let written = self.write_as(number, &temporary, batch);
        if written.is_err() {
            // Best effort: what stays behind is removed by the next start.
            let _ = self.disk.remove(&temporary);
            let _ = self.disk.remove(&name_of(number));
        }
        written
    }

    /// Makes a received file the checkpoint of its region. On an error it is still the received file.
    pub(super) fn adopt(&mut self, received: &ReceivedSnapshot) -> Result<(), SnapshotError> {
        let at = received.meta.at;
        if self.newest.get(&received.region).is_some_and(|newest| newest.at.index >= at.index) {
            return self.disk.remove(&received.name).map_err(SnapshotError::io("removing", &received.name));
        }
        let name = name_of(received.number);
        self.disk.rename(&received.name, &name).map_err(SnapshotError::io("renaming", &received.name))?;
        if let Err(error) = self.disk.sync_dir() {
            let _ = self.disk.rename(&name, &received.name);
            return Err(SnapshotError::io("syncing the directory of", &name)(error));
        }
        self.files.insert(
            received.number,
            FileState { section_bytes: received.place.length, ..FileState::default() },
        );
        self.remember(received.number, received.region, &received.meta, received.place);
        self.collect();
        Ok(())
    }

    /// Whether a file deserves carrying, so that writing one with nothing new in it is worth while.
    pub(super) fn wants_carrying(&self) -> bool {
        self.wants_carrying
    }

    fn take_file(&mut self, name: &str, number: u64) -> Result<(), SnapshotError> {
        let mut state = FileState::default();
        let file = self.disk.open(name).map_err(SnapshotError::io("opening", name))?;
        match read_index(&*file, name, self.store) {
            Ok((header, items)) if header.number == number => {
                for item in items {
                    state.section_bytes += item.length;
                    let verified = read_section(&*file, name, item).and_then(|found| {
                        SectionReader::new(file.clone(), name, found.region, found.place).verify()?;
                        Ok(found)
                    });
                    match verified {
                        Ok(FoundSection { region, meta, place }) => {
                            self.remember(number, region, &meta, place)
                        }
                        Err(error) => {
                            state.doubtful.push((item.region, item.at));
                            self.take_damage(error)?;
                        }
                    }
                }
            }
            Ok(_) => {
                state.is_unreadable = true;
                self.take_damage(SnapshotError::damaged(name, None, "it has another file's number"))?;
            }
            Err(error) => {
                state.is_unreadable = true;
                self.take_damage(error)?;
            }
        }
        self.files.insert(number, state);
        Ok(())
    }

    pub(super) fn take_damage(&mut self, error: SnapshotError) -> Result<(), SnapshotError> {
        if matches!(error, SnapshotError::Damaged { .. }) {
            self.damaged.push(error);
            return Ok(());
        }
        Err(error)
    }

    fn remember(&mut self, file: u64, region: RegionId, meta: &SnapshotMeta, place: SectionPlace) {
        let known = self.newest.get(&region).map(|newest| (newest.at.index, newest.file));
        if known.is_none_or(|known| (meta.at.index, file) >= known) {
            let SnapshotMeta { at, membership, genesis } = meta.clone();
            self.newest.insert(region, CheckpointInfo { at, membership, genesis, file, place });
        }
    }

    fn write_as(
        &mut self,
        number: u64,
        temporary: &str,
        batch: &mut VecDeque<Taken>,
    ) -> Result<Checkpointed, SnapshotError> {
        let header = FileHeader { store: self.store, number };
        let mut writer = FileWriter::create(&*self.disk, temporary, header)?;
        let mut result = Checkpointed::default();
        let mut sections = Vec::new();
        while writer.position() < FILE_BYTES_FULL {
            let Some(taken) = batch.pop_front() else { break };
            let region = taken.region;
            if let Some(newest) =
                self.newest.get(&region).filter(|newest| newest.at.index >= taken.meta.at.index)
            {
                result.done.push((region, newest.at));
                continue;
            }
            let meta = taken.meta.clone();
            match writer.write_state(region, &meta, taken.source) {
                Ok(written) => sections.push((region, meta, written.place)),
                Err(error @ SnapshotError::Source { .. }) => result.failed.push((region, error)),
                Err(error) => return Err(error),
            }
        }
        result.done.extend(sections.iter().map(|(region, meta, _)| (*region, meta.at)));
        self.carry(&mut writer, &mut sections)?;
        result.bytes = writer.position();
        if sections.is_empty() {
            self.disk.remove(temporary).map_err(SnapshotError::io("removing", temporary))?;
            self.collect();
            return Ok(result);
        }
        writer.finish()?;
        self.publish(number, temporary)?;
        let section_bytes = sections.iter().map(|(_, _, place)| place.length).sum();
        self.files.insert(number, FileState { section_bytes, ..FileState::default() });
        for (region, meta, place) in sections {
            self.remember(number, region, &meta, place);
        }
        self.collect();
        Ok(result)
    }

    /// From here on the file counts, also after a power cut.
    fn publish(&self, number: u64, temporary: &str) -> Result<(), SnapshotError> {
        let name = name_of(number);
        self.disk.rename(temporary, &name).map_err(SnapshotError::io("renaming", temporary))?;
        self.disk.sync_dir().map_err(SnapshotError::io("syncing the directory of", &name))
    }

    /// Removes the files that nobody needs. One that cannot be removed now is tried again next time.
    fn collect(&mut self) {
        let none = BTreeSet::new();
        let live = self.live_bytes(&none);
        let newest = &self.newest;
        let is_newer =
            |(region, at): &(RegionId, LogPos)| newest.get(region).is_some_and(|n| n.at.index >= at.index);
        let is_dead = |number: &u64, file: &FileState| {
            !live.contains_key(number) && !file.is_unreadable && file.doubtful.iter().all(is_newer)
        };
        let disk = &self.disk;
        self.files.retain(|number, file| !(is_dead(number, file) && disk.remove(&name_of(*number)).is_ok()));
        self.wants_carrying = !self.worth_carrying(&none).is_empty();
    }
}

/// The name of a checkpoint.
pub(super) fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX).filter(|number| number.len() == 16)?;
    u64::from_str_radix(number, 16).ok()
}

//! What a disk in memory holds, and what becomes of it when the power goes.

use std::collections::BTreeMap;
use std::io;

use crate::mem_disk::DiskCounters;
use crate::mem_file::{Choose, File, PAGE};

#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<u64, File>,
    pub(crate) names: BTreeMap<String, u64>,
    pub(crate) durable_names: BTreeMap<String, u64>,
    /// Changes of names that no sync of the directory has covered, in order.
    pub(crate) pending: Vec<NameChange>,
    pub(crate) next_file: u64,
    pub(crate) random: u64,
    /// Handles of an earlier life of the machine are dead.
    pub(crate) life: u64,
    pub(crate) capacity: Option<u64>,
    pub(crate) fail_syncs: Option<SyncFailure>,
    /// How many changes the disk still takes before the power goes.
    pub(crate) changes_left: Option<u64>,
    pub(crate) counters: DiskCounters,
}

/// How a sync fails.
#[derive(Clone, Copy)]
pub(crate) struct SyncFailure {
    /// How many syncs succeed before.
    pub(crate) after: u64,
    pub(crate) dirty: Dirty,
}

/// What becomes of the dirty sectors when a sync fails.
#[derive(Clone, Copy)]
pub(crate) enum Dirty {
    /// They stay dirty: a later sync writes them.
    Stays,
    /// They are clean and nothing will ever write them: the next sync reports success for nothing.
    Dropped,
    /// The same, but those that this seed chooses were written before.
    DroppedInPart(u64),
}

#[derive(Clone)]
pub(crate) enum NameChange {
    Set(String, u64),
    Unset(String),
    Rename(String, String, u64),
}

impl NameChange {
    pub(crate) fn apply(self, names: &mut BTreeMap<String, u64>) {
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
    pub(crate) fn allocated(&self) -> u64 {
        self.files.values().map(|file| file.length.next_multiple_of(PAGE as u64)).sum()
    }

    pub(crate) fn change_name(&mut self, change: NameChange, again: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(again);
    }

    /// Lengthens a file if there is room.
    pub(crate) fn grow(&mut self, id: u64, length: u64) -> io::Result<()> {
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

    pub(crate) fn crash(&mut self, choose: Choose<'_>) {
        self.life += 1;
        self.fail_syncs = None;
        self.changes_left = None;
        for change in std::mem::take(&mut self.pending) {
            if choose(2) == 1 {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let named: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        self.files.values_mut().for_each(|file| file.crash(choose));
    }

    /// Takes note of a change; an error once the power has gone.
    pub(crate) fn touch(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power has gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Whether this sync is the one that fails, and what becomes of dirty sectors.
    pub(crate) fn sync_fails(&mut self) -> Option<Dirty> {
        let failure = self.fail_syncs.as_mut()?;
        if failure.after > 0 {
            failure.after -= 1;
            return None;
        }
        self.fail_syncs.take().map(|failure| failure.dirty)
    }
}

/// A number that counts through all combinations of outcomes: one digit for each decision.
#[derive(Default)]
pub(crate) struct Digits {
    /// What was chosen, and of how many.
    digits: Vec<(u64, u64)>,
    at: usize,
}

impl Digits {
    pub(crate) fn next(&mut self, outcomes: u64) -> u64 {
        if self.at == self.digits.len() {
            self.digits.push((0, outcomes));
        }
        self.at += 1;
        self.digits[self.at - 1].0
    }

    pub(crate) fn increment(mut self) -> Option<Digits> {
        self.at = 0;
        while let Some((chosen, outcomes)) = self.digits.pop() {
            if chosen + 1 < outcomes {
                self.digits.push((chosen + 1, outcomes));
                return Some(self);
            }
        }
        None
    }
}

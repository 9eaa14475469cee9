//! A log in memory: it survives nothing, and is the model of what a log must do.

use std::collections::VecDeque;

use super::error::{Error, Result};
use super::log::RaftLog;
use super::types::{HardState, Index, LogEntry, Snapshot, Term};

/// A log in memory, for tests and for groups that may forget.
///
/// ```
/// use skep_raftstore::node::{LogEntry, MemoryLog, RaftLog};
///
/// # fn main() -> skep_raftstore::node::Result<()> {
/// let mut log = MemoryLog::new();
/// log.append(&[LogEntry::new(1, 1, b"a"), LogEntry::new(2, 2, b"b")])?;
/// assert_eq!((log.last_index(), log.last_term(), log.term_at(1)), (2, 2, Some(1)));
/// log.truncate(2)?;
/// assert_eq!(log.entry(2), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, Debug)]
pub struct MemoryLog {
    /// Index and term of what stands before the first entry.
    base: (Index, Term),
    entries: VecDeque<LogEntry>,
    hard_state: HardState,
    snapshot: Option<Snapshot>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn slot(&self, index: Index) -> Option<usize> {
        let slot = usize::try_from(index.checked_sub(self.base.0 + 1)?).ok()?;
        (slot < self.entries.len()).then_some(slot)
    }
}

impl RaftLog for MemoryLog {
    fn last_index(&self) -> Index {
        self.base.0 + self.entries.len() as u64
    }

    fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        self.slot(index).map(|slot| self.entries[slot].term)
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        self.slot(index).map(|slot| self.entries[slot].clone())
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        for entry in entries {
            let next = self.last_index() + 1;
            if entry.index != next || entry.term < self.last_term() {
                let what = format!("entry {} of term {} cannot stand at {next}", entry.index, entry.term);
                return Err(Error::storage("appending", what));
            }
            self.entries.push_back(entry.clone());
        }
        Ok(())
    }

    fn truncate(&mut self, from: Index) -> Result<()> {
        if from <= self.base.0 {
            return Err(Error::storage("truncating", format!("entry {from} is compacted")));
        }
        self.entries.truncate((from - self.base.0 - 1) as usize);
        Ok(())
    }

    fn hard_state(&self) -> HardState {
        self.hard_state
    }

    fn set_hard_state(&mut self, state: HardState) -> Result<()> {
        self.hard_state = state;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn snapshot_index(&self) -> Index {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.index)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>> {
        Ok(self.snapshot.clone())
    }

    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        if snapshot.index <= self.snapshot_index() {
            return Ok(());
        }
        if self.term_at(snapshot.index) != Some(snapshot.term) {
            self.entries.clear();
            self.base = (snapshot.index, snapshot.term);
        }
        self.snapshot = Some(snapshot.clone());
        Ok(())
    }

    fn base_index(&self) -> Index {
        self.base.0
    }

    fn compact(&mut self, through: Index) -> Result<()> {
        if through > self.snapshot_index() {
            return Err(Error::storage("compacting", format!("no snapshot contains entry {through}")));
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.index <= through) {
            self.base = (entry.index, entry.term);
        }
        Ok(())
    }
}

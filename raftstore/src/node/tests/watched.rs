//! A log in memory that counts what it is asked, knows whether it is synced, and fails when told to.

use std::cell::Cell;

use crate::node::{Error, HardState, Index, LogEntry, MemoryLog, RaftLog, Result, Snapshot, Term};

#[derive(Default)]
pub(super) struct Watched {
    pub(super) inner: MemoryLog,
    pub(super) syncs: Cell<u64>,
    pub(super) writes: Cell<u64>,
    /// Questions about single terms, and entries read.
    pub(super) reads: Cell<u64>,
    /// Something was written since the last sync.
    pub(super) is_dirty: Cell<bool>,
    pub(super) fails: Cell<bool>,
    /// Reads leave out this entry.
    pub(super) hole: Cell<Index>,
}

impl Watched {
    pub(super) fn with(inner: MemoryLog) -> Watched {
        Watched { inner, ..Watched::default() }
    }

    fn write(&self) {
        self.writes.set(self.writes.get() + 1);
        self.is_dirty.set(true);
    }

    fn read(&self, count: u64) {
        self.reads.set(self.reads.get() + count);
    }
}

impl RaftLog for Watched {
    fn last_index(&self) -> Index {
        self.inner.last_index()
    }

    fn term_at(&self, index: Index) -> Option<Term> {
        self.read(1);
        self.inner.term_at(index)
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        self.read(1);
        self.inner.entry(index)
    }

    fn entries(&self, from: Index, to: Index) -> Result<Vec<LogEntry>> {
        self.read(to + 1 - from);
        let mut entries = self.inner.entries(from, to)?;
        entries.retain(|entry| entry.index != self.hole.get());
        Ok(entries)
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        self.write();
        self.inner.append(entries)
    }

    fn truncate(&mut self, from: Index) -> Result<()> {
        self.write();
        self.inner.truncate(from)
    }

    fn hard_state(&self) -> HardState {
        self.inner.hard_state()
    }

    fn set_hard_state(&mut self, state: HardState) -> Result<()> {
        self.write();
        self.inner.set_hard_state(state)
    }

    fn sync(&mut self) -> Result<()> {
        if self.fails.get() {
            return Err(Error::storage("syncing", "the disk said no"));
        }
        self.syncs.set(self.syncs.get() + 1);
        self.is_dirty.set(false);
        Ok(())
    }

    fn snapshot_index(&self) -> Index {
        self.inner.snapshot_index()
    }

    fn snapshot(&self) -> Result<Option<Snapshot>> {
        self.inner.snapshot()
    }

    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.write();
        self.inner.apply_snapshot(snapshot)
    }

    fn base_index(&self) -> Index {
        self.inner.base_index()
    }

    fn compact(&mut self, through: Index) -> Result<()> {
        self.write();
        self.inner.compact(through)
    }
}

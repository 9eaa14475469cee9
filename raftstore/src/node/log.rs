//! What a node asks of the place where its log lives.

use super::error::{Error, Result};
use super::limits::COMMAND_BYTES_MAX;
use super::types::{HardState, Index, LogEntry, Snapshot, Term};

/// A log of one group: entries without a gap, term and vote, and one snapshot.
///
/// After `sync` has returned `Ok`, everything changed before it survives power loss. Changes can be read at once. After
/// an error nobody knows what the log holds: a node never uses it again.
///
/// Always true: `base_index() <= snapshot_index() <= last_index()`, and the log is empty below and at `base_index()`.
pub trait RaftLog {
    /// The last entry; the base if there is none.
    fn last_index(&self) -> Index;

    /// The term of the last entry, or of the base.
    fn last_term(&self) -> Term {
        self.term_at(self.last_index()).unwrap_or(0)
    }

    /// The term of the entry at `index`, or of the base; zero at zero; `None` outside of the log.
    fn term_at(&self, index: Index) -> Option<Term>;

    /// The entry at `index`.
    fn entry(&self, index: Index) -> Option<LogEntry>;

    /// The entries from `from` through `to`, every one of them, or an error that names what is missing.
    fn entries(&self, from: Index, to: Index) -> Result<Vec<LogEntry>> {
        let missing = |index| Error::storage("reading the log", format!("entry {index} is missing"));
        (from..=to).map(|index| self.entry(index).ok_or_else(|| missing(index))).collect()
    }

    /// The longest command it takes, in bytes. All nodes of a group should have logs that take the same.
    fn command_bytes_max(&self) -> usize {
        COMMAND_BYTES_MAX
    }

    /// Adds entries after the last one. A gap is an error.
    fn append(&mut self, entries: &[LogEntry]) -> Result<()>;

    /// Forgets the entry at `from`, which is above the base, and all after it.
    fn truncate(&mut self, from: Index) -> Result<()>;

    /// Term and vote.
    fn hard_state(&self) -> HardState;

    /// Replaces term and vote.
    fn set_hard_state(&mut self, state: HardState) -> Result<()>;

    /// Makes everything before it durable.
    fn sync(&mut self) -> Result<()>;

    /// The last entry that the snapshot contains; zero without one.
    fn snapshot_index(&self) -> Index;

    /// The snapshot.
    fn snapshot(&self) -> Result<Option<Snapshot>>;

    /// Replaces the snapshot by a newer one. If the log has its last entry, the entries stay; else all of them go, and
    /// the log goes on after it.
    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<()>;

    /// The log was compacted through here.
    fn base_index(&self) -> Index;

    /// Forgets the entries through `through`, which the snapshot contains.
    fn compact(&mut self, through: Index) -> Result<()>;
}

/// Where each term of a log begins, oldest first: found by bisection, since terms never fall along a log.
pub(super) fn term_runs(log: &impl RaftLog) -> Vec<(Index, Term)> {
    let (mut first, last) = (log.base_index() + 1, log.last_index());
    let mut runs = Vec::new();
    while first <= last {
        let Some(term) = log.term_at(first) else { break };
        runs.push((first, term));
        let (mut inside, mut outside) = (first, last + 1);
        while inside + 1 < outside {
            let middle = inside + (outside - inside) / 2;
            if log.term_at(middle) == Some(term) { inside = middle } else { outside = middle }
        }
        first = outside;
    }
    runs
}

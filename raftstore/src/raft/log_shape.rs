//! The shape of a log: where it begins, where it ends, and where its terms change.
//!
//! Entries live in the shell's log. What the protocol asks about them is answered from the runs of equal terms, of which
//! there are as many as there were elections since the last compaction, found by binary search.
//!
//! Invariants: the first run starts at `base.index + 1`; runs grow in index and in term; there is no run if and only if
//! `last == base.index`.

use super::types::{Index, LogPos, Term};

/// See the module's page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogShape {
    base: LogPos,
    runs: Vec<Run>,
    last: Index,
}

/// Entries of one term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: Index,
    term: Term,
}

impl LogShape {
    /// A log that is compacted through `base`, ends at `last`, and changes terms at `runs`.
    pub fn new(base: LogPos, runs: &[(Index, Term)], last: Index) -> LogShape {
        let last = last.max(base.index);
        let above = last > base.index;
        let runs = runs.iter().filter(|run| above && run.0 <= last).map(|&(first, term)| Run { first, term });
        let mut shape = LogShape { base, runs: runs.collect(), last };
        // A run that begins below the base is cut at it: compaction may stop within a term.
        let below = shape.runs.partition_point(|run| run.first <= shape.first());
        shape.runs.drain(..below.saturating_sub(1));
        if let Some(run) = shape.runs.first_mut() {
            run.first = base.index.next();
        }
        debug_assert!(shape.runs.is_sorted_by(|a, b| a.first < b.first && a.term < b.term), "{shape:?}");
        debug_assert!(shape.runs.is_empty() == (shape.last == base.index), "{shape:?}");
        shape
    }

    /// What the log is compacted through.
    pub const fn base(&self) -> LogPos {
        self.base
    }

    /// The first index that is or would be in the log.
    pub const fn first(&self) -> Index {
        self.base.index.next()
    }

    /// The last entry, or the base.
    pub fn last(&self) -> LogPos {
        LogPos { index: self.last, term: self.runs.last().map_or(self.base.term, |run| run.term) }
    }

    /// The term at `index`, if it is in the log or its base.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last || index < self.base.index {
            return None;
        }
        // Almost every question is about the newest term.
        match self.runs.last() {
            Some(run) if run.first <= index => Some(run.term),
            _ => match self.runs.partition_point(|run| run.first <= index) {
                0 => Some(self.base.term),
                after => Some(self.runs[after - 1].term),
            },
        }
    }

    /// Whether the entry at `pos` is in the log (or its base).
    pub fn contains(&self, pos: LogPos) -> bool {
        self.term_at(pos.index) == Some(pos.term)
    }

    /// Whether a log that ends at `other` is at least as new as this one (5.4.1).
    pub fn is_up_to_date(&self, other: LogPos) -> bool {
        let own = self.last();
        (other.term, other.index) >= (own.term, own.index)
    }

    /// The last entry that is neither above `pos.index` nor of a term above `pos.term`; the base if there is none.
    ///
    /// Two logs that ask each other this question skip a whole term per round (5.3).
    pub fn last_not_above(&self, pos: LogPos) -> LogPos {
        let index = pos.index.min(self.last);
        let after = self.runs.partition_point(|run| run.first <= index && run.term <= pos.term);
        let Some(run) = after.checked_sub(1).map(|at| self.runs[at]) else { return self.base };
        let end = self.runs.get(after).map_or(self.last, |next| next.first.prev());
        LogPos { index: index.min(end), term: run.term }
    }

    /// Adds `count` entries of `term`, which is not below the last one's.
    pub fn extend(&mut self, term: Term, count: u64) {
        if count == 0 {
            return;
        }
        let last = self.last();
        debug_assert!(term >= last.term, "terms grow along a log: {term:?} after {last:?}");
        if self.runs.is_empty() || last.term != term {
            self.runs.push(Run { first: self.last.next(), term });
        }
        self.last.0 += count;
    }

    /// Forgets the entries at `from`, which is above the base, and after.
    pub fn truncate(&mut self, from: Index) {
        debug_assert!(from > self.base.index, "{from:?} is compacted");
        self.last = self.last.min(from.prev());
        let kept = self.runs.partition_point(|run| run.first <= self.last);
        self.runs.truncate(kept);
    }

    /// Forgets the entries through `to`. False, and nothing happens, if `to` is not in the log.
    pub fn compact(&mut self, to: LogPos) -> bool {
        if !self.contains(to) {
            return false;
        }
        let below = self.runs.partition_point(|run| run.first <= to.index.next());
        self.runs.drain(..below.saturating_sub(1));
        self.base = to;
        match self.runs.first_mut() {
            Some(_) if to.index == self.last => self.runs.clear(),
            Some(run) => run.first = to.index.next(),
            None => {}
        }
        true
    }

    /// Forgets everything and goes on after `at`.
    pub fn restart(&mut self, at: LogPos) {
        *self = LogShape { base: at, runs: Vec::new(), last: at.index };
    }
}

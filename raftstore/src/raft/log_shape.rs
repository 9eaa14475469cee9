//! The shape of a log: where it begins, where it ends, and where its terms change.
//!
//! Entries live in the shell's log. What the protocol asks about them is answered from the runs of equal terms, of which
//! there are as many as there were elections since the last compaction, found by binary search.
//!
//! Most logs have one run, so the newest costs no memory of its own.
//!
//! Invariants: the first run starts at `base.index + 1`; runs grow in index and in term. If `last == base.index` there is one
//! run without entries, of the base's term.

use super::types::{Index, LogPos, Term};

/// See the module's page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogShape {
    base: LogPos,
    last: Index,
    newest: Run,
    /// All before the newest; `None` if there are none.
    #[expect(
        clippy::box_collection,
        reason = "a third of the size where there is none, which is almost everywhere"
    )]
    older: Option<Box<Vec<Run>>>,
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
        let mut shape = LogShape::empty(base);
        for (at, &(_, term)) in runs.iter().enumerate() {
            let end = runs.get(at + 1).map_or(last, |next| next.0.prev().min(last));
            // A run that begins below the base is cut at it: compaction may stop within a term.
            shape.extend(term, end.0.saturating_sub(shape.last.0));
        }
        debug_assert!(shape.last == last, "{runs:?} do not reach from {base:?} to {last:?}");
        shape.last = last;
        shape
    }

    const fn empty(base: LogPos) -> LogShape {
        let newest = Run { first: base.index.next(), term: base.term };
        LogShape { base, last: base.index, newest, older: None }
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
    pub const fn last(&self) -> LogPos {
        LogPos { index: self.last, term: self.newest.term }
    }

    /// The term at `index`, if it is in the log or its base.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last || index < self.base.index {
            return None;
        }
        // Almost every question is about the newest term.
        if self.newest.first <= index {
            return Some(self.newest.term);
        }
        match self.older().partition_point(|run| run.first <= index) {
            0 => Some(self.base.term),
            after => Some(self.older()[after - 1].term),
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
        let is_not_above = |run: &Run| run.first <= index && run.term <= pos.term;
        if is_not_above(&self.newest) {
            return LogPos { index, term: self.newest.term };
        }
        let after = self.older().partition_point(is_not_above);
        let Some(run) = after.checked_sub(1).map(|at| self.older()[at]) else { return self.base };
        let end = self.older().get(after).unwrap_or(&self.newest).first.prev();
        LogPos { index: index.min(end), term: run.term }
    }

    /// Adds `count` entries of `term`, which is not below the last one's.
    pub fn extend(&mut self, term: Term, count: u64) {
        if count == 0 {
            return;
        }
        debug_assert!(term >= self.newest.term, "terms grow along a log: {term:?} after {:?}", self.last());
        if self.newest.term != term {
            if self.newest.first <= self.last {
                self.older.get_or_insert_default().push(self.newest);
            }
            self.newest = Run { first: self.last.next(), term };
        }
        self.last.0 += count;
    }

    /// Forgets the entries at `from`, which is above the base, and after.
    pub fn truncate(&mut self, from: Index) {
        debug_assert!(from > self.base.index, "{from:?} is compacted");
        self.last = self.last.min(from.prev());
        while self.newest.first > self.last {
            match self.older.as_mut().and_then(|older| older.pop()) {
                Some(run) => self.newest = run,
                None => return *self = LogShape::empty(self.base),
            }
        }
        self.older.take_if(|older| older.is_empty());
    }

    /// Forgets the entries through `to`. False, and nothing happens, if `to` is not in the log.
    pub fn compact(&mut self, to: LogPos) -> bool {
        if !self.contains(to) {
            return false;
        }
        let first = to.index.next();
        self.base = to;
        if to.index == self.last {
            self.restart(to);
        } else if self.newest.first <= first {
            self.newest.first = first;
            self.older = None;
        } else if let Some(older) = &mut self.older {
            let below = older.partition_point(|run| run.first <= first);
            older.drain(..below.saturating_sub(1));
            older[0].first = first;
        }
        true
    }

    /// Forgets everything and goes on after `at`.
    pub fn restart(&mut self, at: LogPos) {
        *self = LogShape::empty(at);
    }

    fn older(&self) -> &[Run] {
        self.older.as_ref().map_or(&[], |older| older)
    }
}

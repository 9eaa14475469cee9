//! What the log knows about one stream, and how each record changes it. No file is touched here.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::StreamId;
use crate::error::{Damage, DamagedPart};
use crate::format::RECORD_OVERHEAD_BYTES;
use crate::live::Live;

/// Entries of one term that stand in one record, or the part of them that is still needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) term: u64,
    pub(crate) segment: u32,
    /// Where the record's body begins in the segment file.
    pub(crate) offset: u32,
    /// Bytes of the whole body.
    pub(crate) bytes: u32,
    pub(crate) count: u16,
    /// Entries of the record that stand before `first` and are not needed any more.
    pub(crate) skip: u16,
}

const _: () = assert!(size_of::<Run>() == 32);

impl Run {
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// What it counts for: its body, and what its record takes beside it.
    fn cost(&self) -> u64 {
        u64::from(self.bytes) + RECORD_OVERHEAD_BYTES
    }

    /// The part from `first` through `last`, if anything of it is in here.
    pub(crate) fn part(&self, first: u64, last: u64) -> Option<Run> {
        let (from, through) = (self.first.max(first), self.last().min(last));
        if from > through {
            return None;
        }
        let skipped = (from - self.first) as u16;
        Some(Run { first: from, count: (through - from + 1) as u16, skip: self.skip + skipped, ..*self })
    }
}

/// A state and the segment it was last written to.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) segment: u32,
    pub(crate) bytes: Bytes,
}

impl Held {
    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + RECORD_OVERHEAD_BYTES
    }
}

/// One stream.
///
/// What is always true outside recovery:
/// - the runs touch each other and begin right after the base;
/// - every run, state and base, and the mark of damage, is counted once in the segment it stands in.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) base: (u64, u64),
    /// The segment that says so; 0 when nothing has to.
    pub(crate) base_segment: u32,
    pub(crate) runs: VecDeque<Run>,
    /// No run stands in a segment older than this one.
    pub(crate) runs_oldest: u32,
    pub(crate) hard_state: Option<Held>,
    pub(crate) states: Vec<(u8, Held)>,
    pub(crate) damaged: Option<Box<Damage>>,
    /// The end of the log as it will be after the batch of this number; used while a batch is checked.
    pub(crate) pending: Pending,
}

/// Where a stream will begin and end once a batch has taken effect.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Pending {
    pub(crate) batch: u64,
    pub(crate) base: u64,
    pub(crate) last: u64,
}

impl Stream {
    pub(crate) fn new(id: StreamId) -> Stream {
        Stream {
            id,
            base: (0, 0),
            base_segment: 0,
            runs: VecDeque::new(),
            runs_oldest: 0,
            hard_state: None,
            states: Vec::new(),
            damaged: None,
            pending: Pending::default(),
        }
    }

    /// Whether nothing is known about it.
    pub(crate) fn is_blank(&self) -> bool {
        self.base_segment == 0
            && self.runs.is_empty()
            && self.hard_state.is_none()
            && self.states.is_empty()
            && self.damaged.is_none()
    }

    /// Index and term of the last entry, or of the base when there is none.
    pub(crate) fn last(&self) -> (u64, u64) {
        self.runs.back().map_or(self.base, |run| (run.last(), run.term))
    }

    /// The run that holds `index`, counted from the first.
    pub(crate) fn run_of(&self, index: u64) -> Option<usize> {
        let at = self.runs.partition_point(|run| run.last() < index);
        self.runs.get(at).filter(|run| run.first <= index).map(|_| at)
    }

    /// Entries that replace what stands at their first index and above.
    pub(crate) fn put_run(&mut self, run: Run, live: &mut Live) {
        self.truncate(run.first, live);
        self.push_sorted(self.runs.len(), run, live);
        if run.first <= self.base.0 {
            self.drop_through(self.base.0, live);
        }
    }

    /// Entries that were written again elsewhere: they take the place of themselves and of nothing else.
    pub(crate) fn put_carried(&mut self, run: Run, live: &mut Live) {
        let mut at = self.runs.partition_point(|other| other.last() < run.first);
        while let Some(old) = self.runs.get(at).copied().filter(|old| old.first <= run.last()) {
            self.runs.remove(at);
            if run.first > 0
                && let Some(before) = old.part(0, run.first - 1)
            {
                self.push_sorted(at, before, live);
                at += 1;
            }
            if let Some(after) = old.part(run.last() + 1, u64::MAX) {
                self.push_sorted(at, after, live);
            }
            live.sub(old.segment, old.cost());
        }
        self.push_sorted(at, run, live);
    }

    fn push_sorted(&mut self, at: usize, run: Run, live: &mut Live) {
        if self.runs.is_empty() || run.segment < self.runs_oldest {
            self.runs_oldest = run.segment;
        }
        live.add(run.segment, run.cost());
        if at == self.runs.len() { self.runs.push_back(run) } else { self.runs.insert(at, run) }
    }

    /// Forgets the entries from `first` on.
    pub(crate) fn truncate(&mut self, first: u64, live: &mut Live) {
        while let Some(run) = self.runs.back_mut()
            && run.last() >= first
        {
            if run.first < first {
                run.count = (first - run.first) as u16;
                return;
            }
            live.sub(run.segment, run.cost());
            self.runs.pop_back();
        }
    }

    /// Forgets the entries through `index`. An older base than the one that stands is no news.
    pub(crate) fn compact(&mut self, (index, term): (u64, u64), segment: u32, live: &mut Live) {
        if index >= self.base.0 {
            self.set_base((index, term), segment, live);
            self.drop_through(index, live);
        }
    }

    fn drop_through(&mut self, index: u64, live: &mut Live) {
        while let Some(run) = self.runs.front_mut()
            && run.first <= index
        {
            if let Some(rest) = run.part(index.saturating_add(1), u64::MAX) {
                *run = rest;
                return;
            }
            live.sub(run.segment, run.cost());
            self.runs.pop_front();
        }
    }

    /// Forgets all entries and goes on after `base`.
    pub(crate) fn restart(&mut self, base: (u64, u64), segment: u32, live: &mut Live) {
        self.truncate(0, live);
        self.set_base(base, segment, live);
    }

    fn set_base(&mut self, base: (u64, u64), segment: u32, live: &mut Live) {
        self.drop_base(live);
        self.base = base;
        self.base_segment = segment;
        live.add(segment, RECORD_OVERHEAD_BYTES);
    }

    fn drop_base(&mut self, live: &mut Live) {
        if self.base_segment != 0 {
            live.sub(self.base_segment, RECORD_OVERHEAD_BYTES);
        }
        self.base = (0, 0);
        self.base_segment = 0;
    }

    /// Replaces the hard state.
    pub(crate) fn set_hard_state(&mut self, held: Held, live: &mut Live) {
        live.add(held.segment, held.cost());
        if let Some(old) = self.hard_state.replace(held) {
            live.sub(old.segment, old.cost());
        }
    }

    /// The hard state stands in another segment too, and counts there from now on; false if it is not these bytes.
    pub(crate) fn move_hard_state(&mut self, segment: u32, bytes: &[u8], live: &mut Live) -> bool {
        let Some(held) = self.hard_state.as_mut().filter(|held| held.bytes == bytes) else { return false };
        live.sub(held.segment, held.cost());
        held.segment = segment;
        live.add(segment, held.cost());
        true
    }

    /// Replaces a named state.
    pub(crate) fn set_state(&mut self, name: u8, held: Held, live: &mut Live) {
        live.add(held.segment, held.cost());
        match self.states.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => {
                live.sub(old.segment, old.cost());
                *old = held;
            }
            None => self.states.push((name, held)),
        }
    }

    /// Marks the stream as hit. The first mark stays; it is widened if more was hit.
    pub(crate) fn set_damaged(&mut self, damage: &Damage, live: &mut Live) {
        match &mut self.damaged {
            Some(known) if damage.what == DamagedPart::Anything => known.what = DamagedPart::Anything,
            Some(_) => {}
            None => {
                // The mark must be found again after every restart, so the segment that shows it is kept.
                live.add(damage.segment as u32, 0);
                self.damaged = Some(Box::new(damage.clone()));
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, live: &mut Live) {
        self.truncate(0, live);
        self.drop_base(live);
        if let Some(old) = self.hard_state.take() {
            live.sub(old.segment, old.cost());
        }
        for (_, old) in self.states.drain(..) {
            live.sub(old.segment, old.cost());
        }
        if let Some(old) = self.damaged.take() {
            live.sub(old.segment as u32, 0);
        }
    }

    /// Cuts the runs where they stop touching each other; says after which index that was.
    pub(crate) fn cut_at_hole(&mut self, live: &mut Live) -> Option<u64> {
        let mut last = self.base.0;
        for run in &self.runs {
            if run.first != last + 1 {
                self.truncate(last + 1, live);
                return Some(last);
            }
            last = run.last();
        }
        None
    }

    /// The oldest segment with entries of this stream.
    pub(crate) fn oldest_run(&mut self) -> Option<u32> {
        self.runs_oldest = self.runs.iter().map(|run| run.segment).min()?;
        Some(self.runs_oldest)
    }

    /// The distinct terms of the entries and where each begins.
    pub(crate) fn terms(&self) -> Vec<(u64, u64)> {
        let mut terms: Vec<(u64, u64)> = Vec::new();
        for run in &self.runs {
            if terms.last().is_none_or(|(_, term)| *term != run.term) {
                terms.push((run.first, run.term));
            }
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, count: u16, segment: u32) -> Run {
        Run { first, term: 1, segment, offset: 4096, bytes: 100, count, skip: 0 }
    }

    fn live(segments: u32) -> Live {
        let mut live = Live::default();
        (1..=segments).for_each(|number| live.push(number));
        live
    }

    fn items(live: &Live) -> Vec<u64> {
        live.iter().map(|segment| segment.items).collect()
    }

    /// A run in the middle is written again: only its place changes, and what stands after it stays.
    #[test]
    fn carrying_never_truncates() {
        let (mut stream, mut live) = (Stream::new(StreamId(1)), live(4));
        stream.put_run(run(1, 10, 1), &mut live);
        stream.put_run(run(11, 10, 2), &mut live);
        stream.put_carried(run(4, 3, 4), &mut live);
        let spans: Vec<_> =
            stream.runs.iter().map(|run| (run.first, run.count, run.skip, run.segment)).collect();
        assert_eq!(spans, [(1, 3, 0, 1), (4, 3, 0, 4), (7, 4, 6, 1), (11, 10, 0, 2)]);
        assert_eq!(items(&live), [2, 1, 0, 1]);
        assert_eq!(stream.cut_at_hole(&mut live), None);
    }

    /// During recovery the carried prefix may come after entries whose predecessors are gone.
    #[test]
    fn a_carried_prefix_fills_the_hole() {
        let (mut stream, mut live) = (Stream::new(StreamId(1)), live(3));
        stream.put_run(run(5, 2, 2), &mut live);
        stream.put_carried(run(1, 4, 3), &mut live);
        assert_eq!(stream.last(), (6, 1));
        assert_eq!(stream.cut_at_hole(&mut live), None);
    }

    /// Counters go back to zero however a stream ends.
    #[test]
    fn counters_balance() {
        let (mut stream, mut live) = (Stream::new(StreamId(1)), live(2));
        stream.put_run(run(1, 10, 1), &mut live);
        stream.compact((4, 1), 1, &mut live);
        stream.put_run(run(8, 10, 2), &mut live);
        stream.set_hard_state(Held { segment: 1, bytes: Bytes::from_static(b"x") }, &mut live);
        stream.set_hard_state(Held { segment: 2, bytes: Bytes::from_static(b"y") }, &mut live);
        stream.set_state(3, Held { segment: 2, bytes: Bytes::from_static(b"z") }, &mut live);
        assert_eq!((stream.base, stream.last()), ((4, 1), (17, 1)));
        assert_eq!(items(&live), [2, 3]);
        stream.restart((100, 2), 2, &mut live);
        assert_eq!(items(&live), [0, 3]);
        stream.clear(&mut live);
        assert!(stream.is_blank());
        assert_eq!((items(&live), live.bytes()), (vec![0, 0], 0));
    }
}

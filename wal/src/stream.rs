//! What the log knows about one stream, and how each record changes it. No file is touched here.

use bytes::Bytes;

use crate::StreamId;
use crate::error::{Damage, DamagedPart};
use crate::format::RECORD_OVERHEAD_BYTES;
use crate::live::Live;
use crate::runs::{Run, RunPool, Runs};

/// What the streams have in common: the counters of the segments, and the memory of their runs.
#[derive(Default, Debug)]
pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) pool: RunPool,
}

/// A state and the segment it was last written to.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) segment: u32,
    pub(crate) bytes: Box<[u8]>,
}

impl Held {
    pub(crate) fn new(segment: u32, bytes: &[u8]) -> Held {
        Held { segment, bytes: bytes.into() }
    }

    /// The bytes, for somebody else.
    pub(crate) fn copy(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }

    fn cost(&self) -> u64 {
        Held::cost_of(&self.bytes)
    }

    fn cost_of(bytes: &[u8]) -> u64 {
        bytes.len() as u64 + RECORD_OVERHEAD_BYTES
    }
}

/// One stream. There are as many as a log has, most of them idle: what few of them have stands apart.
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
    /// No run stands in a segment older than this one.
    pub(crate) runs_oldest: u32,
    pub(crate) runs: Runs,
    pub(crate) hard_state: Option<Held>,
    rare: Option<Box<Rare>>,
    /// Used while a batch is checked: where in the list of its streams this one stands, if it is one of them.
    pub(crate) pending: u32,
}

const _: () = assert!(size_of::<Stream>() == 112);

/// What only few streams have, or have for long.
#[derive(Default, Debug)]
struct Rare {
    states: Vec<(u8, Held)>,
    damaged: Option<Damage>,
}

impl Stream {
    pub(crate) fn new(id: StreamId) -> Stream {
        Stream {
            id,
            base: (0, 0),
            base_segment: 0,
            runs_oldest: 0,
            runs: Runs::None,
            hard_state: None,
            rare: None,
            pending: 0,
        }
    }

    /// Whether nothing is known about it.
    pub(crate) fn is_blank(&self) -> bool {
        self.base_segment == 0 && self.runs.is_empty() && self.hard_state.is_none() && self.rare.is_none()
    }

    /// Its named states.
    pub(crate) fn states(&self) -> &[(u8, Held)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.states)
    }

    /// What recovery, or a reader, found hit.
    pub(crate) fn damaged(&self) -> Option<&Damage> {
        self.rare.as_ref()?.damaged.as_ref()
    }

    /// Index and term of the last entry, or of the base when there is none.
    pub(crate) fn last(&self, pool: &RunPool) -> (u64, u64) {
        self.runs.last(pool).map_or(self.base, |run| (run.last(), run.term))
    }

    /// The run that holds `index`, counted from the first.
    pub(crate) fn run_of(&self, index: u64, pool: &RunPool) -> Option<usize> {
        let at = self.runs.partition_point(pool, |run| run.last() < index);
        self.runs.get(at, pool).filter(|run| run.first <= index).map(|_| at)
    }

    /// Whether exactly this run is one of them.
    pub(crate) fn holds(&self, run: &Run, pool: &RunPool) -> bool {
        self.run_of(run.first, pool).is_some_and(|at| self.runs.get(at, pool) == Some(run))
    }

    /// Entries that replace what stands at their first index and above.
    pub(crate) fn put_run(&mut self, run: Run, shared: &mut Shared) {
        self.truncate(run.first, shared);
        self.push(run, shared);
        if run.first <= self.base.0 {
            self.drop_through(self.base.0, shared);
        }
    }

    /// Entries that were written again elsewhere: they take the place of themselves and of nothing else.
    pub(crate) fn put_carried(&mut self, run: Run, shared: &mut Shared) {
        let at = self.runs.partition_point(&shared.pool, |other| other.last() < run.first);
        match self.runs.get(at, &shared.pool).copied() {
            None => self.push(run, shared),
            // Where it is carried while the log runs, it is whole.
            Some(old) if (old.first, old.count) == (run.first, run.count) => {
                shared.live.sub(old.segment, old.cost());
                shared.live.add(run.segment, run.cost());
                self.runs_oldest = self.runs_oldest.min(run.segment);
                self.runs.get_mut(at, &mut shared.pool).into_iter().for_each(|old| *old = run);
            }
            Some(next) if next.first > run.last() => {
                shared.live.add(run.segment, run.cost());
                self.runs_oldest = self.runs_oldest.min(run.segment);
                self.runs.insert(at, run, &mut shared.pool);
            }
            Some(_) => self.lay_over(at, run, shared),
        }
    }

    /// Puts a run in the place of the same entries in the runs from `at` on, of which it covers some in part. O(runs).
    fn lay_over(&mut self, at: usize, run: Run, shared: &mut Shared) {
        let mut runs: Vec<Run> = self.runs.iter(&shared.pool).copied().collect();
        let hit = runs[at..].iter().take_while(|old| old.first <= run.last()).count();
        let old = &runs[at..at + hit];
        let before = old.first().and_then(|old| old.part(0, run.first.checked_sub(1)?));
        let after = old.last().and_then(|old| old.part(run.last() + 1, u64::MAX));
        old.iter().for_each(|old| shared.live.sub(old.segment, old.cost()));
        let new: Vec<Run> = before.into_iter().chain([run]).chain(after).collect();
        new.iter().for_each(|new| shared.live.add(new.segment, new.cost()));
        self.runs_oldest = self.runs_oldest.min(run.segment);
        runs.splice(at..at + hit, new);
        self.runs.replace(runs, &mut shared.pool);
    }

    fn push(&mut self, run: Run, shared: &mut Shared) {
        if self.runs.is_empty() || run.segment < self.runs_oldest {
            self.runs_oldest = run.segment;
        }
        shared.live.add(run.segment, run.cost());
        self.runs.push(run, &mut shared.pool);
    }

    /// Forgets the entries from `first` on.
    pub(crate) fn truncate(&mut self, first: u64, shared: &mut Shared) {
        while let Some(run) = self.runs.last_mut(&mut shared.pool)
            && run.last() >= first
        {
            if run.first < first {
                run.count = (first - run.first) as u16;
                return;
            }
            shared.live.sub(run.segment, run.cost());
            self.runs.pop(&mut shared.pool);
        }
    }

    /// Forgets the entries through `index`. An older base than the one that stands is no news.
    pub(crate) fn compact(&mut self, (index, term): (u64, u64), segment: u32, shared: &mut Shared) {
        if index >= self.base.0 {
            self.set_base((index, term), segment, shared);
            self.drop_through(index, shared);
        }
    }

    fn drop_through(&mut self, index: u64, shared: &mut Shared) {
        while let Some(run) = self.runs.get_mut(0, &mut shared.pool)
            && run.first <= index
        {
            if let Some(rest) = run.part(index.saturating_add(1), u64::MAX) {
                *run = rest;
                return;
            }
            shared.live.sub(run.segment, run.cost());
            self.runs.pop_first(&mut shared.pool);
        }
    }

    /// Forgets all entries and goes on after `base`.
    pub(crate) fn restart(&mut self, base: (u64, u64), segment: u32, shared: &mut Shared) {
        self.drop_runs(shared);
        self.set_base(base, segment, shared);
    }

    fn drop_runs(&mut self, shared: &mut Shared) {
        let Shared { live, pool } = shared;
        self.runs.iter(pool).for_each(|run| live.sub(run.segment, run.cost()));
        self.runs.clear(pool);
    }

    fn set_base(&mut self, base: (u64, u64), segment: u32, shared: &mut Shared) {
        self.drop_base(shared);
        self.base = base;
        self.base_segment = segment;
        shared.live.add(segment, RECORD_OVERHEAD_BYTES);
    }

    fn drop_base(&mut self, shared: &mut Shared) {
        if self.base_segment != 0 {
            shared.live.sub(self.base_segment, RECORD_OVERHEAD_BYTES);
        }
        self.base = (0, 0);
        self.base_segment = 0;
    }

    /// Replaces the hard state.
    pub(crate) fn set_hard_state(&mut self, segment: u32, bytes: &[u8], shared: &mut Shared) {
        if let Some(old) = &self.hard_state {
            shared.live.sub(old.segment, old.cost());
        }
        match &mut self.hard_state {
            Some(held) if held.bytes.len() == bytes.len() => {
                held.bytes.copy_from_slice(bytes);
                held.segment = segment;
            }
            other => *other = Some(Held::new(segment, bytes)),
        }
        shared.live.add(segment, Held::cost_of(bytes));
    }

    /// Replaces a named state.
    pub(crate) fn set_state(&mut self, name: u8, held: Held, shared: &mut Shared) {
        shared.live.add(held.segment, held.cost());
        let states = &mut self.rare.get_or_insert_default().states;
        match states.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => {
                shared.live.sub(old.segment, old.cost());
                *old = held;
            }
            None => {
                states.reserve_exact(1);
                states.push((name, held));
            }
        }
    }

    /// Marks the stream as hit. The first mark stays; it is widened if more was hit.
    pub(crate) fn set_damaged(&mut self, damage: &Damage, shared: &mut Shared) {
        match &mut self.rare.get_or_insert_default().damaged {
            Some(known) if damage.what == DamagedPart::Anything => known.what = DamagedPart::Anything,
            Some(_) => {}
            unmarked => {
                // The mark must be found again after every restart, so the segment that shows it is kept.
                shared.live.add(damage.segment as u32, 0);
                *unmarked = Some(damage.clone());
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, shared: &mut Shared) {
        self.drop_runs(shared);
        self.drop_base(shared);
        let rare = self.rare.take().unwrap_or_default();
        for old in self.hard_state.take().iter().chain(rare.states.iter().map(|(_, held)| held)) {
            shared.live.sub(old.segment, old.cost());
        }
        if let Some(old) = rare.damaged {
            shared.live.sub(old.segment as u32, 0);
        }
    }

    /// Cuts the runs where they stop touching each other; says after which index that was.
    pub(crate) fn cut_at_hole(&mut self, shared: &mut Shared) -> Option<u64> {
        let mut end = self.base.0;
        let has_hole = self.runs.iter(&shared.pool).any(|run| {
            let touches = run.first == end + 1;
            if touches {
                end = run.last();
            }
            !touches
        });
        has_hole.then(|| {
            self.truncate(end + 1, shared);
            end
        })
    }

    /// The oldest segment with entries of this stream.
    pub(crate) fn oldest_run(&mut self, pool: &RunPool) -> Option<u32> {
        self.runs_oldest = self.runs.iter(pool).map(|run| run.segment).min()?;
        Some(self.runs_oldest)
    }

    /// The distinct terms of the entries and where each begins.
    pub(crate) fn terms(&self, pool: &RunPool) -> Vec<(u64, u64)> {
        let mut terms: Vec<(u64, u64)> = Vec::new();
        for run in self.runs.iter(pool) {
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

    fn shared(segments: u32) -> Shared {
        let mut shared = Shared::default();
        (1..=segments).for_each(|number| shared.live.push(number));
        shared
    }

    fn items(shared: &Shared) -> Vec<u64> {
        shared.live.iter().map(|segment| segment.items).collect()
    }

    /// A run in the middle is written again: only its place changes, and what stands after it stays.
    #[test]
    fn carrying_never_truncates() {
        let (mut stream, mut shared) = (Stream::new(StreamId(1)), shared(4));
        stream.put_run(run(1, 10, 1), &mut shared);
        stream.put_run(run(11, 10, 2), &mut shared);
        stream.put_carried(run(4, 3, 4), &mut shared);
        let spans: Vec<_> =
            stream.runs.iter(&shared.pool).map(|run| (run.first, run.count, run.skip, run.segment)).collect();
        assert_eq!(spans, [(1, 3, 0, 1), (4, 3, 0, 4), (7, 4, 6, 1), (11, 10, 0, 2)]);
        assert_eq!(items(&shared), [2, 1, 0, 1]);
        assert_eq!(stream.cut_at_hole(&mut shared), None);
    }

    /// During recovery the carried prefix may come after entries whose predecessors are gone.
    #[test]
    fn a_carried_prefix_fills_the_hole() {
        let (mut stream, mut shared) = (Stream::new(StreamId(1)), shared(3));
        stream.put_run(run(5, 2, 2), &mut shared);
        stream.put_carried(run(1, 4, 3), &mut shared);
        assert_eq!(stream.last(&shared.pool), (6, 1));
        assert_eq!(stream.cut_at_hole(&mut shared), None);
    }

    /// Counters go back to zero however a stream ends.
    #[test]
    fn counters_balance() {
        let (mut stream, mut shared) = (Stream::new(StreamId(1)), shared(2));
        stream.put_run(run(1, 10, 1), &mut shared);
        stream.compact((4, 1), 1, &mut shared);
        stream.put_run(run(8, 10, 2), &mut shared);
        stream.set_hard_state(1, b"x", &mut shared);
        stream.set_hard_state(2, b"y", &mut shared);
        stream.set_state(3, Held::new(2, b"z"), &mut shared);
        assert_eq!((stream.base, stream.last(&shared.pool)), ((4, 1), (17, 1)));
        assert_eq!(items(&shared), [2, 3]);
        stream.restart((100, 2), 2, &mut shared);
        assert_eq!(items(&shared), [0, 3]);
        stream.clear(&mut shared);
        assert!(stream.is_blank());
        assert_eq!((items(&shared), shared.live.bytes()), (vec![0, 0], 0));
    }
}

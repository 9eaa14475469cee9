//! The runs of a stream. Most streams are idle and have one, which stands in place. More stand in chunks that all streams
//! share, so that a stream that grows asks for no memory of its own and nothing is moved: a few chunks say each which is
//! the next, many are listed in a directory.

use std::collections::VecDeque;

use crate::format::RECORD_OVERHEAD_BYTES;
use crate::paged::Paged;

/// Runs in a chunk.
const CHUNK_RUNS: usize = 4;
/// So many runs stand in a chain at most: finding one there is a walk.
const FEW_MAX: usize = 32;
/// The directory of a stream that has no more runs than this is given up.
const FEW_AGAIN: usize = 8;

/// Entries of one term that stand in one record, or the part of them that is still needed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
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

const _: () = assert!(size_of::<Run>() == 32 && size_of::<Runs>() == 40);

impl Run {
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// What it counts for: its body, and what its record takes beside it.
    pub(crate) fn cost(&self) -> u64 {
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

/// The runs of one stream, oldest first.
#[derive(Default, Debug)]
pub(crate) enum Runs {
    #[default]
    None,
    One(Run),
    Few(Chain),
    Many(Box<Directory>),
}

/// Runs in chunks of a pool, each of which says which is the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    /// Where in the first chunk the first run stands.
    start: u8,
    count: u8,
}

/// Runs in chunks of a pool, all of which are listed here.
#[derive(Debug)]
pub(crate) struct Directory {
    chunks: VecDeque<u32>,
    /// Where in the first chunk the first run stands.
    start: usize,
    count: usize,
}

impl Directory {
    fn end(&self) -> usize {
        self.start + self.count
    }

    /// Where a run stands: its chunk, and its place in there.
    fn place(&self, at: usize) -> (u32, usize) {
        let place = self.start + at;
        (self.chunks[place / CHUNK_RUNS], place % CHUNK_RUNS)
    }
}

impl Chain {
    fn end(self) -> usize {
        usize::from(self.start) + usize::from(self.count)
    }
}

/// The chunks of all streams. What was needed once is kept for reuse.
#[derive(Debug)]
pub(crate) struct RunPool {
    chunks: Paged<Chunk>,
    free: u32,
}

#[derive(Debug)]
struct Chunk {
    runs: [Run; CHUNK_RUNS],
    next: u32,
}

/// The number of no chunk.
const NO_CHUNK: u32 = u32::MAX;

impl Default for RunPool {
    fn default() -> RunPool {
        RunPool { chunks: Paged::default(), free: NO_CHUNK }
    }
}

impl RunPool {
    fn take(&mut self) -> u32 {
        if self.free == NO_CHUNK {
            return self.chunks.push(Chunk { runs: Default::default(), next: NO_CHUNK });
        }
        let taken = self.free;
        self.free = std::mem::replace(&mut self.chunks[taken].next, NO_CHUNK);
        taken
    }

    fn give_back(&mut self, chunk: u32) {
        self.chunks[chunk].next = self.free;
        self.free = chunk;
    }

    fn run(&self, (chunk, place): (u32, usize)) -> &Run {
        &self.chunks[chunk].runs[place]
    }

    fn run_mut(&mut self, (chunk, place): (u32, usize)) -> &mut Run {
        &mut self.chunks[chunk].runs[place]
    }

    /// The chunk `hops` after the first of a chain.
    fn chunk_of(&self, chain: Chain, hops: usize) -> u32 {
        (0..hops).fold(chain.first, |chunk, _| self.chunks[chunk].next)
    }

    /// Where a run of a chain stands.
    fn place(&self, chain: Chain, at: usize) -> (u32, usize) {
        let place = usize::from(chain.start) + at;
        (self.chunk_of(chain, place / CHUNK_RUNS), place % CHUNK_RUNS)
    }

    /// All chunks of a chain.
    fn chunks_of(&self, chain: Chain) -> VecDeque<u32> {
        let mut next = chain.first;
        let chunks = (0..chain.end().div_ceil(CHUNK_RUNS)).map(|_| {
            let chunk = next;
            next = self.chunks[chunk].next;
            chunk
        });
        chunks.collect()
    }

    /// Makes a chain of listed chunks.
    fn chain(&mut self, directory: &Directory) -> Chain {
        let chunks = directory.chunks.iter().copied();
        for (chunk, next) in chunks.clone().zip(chunks.skip(1)) {
            self.chunks[chunk].next = next;
        }
        let (first, last) = (directory.place(0).0, directory.place(directory.count - 1).0);
        Chain { first, last, start: directory.start as u8, count: directory.count as u8 }
    }

    fn push(&mut self, chain: &mut Chain, run: Run) {
        let place = chain.end();
        if place.is_multiple_of(CHUNK_RUNS) {
            let chunk = self.take();
            self.chunks[chain.last].next = chunk;
            chain.last = chunk;
        }
        self.chunks[chain.last].runs[place % CHUNK_RUNS] = run;
        chain.count += 1;
    }

    /// Takes the last of several runs out of a chain.
    fn pop(&mut self, chain: &mut Chain) {
        chain.count -= 1;
        if chain.end().is_multiple_of(CHUNK_RUNS) {
            let last = self.chunk_of(*chain, chain.end() / CHUNK_RUNS - 1);
            self.give_back(std::mem::replace(&mut chain.last, last));
        }
    }

    /// Takes the first of several runs out of a chain.
    fn pop_first(&mut self, chain: &mut Chain) {
        chain.count -= 1;
        chain.start += 1;
        if usize::from(chain.start) == CHUNK_RUNS {
            let second = self.chunks[chain.first].next;
            self.give_back(std::mem::replace(&mut chain.first, second));
            chain.start = 0;
        }
    }

    fn push_listed(&mut self, directory: &mut Directory, run: Run) {
        if directory.end().is_multiple_of(CHUNK_RUNS) {
            directory.chunks.push_back(self.take());
        }
        directory.count += 1;
        *self.run_mut(directory.place(directory.count - 1)) = run;
    }

    fn push_first(&mut self, chain: &mut Chain, run: Run) {
        if chain.start == 0 {
            let chunk = self.take();
            self.chunks[chunk].next = chain.first;
            (chain.first, chain.start) = (chunk, CHUNK_RUNS as u8);
        }
        chain.start -= 1;
        chain.count += 1;
        *self.run_mut((chain.first, usize::from(chain.start))) = run;
    }

    fn push_first_listed(&mut self, directory: &mut Directory, run: Run) {
        if directory.start == 0 {
            directory.chunks.push_front(self.take());
            directory.start = CHUNK_RUNS;
        }
        directory.start -= 1;
        directory.count += 1;
        *self.run_mut(directory.place(0)) = run;
    }

    /// Takes the last of several runs out of a directory.
    fn pop_listed(&mut self, directory: &mut Directory) {
        directory.count -= 1;
        if directory.end().is_multiple_of(CHUNK_RUNS)
            && let Some(last) = directory.chunks.pop_back()
        {
            self.give_back(last);
        }
    }

    /// Takes the first of several runs out of a directory.
    fn pop_first_listed(&mut self, directory: &mut Directory) {
        directory.count -= 1;
        directory.start += 1;
        if directory.start == CHUNK_RUNS
            && let Some(first) = directory.chunks.pop_front()
        {
            self.give_back(first);
            directory.start = 0;
        }
    }

    fn drop_chunks(&mut self, chunks: VecDeque<u32>) {
        chunks.into_iter().for_each(|chunk| self.give_back(chunk));
    }
}

impl Runs {
    pub(crate) fn len(&self) -> usize {
        match self {
            Runs::None => 0,
            Runs::One(_) => 1,
            Runs::Few(chain) => usize::from(chain.count),
            Runs::Many(directory) => directory.count,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get<'a>(&'a self, at: usize, pool: &'a RunPool) -> Option<&'a Run> {
        match self {
            _ if at >= self.len() => None,
            Runs::None => None,
            Runs::One(run) => Some(run),
            Runs::Few(chain) => Some(pool.run(pool.place(*chain, at))),
            Runs::Many(directory) => Some(pool.run(directory.place(at))),
        }
    }

    /// The run at a place, to be changed.
    pub(crate) fn get_mut<'a>(&'a mut self, at: usize, pool: &'a mut RunPool) -> Option<&'a mut Run> {
        match self {
            _ if at >= self.len() => None,
            Runs::None => None,
            Runs::One(run) => Some(run),
            Runs::Few(chain) => Some(pool.run_mut(pool.place(*chain, at))),
            Runs::Many(directory) => Some(pool.run_mut(directory.place(at))),
        }
    }

    pub(crate) fn last<'a>(&'a self, pool: &'a RunPool) -> Option<&'a Run> {
        match self {
            Runs::None => None,
            Runs::One(run) => Some(run),
            Runs::Few(chain) => Some(pool.run((chain.last, (chain.end() - 1) % CHUNK_RUNS))),
            Runs::Many(directory) => Some(pool.run(directory.place(directory.count - 1))),
        }
    }

    /// The last run, to be changed.
    pub(crate) fn last_mut<'a>(&'a mut self, pool: &'a mut RunPool) -> Option<&'a mut Run> {
        match self {
            Runs::None => None,
            Runs::One(run) => Some(run),
            Runs::Few(chain) => Some(pool.run_mut((chain.last, (chain.end() - 1) % CHUNK_RUNS))),
            Runs::Many(directory) => Some(pool.run_mut(directory.place(directory.count - 1))),
        }
    }

    /// All runs. O(1) for each.
    pub(crate) fn iter<'a>(&'a self, pool: &'a RunPool) -> impl Iterator<Item = &'a Run> + Clone {
        let (in_place, chain, directory) = match self {
            Runs::None => (None, None, None),
            Runs::One(run) => (Some(run), None, None),
            Runs::Few(chain) => (None, Some(*chain), None),
            Runs::Many(directory) => (None, None, Some(directory)),
        };
        let chained = chain.into_iter().flat_map(move |chain| {
            let mut chunk = chain.first;
            (usize::from(chain.start)..chain.end()).map(move |place| {
                if place > usize::from(chain.start) && place.is_multiple_of(CHUNK_RUNS) {
                    chunk = pool.chunks[chunk].next;
                }
                pool.run((chunk, place % CHUNK_RUNS))
            })
        });
        let listed = directory
            .into_iter()
            .flat_map(move |directory| (0..directory.count).map(move |at| pool.run(directory.place(at))));
        in_place.into_iter().chain(chained).chain(listed)
    }

    /// How many of the first runs fulfil `before`, which no run does behind one that does not. O(log n) for many.
    pub(crate) fn partition_point(&self, pool: &RunPool, before: impl Fn(&Run) -> bool) -> usize {
        let Runs::Many(directory) = self else {
            return self.iter(pool).take_while(|run| before(run)).count();
        };
        let (mut low, mut high) = (0, directory.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(pool.run(directory.place(middle))) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Adds a run behind all others.
    pub(crate) fn push(&mut self, run: Run, pool: &mut RunPool) {
        self.make_room(pool);
        match self {
            Runs::None | Runs::One(_) => *self = Runs::One(run),
            Runs::Few(chain) => pool.push(chain, run),
            Runs::Many(directory) => pool.push_listed(directory, run),
        }
    }

    /// Adds a run before all others.
    fn push_first(&mut self, run: Run, pool: &mut RunPool) {
        self.make_room(pool);
        match self {
            Runs::None | Runs::One(_) => *self = Runs::One(run),
            Runs::Few(chain) => pool.push_first(chain, run),
            Runs::Many(directory) => pool.push_first_listed(directory, run),
        }
    }

    /// Adds a run before the one at a place. O(the distance from the nearer end).
    pub(crate) fn insert(&mut self, at: usize, run: Run, pool: &mut RunPool) {
        let mut beside = Vec::new();
        if at <= self.len() / 2 {
            for _ in 0..at {
                beside.extend(self.get(0, pool).copied());
                self.pop_first(pool);
            }
            self.push_first(run, pool);
            beside.into_iter().rev().for_each(|before| self.push_first(before, pool));
        } else {
            for _ in at..self.len() {
                beside.extend(self.last(pool).copied());
                self.pop(pool);
            }
            self.push(run, pool);
            beside.into_iter().rev().for_each(|after| self.push(after, pool));
        }
    }

    /// Goes on in the form that has room for one run more.
    fn make_room(&mut self, pool: &mut RunPool) {
        match self {
            Runs::One(only) => {
                let chunk = pool.take();
                *pool.run_mut((chunk, 0)) = *only;
                *self = Runs::Few(Chain { first: chunk, last: chunk, start: 0, count: 1 });
            }
            Runs::Few(chain) if usize::from(chain.count) == FEW_MAX => {
                let (start, count) = (usize::from(chain.start), usize::from(chain.count));
                *self = Runs::Many(Box::new(Directory { chunks: pool.chunks_of(*chain), start, count }));
            }
            _ => {}
        }
    }

    /// Takes the last run out.
    pub(crate) fn pop(&mut self, pool: &mut RunPool) {
        match self {
            Runs::None | Runs::One(_) => *self = Runs::None,
            Runs::Few(chain) => pool.pop(chain),
            Runs::Many(directory) => pool.pop_listed(directory),
        }
        self.shrink(pool);
    }

    /// Takes the first run out.
    pub(crate) fn pop_first(&mut self, pool: &mut RunPool) {
        match self {
            Runs::None | Runs::One(_) => *self = Runs::None,
            Runs::Few(chain) => pool.pop_first(chain),
            Runs::Many(directory) => pool.pop_first_listed(directory),
        }
        self.shrink(pool);
    }

    /// Goes on in less memory, where that is enough.
    fn shrink(&mut self, pool: &mut RunPool) {
        match self {
            Runs::Few(chain) if chain.count == 1 => {
                let chain = *chain;
                *self = Runs::One(*pool.run(pool.place(chain, 0)));
                pool.drop_chunks(pool.chunks_of(chain));
            }
            Runs::Many(directory) if directory.count <= FEW_AGAIN => {
                *self = Runs::Few(pool.chain(directory));
            }
            _ => {}
        }
    }

    /// Takes all runs out.
    pub(crate) fn clear(&mut self, pool: &mut RunPool) {
        match std::mem::take(self) {
            Runs::None | Runs::One(_) => {}
            Runs::Few(chain) => pool.drop_chunks(pool.chunks_of(chain)),
            Runs::Many(directory) => pool.drop_chunks(directory.chunks),
        }
    }

    /// Puts other runs in the place of all. O(n).
    pub(crate) fn replace(&mut self, runs: impl IntoIterator<Item = Run>, pool: &mut RunPool) {
        self.clear(pool);
        runs.into_iter().for_each(|run| self.push(run, pool));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(first: u64) -> Run {
        Run { first, count: 1, ..Run::default() }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Pop(u8),
        PopFirst(u8),
        Change(u8),
        Insert(u8),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1u8..20).prop_map(Step::Push),
            3 => (1u8..12).prop_map(Step::Pop),
            3 => (1u8..12).prop_map(Step::PopFirst),
            2 => any::<u8>().prop_map(Step::Change),
            2 => any::<u8>().prop_map(Step::Insert),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// Two streams that share a pool hold what plain queues hold, however they grow and shrink.
        #[test]
        fn as_plain_queues(steps in prop::collection::vec((any::<bool>(), step()), 1..200)) {
            let mut pool = RunPool::default();
            let mut streams: [(Runs, VecDeque<Run>); 2] = Default::default();
            let mut next = 0;
            for (which, step) in steps {
                let (runs, twin) = &mut streams[usize::from(which)];
                match step {
                    Step::Push(count) => for _ in 0..count {
                        next += 1;
                        runs.push(run(next), &mut pool);
                        twin.push_back(run(next));
                    }
                    Step::Pop(count) => for _ in 0..count {
                        runs.pop(&mut pool);
                        twin.pop_back();
                    }
                    Step::PopFirst(count) => for _ in 0..count {
                        runs.pop_first(&mut pool);
                        twin.pop_front();
                    }
                    Step::Change(at) => {
                        if let Some(run) = runs.get_mut(usize::from(at), &mut pool) { run.bytes = 7 }
                        if let Some(run) = runs.last_mut(&mut pool) { run.offset += 1 }
                        if let Some(run) = twin.get_mut(usize::from(at)) { run.bytes = 7 }
                        if let Some(run) = twin.back_mut() { run.offset += 1 }
                    }
                    Step::Insert(at) => {
                        let at = usize::from(at) % (twin.len() + 1);
                        let first = at.checked_sub(1).map_or(0, |before| twin[before].first);
                        runs.insert(at, run(first), &mut pool);
                        twin.insert(at, run(first));
                    }
                    Step::Clear => {
                        runs.clear(&mut pool);
                        twin.clear();
                    }
                }
                for (runs, twin) in &streams {
                    prop_assert!(runs.iter(&pool).eq(twin.iter()));
                    prop_assert_eq!(runs.len(), twin.len());
                    prop_assert_eq!((runs.get(0, &pool), runs.last(&pool)), (twin.front(), twin.back()));
                    let middle = twin.get(twin.len() / 2).map_or(0, |run| run.first);
                    let found = runs.partition_point(&pool, |run| run.first < middle);
                    prop_assert_eq!(found, twin.partition_point(|run| run.first < middle));
                    prop_assert_eq!(runs.get(found, &pool), twin.get(found));
                }
            }
            streams.iter_mut().for_each(|(runs, _)| runs.clear(&mut pool));
            let mut free = 0;
            while pool.free != NO_CHUNK {
                pool.take();
                free += 1;
            }
            prop_assert_eq!(free, pool.chunks.len(), "every chunk was given back once");
        }
    }
}

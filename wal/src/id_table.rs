//! From the number of a stream to its slot: an open table with linear probing (Knuth, The Art of Computer Programming,
//! volume 3, section 6.4, algorithms L and R). Nearly every look-up touches one cache line; the general map of the standard
//! library touches two, and look-ups are what an append of many streams waits for.

use std::hint::black_box;

/// Streams in a new table.
const CAPACITY_MIN: usize = 16;

/// Numbers of streams, each with a slot. Grows with what is in it and does not shrink.
#[derive(Default, Debug)]
pub(crate) struct IdTable {
    /// As many as a power of two, at most four fifths of them taken; or none.
    cells: Vec<Cell>,
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    id: u64,
    slot: u32,
}

/// The slot of a cell that is not taken.
const NO_SLOT: u32 = u32::MAX;

const BLANK: Cell = Cell { id: 0, slot: NO_SLOT };

impl IdTable {
    /// The slot of a stream. O(1).
    pub(crate) fn get(&self, id: u64) -> Option<u32> {
        if self.cells.is_empty() {
            return None;
        }
        let cell = &self.cells[self.find(id)];
        (cell.slot != NO_SLOT).then_some(cell.slot)
    }

    /// Brings into the processor's cache where the look-ups of these streams will begin. The loads depend on nothing and
    /// happen all at once; in the look-ups each would wait for the branches of the one before.
    pub(crate) fn warm(&self, ids: impl Iterator<Item = u64>) {
        if !self.cells.is_empty() {
            black_box(ids.fold(0, |seen, id| seen ^ self.cells[self.home(id)].slot));
        }
    }

    /// Adds a stream that is not there yet.
    pub(crate) fn insert(&mut self, id: u64, slot: u32) {
        if (self.taken + 1) * 5 > self.cells.len() * 4 {
            self.grow();
        }
        let at = self.find(id);
        debug_assert!(self.cells[at].slot == NO_SLOT && slot != NO_SLOT, "each stream has one slot");
        self.cells[at] = Cell { id, slot };
        self.taken += 1;
    }

    /// Takes a stream out.
    pub(crate) fn remove(&mut self, id: u64) {
        if self.get(id).is_none() {
            return;
        }
        let mut gap = self.find(id);
        self.cells[gap] = BLANK;
        self.taken -= 1;
        // Whoever stands behind the gap, and would be looked for before it, moves into it.
        let mut at = self.next(gap);
        while self.cells[at].slot != NO_SLOT {
            let home = self.home(self.cells[at].id);
            if self.distance(home, at) >= self.distance(gap, at) {
                self.cells[gap] = std::mem::replace(&mut self.cells[at], BLANK);
                gap = at;
            }
            at = self.next(at);
        }
    }

    /// The cell of a stream, or the one where it belongs.
    fn find(&self, id: u64) -> usize {
        let mut at = self.home(id);
        while self.cells[at].slot != NO_SLOT && self.cells[at].id != id {
            at = self.next(at);
        }
        at
    }

    /// Where a stream is looked for first. Numbers are the owner's and not an attacker's: one multiplication spreads them
    /// well enough, and the order is the same in every run.
    fn home(&self, id: u64) -> usize {
        let mixed = (id ^ (id >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.cells.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }

    /// How far behind `from` a cell stands.
    fn distance(&self, from: usize, at: usize) -> usize {
        at.wrapping_sub(from) & (self.cells.len() - 1)
    }

    fn grow(&mut self) {
        let cells = (self.cells.len() * 2).max(CAPACITY_MIN);
        let old = std::mem::replace(&mut self.cells, vec![BLANK; cells]);
        for cell in old.into_iter().filter(|cell| cell.slot != NO_SLOT) {
            let at = self.find(cell.id);
            self.cells[at] = cell;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use proptest::prelude::*;

    use super::*;

    /// Many numbers that differ in their high bits alone, few that differ everywhere.
    fn id() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..40, (0u64..8).prop_map(|high| high << 61), (0u64..8).prop_map(|n| n << 32 | n)]
    }

    proptest! {
        /// It holds what the map of the standard library holds, whatever comes and goes.
        #[test]
        fn as_a_plain_map(steps in prop::collection::vec((any::<bool>(), id()), 1..300)) {
            let (mut table, mut twin) = (IdTable::default(), HashMap::new());
            for (slot, (adds, id)) in steps.into_iter().enumerate() {
                if !adds {
                    table.remove(id);
                    twin.remove(&id);
                } else if let Entry::Vacant(vacant) = twin.entry(id) {
                    table.insert(id, slot as u32);
                    vacant.insert(slot as u32);
                }
                prop_assert_eq!(table.taken, twin.len());
                for id in (0..40).chain((0..8).map(|high| high << 61)).chain((0..8).map(|n| n << 32 | n)) {
                    prop_assert_eq!(table.get(id), twin.get(&id).copied());
                }
            }
        }
    }

    /// Streams numbered one by one, and in steps, are found after a look at few cells.
    #[test]
    fn look_ups_are_short() {
        for step in [1, 2, 8, 1000, 1 << 20, 1 << 32, (1 << 40) + 7] {
            let mut table = IdTable::default();
            (0..50_000u64).for_each(|n| table.insert(n * step, n as u32));
            let mean = (0..50_000u64)
                .map(|n| table.distance(table.home(n * step), table.find(n * step)))
                .sum::<usize>() as f64
                / 50_000.0;
            assert!(mean < 4.0, "step {step}: {mean}");
        }
    }
}

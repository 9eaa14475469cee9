//! The end of a region's log, measured in bytes: how far back it may be kept for followers that are behind.

use std::collections::VecDeque;

use crate::raft::Index;

/// The bytes are counted in so many parts: what is kept is between this many of them and one more.
const PARTS: usize = 4;

/// Where the log stood each time that a part of what may be kept had been appended. Entries that were replaced since count,
/// too: the log keeps fewer for them.
#[derive(Default)]
pub(super) struct Tail {
    marks: VecDeque<Index>,
    /// Bytes appended since the newest mark.
    since: u64,
}

impl Tail {
    /// Entries through `last` were appended, `bytes` of them, of which about `bytes_max` may be kept.
    pub(super) fn grew(&mut self, last: Index, bytes: u64, bytes_max: u64) {
        self.since += bytes;
        if self.since < bytes_max.div_ceil(PARTS as u64) {
            return;
        }
        self.since = 0;
        if self.marks.len() > PARTS {
            self.marks.pop_front();
        }
        self.marks.push_back(last);
    }

    /// Through where the log is further back than that; zero if it is not that long.
    pub(super) fn beyond(&self) -> Index {
        if self.marks.len() > PARTS { self.marks[0] } else { Index::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_kept_whole_and_of_a_long_one_the_last_bytes() {
        let mut tail = Tail::default();
        for index in 1..=49 {
            tail.grew(Index(index), 10, 400);
        }
        assert_eq!(tail.beyond(), Index(0), "490 bytes: not a part more than may be kept");
        for index in 50..=1000 {
            tail.grew(Index(index), 10, 400);
            let kept = 10 * (index - tail.beyond().0);
            assert!((400..500).contains(&kept), "{kept} bytes at {index}");
        }
    }

    #[test]
    fn a_few_large_entries_are_as_much_as_many_small_ones() {
        let mut tail = Tail::default();
        (1..=10).for_each(|index| tail.grew(Index(index), 400, 400));
        assert_eq!(tail.beyond(), Index(6), "one is a part of its own, and fills it to the brim");
    }
}

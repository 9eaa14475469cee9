//! How much a leader has proposed that is not committed, in bytes.
//!
//! The core keeps no entries, so it remembers what they weighed: not one by one, but in stretches of a share of the limit,
//! each of which counts until all of it is committed.

use std::collections::VecDeque;

use super::types::Index;

/// A stretch is closed when it weighs this share of the limit: so many stretches at most, and so small an error.
const STRETCHES: u64 = 64;

/// What a leader has proposed in its reign and that is not committed. What it found in its log when it began is not
/// counted: it is committed together with the leader's first entry, and only then are proposals taken.
#[derive(Default, Debug)]
pub(super) struct Uncommitted {
    /// The last entry of each stretch, and its bytes. Growing indexes.
    stretches: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl Uncommitted {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Everything after what was added last, through `last`, weighs `bytes`. Amortized O(1).
    pub(super) fn add(&mut self, last: Index, bytes: u64, bytes_max: u64) {
        self.bytes += bytes;
        match self.stretches.back_mut() {
            Some((end, weight)) if *weight < bytes_max / STRETCHES => {
                (*end, *weight) = (last, *weight + bytes);
            }
            _ => self.stretches.push_back((last, bytes)),
        }
    }

    /// Everything through `commit` is committed. Amortized O(1).
    pub(super) fn committed(&mut self, commit: Index) {
        while let Some((_, bytes)) = self.stretches.pop_front_if(|(last, _)| *last <= commit) {
            self.bytes -= bytes;
        }
    }

    /// Gives back what much at a time took, if there is nothing.
    pub(super) fn rest(&mut self) {
        if self.stretches.is_empty() {
            self.stretches = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never less than the obvious sum, never more than one stretch above it, and never many stretches.
    #[test]
    fn is_about_the_sum_of_what_is_not_committed() {
        for bytes_max in [1, 640, 6400] {
            let (mut uncommitted, mut weights, mut commit) = (Uncommitted::default(), Vec::new(), 0);
            let mut random = 88_172_645_463_325_252_u64;
            let mut dice = |sides: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % sides
            };
            for _ in 0..5000 {
                if dice(3) > 0 && uncommitted.bytes() < bytes_max {
                    let entries: Vec<u64> = (0..=dice(3)).map(|_| 1 + dice(40)).collect();
                    weights.extend(&entries);
                    uncommitted.add(Index(weights.len() as u64), entries.iter().sum(), bytes_max);
                } else {
                    commit += dice(weights.len() as u64 - commit + 1);
                    uncommitted.committed(Index(commit));
                }
                let sum: u64 = weights[commit as usize..].iter().sum();
                let error = bytes_max / STRETCHES + 4 * 40;
                assert!((sum..=sum + error).contains(&uncommitted.bytes()), "{sum} and {uncommitted:?}");
                assert!(uncommitted.stretches.len() as u64 <= 2 * STRETCHES, "{uncommitted:?}");
            }
            uncommitted.committed(Index(weights.len() as u64));
            assert_eq!(uncommitted.bytes(), 0);
        }
    }
}

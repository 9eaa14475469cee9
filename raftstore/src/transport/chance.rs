//! Numbers that look random and depend on nothing but their seed (SplitMix64, Steele, Lea, Flood 2014).

use std::ops::RangeInclusive;

/// A sequence of numbers.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number within `range`, ends included.
    pub(super) fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let span = range.end().saturating_sub(*range.start());
        range.start() + if span == u64::MAX { self.next() } else { self.next() % (span + 1) }
    }

    /// True `per_million` times in a million.
    pub(super) fn happens(&mut self, per_million: u32) -> bool {
        // Asked even when it is certain, so that turning one knob does not shift all that follows.
        self.next() % 1_000_000 < u64::from(per_million)
    }
}

/// Spreads every bit of `number` over all the others.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

//! Whole numbers of any size, with what reading, adding and writing long doubles needs of them.

use std::cmp::Ordering;

/// A whole number: 32 bits each, the lowest first, the last one not zero.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Natural(Vec<u32>);

/// The largest power of ten that fits, and how many zeros it has.
const CHUNK: u32 = 1_000_000_000;
const CHUNK_DIGITS: usize = 9;

impl From<u64> for Natural {
    fn from(number: u64) -> Natural {
        let mut natural = Natural(vec![number as u32, (number >> 32) as u32]);
        natural.trim();
        natural
    }
}

impl Natural {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bits it has, from the highest that is set.
    pub(super) fn bits(&self) -> u64 {
        self.0.last().map_or(0, |last| self.0.len() as u64 * 32 - u64::from(last.leading_zeros()))
    }

    pub(super) fn times_plus(&mut self, factor: u32, plus: u32) {
        let mut carry = u64::from(plus);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    pub(super) fn times_power_of_ten(&mut self, power: u64) {
        (0..power / CHUNK_DIGITS as u64).for_each(|_| self.times_plus(CHUNK, 0));
        self.times_plus(10u32.pow((power % CHUNK_DIGITS as u64) as u32), 0);
    }

    /// Whether something was left.
    pub(super) fn divide_by_power_of_ten(&mut self, power: u64) -> bool {
        let mut is_left = self.divide(10u32.pow((power % CHUNK_DIGITS as u64) as u32)) != 0;
        for _ in 0..power / CHUNK_DIGITS as u64 {
            is_left |= self.divide(CHUNK) != 0;
        }
        is_left
    }

    /// Divides it; what is left.
    fn divide(&mut self, by: u32) -> u32 {
        let mut left = 0u64;
        for limb in self.0.iter_mut().rev() {
            left = left << 32 | u64::from(*limb);
            *limb = (left / u64::from(by)) as u32;
            left %= u64::from(by);
        }
        self.trim();
        left as u32
    }

    pub(super) fn shift_left(&mut self, bits: u64) {
        if self.is_zero() {
            return;
        }
        self.times_plus(1 << (bits % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, (bits / 32) as usize));
    }

    fn bit(&self, at: u64) -> bool {
        self.0.get((at / 32) as usize).is_some_and(|limb| limb >> (at % 32) & 1 == 1)
    }

    /// What stands above the lowest `bits`, of which there must be no more than 64; the highest of these; whether there
    /// is any other among them.
    pub(super) fn split_at(&self, bits: u64) -> (u64, bool, bool) {
        let top = (0..64).fold(0, |top, at| top | u64::from(self.bit(bits + at)) << at);
        let half = bits > 0 && self.bit(bits - 1);
        let rest = (0..bits.saturating_sub(1)).any(|at| self.bit(at));
        (top, half, rest)
    }

    /// Drops the lowest `bits`; to the nearest, ties to even.
    pub(super) fn shift_right_to_nearest(&mut self, bits: u64) {
        let half = bits > 0 && self.bit(bits - 1);
        let rest = (0..bits.saturating_sub(1).min(self.bits())).any(|at| self.bit(at));
        let is_odd = self.bit(bits);
        let limbs = ((bits / 32) as usize).min(self.0.len());
        self.0.drain(..limbs);
        self.divide(1 << (bits % 32));
        if half && (rest || is_odd) {
            *self = self.plus(&Natural::from(1));
        }
    }

    pub(super) fn plus(&self, other: &Natural) -> Natural {
        let mut carry = 0u64;
        let len = self.0.len().max(other.0.len()) + 1;
        let limb = |number: &Natural, at: usize| u64::from(number.0.get(at).copied().unwrap_or(0));
        let limbs = (0..len).map(|at| {
            carry = limb(self, at) + limb(other, at) + (carry >> 32);
            carry as u32
        });
        let mut sum = Natural(limbs.collect());
        sum.trim();
        sum
    }

    /// What is left without `other`, which is not larger.
    pub(super) fn minus(&self, other: &Natural) -> Natural {
        let mut borrow = false;
        let limbs = self.0.iter().enumerate().map(|(at, limb)| {
            let (left, first) = limb.overflowing_sub(other.0.get(at).copied().unwrap_or(0));
            let (left, second) = left.overflowing_sub(borrow.into());
            borrow = first || second;
            left
        });
        let mut difference = Natural(limbs.collect());
        difference.trim();
        difference
    }

    /// Its decimal digits.
    pub(super) fn digits(mut self) -> String {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            chunks.push(self.divide(CHUNK));
        }
        let Some(first) = chunks.pop() else { return "0".into() };
        let rest = chunks.iter().rev().map(|chunk| format!("{chunk:0>width$}", width = CHUNK_DIGITS));
        std::iter::once(first.to_string()).chain(rest).collect()
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Natural) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Natural) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

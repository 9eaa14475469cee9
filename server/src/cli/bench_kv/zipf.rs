//! Numbers of which few are drawn often: Zipf's law with exponent 0.99, as YCSB draws them.
//!
//! The generator is that of Gray, Sundaresan, Englert, Baclawski and Weinberger, "Quickly generating billion-record
//! synthetic databases" (SIGMOD 1994), section 3.2, which Cooper and others use in "Benchmarking cloud serving systems with
//! YCSB" (SoCC 2010).

/// What YCSB calls the Zipfian constant.
const THETA: f64 = 0.99;

/// Draws ranks below a count that may grow: 0 most often.
pub(super) struct Zipf {
    count: u64,
    /// The sum of 1 / rank^THETA over all ranks.
    zeta: f64,
}

impl Zipf {
    pub(super) fn new(count: u64) -> Zipf {
        let mut zipf = Zipf { count: 0, zeta: 0.0 };
        zipf.grow(count.max(1));
        zipf
    }

    /// There are `count` ranks from now on, if that is more.
    pub(super) fn grow(&mut self, count: u64) {
        while self.count < count {
            self.count += 1;
            self.zeta += 1.0 / (self.count as f64).powf(THETA);
        }
    }

    /// The rank for a number drawn evenly from 0 to 1.
    pub(super) fn rank(&self, drawn: f64) -> u64 {
        let of_two = 1.0 + 0.5_f64.powf(THETA);
        let scaled = drawn * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < of_two {
            return 1.min(self.count - 1);
        }
        let count = self.count as f64;
        let eta = (1.0 - (2.0 / count).powf(1.0 - THETA)) / (1.0 - of_two / self.zeta);
        let rank = count * (eta * drawn - eta + 1.0).powf(1.0 / (1.0 - THETA));
        (rank as u64).min(self.count - 1)
    }
}

/// Spreads ranks over the numbers below `count`, so that those drawn often do not lie side by side. (Two ranks may fall on
/// one number; so they do in YCSB.)
pub(super) fn scrambled(rank: u64, count: u64) -> u64 {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let hash =
        rank.to_le_bytes().iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    hash % count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_as_often_as_the_law_says() {
        let zipf = Zipf::new(1_000);
        let draws = 200_000;
        let mut drawn = vec![0_u32; 1_000];
        (0..draws).for_each(|at| drawn[zipf.rank((f64::from(at) + 0.5) / f64::from(draws)) as usize] += 1);
        for rank in [0_usize, 1, 9, 99] {
            let law = f64::from(draws) / ((rank + 1) as f64).powf(THETA) / zipf.zeta;
            let seen = f64::from(drawn[rank]);
            assert!((0.7 * law..1.3 * law).contains(&seen), "rank {rank}: {seen} instead of {law:.0}");
        }
        assert!(drawn.iter().rev().take(500).any(|count| *count > 0), "the tail is drawn, too");
    }

    #[test]
    fn every_draw_is_a_rank_however_few_there_are() {
        for count in [1, 2, 3] {
            let zipf = Zipf::new(count);
            assert!([0.0, 0.3, 0.5, 0.9, 0.999_999_9].iter().all(|drawn| zipf.rank(*drawn) < count));
        }
    }

    #[test]
    fn growing_is_the_same_as_having_been_larger() {
        let mut grown = Zipf::new(10);
        grown.grow(500);
        assert!((grown.zeta - Zipf::new(500).zeta).abs() < 1e-9);
    }
}

//! When to look at what is expensive to see: by counting, so that a seed always sees the same, and no chance is drawn.

/// Counts occasions, and says at which ones to look.
pub(in crate::sim) struct NowAndThen {
    every: u64,
    passed: u64,
}

impl NowAndThen {
    /// One occasion in so many, from the first on.
    pub(in crate::sim) fn every(every: u64) -> NowAndThen {
        NowAndThen { every, passed: every - 1 }
    }

    /// An occasion has come. If it is free, it is taken.
    pub(in crate::sim) fn is_time(&mut self, is_free: bool) -> bool {
        if is_free {
            return true;
        }
        self.passed = (self.passed + 1) % self.every;
        self.passed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_and_whatever_is_free() {
        let mut looks = NowAndThen::every(3);
        let taken: Vec<bool> = (0..7).map(|_| looks.is_time(false)).collect();
        assert_eq!(taken, [true, false, false, true, false, false, true]);
        assert!(looks.is_time(true) && !looks.is_time(false));
    }
}

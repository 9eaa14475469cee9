//! Timers: a hashed wheel whose cost follows what is due, not what is armed.
//!
//! Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987), scheme 6.

use crate::ids::Tick;

const BUCKETS: usize = 512;

/// Timers of a worker. Arming and firing are O(1); entries are not cancelled but checked by their owner when they fire.
pub(super) struct Wheel<T> {
    buckets: Vec<Vec<(Tick, T)>>,
    /// Everything before this has fired.
    next: Tick,
    armed: usize,
}

impl<T> Wheel<T> {
    pub(super) fn new(now: Tick) -> Wheel<T> {
        Wheel { buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), next: now, armed: 0 }
    }

    /// Arms `what` for `at`; for the next tick if that is past.
    pub(super) fn arm(&mut self, at: Tick, what: T) {
        let at = at.max(self.next);
        self.buckets[at.0 as usize % BUCKETS].push((at, what));
        self.armed += 1;
    }

    /// Moves to `now` and hands out what is due, in order of ticks.
    pub(super) fn fire(&mut self, now: Tick, due: &mut Vec<T>) {
        if now < self.next {
            return;
        }
        // After a long stall one round over the buckets finds everything.
        let rounds = (now.0 - self.next.0 + 1).min(BUCKETS as u64);
        for tick in now.0 + 1 - rounds..=now.0 {
            self.fire_bucket(tick as usize % BUCKETS, now, due);
        }
        self.next = now.after(1);
    }

    fn fire_bucket(&mut self, bucket: usize, now: Tick, due: &mut Vec<T>) {
        let entries = std::mem::take(&mut self.buckets[bucket]);
        for (at, what) in entries {
            if at <= now {
                self.armed -= 1;
                due.push(what);
            } else {
                self.buckets[bucket].push((at, what));
            }
        }
    }

    /// A tick before which nothing is due; `None` if nothing is armed.
    pub(super) fn quiet_until(&self) -> Option<Tick> {
        if self.armed == 0 {
            return None;
        }
        let occupied =
            (0..BUCKETS as u64).find(|d| !self.buckets[(self.next.0 + d) as usize % BUCKETS].is_empty());
        Some(self.next.after(occupied.unwrap_or(BUCKETS as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.fire(Tick(now), &mut due);
        due
    }

    #[test]
    fn timers_fire_once_at_their_tick() {
        let mut wheel = Wheel::new(Tick(1));
        wheel.arm(Tick(5), 5);
        wheel.arm(Tick(3), 3);
        wheel.arm(Tick(0), 1);
        assert_eq!(wheel.quiet_until(), Some(Tick(1)));
        assert_eq!(fired(&mut wheel, 2), [1]);
        assert_eq!(fired(&mut wheel, 5), [3, 5]);
        assert_eq!(fired(&mut wheel, 600), []);
        assert_eq!(wheel.quiet_until(), None);
    }

    #[test]
    fn a_timer_beyond_one_round_waits_its_turn() {
        let mut wheel = Wheel::new(Tick(1));
        wheel.arm(Tick(1 + 3 * BUCKETS as u64), 9);
        for now in 1..=3 * BUCKETS as u64 {
            assert_eq!(fired(&mut wheel, now), []);
        }
        assert_eq!(fired(&mut wheel, 1 + 3 * BUCKETS as u64), [9]);
    }

    #[test]
    fn a_long_stall_loses_nothing() {
        let mut wheel = Wheel::new(Tick(1));
        (1..2000).for_each(|at| wheel.arm(Tick(at), at as u32));
        let mut due = fired(&mut wheel, 5000);
        due.sort_unstable();
        assert_eq!(due, (1..2000).collect::<Vec<_>>());
    }
}

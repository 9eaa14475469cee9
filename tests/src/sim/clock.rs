//! A store's clock: it may run fast or slow, stand still or jump, but logical time never goes back.

use std::sync::atomic::{AtomicU64, Ordering};

use skep_raftstore::ids::Tick;
use skep_raftstore::machine::Stamp;
use skep_raftstore::store::Clock;

/// What a rate is a fraction of: at this rate a clock is right.
pub(super) const RIGHT: u64 = 1000;

/// Only the simulation moves it.
pub(super) struct SimClock {
    /// In thousandths of a tick.
    now: AtomicU64,
    /// How far the wall clock is off, in milliseconds.
    ahead: AtomicU64,
}

impl SimClock {
    pub(super) fn new() -> SimClock {
        SimClock { now: AtomicU64::new(RIGHT), ahead: AtomicU64::new(0) }
    }

    /// One tick of true time goes by.
    pub(super) fn advance(&self, rate: u64) {
        self.now.fetch_add(rate, Ordering::Relaxed);
    }

    /// Sets how far the wall clock is off.
    pub(super) fn set_ahead(&self, ms: u64) {
        self.ahead.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Tick {
        Tick(self.now.load(Ordering::Relaxed) / RIGHT)
    }

    fn stamp(&self) -> Stamp {
        Stamp(self.now.load(Ordering::Relaxed) / 100 + self.ahead.load(Ordering::Relaxed))
    }
}

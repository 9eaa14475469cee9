//! Where a store gets the time from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::config::TICK;
use crate::ids::Tick;
use crate::machine::Stamp;

/// A source of time. The simulator has its own.
pub trait Clock: Send + Sync {
    /// Logical time: never goes back.
    fn now(&self) -> Tick;

    /// What entries are stamped with: the wall clock, which may do anything.
    fn stamp(&self) -> Stamp;
}

/// The clocks of this machine.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at tick 1 now.
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Tick {
        Tick(1 + (self.start.elapsed().as_nanos() / TICK.as_nanos()) as u64)
    }

    fn stamp(&self) -> Stamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp(since_epoch.as_millis() as u64)
    }
}

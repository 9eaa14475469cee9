//! How many commands are on their way to a region as it is at one version, and whether more may go.
//!
//! When a region's range has changed, its flow is closed: what comes then has to wait until what went before is answered, so
//! that nothing overtakes a command which has to go elsewhere after all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Set once no more may go. What is above it counts.
const CLOSED: usize = 1;
const ONE: usize = 2;

/// See the page of this file. Entering and leaving cost one atomic addition each.
#[derive(Default)]
pub(crate) struct Flow(AtomicUsize);

impl Flow {
    /// One that nothing may enter.
    pub(crate) fn closed() -> Flow {
        Flow(AtomicUsize::new(CLOSED))
    }

    /// Whether a command may go; if so it must [`leave`](Flow::leave) when it is answered.
    pub(crate) fn enter(&self) -> bool {
        if self.0.fetch_add(ONE, Ordering::AcqRel) & CLOSED == 0 {
            return true;
        }
        // Whoever waits for the flow to be empty may have seen this command in it.
        self.leave();
        false
    }

    /// A command is answered. True if it was the last one of a closed flow.
    pub(crate) fn leave(&self) -> bool {
        self.0.fetch_sub(ONE, Ordering::AcqRel) == CLOSED + ONE
    }

    /// Nothing may enter any more.
    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether nothing is on its way and nothing can enter.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.load(Ordering::Acquire) == CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_flow_runs_dry() {
        let flow = Flow::default();
        assert!(flow.enter() && flow.enter());
        assert!(!flow.leave(), "more may come");
        flow.close();
        assert!(!flow.enter() && !flow.is_drained());
        assert!(flow.leave());
        assert!(flow.is_drained() && flow.is_closed());
        assert!(!flow.enter());
        assert!(flow.is_drained());
    }
}

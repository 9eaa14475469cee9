//! The one sync: it serves every region of every worker, and covers all that was appended before it began.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use skep_wal::Wal;

use super::inbox::Inboxes;
use super::status::Counters;

/// Wakes the sync thread. Poking it twice is poking it once.
#[derive(Clone)]
pub(super) struct SyncSignal(Sender<()>);

impl SyncSignal {
    pub(super) fn poke(&self) {
        match self.0.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) | Err(TrySendError::Disconnected(())) => {}
        }
    }
}

/// What the sync thread does; the simulator calls `step` itself.
pub struct Syncer {
    wal: Arc<Wal>,
    inboxes: Arc<Inboxes>,
    counters: Arc<Counters>,
    poked: Receiver<()>,
}

impl Syncer {
    pub(super) fn new(wal: Arc<Wal>, inboxes: Arc<Inboxes>, counters: Arc<Counters>) -> (Syncer, SyncSignal) {
        let (sender, poked) = bounded(1);
        (Syncer { wal, inboxes, counters, poked }, SyncSignal(sender))
    }

    /// Syncs if something was appended since the last time. True if it did.
    pub fn step(&self) -> bool {
        if self.poked.try_recv().is_err() {
            return false;
        }
        self.sync();
        true
    }

    /// The body of the thread: ends when the store does.
    pub(super) fn run(&self) {
        while self.poked.recv().is_ok() && !self.inboxes.is_stopped() {
            self.sync();
        }
    }

    fn sync(&self) {
        match self.wal.sync() {
            Ok(_) => {
                self.counters.syncs.fetch_add(1, Ordering::Relaxed);
                self.inboxes.durable();
            }
            Err(error) => self.inboxes.stop(&error.to_string()),
        }
    }
}

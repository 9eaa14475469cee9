//! What the keeper has done, for whoever reports it.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::error::SnapshotError;

/// Totals since the start, and the last thing that went wrong.
#[derive(Default, Debug)]
pub struct KeeperCounters {
    /// Checkpoint files written.
    pub files_written: AtomicU64,
    /// Bytes in them.
    pub bytes_written: AtomicU64,
    /// Snapshots that a follower has installed.
    pub sent: AtomicU64,
    /// Snapshots received whole.
    pub received: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl KeeperCounters {
    /// The last thing that went wrong, as a sentence, since something last went well.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(super) fn went_wrong(&self, error: &SnapshotError) {
        *self.trouble.lock() = Some(error.to_string());
    }

    pub(super) fn went_well(&self) {
        *self.trouble.lock() = None;
    }
}

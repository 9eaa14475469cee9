//! What a store holds in memory for its clients and for other stores, measured: each number has its limit in `StoreConfig`.

use super::inbox::Inboxes;
use super::open::StoreParts;

/// One moment of a store.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Footprint {
    /// Bytes of frames in the fullest inbox: `inbox_bytes_max`.
    pub inbox_bytes: usize,
    /// Commands taken and not answered: `unanswered_max`.
    pub unanswered: usize,
    /// Their bytes: `unanswered_bytes_max`.
    pub unanswered_bytes: usize,
    /// Bytes of commands that a leader has taken and not proposed, where they are most: `proposals_bytes_max`.
    pub waiting_bytes: usize,
    /// Bytes of entries that a leader has proposed and that are not committed, where they are most: `uncommitted_bytes_max`.
    pub uncommitted_bytes: usize,
    /// Bytes of entries under way from one worker to one other store, where they are most: `peer_bytes_max`.
    pub peer_bytes: usize,
}

impl StoreParts {
    /// What it holds now.
    pub fn footprint(&self) -> Footprint {
        let inboxes: &Inboxes = &self.shared.inboxes;
        let here = || self.workers.iter().flat_map(|worker| worker.here());
        let leading = here().filter_map(|replica| replica.leading.as_ref());
        Footprint {
            inbox_bytes: inboxes.frame_bytes(),
            unanswered: inboxes.unanswered(),
            unanswered_bytes: inboxes.unanswered_bytes(),
            waiting_bytes: leading.map(|leading| leading.waiting_bytes()).max().unwrap_or(0),
            uncommitted_bytes: here().map(|r| r.raft.uncommitted_bytes() as usize).max().unwrap_or(0),
            peer_bytes: self.workers.iter().map(|w| w.windows.bytes() as usize).max().unwrap_or(0),
        }
    }
}

//! What only a leader keeps.

use super::lease::Lease;
use super::news::News;
use super::progress::Progress;
use super::read::Reads;
use super::transfer::Transfer;
use super::types::{Index, ReplicaId, Tick};
use super::uncommitted::Uncommitted;

/// A leader's state. Dropped as a whole when it stops leading.
#[derive(Debug)]
pub(super) struct Leading {
    /// Sorted by id; everybody but the leader.
    pub(super) progress: Vec<Progress>,
    /// The first entry of its term.
    pub(super) noop: Index,
    pub(super) heartbeat_at: Tick,
    pub(super) news: News,
    pub(super) uncommitted: Uncommitted,
    pub(super) reads: Reads,
    pub(super) lease: Lease,
    pub(super) transfer: Option<Transfer>,
}

impl Leading {
    /// `others` are sorted, `last` is where the log ends before the no-op.
    pub(super) fn new(
        others: impl Iterator<Item = ReplicaId>,
        last: Index,
        heartbeat_ticks: u64,
        now: Tick,
    ) -> Leading {
        Leading {
            progress: others.map(|id| Progress::new(id, last, now)).collect(),
            noop: last.next(),
            heartbeat_at: now.after(heartbeat_ticks),
            news: News::new(last.next()),
            uncommitted: Uncommitted::default(),
            reads: Reads::default(),
            lease: Lease::default(),
            transfer: None,
        }
    }

    pub(super) fn progress(&self, of: ReplicaId) -> Option<&Progress> {
        let at = self.progress.binary_search_by_key(&of, |follower| follower.id).ok()?;
        Some(&self.progress[at])
    }

    pub(super) fn progress_mut(&mut self, of: ReplicaId) -> Option<&mut Progress> {
        let at = self.progress.binary_search_by_key(&of, |follower| follower.id).ok()?;
        Some(&mut self.progress[at])
    }

    /// When there is something to do without being told. A leader of nobody has nothing to do.
    pub(super) fn deadline(&self) -> Tick {
        let to_say = self.heartbeat_at.min(self.news.at());
        let to_say = if self.progress.is_empty() { Tick(u64::MAX) } else { to_say };
        self.transfer.as_ref().map_or(to_say, |transfer| to_say.min(transfer.give_up_at))
    }
}

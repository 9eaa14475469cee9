//! Commit: what a quorum holds goes to the apply threads, and reads behind it; the turn of a region ends here.

use super::config::LOG_SEGMENTS_LONG;
use super::mutant::Mutant;
use super::replica::{Condition, Slot};
use super::worker::Worker;
use crate::apply::{Job, SnapshotPurpose};
use crate::ids::{Index, Tick};
use crate::raft::{Event, LogPos};
use crate::snapshot::{KeeperTask, ReceivedSnapshot};

impl Worker {
    pub(super) fn commit(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        for &slot in &ready {
            self.replica(slot).is_ready = false;
            let Some(mut effects) = self.replica(slot).effects.take() else { continue };
            if !self.replica(slot).is_stopped() {
                self.dispatch(slot, &mut effects);
                self.ask_checkpoint(slot);
            }
            if self.replica(slot).is_running() {
                self.arm_raft(slot);
            }
            debug_assert!(effects.standing.is_none(), "followed in `step`");
            effects.clear();
            self.spare_effects.push(effects);
        }
        // Keep the list's memory, and what became ready meanwhile.
        let later = std::mem::replace(&mut self.ready, ready);
        self.ready.clear();
        self.ready.extend(later);
        for slot in std::mem::take(&mut self.again) {
            if !self.replica(slot).is_stopped() {
                self.make_ready(slot);
            }
        }
        self.wake_waiting();
    }

    fn dispatch(&mut self, slot: Slot, effects: &mut crate::raft::Effects) {
        let replica = self.replica(slot);
        if replica.is_vacant {
            return self.defer(slot, effects);
        }
        if let Some(through) = effects.apply.take() {
            let wanted = replica.leading.as_mut().map(|l| l.wanted_through(through)).unwrap_or_default();
            replica.dispatched = through;
            replica.apply.push(Job::Apply { through, wanted });
        }
        if let Some(leading) = &mut replica.leading {
            effects.reads.drain(..).for_each(|ready| leading.confirmed(ready));
            let queries = leading.reads_through(replica.dispatched);
            if !queries.is_empty() {
                replica.apply.push(Job::Read { queries });
            }
        }
        for to in effects.snapshot_for.drain(..) {
            let term = replica.standing.term;
            replica.apply.push(Job::Snapshot(SnapshotPurpose::Follower {
                to,
                from: replica.raft.id(),
                term,
            }));
        }
    }

    /// Without a machine nothing is applied, and no snapshot can be had.
    fn defer(&mut self, slot: Slot, effects: &mut crate::raft::Effects) {
        let replica = self.replica(slot);
        replica.deferred = effects.apply.take().or(replica.deferred);
        effects.reads.clear();
        let refused = std::mem::take(&mut effects.snapshot_for);
        let now = self.shared.clock.now();
        refused.into_iter().for_each(|to| self.step_raft(slot, now, Event::SnapshotDone { to, at: None }));
    }

    /// A log that has grown enough is worth a checkpoint.
    fn ask_checkpoint(&mut self, slot: Slot) {
        let limit = self.shared.config.checkpoint_log_bytes;
        let replica = self.replica(slot);
        if replica.log_bytes >= limit && !replica.is_checkpointing && !replica.is_vacant {
            replica.is_checkpointing = true;
            let region = replica.region;
            self.tell_keeper(KeeperTask::Checkpoint(vec![region]));
        }
    }

    /// The state through `at` is durable on its own: the log before it may be forgotten.
    pub(super) fn checkpointed(&mut self, slot: Slot, at: LogPos, now: Tick) {
        let goes_too_far = self.shared.is(Mutant::CompactsTooFar);
        let end = if goes_too_far { self.replica(slot).applied } else { at.index };
        let through = self.compactable(slot, end, now);
        let replica = self.replica(slot);
        replica.is_checkpointing = false;
        replica.log_bytes = 0;
        self.compact(slot, through, now);
        self.is_durable_now(slot);
    }

    /// The log must let go of entries that keep its oldest segments: a follower that needed them gets a snapshot. One that
    /// is receiving a snapshot is waited for, unless the log is very long.
    pub(super) fn unpin(&mut self, slot: Slot, through: Index, now: Tick) {
        let is_long = self.shared.wal.usage().segments >= LOG_SEGMENTS_LONG;
        let held = self.replica(slot).snapshot_hold.filter(|(_, until)| *until > now && !is_long);
        self.compact(slot, held.map_or(through, |(at, _)| through.min(at)), now);
    }

    fn compact(&mut self, slot: Slot, through: Index, now: Tick) {
        let replica = self.replica(slot);
        if through < replica.raft.first_index() {
            return;
        }
        let Some(term) = replica.raft.term_at(through) else { return };
        let through = LogPos { index: through, term };
        replica.compact = Some(through);
        self.step_raft(slot, now, Event::Compacted(through));
    }

    /// A received snapshot is the region's checkpoint and its machine's state: now the log goes on after it.
    pub(super) fn installed(&mut self, slot: Slot, received: ReceivedSnapshot, now: Tick) {
        let ReceivedSnapshot { meta, from, term, .. } = received;
        let replica = self.replica(slot);
        if replica.condition != Condition::Restoring {
            return;
        }
        replica.condition = Condition::Running;
        (replica.is_vacant, replica.deferred) = (false, None);
        replica.genesis = meta.genesis;
        replica.dispatched = meta.at.index;
        replica.applied = meta.at.index;
        replica.log_bytes = 0;
        self.step_raft(slot, now, Event::Installed { at: meta.at, membership: meta.membership, from, term });
        self.is_durable_now(slot);
    }

    /// The newest index through which a checkpoint lets the log of this replica be forgotten.
    fn compactable(&mut self, slot: Slot, at: Index, now: Tick) -> Index {
        let tail = self.shared.config.log_tail_entries;
        let replica = self.replica(slot);
        let kept = Index(replica.raft.last_index().0.saturating_sub(tail)).max(replica.tail.beyond());
        let needed = replica.raft.min_matched().unwrap_or(at);
        let held = replica.snapshot_hold.filter(|(_, until)| *until > now).map_or(at, |(held, _)| held);
        at.min(needed.max(kept)).min(held)
    }
}

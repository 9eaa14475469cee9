//! What the apply threads and the keeper report.

use std::sync::atomic::Ordering;

use super::config::{KEEPER_TASKS_MAX, SNAPSHOT_HOLD_TICKS};
use super::mutant::Mutant;
use super::replica::{Condition, Slot};
use super::request::SubmitError;
use super::worker::Worker;
use crate::apply::{ApplyOutcome, Job, SnapshotPurpose};
use crate::ids::Tick;
use crate::message::{Refusal, Refused};
use crate::raft::{Event, Standing};
use crate::snapshot::{KeeperOutcome, KeeperTask};

impl Worker {
    pub(super) fn take_outcome(&mut self, outcome: ApplyOutcome, now: Tick) {
        let Some(slot) = self.slot(outcome.region()) else { return };
        if self.replica(slot).is_elsewhere() {
            return self.take_last_outcome(outcome);
        }
        match outcome {
            ApplyOutcome::Applied { at, replies, size, description, .. } => {
                self.describe(slot, description);
                self.sized(slot, size);
                let replica = self.replica(slot);
                replica.applied = at.index;
                replica.leading.iter_mut().for_each(|leading| leading.applied(at.index));
                self.step_raft(slot, now, Event::Applied(at.index));
                self.replies.push((slot, replies));
            }
            ApplyOutcome::Split { children, .. } => self.split(slot, children),
            // The machine has the state of a snapshot that is not in force: what the replica knows is not about that state. When
            // it is in force there is a checkpoint.
            ApplyOutcome::SnapshotTaken { region, purpose: SnapshotPurpose::Checkpoint, .. }
                if self.replica(slot).condition == Condition::Restoring =>
            {
                self.tell_keeper(KeeperTask::NotTaken(region));
            }
            ApplyOutcome::SnapshotTaken { purpose: SnapshotPurpose::Checkpoint, .. }
                if self.puts_off(slot) => {}
            ApplyOutcome::SnapshotTaken { purpose, source, .. } => {
                if let SnapshotPurpose::Follower { .. } = purpose {
                    self.replica(slot).snapshot_hold =
                        Some((source.at().index, now.after(SNAPSHOT_HOLD_TICKS)));
                }
                let meta = self.replica(slot).snapshot_meta(source.at());
                self.tell_keeper(KeeperTask::SnapshotTaken {
                    region: self.replicas[slot.0 as usize].region,
                    purpose,
                    meta,
                    source,
                });
            }
            ApplyOutcome::Restored { received, size, description, .. } => {
                self.describe(slot, description);
                self.replica(slot).size = size;
                if self.shared.is(Mutant::InstallsEarly) {
                    self.installed(slot, received.clone(), now);
                }
                self.tell_keeper(KeeperTask::Adopt(received));
            }
            ApplyOutcome::NotRestored { received, .. } => {
                let replica = self.replica(slot);
                // It may have stopped meanwhile, and then it stays so.
                if replica.condition == Condition::Restoring {
                    replica.condition = Condition::Running;
                    self.arm_raft(slot);
                }
                self.tell_keeper(KeeperTask::Discard(received));
            }
            ApplyOutcome::Failed { why, .. } => self.stop_replica(slot, why),
        }
    }

    pub(super) fn take_kept(&mut self, outcome: KeeperOutcome, now: Tick) {
        let Some(slot) = self.slot(outcome.region()) else { return };
        if self.replica(slot).is_elsewhere() {
            return self.take_last_kept(outcome);
        }
        match outcome {
            KeeperOutcome::Checkpointed { at, .. } => self.checkpointed(slot, at, now),
            KeeperOutcome::Pinning { through, .. } => self.unpin(slot, through, now),
            KeeperOutcome::Received(received) => {
                let is_free = !self.puts_off_snapshot(slot);
                let replica = self.replica(slot);
                if is_free && replica.is_running() && replica.raft.would_install(received.meta.at) {
                    replica.condition = Condition::Restoring;
                    replica.apply.push(Job::Restore(received.into()));
                } else if replica.is_running() && replica.raft.has_committed(received.meta.at) {
                    self.tell_keeper(KeeperTask::Held(received));
                } else {
                    self.tell_keeper(KeeperTask::Discard(received));
                }
            }
            KeeperOutcome::Adopted(received) => self.installed(slot, received, now),
            KeeperOutcome::Sent { to, at, .. } => {
                let hold = &mut self.replica(slot).snapshot_hold;
                *hold = hold.map(|(from, _)| (from, now.after(SNAPSHOT_HOLD_TICKS)));
                self.step_raft(slot, now, Event::SnapshotDone { to, at });
            }
        }
    }

    /// A replica stops for good; the others go on.
    pub(super) fn stop_replica(&mut self, slot: Slot, why: String) {
        let replica = self.replica(slot);
        replica.condition = Condition::Stopped(why);
        replica.standing = Standing { term: replica.standing.term, ..Standing::default() };
        let region = replica.region;
        if let Some(why) = replica.is_out_of_reach() {
            self.close_lane(slot, &SubmitError::RegionStopped(why));
        }
        let leading = self.take_leading(slot);
        // Its other commands find their way to a replica that runs when their lane is looked at next.
        for (store, attempt) in leading.into_iter().flat_map(|leading| leading.attempts()) {
            self.refuse_run(slot, store, Refused { region, attempt, reason: Refusal::Stopped });
        }
    }

    pub(super) fn tell_keeper(&self, task: KeeperTask) {
        // Chunks and their acknowledgements come again when they are lost; of the rest there is one for each question.
        let comes_again = matches!(task, KeeperTask::Chunk { .. } | KeeperTask::Ack { .. });
        if comes_again && self.shared.keeper.len() > KEEPER_TASKS_MAX
            || self.shared.keeper.send(task).is_err()
        {
            self.shared.counters.keeper_busy.fetch_add(1, Ordering::Relaxed);
        }
    }
}

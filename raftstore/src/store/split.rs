//! What a split does beside its machines: the regions that were split off become replicas, and the log of the one that
//! they were split off waits for them.
//!
//! Until a child is durable by itself (by its own checkpoint), its first state is nowhere but in the parent's base and
//! log. So until then the parent is not checkpointed beyond the split and takes no snapshot that goes beyond it: a restart
//! applies the split again, and hands the child its machine again. Nothing is copied on the disk for a split: the children
//! are checkpointed when the parent wants to be, or when their own logs have grown.

use super::birth::{Birth, Descent};
use super::inbox::Control;
use super::mutant::Mutant;
use super::newborn::Newborn;
use super::replica::Slot;
use super::worker::Worker;
use crate::ids::{RegionId, ReplicaId, StoreId};
use crate::machine::Child;
use crate::raft::HardState;
use crate::snapshot::KeeperTask;

impl Worker {
    /// Makes replicas of what this region's machine has split off.
    pub(super) fn split(&mut self, slot: Slot, children: Vec<(Child, StoreId)>) {
        let is_forgetful = self.shared.is(Mutant::ForgetChildren);
        for (child, proposer) in children {
            let own = self.shared.config.id;
            let Some(id) = replica_on(&child, own) else { continue };
            let replica = self.replica(slot);
            if !replica.children.contains(&child.region) && !is_forgetful {
                replica.children.push(child.region);
            }
            let still_leads = replica.is_leader() && replica.standing.term == child.at.term;
            let parent = replica.region;
            let newborn = Newborn {
                hard_state: HardState { term: child.at.term, vote: replica_on(&child, proposer) },
                leads: still_leads && proposer == own,
                birth: Birth {
                    region: child.region,
                    replica: id,
                    membership: child.membership,
                    genesis: child.genesis,
                    descent: Descent::Split { parent, at: child.at },
                    campaign: false,
                },
                machine: Some(child.machine),
            };
            self.shared.inboxes.bear(newborn);
        }
    }

    /// Whether a checkpoint of this region has to wait until its children have one. It is asked for again then.
    pub(super) fn puts_off(&mut self, slot: Slot) -> bool {
        let replica = self.replica(slot);
        if replica.children.is_empty() {
            return false;
        }
        replica.is_checkpoint_put_off = true;
        let (region, children) = (replica.region, replica.children.clone());
        self.tell_keeper(KeeperTask::NotTaken(region));
        self.tell_keeper(KeeperTask::Checkpoint(children));
        true
    }

    /// Whether a snapshot from another store has to wait for the same reason. It comes again.
    pub(super) fn puts_off_snapshot(&mut self, slot: Slot) -> bool {
        let children = self.replica(slot).children.clone();
        let puts_off = !children.is_empty();
        if puts_off {
            self.tell_keeper(KeeperTask::Checkpoint(children));
        }
        puts_off
    }

    /// A region has a checkpoint: whoever could have made it anew need not wait any longer.
    pub(super) fn is_durable_now(&mut self, slot: Slot) {
        let replica = self.replica(slot);
        let child = replica.region;
        if let Some(parent) = replica.awaited_by.take() {
            self.shared.inboxes.owner_control(parent, Control::ChildDurable { parent, child });
        }
    }

    pub(super) fn child_is_durable(&mut self, parent: RegionId, child: RegionId) {
        let Some(slot) = self.slot(parent) else { return };
        let replica = self.replica(slot);
        replica.children.retain(|awaited| *awaited != child);
        if !replica.children.is_empty() {
            return;
        }
        let is_put_off = std::mem::take(&mut replica.is_checkpoint_put_off);
        if !self.leave_if_departed(slot) && is_put_off {
            self.tell_keeper(KeeperTask::Checkpoint(vec![parent]));
        }
    }

    /// A region has so many bytes now. Its leader is told when they are many, and again when they are a quarter more.
    pub(super) fn sized(&mut self, slot: Slot, bytes: u64) {
        let large = self.shared.config.large_bytes;
        let replica = self.replica(slot);
        if bytes.saturating_add(large / 4) < replica.size {
            // It was cut: what is left counts anew.
            replica.large_at = large;
        }
        replica.size = bytes;
        if bytes <= large {
            replica.large_at = large;
        } else if replica.is_leader() && bytes > replica.large_at {
            replica.large_at = bytes.saturating_add(large / 4);
            let region = replica.region;
            self.shared.watcher.is_large(region, bytes);
        }
    }
}

/// The replica of a child on `store`, if it has one there.
fn replica_on(child: &Child, store: StoreId) -> Option<ReplicaId> {
    child.membership.all().into_iter().find(|replica| replica.store() == store)
}

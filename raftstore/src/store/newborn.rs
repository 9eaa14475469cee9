//! The one way for a replica to be born while the store runs.
//!
//! Whoever makes one (a split that this store applies, a message from the leader of a region that is not here yet) hands a
//! [`Newborn`] to `Inboxes::bear`. From there:
//!
//! 1. *inbox*: the region gets an owner, the worker with the fewest regions, and its birth stands in that worker's inbox
//!    before anything that is sent to the region can.
//! 2. *log*: birth record, hard state and base go into the worker's next batch, before anything that the replica will write
//!    itself. So they are durable before anything that it promises.
//! 3. *machine*: it is registered with the apply pool; without one the replica is *vacant*: it applies nothing and never
//!    leads until it is given one, by its parent or by a snapshot.
//! 4. *worker*: the replica is hosted; it leads at once if it may, or its election timer is armed.
//!
//! A replica that was removed is not born again. If the region has a replica here already, that stays what it is, with its log and its votes (it *adopts* the birth): one
//! that is vacant takes the machine, a blank one, which has promised nothing, becomes what the birth says, any other is further
//! on.

use super::birth::{Birth, Descent};
use super::inbox::Control;
use super::mending::Mending;
use super::replica::{Condition, Replica, Slot};
use super::worker::Worker;
use crate::apply::{ApplyHandle, Job};
use crate::ids::{RegionId, Tick};
use crate::machine::StateMachine;
use crate::raft::{Event, HardState, LogPos, Start};
use crate::snapshot::KeeperTask;

/// A replica that is to live on this store from now on.
pub(super) struct Newborn {
    pub(super) birth: Birth,
    /// How it has voted, without knowing.
    pub(super) hard_state: HardState,
    /// Its state at the birth's base; `None` if a snapshot will bring it.
    pub(super) machine: Option<Box<dyn StateMachine>>,
    /// Whether it leads in the term of `hard_state`: everybody else's vote went to it by birth as well.
    pub(super) leads: bool,
}

impl Newborn {
    fn start(&self) -> Start {
        let base = self.birth.base();
        Start {
            hard_state: self.hard_state,
            membership: self.birth.membership.clone(),
            base,
            last: base.index,
            applied: base.index,
            blank: self.birth.descent == Descent::Message,
            unborn: true,
            ..Start::default()
        }
    }
}

impl Worker {
    /// See the page of this file.
    pub(super) fn bear(&mut self, newborn: Newborn, now: Tick) {
        let Birth { region, replica, .. } = newborn.birth;
        if self.is_gone(region, replica) {
            // It was here and was removed: a split that is applied again does not bring it back.
            return self.tell_durable(&newborn.birth);
        }
        match self.slot(region) {
            Some(slot) if !self.replica(slot).is_elsewhere() => self.adopt(slot, newborn, now),
            Some(_) | None => self.make(newborn, now),
        }
    }

    fn make(&mut self, mut newborn: Newborn, now: Tick) {
        let (region, base) = (newborn.birth.region, newborn.birth.base());
        newborn.birth.write(newborn.hard_state, &mut self.batch);
        let raft = self.shared.raft(region, newborn.birth.replica, newborn.start(), now);
        let description = newborn.machine.as_mut().and_then(|machine| machine.take_description());
        let size = newborn.machine.as_ref().map_or(0, |machine| machine.size());
        let (apply, is_vacant) = self.machine_of(region, newborn.machine.take(), base);
        let mut replica = Replica::new(region, raft, apply, newborn.birth.genesis.clone());
        replica.is_vacant = is_vacant;
        replica.awaited_by = awaited_by(&newborn.birth);
        replica.size = size;
        let slot = self.host(replica);
        self.describe(slot, description);
        self.begin(slot, &newborn, now);
    }

    fn machine_of(
        &self,
        region: RegionId,
        machine: Option<Box<dyn StateMachine>>,
        at: LogPos,
    ) -> (ApplyHandle, bool) {
        match machine {
            Some(machine) => (self.shared.pool.register(region, machine, at), false),
            None => (self.shared.pool.register_vacant(region, self.shared.factory.clone()), true),
        }
    }

    fn begin(&mut self, slot: Slot, newborn: &Newborn, now: Tick) {
        if newborn.birth.descent == Descent::Message {
            // What stands on the disk was received by one whose birth was lost with the power: for this one it is not in force,
            // and whoever sends it again must not hear that it is.
            self.tell_keeper(KeeperTask::Forget(newborn.birth.region));
        }
        let is_learner = newborn.birth.membership.learners.contains(&newborn.birth.replica);
        if is_learner || newborn.birth.descent == Descent::Message {
            self.mend(slot, Mending::Returns, now);
        }
        if newborn.leads {
            self.step_raft(slot, now, Event::LeadFromBirth);
        } else if newborn.birth.campaign {
            self.step_raft(slot, now, Event::Campaign);
        } else {
            self.arm_raft(slot);
        }
    }

    /// The region is here already; this may be the machine that it waits for.
    fn adopt(&mut self, slot: Slot, newborn: Newborn, now: Tick) {
        let replica = self.replica(slot);
        if !replica.is_vacant || replica.condition != Condition::Running || newborn.machine.is_none() {
            // It has a state that is further on, or a snapshot is just being restored.
            return self.answer_parent(slot, &newborn.birth);
        }
        if replica.raft.is_blank() {
            self.be_born_again(slot, &newborn, now);
        }
        let at = newborn.birth.base();
        self.replica(slot).awaited_by = awaited_by(&newborn.birth);
        if let Some(machine) = newborn.machine {
            self.move_in(slot, machine, at);
        }
        self.arm_raft(slot);
    }

    /// A blank replica becomes what it would have been born as; what it has promised meanwhile, it keeps.
    fn be_born_again(&mut self, slot: Slot, newborn: &Newborn, now: Tick) {
        let replica = self.replica(slot);
        replica.raft.be_born(newborn.start(), now);
        replica.genesis = newborn.birth.genesis.clone();
        (replica.dispatched, replica.applied) = (replica.raft.applied(), replica.raft.applied());
        replica.standing = replica.raft.standing();
        let hard_state = replica.raft.hard_state();
        newborn.birth.write(hard_state, &mut self.batch);
    }

    /// A vacant replica gets its machine, and what it could not apply until now is applied.
    fn move_in(&mut self, slot: Slot, mut machine: Box<dyn StateMachine>, at: LogPos) {
        let (description, size) = (machine.take_description(), machine.size());
        let replica = self.replica(slot);
        replica.is_vacant = false;
        replica.size = size;
        replica.apply.push(Job::MoveIn { machine, at });
        if let Some(through) = replica.deferred.take() {
            let wanted = replica.leading.as_mut().map(|l| l.wanted_through(through)).unwrap_or_default();
            replica.dispatched = through;
            replica.apply.push(Job::Apply { through, wanted });
        }
        self.describe(slot, description);
    }

    /// A parent that has handed out a machine again waits until the child is durable: perhaps it has been for long.
    fn answer_parent(&mut self, slot: Slot, birth: &Birth) {
        let replica = self.replica(slot);
        let is_durable = !replica.is_vacant && replica.awaited_by.is_none();
        match awaited_by(birth) {
            Some(_) if is_durable => self.tell_durable(birth),
            Some(parent) => replica.awaited_by = Some(parent),
            None => {}
        }
    }

    fn tell_durable(&self, birth: &Birth) {
        if let Some(parent) = awaited_by(birth) {
            let child = birth.region;
            self.shared.inboxes.owner_control(parent, Control::ChildDurable { parent, child });
        }
    }
}

fn awaited_by(birth: &Birth) -> Option<RegionId> {
    match birth.descent {
        Descent::Split { parent, .. } => Some(parent),
        Descent::Genesis | Descent::Message => None,
    }
}

//! How a replica that was removed ends, for good: there is one way, and nothing leads back.
//!
//! Whoever learns that a membership without a replica is committed tells its store so: the replica itself when it has that
//! entry, the leader with every heartbeat as long as its log knows of the change and nobody has confirmed, any replica that is
//! asked for a vote by it. The store then, in one batch of the log, removes the stream and leaves a *tombstone*: the
//! replica's id, as the named state 3 of the stream (u64). When that is durable it confirms. Its machine ends, its checkpoint
//! is dropped, and what waits in its lane goes to where the region is.
//!
//! A message makes a replica only if its id is above the tombstone's. Ids grow and are never used again, so that no late
//! message brings one back.

use bytes::Bytes;
use skep_wal::{Lsn, StateName, Wal};

use super::birth::{Birth, Descent};
use super::mending::Mending;
use super::mutant::Mutant;
use super::newborn::Newborn;
use super::replica::{Condition, Replica, Slot};
use super::worker::Worker;
use crate::apply::ApplyOutcome;
use crate::ids::{Index, RegionId, ReplicaId, StoreId, Tick};
use crate::message::{Refusal, Refused, Removal, StoreMessage};
use crate::raft::{Body, HardState, Membership, Message, Raft, Standing, Start};
use crate::snapshot::{KeeperOutcome, KeeperTask};
use crate::wire::hard_state;

const TOMBSTONE: StateName = StateName(3);

/// A tombstone that somebody waits for.
pub(super) struct Grave {
    region: RegionId,
    waiting: Waiting,
    /// Durable when the log is through here; not known before it is appended.
    lsn: Option<Lsn>,
}

/// Who waits for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// A store that said that the replica was removed.
    Store(StoreId, ReplicaId),
    /// The keeper, to drop the region's checkpoint, and whoever keeps a first state for the region. As long as the stream may
    /// come back with the next start, so must what its log builds on.
    Keeper,
}

impl Worker {
    /// After a region's step: whether it is still one of its members, and who else is not.
    pub(super) fn see_departed(&mut self, slot: Slot) {
        let replica = self.replica(slot);
        let has_news = replica.effects.as_ref().is_some_and(|effects| effects.apply.is_some());
        if !has_news || !replica.is_running() {
            return;
        }
        self.leave_if_departed(slot);
        self.tell_departed(slot);
    }

    /// A replica that is no member any more, by what it knows itself, is buried at the end of the turn. True if it is one.
    pub(super) fn leave_if_departed(&mut self, slot: Slot) -> bool {
        let replica = self.replica(slot);
        let is_gone = !replica.is_elsewhere() && is_departed(&replica.raft, replica.id());
        if is_gone {
            let id = replica.id();
            self.removed.push((slot, id));
        }
        is_gone
    }

    /// A leader tells those who were removed and have not confirmed.
    pub(super) fn tell_departed(&mut self, slot: Slot) {
        let own = self.shared.config.id;
        let replica = &self.replicas[slot.0 as usize];
        if !replica.is_leader() {
            return;
        }
        let region = replica.region;
        let unconfirmed = |id: &ReplicaId| id.store() != own && !replica.gone.contains(id);
        for id in replica.raft.departed().into_iter().filter(unconfirmed) {
            let removal = Removal { region, replica: id };
            self.outbox.push(id.store(), &StoreMessage::Remove(removal));
        }
    }

    /// Who was removed and asks for votes has not heard of it.
    pub(super) fn answer_departed(&mut self, slot: Slot, message: &Message) {
        let replica = &self.replicas[slot.0 as usize];
        let asks = matches!(message.body, Body::PreVote { .. } | Body::Vote { .. });
        if asks && is_departed(&replica.raft, message.from) {
            let removal = Removal { region: replica.region, replica: message.from };
            self.outbox.push(message.from.store(), &StoreMessage::Remove(removal));
        }
    }

    /// A leader speaks to a replica that is not here, or somebody wants its vote: it is made if they go on, unless it was here and
    /// is gone.
    pub(super) fn bear_by_message(&mut self, region: RegionId, from: StoreId, message: &Message) {
        let (own, to) = (self.shared.config.id, message.to);
        if !wants_a_replica(&message.body) || message.from.store() != from || to.store() != own {
            return;
        }
        if self.tombstone(region).is_some_and(|gone| to <= gone) {
            // The tombstone need not be durable yet. Whoever asks again and again waits once.
            let (waiting, lsn) = (Waiting::Store(from, to), None);
            if !self.graves.iter().any(|grave| grave.region == region && grave.waiting == waiting) {
                self.graves.push(Grave { region, waiting, lsn });
            }
            return;
        }
        if self.shared.wal.stream(region.stream()).is_some_and(|info| info.damaged.is_some()) {
            return; // nobody can tell who was here
        }
        // What ran here before must have ended: its last words would be taken for those of the new one.
        let is_dropped = |grave: &Grave| grave.region == region && grave.waiting == Waiting::Keeper;
        let has_ended = self.shared.pool.handle(region).is_none() && !self.graves.iter().any(is_dropped);
        if has_ended && self.strangers.heard(region, self.shared.clock.now()) {
            let birth = Birth {
                region,
                replica: to,
                membership: Membership::default(),
                genesis: Bytes::new(),
                descent: Descent::Message,
                campaign: false,
            };
            let newborn = Newborn { birth, hard_state: HardState::default(), machine: None, leads: false };
            self.shared.inboxes.bear(newborn);
        }
    }

    /// Somebody who knows says that a replica of this store was removed.
    pub(super) fn take_removal(&mut self, from: StoreId, removal: Removal, now: Tick) {
        let Removal { region, replica } = removal;
        if replica.store() != self.shared.config.id {
            return;
        }
        match self.slot(region) {
            Some(slot) if !self.replica(slot).is_elsewhere() => {
                self.learn_own_name(slot, replica, now);
                if self.replica(slot).id() < replica {
                    return; // an older one is still here, and hears of it by itself
                }
                if self.replica(slot).id() == replica {
                    self.removed.push((slot, replica));
                }
            }
            Some(_) | None => {
                if self.tombstone(region).is_none_or(|gone| gone < replica) {
                    self.dig(region, replica);
                }
            }
        }
        self.graves.push(Grave { region, waiting: Waiting::Store(from, replica), lsn: None });
    }

    /// Ends the replicas that this turn found removed, after everything that they had to say.
    pub(super) fn bury_removed(&mut self, now: Tick) {
        for (slot, id) in std::mem::take(&mut self.removed) {
            let replica = self.replica(slot);
            // One that listens may have heard of a later name since: that one was not removed.
            if replica.is_elsewhere() || replica.id() != id {
                continue;
            }
            if !replica.children.is_empty() {
                // What was split off it has its first state from here. It goes when the last of these is durable, and whoever
                // waits for that hears nothing: it will say so again.
                let children = replica.children.clone();
                let region = replica.region;
                self.graves.retain(|grave| grave.region != region);
                self.tell_keeper(KeeperTask::Checkpoint(children));
                continue;
            }
            self.bury(slot, now);
        }
    }

    fn bury(&mut self, slot: Slot, now: Tick) {
        let replica = self.replica(slot);
        let (region, id) = (replica.region, replica.id());
        replica.condition = Condition::Elsewhere;
        replica.mending = Mending::Over;
        replica.standing = Standing { term: replica.standing.term, ..Standing::default() };
        replica.apply.stop();
        (replica.compact, replica.armed) = (None, None);
        if let Some(effects) = &mut replica.effects {
            effects.clear();
        }
        let leading = self.take_leading(slot);
        for (store, attempt) in leading.into_iter().flat_map(|leading| leading.attempts()) {
            let reason = Refusal::NotLeader(None);
            self.refuse_run(slot, store, Refused { region, attempt, reason });
        }
        // What it wrote and had not said yet is never said.
        self.parts.retain(|part| part.slot != slot);
        self.writes.iter_mut().for_each(|write| write.parts.retain(|part| part.slot != slot));
        self.batch.remove(region.stream());
        self.dig(region, id);
        self.drop_checkpoint(region);
        let target = self.leader_to_try(slot);
        self.restart_lane(slot, target, now);
    }

    /// Adds a tombstone to the batch. Whose it is stands in a hard state as well, which the log writes twice: damage that takes the
    /// tombstone does not leave a stream of which nobody can tell who was here.
    fn dig(&mut self, region: RegionId, replica: ReplicaId) {
        let nothing = hard_state::encode(replica, HardState::default());
        self.batch.hard_state(region.stream(), &nothing);
        self.batch.state(region.stream(), TOMBSTONE, &replica.0.to_le_bytes());
    }

    /// The region's checkpoint goes when its tombstone is durable.
    fn drop_checkpoint(&mut self, region: RegionId) {
        self.graves.push(Grave { region, waiting: Waiting::Keeper, lsn: None });
    }

    /// The last words of a machine that has ended.
    pub(super) fn take_last_outcome(&self, outcome: ApplyOutcome) {
        match outcome {
            ApplyOutcome::Restored { received, .. } | ApplyOutcome::NotRestored { received, .. } => {
                self.tell_keeper(KeeperTask::Discard(received));
            }
            ApplyOutcome::Applied { .. }
            | ApplyOutcome::Split { .. }
            | ApplyOutcome::SnapshotTaken { .. }
            | ApplyOutcome::Failed { .. } => {}
        }
    }

    /// What the keeper has done for a region that is no longer here.
    pub(super) fn take_last_kept(&mut self, outcome: KeeperOutcome) {
        match outcome {
            KeeperOutcome::Received(received) => self.tell_keeper(KeeperTask::Discard(received)),
            KeeperOutcome::Adopted(received) => self.drop_checkpoint(received.region),
            KeeperOutcome::Checkpointed { region, .. } => self.drop_checkpoint(region),
            KeeperOutcome::Pinning { .. } | KeeperOutcome::Sent { .. } => {}
        }
    }

    /// Lets go on whoever waits for what is durable by now. Not before every grave is in the log.
    pub(super) fn confirm_graves(&mut self) {
        if self.graves.is_empty() || !self.removed.is_empty() || !self.batch.is_empty() {
            return;
        }
        let (appended, durable) = (self.shared.wal.appended_lsn(), self.shared.wal.durable_lsn());
        for grave in std::mem::take(&mut self.graves) {
            let lsn = grave.lsn.unwrap_or(appended);
            if lsn > durable {
                self.shared.sync.poke();
                self.graves.push(Grave { lsn: Some(lsn), ..grave });
                continue;
            }
            let region = grave.region;
            match (grave.waiting, self.slot(region)) {
                (Waiting::Store(to, replica), _) => {
                    self.outbox.push(to, &StoreMessage::Removed(Removal { region, replica }));
                }
                // One that was born since has told the keeper itself, and may have a checkpoint of its own by now.
                (Waiting::Keeper, Some(slot)) if !self.replica(slot).is_elsewhere() => {}
                (Waiting::Keeper, slot) => {
                    slot.into_iter().for_each(|slot| self.is_durable_now(slot));
                    self.tell_keeper(KeeperTask::Forget(region));
                }
            }
        }
    }

    /// A region that is not here, as far as its members are known: a place for its lane.
    pub(super) fn learn(&mut self, region: RegionId, membership: Membership, now: Tick) {
        let start = Start { membership, blank: true, ..Start::default() };
        let own = ReplicaId::new(0, self.shared.config.id);
        let raft = |worker: &Worker| worker.shared.raft(region, own, start, now);
        match self.slot(region) {
            Some(slot) if self.replica(slot).is_elsewhere() => {
                let raft = raft(self);
                if raft.membership().number > self.replica(slot).raft.membership().number {
                    self.replica(slot).raft = raft;
                }
            }
            Some(_) => {}
            None => {
                let apply = self.shared.pool.register_vacant(region, self.shared.factory.clone());
                apply.stop();
                let mut place = Replica::new(region, raft(self), apply, Bytes::new());
                place.condition = Condition::Elsewhere;
                self.host(place);
            }
        }
    }

    /// Whether a replica was here and is gone for good: it has a tombstone, or is about to.
    pub(super) fn is_gone(&mut self, region: RegionId, replica: ReplicaId) -> bool {
        let is_written = self.tombstone(region).is_some_and(|gone| replica <= gone);
        let is_dug =
            self.graves.iter().any(|grave| grave.region == region && grave.waiting == Waiting::Keeper);
        let is_last = |worker: &mut Worker, slot| {
            worker.replica(slot).is_elsewhere() && replica <= worker.replica(slot).id()
        };
        is_written || is_dug && self.slot(region).is_some_and(|slot| is_last(self, slot))
    }

    pub(super) fn tombstone(&self, region: RegionId) -> Option<ReplicaId> {
        tombstone(&self.shared.wal, region).filter(|_| !self.shared.is(Mutant::ForgetsGraves))
    }
}

/// The last replica of a region that was here and is gone.
pub(super) fn tombstone(wal: &Wal, region: RegionId) -> Option<ReplicaId> {
    let bytes = wal.state(region.stream(), TOMBSTONE)?;
    Some(ReplicaId(u64::from_le_bytes(*bytes.first_chunk()?)))
}

/// Whether somebody who has a state needs an answer. Who has none, and asks for a vote, only wants to be told that it is gone.
fn wants_a_replica(body: &Body) -> bool {
    match body {
        Body::Append { .. } | Body::Heartbeat { .. } => true,
        Body::PreVote { last } | Body::Vote { last, .. } => last.index > Index(0),
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::AppendAccepted { .. }
        | Body::AppendRejected { .. }
        | Body::HeartbeatReply { .. }
        | Body::TimeoutNow
        | Body::Position { .. } => false,
    }
}

/// Whether a replica was a member and is none any more, by what is committed. One whose name is newer than the membership was
/// added later.
fn is_departed(raft: &Raft, replica: ReplicaId) -> bool {
    raft.settled_membership().is_some_and(|settled| {
        settled.number >= replica.membership() && !settled.voters.is_empty() && !settled.contains(replica)
    })
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;

//! Moving a region's replicas between stores: from what is so and what is wanted follows the next step, and nothing else is
//! remembered. So whoever leads can go on, and asking twice does no harm.
//!
//! A replica comes to a store as a learner, which is sent everything; when it has caught up it gets a vote, in the same step in
//! which the one that it replaces loses its own (a joint configuration, left by itself). Each step is one change of
//! membership; between two steps whoever asks has to ask again.
//!
//! Bytes: a request is `from u32 | to u32` (store ids, zero for none), or a renewal (`mending.rs`); an answer is one byte.

use bytes::{BufMut, Bytes, BytesMut};

use super::mending::Renewal;
use super::replica::Slot;
use super::worker::Worker;
use crate::apply::ReplyTo;
use crate::ids::{ReplicaId, StoreId, Tick};
use crate::raft::{ChangeRefusal, Membership};

/// Which store's replica is to go, and which store is to have one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The store that is to have none.
    pub from: Option<StoreId>,
    /// The store that is to have one, with a vote.
    pub to: Option<StoreId>,
}

/// How far a move has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// It is as was wanted.
    Done = 1,
    /// Ask again.
    UnderWay = 2,
    /// It cannot be: nobody would vote.
    Impossible = 3,
}

/// What is to be done next.
#[derive(PartialEq, Eq, Debug)]
enum Step {
    Done,
    Wait,
    Change(Membership),
    Impossible,
}

impl Move {
    /// Its bytes, as a request of kind [`RequestKind::Move`](crate::message::RequestKind).
    pub fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(8);
        [self.from, self.to].into_iter().for_each(|store| out.put_u32_le(store.map_or(0, |store| store.0)));
        out.freeze()
    }

    fn decode(bytes: &[u8]) -> Option<Move> {
        let (from, to) = bytes.split_first_chunk::<4>()?;
        let store = |bytes| Some(StoreId(u32::from_le_bytes(bytes))).filter(|store| store.0 != 0);
        Some(Move { from: store(*from), to: store(*to.first_chunk()?) })
    }

    /// The next step for a region of this membership.
    fn next(self, now: &Membership, is_caught_up: impl Fn(ReplicaId) -> bool) -> Step {
        let on = |store: Option<StoreId>, list: &[ReplicaId]| {
            list.iter().copied().find(|replica| Some(replica.store()) == store)
        };
        if now.is_joint() {
            return Step::Wait;
        }
        let leaving = on(self.from, &now.all());
        let (mut target, mut changes) = (now.clone(), u64::from(leaving.is_some()));
        if let Some(to) = self.to
            && on(self.to, &now.voters).is_none()
        {
            match on(self.to, &now.learners) {
                None => return learner(now, to),
                Some(learner) if !is_caught_up(learner) => return Step::Wait,
                Some(learner) => {
                    changes += 1;
                    target.voters.push(learner);
                    target.learners.retain(|other| *other != learner);
                }
            }
        } else if leaving.is_none() {
            return Step::Done;
        }
        target.voters.retain(|voter| Some(*voter) != leaving);
        target.learners.retain(|learner| Some(*learner) != leaving);
        if target.voters.is_empty() {
            return Step::Impossible;
        }
        target.voters.sort_unstable();
        target.number += changes;
        Step::Change(target)
    }
}

/// The step that brings a replica to a store. Its name has the number of the change that adds it.
fn learner(now: &Membership, store: StoreId) -> Step {
    let Ok(number) = u32::try_from(now.number + 1) else { return Step::Impossible };
    let mut target = Membership { number: number.into(), ..now.clone() };
    target.learners.push(ReplicaId::new(number, store));
    target.learners.sort_unstable();
    Step::Change(target)
}

impl Moved {
    /// Reads an answer.
    pub fn decode(bytes: &[u8]) -> Option<Moved> {
        match bytes {
            [1] => Some(Moved::Done),
            [2] => Some(Moved::UnderWay),
            [3] => Some(Moved::Impossible),
            _ => None,
        }
    }
}

impl Worker {
    /// Takes the next step of each move that was asked for, and says how far it has come.
    pub(super) fn take_moves(&mut self, slot: Slot, asked: Vec<(ReplyTo, Bytes)>, now: Tick) {
        if asked.is_empty() {
            return;
        }
        let replies = asked.into_iter().map(|(to, body)| {
            let moved = match (Renewal::decode(&body), Move::decode(&body)) {
                (Some(renewal), _) => self.take_renewal(slot, renewal, now),
                (None, Some(wanted)) => self.take_move(slot, wanted, now),
                (None, None) => Moved::Impossible,
            };
            (to, Bytes::copy_from_slice(&[moved as u8]))
        });
        let replies = replies.collect();
        self.replies.push((slot, replies));
    }

    fn take_renewal(&mut self, slot: Slot, renewal: Renewal, now: Tick) -> Moved {
        let membership = self.replica(slot).raft.membership();
        let step = match renewal.target(membership) {
            _ if membership.is_joint() => Step::Wait,
            Some(target) => Step::Change(target),
            None => Step::Done,
        };
        self.take_step(slot, step, now)
    }

    fn take_move(&mut self, slot: Slot, wanted: Move, now: Tick) -> Moved {
        let raft = &self.replica(slot).raft;
        let step = wanted.next(raft.membership(), |learner| raft.is_caught_up(learner));
        self.take_step(slot, step, now)
    }

    fn take_step(&mut self, slot: Slot, step: Step, now: Tick) -> Moved {
        let replica = self.replica(slot);
        let (raft, Some(effects)) = (&mut replica.raft, &mut replica.effects) else { return Moved::UnderWay };
        match step {
            Step::Done if raft.is_changing() => Moved::UnderWay,
            Step::Done => Moved::Done,
            Step::Wait => Moved::UnderWay,
            Step::Impossible => Moved::Impossible,
            Step::Change(target) => match raft.change_membership(now, target, effects) {
                Ok(_) => Moved::UnderWay,
                Err(
                    ChangeRefusal::NotNow(_)
                    | ChangeRefusal::UnderWay
                    | ChangeRefusal::NotCaughtUp(_)
                    | ChangeRefusal::NoQuorum,
                ) => Moved::UnderWay,
                Err(
                    ChangeRefusal::Unchanged | ChangeRefusal::Impossible | ChangeRefusal::StaysWhatItIs(_),
                ) => Moved::Impossible,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32, store: u32) -> ReplicaId {
        ReplicaId::new(number, StoreId(store))
    }

    fn of(number: u64, voters: &[ReplicaId], learners: &[ReplicaId]) -> Membership {
        let voters = Membership::of_voters(voters.to_vec());
        Membership { number, learners: learners.to_vec(), ..voters }
    }

    fn replace(from: u32, to: u32) -> Move {
        Move { from: Some(StoreId(from)), to: Some(StoreId(to)) }
    }

    #[test]
    fn a_replica_is_replaced_step_by_step() {
        let three = [id(1, 1), id(1, 2), id(1, 3)];
        let with_learner = of(2, &three, &[id(2, 4)]);
        let wanted = replace(3, 4);
        assert_eq!(wanted.next(&of(1, &three, &[]), |_| false), Step::Change(with_learner.clone()));
        assert_eq!(wanted.next(&with_learner, |_| false), Step::Wait, "it has not caught up");
        let moved = of(4, &[id(1, 1), id(1, 2), id(2, 4)], &[]);
        assert_eq!(wanted.next(&with_learner, |_| true), Step::Change(moved.clone()));
        assert_eq!(wanted.next(&moved, |_| true), Step::Done);
        let joint = Membership { outgoing: three.to_vec(), ..moved };
        assert_eq!(wanted.next(&joint, |_| true), Step::Wait);
    }

    #[test]
    fn a_store_can_be_added_or_left_alone() {
        let two = [id(1, 1), id(1, 2)];
        let leave = Move { from: Some(StoreId(2)), to: None };
        assert_eq!(leave.next(&of(1, &two, &[]), |_| true), Step::Change(of(2, &two[..1], &[])));
        assert_eq!(leave.next(&of(1, &two[..1], &[]), |_| true), Step::Done);
        let last = Move { from: Some(StoreId(1)), to: None };
        assert_eq!(last.next(&of(1, &two[..1], &[]), |_| true), Step::Impossible);
        let join = Move { from: None, to: Some(StoreId(3)) };
        let learner = of(2, &two, &[id(2, 3)]);
        assert_eq!(join.next(&of(1, &two, &[]), |_| true), Step::Change(learner.clone()));
        let voters = [id(1, 1), id(1, 2), id(2, 3)];
        assert_eq!(join.next(&learner, |_| true), Step::Change(of(3, &voters, &[])));
    }

    #[test]
    fn a_replica_that_comes_again_has_another_name() {
        let membership = of(9, &[id(1, 1)], &[]);
        let join = Move { from: None, to: Some(StoreId(2)) };
        let Step::Change(target) = join.next(&membership, |_| true) else { panic!("it changes") };
        assert_eq!(target.learners, [id(10, 2)]);
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(&replace(3, 4).encode()[..], b"\x03\0\0\0\x04\0\0\0");
        assert_eq!(Move::decode(&replace(3, 4).encode()), Some(replace(3, 4)));
        let none = Move { from: None, to: None };
        assert_eq!((Move::decode(&none.encode()), Move::decode(b"\x01\0\0\0\x02\0\0")), (Some(none), None));
        for moved in [Moved::Done, Moved::UnderWay, Moved::Impossible] {
            assert_eq!(Moved::decode(&[moved as u8]), Some(moved));
        }
        assert_eq!(Moved::decode(&[0]), None);
    }
}

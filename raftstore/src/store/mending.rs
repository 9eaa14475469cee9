//! How a replica that was damaged becomes whole: another one, with a new name, takes its place on the same store.
//!
//! A replica whose log, or whose state, was found damaged when its store was opened is stopped: what it had promised may be
//! among what was lost, its vote as well. So it never votes or acknowledges again. Its store asks whoever leads the region
//! for a [`Renewal`], once a second until it is so: one change of membership that takes its vote and makes a learner with a
//! new name on the same store. It is buried as any removed replica is (`removal.rs`), and with it the damage; the learner is
//! made by the leader's messages, blank, and is sent everything. A learner asks for its vote, once a second, until it has one.
//! Nothing but the membership is remembered, and what is split off meanwhile inherits the learner.
//!
//! Safe for the same reasons as any other change of membership: the damaged replica counts as one that is silent. It needs
//! a leader, so a quorum without it. Without one, or where there is no other replica, it stays stopped and keeps what it has.
//!
//! A replica whose birth record is lost knows its name from its hard state, which the log keeps twice. If more is lost, that
//! may be an earlier one's: it listens for a while whether somebody speaks to a later name. If it knows none at all, no message
//! makes a replica in its place: nobody can tell for whom it may have voted.

use bytes::{BufMut, Bytes, BytesMut};

use super::members::Move;
use super::replica::Slot;
use super::request::Request;
use super::worker::{Timer, Worker};
use crate::ids::{ReplicaId, Term, Tick};
use crate::message::{RequestKind, StoreMessage};
use crate::raft::{Body, LogPos, Membership, Message, Start};

/// How often a step is asked for.
const ASKED_EVERY_TICKS: u64 = 100;

/// What a renewal's bytes begin with. A move's have another length.
const RENEWAL: u8 = 1;

/// How far a replica is from being whole.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Mending {
    /// It is, or nobody can help.
    #[default]
    Over,
    /// It is damaged, and its name may be a later one than it knows.
    Listens,
    /// It is damaged, and is to be renewed.
    Leaves,
    /// It is a learner that wants a vote.
    Returns,
}

/// The wish that a replica be replaced by another one on the same store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Renewal(pub(super) ReplicaId);

impl Renewal {
    /// Its bytes, as a request of kind [`RequestKind::Move`]: `1 u8 | replica u64`.
    fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(9);
        out.put_u8(RENEWAL);
        out.put_u64_le(self.0.0);
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Renewal> {
        match bytes {
            [RENEWAL, replica @ ..] => Some(Renewal(ReplicaId(u64::from_le_bytes(replica.try_into().ok()?)))),
            _ => None,
        }
    }

    /// The membership in which it is so; `None` if it is so already, or never can be.
    pub(super) fn target(self, now: &Membership) -> Option<Membership> {
        let voters: Vec<ReplicaId> = now.voters.iter().copied().filter(|voter| *voter != self.0).collect();
        let mut learners: Vec<ReplicaId> =
            now.learners.iter().copied().filter(|learner| *learner != self.0).collect();
        let is_member = voters.len() + learners.len() < now.voters.len() + now.learners.len();
        if !is_member || voters.is_empty() {
            return None;
        }
        // One goes and one comes.
        let number = u32::try_from(now.number + 2).ok()?;
        learners.push(ReplicaId::new(number, self.0.store()));
        learners.sort_unstable();
        let witnesses = now.witnesses.iter().copied().filter(|witness| *witness != self.0).collect();
        Some(Membership { number: number.into(), voters, outgoing: Vec::new(), learners, witnesses })
    }
}

impl Worker {
    /// From now on the region's replica is on its way to being whole.
    pub(super) fn mend(&mut self, slot: Slot, mending: Mending, now: Tick) {
        self.replica(slot).mending = mending;
        self.wheel.arm(now.after(ASKED_EVERY_TICKS), (slot, Timer::Mend));
    }

    /// Asks for the next step.
    pub(super) fn mend_timer(&mut self, slot: Slot, now: Tick) {
        let own = self.shared.config.id;
        let replica = self.replica(slot);
        let (region, id) = (replica.region, replica.id());
        let body = match replica.mending {
            Mending::Over => return,
            Mending::Listens | Mending::Leaves => {
                replica.mending = Mending::Leaves;
                Renewal(id).encode()
            }
            Mending::Returns if !replica.is_elsewhere() && replica.raft.membership().is_voter(id) => {
                replica.mending = Mending::Over;
                return;
            }
            Mending::Returns => Move { from: None, to: Some(own) }.encode(),
        };
        if replica.is_out_of_reach().is_none() {
            self.ask_whether_removed(slot);
            let request = Request {
                kind: RequestKind::Move,
                body,
                timeout: Some(super::TICK * ASKED_EVERY_TICKS as u32),
                reply: Box::new(|_| {}), // what came of it is seen in the membership
            };
            self.shared.inboxes.submit(region, request);
        }
        self.wheel.arm(now.after(ASKED_EVERY_TICKS), (slot, Timer::Mend));
    }

    /// The leader's log may have forgotten that the replica was removed, while it was silent. Whoever is asked for a vote by one
    /// that was tells it; nobody will give one to a replica that says that it has nothing.
    fn ask_whether_removed(&mut self, slot: Slot) {
        let (region, from) = (self.replica(slot).region, self.replica(slot).id());
        let body = Body::PreVote { last: LogPos::default() };
        for to in self.others_to_ask(slot) {
            let message = Message { from, to, term: Term(1), body: body.clone() };
            self.outbox.push(to.store(), &StoreMessage::Raft { region, message });
        }
    }

    /// A message for a later name: what was lost with the damage may have been promised under that one.
    pub(super) fn learn_own_name(&mut self, slot: Slot, to: ReplicaId, now: Tick) {
        let is_ours = to.store() == self.shared.config.id;
        let replica = self.replica(slot);
        if is_ours && replica.mending == Mending::Listens && replica.id() < to {
            let (region, membership) = (replica.region, replica.raft.membership().clone());
            let start = Start { membership, blank: true, ..Start::default() };
            self.replica(slot).raft = self.shared.raft(region, to, start, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StoreId;

    fn id(number: u32, store: u32) -> ReplicaId {
        ReplicaId::new(number, StoreId(store))
    }

    #[test]
    fn one_goes_and_one_comes() {
        let now = Membership { number: 5, ..Membership::of_voters(vec![id(1, 1), id(1, 2), id(1, 3)]) };
        let target = Renewal(id(1, 3)).target(&now).unwrap();
        assert_eq!((target.number, &target.voters[..]), (7, &[id(1, 1), id(1, 2)][..]));
        assert_eq!(target.learners, [id(7, 3)]);
        assert_eq!(Renewal(id(1, 3)).target(&target), None, "it is so");
        let again = Renewal(id(7, 3)).target(&target).unwrap();
        assert_eq!((&again.voters, &again.learners[..]), (&target.voters, &[id(9, 3)][..]), "a learner, too");
        assert_eq!(
            Renewal(id(1, 1)).target(&Membership::of_voters(vec![id(1, 1)])),
            None,
            "nobody would vote"
        );
    }

    #[test]
    fn golden_bytes() {
        let renewal = Renewal(id(1, 3));
        assert_eq!(&renewal.encode()[..], b"\x01\x03\0\0\0\x01\0\0\0");
        assert_eq!(Renewal::decode(&renewal.encode()), Some(renewal));
        assert_eq!(Renewal::decode(b"\x01\0\0\0\x02\0\0\0"), None, "a move");
    }
}

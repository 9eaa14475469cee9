//! How a replica that was damaged becomes whole: it is removed from its region, and comes back under a new name.
//!
//! A replica whose log, or whose state, was found damaged when its store was opened is stopped: what it had promised may be
//! among what was lost, its vote as well. So it never votes or acknowledges again. Its store asks whoever leads the region
//! to remove it, once a second until it is so; it is buried as any removed replica is (`removal.rs`), and with it the damage.
//! Then its store asks for a replica, which is made with a new name, blank, and is sent everything; and then for its vote.
//! What is asked for are steps of a [`Move`], so nothing but the wish is remembered: a tombstone says whether the region is to
//! come back, and the wish is over when the new replica has a vote.
//!
//! Safe for the same reasons as any other change of membership: the damaged replica counts as one that is silent. It needs
//! a leader, so a quorum without it. Without one, or where there is no other replica, it stays stopped and keeps what it has.
//!
//! A replica whose birth record is lost knows its name from its hard state, which the log keeps twice, and from messages to
//! a later name. If it knows neither, no message makes a replica in its place: nobody can tell for whom it may have voted.

use super::members::Move;
use super::removal;
use super::replica::Slot;
use super::request::Request;
use super::worker::{Timer, Worker};
use crate::ids::{RegionId, ReplicaId, Tick};
use crate::message::RequestKind;
use crate::raft::{Membership, Raft, Start};

/// How often a step is asked for.
const ASKED_EVERY_TICKS: u64 = 100;

/// How far a replica is from being whole.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Mending {
    /// It is, or nobody can help.
    #[default]
    Over,
    /// It is damaged, and is to be removed.
    Leaves,
    /// It was removed, and is to come back.
    Returns,
}

impl Worker {
    /// From now on the region's replica is on its way to being whole.
    pub(super) fn mend(&mut self, slot: Slot, mending: Mending, now: Tick) {
        self.replica(slot).mending = mending;
        if mending != Mending::Over {
            self.wheel.arm(now.after(ASKED_EVERY_TICKS), (slot, Timer::Mend));
        }
    }

    /// Asks for the next step.
    pub(super) fn mend_timer(&mut self, slot: Slot, now: Tick) {
        let own = self.shared.config.id;
        let replica = self.replica(slot);
        let (region, id) = (replica.region, replica.id());
        let membership = replica.raft.membership();
        let has_a_vote = membership.voters.contains(&id) && !membership.is_joint();
        let wanted = match replica.mending {
            Mending::Over => return,
            Mending::Leaves => Move { from: Some(own), to: None },
            Mending::Returns if replica.is_running() && !replica.is_vacant && has_a_vote => {
                self.replica(slot).mending = Mending::Over;
                if let Some(gone) = self.tombstone(region) {
                    removal::put_tombstone(&mut self.batch, region, gone, Mending::Over);
                }
                return;
            }
            Mending::Returns => Move { from: None, to: Some(own) },
        };
        if replica.is_out_of_reach().is_none() {
            let request = Request {
                kind: RequestKind::Move,
                body: wanted.encode(),
                timeout: Some(super::TICK * ASKED_EVERY_TICKS as u32),
                reply: Box::new(|_| {}), // what came of it is seen in the membership
            };
            self.shared.inboxes.submit(region, request);
        }
        self.wheel.arm(now.after(ASKED_EVERY_TICKS), (slot, Timer::Mend));
    }

    /// A message for a later name: what was lost with the damage may have been promised under that one.
    pub(super) fn learn_own_name(&mut self, slot: Slot, to: ReplicaId, now: Tick) {
        let replica = self.replica(slot);
        if replica.is_damaged() && replica.id() < to {
            let (region, membership) = (replica.region, replica.raft.membership().clone());
            let start = Start { membership, blank: true, ..Start::default() };
            self.replica(slot).raft = Raft::new(self.shared.raft_config(region, to), start, now);
        }
    }

    /// A region that was removed in order to come back, and had no vote again when the store was closed.
    pub(super) fn expect_return(&mut self, region: RegionId, now: Tick) {
        if self.slot(region).is_none() {
            self.learn(region, Membership::default(), now);
        }
        if let Some(slot) = self.slot(region).filter(|slot| !self.replica(*slot).is_damaged()) {
            self.mend(slot, Mending::Returns, now);
        }
    }
}

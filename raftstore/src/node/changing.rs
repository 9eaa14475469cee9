//! Changes of membership: what each event of the old vocabulary means to the core.
//!
//! The core gives a vote only to a learner that has caught up, and passes through a joint configuration. So `AddServer` is
//! two changes: in as a learner, and a vote as soon as it has caught up.

use super::error::{Error, Result};
use super::log::RaftLog;
use super::raft_node::{RaftNode, refused};
use super::types::NodeId;
use crate::raft::{ChangeRefusal, Membership, ReplicaId};

impl<L: RaftLog> RaftNode<L> {
    /// A learner at once, a voter when it has caught up. Nothing happens if it votes already.
    pub(super) fn add_server(&mut self, id: NodeId) -> Result<()> {
        if !self.raft.membership().is_voter(ReplicaId(id)) {
            self.add_learner(id)?;
            self.to_promote = Some(ReplicaId(id));
        }
        Ok(())
    }

    pub(super) fn add_learner(&mut self, id: NodeId) -> Result<()> {
        let id = ReplicaId(id);
        self.change(|target| {
            if !target.contains(id) {
                target.learners.push(id);
            }
        })
    }

    /// The same for one that keeps no data.
    pub(super) fn add_witness(&mut self, id: NodeId) -> Result<()> {
        let id = ReplicaId(id);
        if self.raft.membership().is_voter(id) {
            return Ok(());
        }
        self.change(|target| {
            if !target.contains(id) {
                target.learners.push(id);
                target.witnesses.push(id);
            }
        })?;
        self.to_promote = Some(id);
        Ok(())
    }

    pub(super) fn promote_learner(&mut self, id: NodeId) -> Result<()> {
        let id = ReplicaId(id);
        self.change(|target| {
            if target.learners.contains(&id) {
                target.learners.retain(|learner| *learner != id);
                target.voters.push(id);
            }
        })
    }

    pub(super) fn remove_server(&mut self, id: NodeId) -> Result<()> {
        let id = ReplicaId(id);
        self.to_promote.take_if(|promoted| *promoted == id);
        self.change(|target| {
            target.voters.retain(|voter| *voter != id);
            target.learners.retain(|learner| *learner != id);
            target.witnesses.retain(|witness| *witness != id);
        })
    }

    /// Gives the vote to who was added for it, as soon as it may have it. True if that was done now.
    pub(super) fn promote_who_caught_up(&mut self) -> bool {
        let Some(id) = self.to_promote.filter(|id| !self.raft.is_changing() && self.raft.is_caught_up(*id))
        else {
            return false;
        };
        let is_done = self.promote_learner(id.0).is_ok();
        if is_done {
            self.to_promote = None;
        }
        is_done
    }

    fn change(&mut self, edit: impl FnOnce(&mut Membership)) -> Result<()> {
        self.raft.may_propose().map_err(refused)?;
        if self.raft.is_changing() {
            return Err(Error::ConfigInProgress);
        }
        let mut target = self.raft.membership().clone();
        edit(&mut target);
        target.number += 1;
        target.voters.sort_unstable();
        target.learners.sort_unstable();
        target.witnesses.sort_unstable();
        match self.raft.change_membership(self.now, target, &mut self.fx) {
            Ok(_) | Err(ChangeRefusal::Unchanged) => Ok(()),
            Err(ChangeRefusal::NotNow(refusal)) => Err(refused(refusal)),
            Err(ChangeRefusal::UnderWay) => Err(Error::ConfigInProgress),
            Err(ChangeRefusal::NotCaughtUp(_)) => Err(Error::Busy { why: "the learner has not caught up" }),
            Err(ChangeRefusal::NoQuorum) => {
                Err(Error::Busy { why: "too few of those who would vote afterwards answer" })
            }
            Err(ChangeRefusal::Impossible | ChangeRefusal::StaysWhatItIs(_)) => Err(Error::Impossible {
                why: "nobody with data would vote, or there would be too many nodes",
            }),
        }
    }
}

//! Reads that are under way: those that came while a round was being answered share the next one.

use std::collections::VecDeque;

use super::action::Action;
use super::error::Result;
use super::log::RaftLog;
use super::raft_node::{RaftNode, refused};
use crate::raft::{ReadId, ReadReady};

/// The reads of a leader, by how far they are.
#[derive(Default, Debug)]
pub(super) struct Reads {
    /// They came while others were asked about.
    waiting: Vec<ReadId>,
    /// How many the core asks a quorum about.
    asked: usize,
    /// Confirmed, and waiting for entries to be handed out.
    confirmed: VecDeque<ReadReady>,
}

impl Reads {
    pub(super) fn confirmed(&mut self, ready: &mut Vec<ReadReady>) {
        self.asked -= ready.len().min(self.asked);
        self.confirmed.extend(ready.drain(..));
    }
}

impl<L: RaftLog> RaftNode<L> {
    pub(super) fn read(&mut self, id: ReadId) -> Result<()> {
        if self.reads.asked > 0 && self.raft.role() == crate::raft::Role::Leader {
            self.reads.waiting.push(id);
            return Ok(());
        }
        self.raft.read(self.now, id, &mut self.fx).map_err(refused)?;
        self.reads.asked += 1;
        Ok(())
    }

    /// Asks about all that wait, at once. True if there were any.
    pub(super) fn ask_next_round(&mut self) -> bool {
        if self.reads.asked > 0 || self.reads.waiting.is_empty() {
            return false;
        }
        for id in std::mem::take(&mut self.reads.waiting) {
            let is_taken = self.raft.read(self.now, id, &mut self.fx).is_ok();
            self.reads.asked += usize::from(is_taken);
        }
        self.reads.asked > 0
    }

    pub(super) fn answer_reads(&mut self, actions: &mut Vec<Action>) {
        while let Some(read) = self.reads.confirmed.pop_front_if(|read| read.index.0 <= self.applied) {
            actions.push(Action::ReadReady { id: read.id.0, index: read.index.0 });
        }
    }
}

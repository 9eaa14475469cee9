//! Snapshots on their way in: pieces are put together, and the whole is made durable before anybody hears of it.

use bytes::Bytes;

use super::action::Action;
use super::error::Result;
use super::limits::SNAPSHOT_BYTES_MAX;
use super::log::RaftLog;
use super::message::{Content, Message, SnapshotPart, SnapshotReceived};
use super::raft_node::RaftNode;
use super::types::Snapshot;
use crate::raft::{self, Event, LogPos, ReplicaId};

/// What has arrived of one snapshot, from its beginning on.
#[derive(Debug)]
pub(super) struct Receiving {
    from: ReplicaId,
    term: raft::Term,
    at: LogPos,
    data: Vec<u8>,
}

impl<L: RaftLog> RaftNode<L> {
    /// Takes a piece if it is the next one, and says which is.
    pub(super) fn on_part(&mut self, part: SnapshotPart, actions: &mut Vec<Action>) -> Result<()> {
        if !self.may_say(&part) {
            self.refused += 1;
            return Ok(());
        }
        if part.term < self.raft.term() {
            return Ok(());
        }
        if !self.raft.would_install(part.at) {
            // It is late: everything in it is here. To restore it would undo what was applied.
            self.answer(&part, part.total, true, actions);
            return Ok(());
        }
        let key = (part.from, part.term, part.at);
        let mut receiving =
            self.receiving.take().filter(|known| (known.from, known.term, known.at) == key).unwrap_or_else(
                || Receiving { from: part.from, term: part.term, at: part.at, data: Vec::new() },
            );
        if part.offset == receiving.data.len() as u64 {
            receiving.data.extend_from_slice(&part.data);
        }
        if receiving.data.len() as u64 == part.total {
            return self.install(part, receiving.data.into(), actions);
        }
        self.answer(&part, receiving.data.len() as u64, false, actions);
        self.receiving = Some(receiving);
        Ok(())
    }

    fn install(&mut self, part: SnapshotPart, data: Bytes, actions: &mut Vec<Action>) -> Result<()> {
        // What came before in the same step has to be in the log.
        self.settle(actions)?;
        let (index, term) = (part.at.index.0, part.at.term.0);
        self.log.apply_snapshot(&Snapshot {
            index,
            term,
            config: part.config.clone(),
            data: data.clone(),
        })?;
        self.log.sync()?;
        self.answer(&part, part.total, true, actions);
        let membership = part.config;
        let installed = Event::Installed { at: part.at, membership, from: part.from, term: part.term };
        self.raft.step(self.now, installed, &mut self.fx);
        (self.applied, self.committed) = (index, index);
        (self.hinted_at, self.bytes_since_hint) = (index, 0);
        actions.push(Action::RestoreSnapshot { index, term, data });
        self.compact_behind(index)
    }

    /// Whether the piece is for this node and comes from who may lead it, with numbers that are possible.
    fn may_say(&self, part: &SnapshotPart) -> bool {
        let membership = self.raft.membership();
        let is_known = membership.voters.is_empty()
            || membership.contains(part.from)
            || self.raft.leader() == Some(part.from);
        let end = part.offset.checked_add(part.data.len() as u64);
        let fits = end.is_some_and(|end| end <= part.total) && part.total <= SNAPSHOT_BYTES_MAX as u64;
        let is_possible =
            part.at.index > raft::Index(0) && part.at.term <= part.term && part.term.0 <= 1 << 62;
        let leads_here = self.raft.role() == raft::Role::Leader && part.term <= self.raft.term();
        part.to == self.raft.id()
            && part.from != self.raft.id()
            && is_known
            && fits
            && is_possible
            && !leads_here
            && !self.raft.is_witness()
            && !part.config.voters.is_empty()
    }

    fn answer(&self, part: &SnapshotPart, received: u64, done: bool, actions: &mut Vec<Action>) {
        let received = SnapshotReceived {
            from: part.to,
            to: part.from,
            term: part.term,
            index: part.at.index,
            offset: part.offset,
            received,
            done,
        };
        let message = Message { group: self.config.group(), content: Content::Received(received) };
        actions.push(Action::Send { to: part.from.0, message });
    }
}

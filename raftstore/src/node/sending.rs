//! Snapshots on their way out: one piece at a time to each follower that needs one.

use super::action::Action;
use super::error::Result;
use super::limits::{PART_RESENDS_MAX, SNAPSHOT_PART_BYTES};
use super::log::RaftLog;
use super::message::{Content, Message, SnapshotPart, SnapshotReceived};
use super::raft_node::RaftNode;
use super::types::Snapshot;
use crate::raft::{self, Event, LogPos, ReplicaId, Tick};

/// A snapshot on its way to one follower.
#[derive(Debug)]
pub(super) struct Sending {
    to: ReplicaId,
    /// Shared by all who are sent the same.
    snapshot: Snapshot,
    /// Where the piece that is on its way begins.
    offset: u64,
    sent_at: Tick,
    resends: u32,
}

impl<L: RaftLog> RaftNode<L> {
    /// The log no longer has what `to` needs. Without a snapshot the application is asked for one, and the follower waits
    /// for its next sign of life.
    pub(super) fn start_sending(&mut self, to: ReplicaId, actions: &mut Vec<Action>) -> Result<()> {
        self.sending.retain(|sending| sending.to != to);
        let newest = self.log.snapshot_index();
        let shared = self.sending.iter().find(|sending| sending.snapshot.index == newest);
        let snapshot = match shared {
            Some(sending) => Some(sending.snapshot.clone()),
            None => self.log.snapshot()?,
        };
        match snapshot {
            Some(snapshot) => {
                let sending = Sending { to, snapshot, offset: 0, sent_at: self.now, resends: 0 };
                self.send_part(&sending, actions);
                self.sending.push(sending);
            }
            None => {
                let (index, term) = (self.applied, self.raft.term_at(raft::Index(self.applied)));
                actions.push(Action::Snapshot { index, term: term.map_or(0, |term| term.0) });
                self.snapshot_done(to, None);
            }
        }
        Ok(())
    }

    /// An answer to the piece that is on its way brings the next; any other is late or repeated.
    pub(super) fn on_received(&mut self, received: SnapshotReceived, actions: &mut Vec<Action>) {
        let is_own = received.to == self.raft.id() && received.term == self.raft.term();
        let fits = |sending: &Sending| {
            (sending.to, sending.snapshot.index) == (received.from, received.index.0)
                && sending.offset == received.offset
                && received.received <= sending.snapshot.data.len() as u64
        };
        let Some(at) = self.sending.iter().position(|sending| is_own && fits(sending)) else {
            self.refused += u64::from(!is_own);
            return;
        };
        let mut sending = self.sending.swap_remove(at);
        if received.done {
            let at = LogPos { index: received.index, term: raft::Term(sending.snapshot.term) };
            return self.snapshot_done(sending.to, Some(at));
        }
        sending.offset = received.received;
        (sending.sent_at, sending.resends) = (self.now, 0);
        self.send_part(&sending, actions);
        self.sending.push(sending);
    }

    /// A piece that was not answered for the longest election timeout goes again, a few times.
    pub(super) fn send_lost_parts_again(&mut self, actions: &mut Vec<Action>) {
        for mut sending in std::mem::take(&mut self.sending) {
            if self.now < self.retry_at(&sending) {
                self.sending.push(sending);
            } else if sending.resends == PART_RESENDS_MAX {
                self.snapshot_done(sending.to, None);
            } else {
                (sending.sent_at, sending.resends) = (self.now, sending.resends + 1);
                self.send_part(&sending, actions);
                self.sending.push(sending);
            }
        }
    }

    pub(super) fn retry_at(&self, sending: &Sending) -> Tick {
        sending.sent_at.after(u64::from(self.config.election_timeout().1))
    }

    fn snapshot_done(&mut self, to: ReplicaId, at: Option<LogPos>) {
        self.raft.step(self.now, Event::SnapshotDone { to, at }, &mut self.fx);
    }

    fn send_part(&self, sending: &Sending, actions: &mut Vec<Action>) {
        let Sending { to, snapshot, offset, sent_at: _, resends: _ } = sending;
        let begin = (*offset as usize).min(snapshot.data.len());
        let end = snapshot.data.len().min(begin + SNAPSHOT_PART_BYTES);
        let part = SnapshotPart {
            from: self.raft.id(),
            to: *to,
            term: self.raft.term(),
            at: LogPos { index: raft::Index(snapshot.index), term: raft::Term(snapshot.term) },
            config: snapshot.config.clone(),
            offset: *offset,
            total: snapshot.data.len() as u64,
            data: snapshot.data.slice(begin..end),
        };
        let message = Message { group: self.config.group(), content: Content::Snapshot(part) };
        actions.push(Action::Send { to: to.0, message });
    }
}

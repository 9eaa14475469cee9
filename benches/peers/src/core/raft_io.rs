//! `raft-io` over its own log in memory.
//!
//! It carries out each event at once, so that proposals go in one by one, and its followers hear of a commit with the next
//! entry.

use bytes::Bytes;
use raft_io::{Action, Event, Message, RaftConfig, RaftNode};

use super::group::{Core, Inboxes, LOG_ENTRIES_MAX, Machine, REPLICAS};
use crate::peer::Result;

pub(crate) struct RaftIo {
    node: RaftNode,
    machine: Machine,
}

impl RaftIo {
    fn step(&mut self, event: Event, inboxes: &mut Inboxes<Message>) -> Result<()> {
        for action in self.node.step(event)? {
            match action {
                Action::Send { to, message } => inboxes[to as usize - 1].push(message),
                Action::Apply { command, .. } => self.machine.apply(&command),
                Action::Snapshot { index, .. } => {
                    self.step(Event::Snapshot { index, data: Vec::new() }, inboxes)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Core for RaftIo {
    type Message = Message;
    type Node = RaftNode;

    fn new(id: u64) -> Result<RaftIo> {
        let peers = (1..=REPLICAS as u64).filter(|peer| *peer != id);
        let config = RaftConfig::new(id, peers);
        let config = config.with_max_batch(4096).with_snapshot_threshold(LOG_ENTRIES_MAX);
        Ok(RaftIo { node: RaftNode::new(config), machine: Machine::default() })
    }

    /// It has no other way to be told.
    fn campaign(&mut self, inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.tick(inboxes)
    }

    fn is_leader(&self) -> bool {
        self.node.is_leader()
    }

    fn leader(&self) -> Option<u64> {
        self.node.leader()
    }

    fn propose(&mut self, payloads: &[Bytes], inboxes: &mut Inboxes<Message>) -> Result<()> {
        let mut proposals = payloads.iter().map(|payload| Event::Propose(payload[1..].to_vec()));
        proposals.try_for_each(|proposal| self.step(proposal, inboxes))
    }

    fn receive(&mut self, message: Message, inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.step(Event::Message(message), inboxes)
    }

    fn turn(&mut self, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        Ok(())
    }

    fn wants_turn(&self) -> bool {
        false
    }

    fn tick(&mut self, inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.step(Event::Tick, inboxes)
    }

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn into_node(self) -> RaftNode {
        self.node
    }
}

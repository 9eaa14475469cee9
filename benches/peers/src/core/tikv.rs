//! TiKV's `raft` over a queue of entries without a lock (its own `MemStorage` takes one for every question), with appends
//! batched, and a logger that discards.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::{Config, GetEntriesContext, RaftState, RawNode, StateRole, Storage, StorageError};
use slog::{Discard, Logger, o};

use super::group::{Core, Inboxes, LOG_ENTRIES_MAX, Machine, REPLICAS};
use crate::peer::Result;

/// The log, and what else it wants to be kept.
#[derive(Default)]
pub(crate) struct Log {
    hard_state: HardState,
    voters: ConfState,
    /// What stands before the first entry.
    base: (u64, u64),
    entries: VecDeque<Entry>,
}

/// If `SILENT`, followers hear of a commit with the next entry.
pub(crate) struct Tikv<const SILENT: bool> {
    node: RawNode<Log>,
    machine: Machine,
}

impl<const SILENT: bool> Tikv<SILENT> {
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty() {
                self.machine.apply(&entry.data);
            }
        }
    }
}

fn post(messages: Vec<Message>, inboxes: &mut Inboxes<Message>) {
    messages.into_iter().for_each(|message| inboxes[message.to as usize - 1].push(message));
}

impl<const SILENT: bool> Core for Tikv<SILENT> {
    type Message = Message;
    type Node = RawNode<Log>;

    fn new(id: u64) -> Result<Tikv<SILENT>> {
        let config = Config {
            id,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            skip_bcast_commit: SILENT,
            ..Config::default()
        };
        let voters = ConfState::from(((1..=REPLICAS as u64).collect::<Vec<_>>(), Vec::new()));
        let log = Log { voters, ..Log::default() };
        let node = RawNode::new(&config, log, &Logger::root(Discard, o!()))?;
        Ok(Tikv { node, machine: Machine::default() })
    }

    fn campaign(&mut self, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        Ok(self.node.campaign()?)
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn leader(&self) -> Option<u64> {
        Some(self.node.raft.leader_id).filter(|leader| *leader != raft::INVALID_ID)
    }

    /// As one message: `RawNode::propose` would take them one by one.
    fn propose(&mut self, payloads: &[Bytes], _inboxes: &mut Inboxes<Message>) -> Result<()> {
        let entry = |bytes: &Bytes| Entry { data: bytes.slice(1..), ..Entry::default() };
        let entries: Vec<Entry> = payloads.iter().map(entry).collect();
        let mut message = Message { from: self.node.raft.id, entries: entries.into(), ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        Ok(self.node.raft.step(message)?)
    }

    fn receive(&mut self, message: Message, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        Ok(self.node.step(message)?)
    }

    fn turn(&mut self, inboxes: &mut Inboxes<Message>) -> Result<()> {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            post(ready.take_messages(), inboxes);
            self.apply(ready.take_committed_entries());
            let entries = ready.take_entries();
            let log = self.node.mut_store();
            log.append(entries);
            if let Some(hard_state) = ready.hs() {
                log.hard_state = hard_state.clone();
            }
            post(ready.take_persisted_messages(), inboxes);
            let mut light = self.node.advance_append(ready);
            post(light.take_messages(), inboxes);
            self.apply(light.take_committed_entries());
            self.node.advance_apply();
            let applied = self.node.raft.raft_log.applied;
            self.node.mut_store().compact(applied);
        }
        Ok(())
    }

    fn wants_turn(&self) -> bool {
        false
    }

    fn tick(&mut self, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        let _has_work = self.node.tick();
        Ok(())
    }

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn into_node(mut self) -> RawNode<Log> {
        self.node.mut_store().entries = VecDeque::new();
        self.node
    }
}

impl Log {
    fn append(&mut self, entries: Vec<Entry>) {
        if let Some(first) = entries.first() {
            self.entries.truncate((first.index - self.base.0 - 1) as usize);
            self.entries.extend(entries);
        }
    }

    fn compact(&mut self, applied: u64) {
        if self.entries.len() >= LOG_ENTRIES_MAX
            && let Ok(term) = self.term(applied)
        {
            self.entries.drain(..(applied - self.base.0) as usize);
            self.base = (applied, term);
        }
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.clone(), conf_state: self.voters.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let place = |index: u64| (index - self.base.0 - 1) as usize;
        let mut entries = self.entries.range(place(low)..place(high)).cloned().collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match index.checked_sub(self.base.0) {
            None => Err(raft::Error::Store(StorageError::Compacted)),
            Some(0) => Ok(self.base.1),
            Some(place) => {
                let entry = self.entries.get(place as usize - 1);
                entry.map(|entry| entry.term).ok_or(raft::Error::Store(StorageError::Unavailable))
            }
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.base.0 + self.entries.len() as u64)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

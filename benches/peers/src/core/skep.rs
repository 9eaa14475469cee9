//! Skep's core over a list of entries.

use bytes::Bytes;
use skep_raftstore::raft::{
    Body, Config, Effects, Entries, Entry, EntryKind, Event, Index, LogPos, Membership, Message, Payload, Persisted,
    Raft, ReplicaId, Role, Start, Tick,
};

use super::group::{Core, Inboxes, LOG_ENTRIES_MAX, Machine, REPLICAS};
use crate::peer::Result;

/// Time stands still while it is measured: nothing asks for it.
pub(crate) const NOW: Tick = Tick(1);

/// `COPIED` commands are copied into allocations of their own before they are proposed, as if a caller had only borrowed them.
/// If `SILENT`, followers hear of a commit with the next entry, or some ticks later.
pub(crate) struct Skep<const COPIED: bool, const SILENT: bool> {
    raft: Raft,
    now: Tick,
    /// The first entry stands after what `raft` was told is compacted.
    log: Vec<Entry>,
    machine: Machine,
    applied: Index,
    fx: Effects,
    /// What the last turn wrote is durable; the core is told with whatever else has arrived for the next one, as by a worker.
    written: Option<Persisted>,
    /// Empty between calls, the room kept.
    proposed: Vec<Payload>,
}

impl<const COPIED: bool, const SILENT: bool> Skep<COPIED, SILENT> {
    fn carry_out(&mut self, inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.written = self.fx.write.take().map(Persisted::in_memory);
        self.write()?;
        let mut post = |message: Message| inboxes[message.to.0 as usize - 1].push(message);
        if !self.fx.send.is_empty() {
            self.fx.send.drain(..).for_each(&mut post);
        }
        let from = self.raft.id();
        let base = self.raft.base().index;
        for want in &self.fx.replicate {
            let wanted = &self.log[place(base, want.prev.index)..place(base, want.last)];
            let (entries, bytes) = match wanted {
                [entry] => (Entries::from_buf([entry.clone()]), entry.payload.bytes().len() as u64),
                more => (more.iter().cloned().collect(), bytes_of(more)),
            };
            if !self.raft.sent(want, want.last, bytes) {
                return Err("skep: the window is full".into());
            }
            let body = Body::Append { prev: want.prev, commit: want.commit, entries };
            post(Message { from, to: want.to, term: want.term, body });
        }
        if let Some(proof) = self.written.filter(|_| !self.fx.held.is_empty()) {
            self.fx.held.drain(proof, post);
        }
        if let Some(through) = self.fx.apply.take() {
            self.apply(through);
        }
        self.fx.clear();
        Ok(())
    }

    /// Nothing survives anyway, so term and vote are written nowhere.
    fn write(&mut self) -> Result<()> {
        let Some(first) = self.fx.append.first() else { return Ok(()) };
        let kept = place(self.raft.base().index, first.index.prev());
        if kept > self.log.len() {
            return Err(format!("skep: a gap before {:?}", first.index).into());
        }
        if kept < self.log.len() {
            self.log.truncate(kept);
        }
        self.log.append(&mut self.fx.append);
        Ok(())
    }

    fn apply(&mut self, through: Index) {
        let base = self.raft.base().index;
        for entry in &self.log[place(base, self.applied)..place(base, through)] {
            if entry.payload.kind() == EntryKind::Command {
                self.machine.apply(&entry.payload.bytes()[1..]);
            }
        }
        self.applied = through;
        self.raft.step(self.now, Event::Applied(through), &mut self.fx);
        if self.log.len() >= LOG_ENTRIES_MAX
            && let Some(term) = self.raft.term_at(through)
        {
            self.log.drain(..place(base, through));
            self.raft.step(self.now, Event::Compacted(LogPos { index: through, term }), &mut self.fx);
        }
    }
}

fn bytes_of(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.payload.bytes().len() as u64).sum()
}

/// How many entries of a log that begins after `base` are not above `index`.
fn place(base: Index, index: Index) -> usize {
    (index.0 - base.0) as usize
}

impl<const COPIED: bool, const SILENT: bool> Core for Skep<COPIED, SILENT> {
    type Message = Message;
    type Node = Raft;

    fn new(id: u64) -> Result<Skep<COPIED, SILENT>> {
        let config = Config {
            id: ReplicaId(id),
            election_ticks_min: 1000,
            election_ticks_max: 2000,
            heartbeat_ticks: 250,
            commit_news_ticks: if SILENT { 50 } else { 0 },
            inflight_messages_max: 256,
            entries_per_message_max: 4096,
            inflight_bytes_max: 16 << 20,
            uncommitted_bytes_max: 64 << 20,
            rank: 0,
            lease_ticks: 0,
            seed: id,
        };
        let voters = (1..=REPLICAS as u64).map(ReplicaId).collect();
        let start = Start { membership: Membership::of_voters(voters), ..Start::default() };
        Ok(Skep {
            raft: Raft::new(config, start, NOW),
            now: NOW,
            log: Vec::new(),
            machine: Machine::default(),
            applied: Index(0),
            fx: Effects::default(),
            written: None,
            proposed: Vec::new(),
        })
    }

    fn campaign(&mut self, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.raft.step(self.now, Event::Campaign, &mut self.fx);
        Ok(())
    }

    fn is_leader(&self) -> bool {
        self.raft.role() == Role::Leader
    }

    fn leader(&self) -> Option<u64> {
        self.raft.leader().map(|leader| leader.0)
    }

    fn propose(&mut self, payloads: &[Bytes], _inboxes: &mut Inboxes<Message>) -> Result<()> {
        let owned = |bytes: &Bytes| if COPIED { Bytes::copy_from_slice(bytes) } else { bytes.clone() };
        self.proposed.extend(payloads.iter().filter_map(|bytes| Payload::parse(owned(bytes))));
        let taken = self.raft.propose(self.now, &mut self.proposed, &mut self.fx);
        taken.map(|_| ()).map_err(|refusal| format!("skep: {refusal:?}").into())
    }

    fn receive(&mut self, message: Message, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.raft.step(self.now, Event::Message(message), &mut self.fx);
        Ok(())
    }

    fn turn(&mut self, inboxes: &mut Inboxes<Message>) -> Result<()> {
        if let Some(proof) = self.written.take() {
            self.raft.step(self.now, Event::Persisted(proof), &mut self.fx);
        }
        self.raft.flush(self.now, &mut self.fx);
        self.carry_out(inboxes)
    }

    /// That a write is durable can be told later where nothing waits for it.
    fn wants_turn(&self) -> bool {
        self.written.is_some() && (self.is_leader() || self.raft.commit() > self.applied)
    }

    /// It need not be told of ticks at which nothing is due.
    fn tick(&mut self, _inboxes: &mut Inboxes<Message>) -> Result<()> {
        self.now = self.now.after(1);
        if self.raft.deadline() <= self.now {
            self.raft.step(self.now, Event::Timeout, &mut self.fx);
        }
        Ok(())
    }

    fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn into_node(self) -> Raft {
        self.raft
    }
}

//! The state machine of one region: what raftstore hands committed entries to.
//!
//! It decides, the [`KeyMachine`] keeps. Each entry is judged in this order, and everything it is judged by follows
//! from the log, so that every replica answers the same:
//!
//! 1. its number: was it applied already (`sessions`)?
//! 2. its route: does the region's version stand, and do its keys lie here? If not, the answer is the region as it is.
//! 3. the command itself (`evaluate`), at the time that the stamps of the entries through this one say.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use skep_raftstore::ids::RegionId;
use skep_raftstore::machine::{Child, Committed, Fatal, Origin, SnapshotSource, Stamp, StateMachine};
use skep_raftstore::raft::LogPos;

use crate::agenda::Agenda;
use crate::change_bytes::{self, Split};
use crate::command_bytes::{self, Routed};
use crate::descriptor::RegionDescriptor;
use crate::layout::Unreadable;
use crate::limits::SPLIT_KEY_BYTES_MAX;
use crate::machine::KeyMachine;
use crate::memory_use::{MemoryUse, Share};
use crate::reply_bytes::{self, Rejection};
use crate::sessions::Verdict;
use evaluate::Scene;
use state::RegionState;

mod evaluate;
mod snapshot;
mod snapshot_bytes;
mod split;
mod state;

/// A region's state: its data in `M`, and what is remembered with it.
pub struct RegionMachine<M> {
    state: RegionState,
    data: M,
    /// Whether the descriptor has changed since it was asked for.
    is_news: bool,
    /// What was split off and has not been handed out.
    children: Vec<Child>,
    /// Where it says when its next value expires.
    agenda: Arc<Agenda>,
    /// What it has said there.
    noted: Option<Stamp>,
    /// Where it counts the memory that `data` takes.
    memory: Share,
}

impl<M: KeyMachine> RegionMachine<M> {
    /// A region in the state that it was born in: `data` is empty.
    pub fn new(region: RegionId, genesis: &[u8], data: M) -> Result<RegionMachine<M>, Fatal> {
        let descriptor = RegionDescriptor::decode(genesis)
            .map_err(|error| Fatal(format!("the genesis of {region} is {error}")))?;
        if descriptor.id != region {
            return Err(Fatal(format!("the genesis of {region} is that of {}", descriptor.id)));
        }
        Ok(RegionMachine::with(RegionState::new(descriptor), data))
    }

    fn with(state: RegionState, data: M) -> RegionMachine<M> {
        RegionMachine {
            state,
            data,
            is_news: true,
            children: Vec::new(),
            agenda: Arc::default(),
            noted: None,
            memory: Share::default(),
        }
    }

    /// The same, and `agenda` is told when values expire.
    pub(crate) fn with_agenda(mut self, agenda: Arc<Agenda>) -> RegionMachine<M> {
        self.agenda = agenda;
        self
    }

    /// The same, which counts what it holds as a part of what `memory` does.
    pub(crate) fn counted_in(mut self, memory: &Arc<MemoryUse>) -> RegionMachine<M> {
        self.memory = Share::of(memory);
        self.memory.set(self.data.memory());
        self
    }

    /// The region as it is.
    pub fn descriptor(&self) -> &RegionDescriptor {
        &self.state.descriptor
    }

    /// The largest stamp applied: what time it is, for this region.
    pub fn stamp(&self) -> Stamp {
        self.state.stamp
    }

    fn apply_entry(&mut self, entry: &Committed) -> Result<Bytes, Fatal> {
        if entry.index != self.state.applied.index.next() {
            return Err(Fatal(format!("entry {} follows {:?}", entry.index.0, self.state.applied)));
        }
        self.state.applied = LogPos { index: entry.index, term: entry.term };
        self.state.stamp = self.state.stamp.max(entry.stamp);
        match &entry.origin {
            Some(origin) => self.apply_command(origin, entry),
            None => {
                if let Some(membership) = &entry.membership {
                    self.state.descriptor.follow(membership);
                    self.is_news = true;
                }
                Ok(Bytes::new())
            }
        }
    }

    fn apply_command(&mut self, origin: &Origin, entry: &Committed) -> Result<Bytes, Fatal> {
        match self.state.sessions.judge(origin, self.state.applied.index) {
            Verdict::Fresh => {}
            Verdict::Repeated(reply) => return Ok(reply),
            Verdict::Answered => return Ok(reply_bytes::rejected(Rejection::Answered)),
            Verdict::EarlierLife => return Ok(reply_bytes::rejected(Rejection::EarlierLife)),
            Verdict::Forgotten => return Ok(reply_bytes::rejected(Rejection::Forgotten)),
        }
        let is_change = entry.proposer.is_some();
        let done = if is_change { self.change(&entry.body) } else { self.write(&entry.body) };
        let reply = match done? {
            Ok(reply) | Err(Misrouted::Answer(reply)) => reply,
            Err(Misrouted::Newer(error)) => return Err(Fatal(format!("an entry was {error}"))),
        };
        self.state.sessions.record(origin, reply.clone());
        Ok(reply)
    }

    fn write(&mut self, body: &[u8]) -> Result<Result<Bytes, Misrouted>, Fatal> {
        Ok(match self.routed(body) {
            Ok(Routed { command, .. }) => {
                let now = self.state.stamp;
                let scene = Scene { region: &self.state.descriptor, now, asked: now };
                Ok(evaluate::write(&mut self.data, scene, command)?)
            }
            Err(misrouted) => Err(misrouted),
        })
    }

    fn change(&mut self, body: &[u8]) -> Result<Result<Bytes, Misrouted>, Fatal> {
        match Split::decode(body) {
            Ok(split) => self.split(&split).map(Ok),
            Err(error) => Ok(Err(unreadable(error))),
        }
    }

    /// Where the region could be cut.
    fn cuts(&self, version: u64, pieces: u32) -> Result<Bytes, Fatal> {
        let region = &self.state.descriptor;
        if version != region.epoch.version {
            return Ok(reply_bytes::stale(&[region]));
        }
        let mut cuts = self.data.cuts(pieces)?;
        cuts.retain(|key| *key.to_vec() > *region.start && key.len() <= SPLIT_KEY_BYTES_MAX);
        Ok(reply_bytes::keys(&cuts))
    }

    /// Notes when the next value expires, if that has changed.
    fn note_expiry(&mut self) -> Result<(), Fatal> {
        let mut next = None;
        self.data.expiring(&mut |at, _| {
            next = Some(at);
            ControlFlow::Break(())
        })?;
        if self.noted != next {
            self.noted = next;
            self.agenda.note(&self.state.descriptor, next);
        }
        Ok(())
    }

    /// The command in `body`, if it was sent to this region as it is.
    fn routed<'a>(&self, body: &'a [u8]) -> Result<Routed<'a>, Misrouted> {
        let routed = command_bytes::decode(body).map_err(unreadable)?;
        let region = &self.state.descriptor;
        if routed.version == region.epoch.version && evaluate::lies_in(region, &routed.command) {
            Ok(routed)
        } else {
            Err(Misrouted::Answer(reply_bytes::stale(&[region])))
        }
    }
}

/// Why a command is not evaluated.
enum Misrouted {
    /// It is answered with this.
    Answer(Bytes),
    /// Another version would evaluate it.
    Newer(Unreadable),
}

fn unreadable(error: Unreadable) -> Misrouted {
    match error {
        Unreadable::Damaged(_) => Misrouted::Answer(reply_bytes::rejected(Rejection::Damaged)),
        Unreadable::Newer(..) => Misrouted::Newer(error),
    }
}

impl<M: KeyMachine> StateMachine for RegionMachine<M> {
    fn applied(&self) -> LogPos {
        self.state.applied
    }

    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal> {
        replies.reserve(batch.len());
        for entry in batch {
            replies.push(self.apply_entry(entry)?);
        }
        self.note_expiry()?;
        self.memory.set(self.data.memory());
        self.data.commit(&self.state)
    }

    fn take_children(&mut self) -> Vec<Child> {
        std::mem::take(&mut self.children)
    }

    fn take_description(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.is_news).then(|| self.state.descriptor.encode().into())
    }

    fn read(&mut self, query: &Bytes) -> Bytes {
        if let Some((version, pieces)) = change_bytes::decode_cuts(query) {
            return self.cuts(version, pieces).unwrap_or_else(|error| reply_bytes::failed(&error.0));
        }
        let answer = match self.routed(query) {
            Ok(Routed { command, asked, .. }) => {
                let scene = Scene { region: &self.state.descriptor, now: self.state.stamp, asked };
                evaluate::read(&self.data, scene, command)
            }
            Err(Misrouted::Answer(reply)) => return reply,
            Err(Misrouted::Newer(error)) => return reply_bytes::failed(&format!("a query was {error}")),
        };
        answer.unwrap_or_else(|error| reply_bytes::failed(&error.0))
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(snapshot::RegionSnapshot::new(&self.state, self.data.snapshot()?)))
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> Result<(), Fatal> {
        self.state = snapshot::restore(self.state.descriptor.id, &mut self.data, from)?;
        self.is_news = true;
        self.memory.set(self.data.memory());
        self.note_expiry()
    }

    fn size(&self) -> u64 {
        self.data.size()
    }

    fn digest(&self) -> u64 {
        snapshot::digest(&self.state, &self.data)
    }
}

impl<M> Drop for RegionMachine<M> {
    fn drop(&mut self) {
        self.agenda.forget(&self.state.descriptor);
    }
}

#[cfg(test)]
mod tests;

//! How much of what a replica wrote is durable, and so what it may say.
//!
//! Each write has a number and is remembered with the last index it left behind. A truncation lowers that index in all
//! writes on their way, so that a write that completes late never vouches for entries that were overwritten since.

use std::collections::VecDeque;

use super::effects::Effects;
use super::message::Message;
use super::types::{Index, WriteSeq};

/// The writes of one replica: which are asked for, which are done.
#[derive(Debug)]
pub(super) struct Durable {
    through: Index,
    issued: WriteSeq,
    pending: VecDeque<Pending>,
    hard_state: Written,
}

/// A write on its way, and the last index that the log will durably have when it is done.
#[derive(Debug)]
struct Pending {
    seq: WriteSeq,
    last: Index,
}

/// Where the newest hard state is.
#[derive(PartialEq, Eq, Debug)]
enum Written {
    /// It changed in this turn.
    Not,
    /// It is part of this write.
    Pending(WriteSeq),
    /// It survives.
    Durably,
}

impl Durable {
    pub(super) const fn new(through: Index) -> Durable {
        Durable { through, issued: WriteSeq(0), pending: VecDeque::new(), hard_state: Written::Durably }
    }

    /// The last index through which the log is durable.
    pub(super) const fn through(&self) -> Index {
        self.through
    }

    /// Sends `message` at once if the term it reveals and everything through `promised` are durable, else holds it.
    pub(super) fn post(&self, message: Message, promised: Index, fx: &mut Effects) {
        if self.hard_state() && promised <= self.through {
            fx.send.push(message);
        } else {
            fx.held.push(message);
        }
    }

    /// Whether term and vote as they are now would survive a crash.
    pub(super) fn hard_state(&self) -> bool {
        self.hard_state == Written::Durably
    }

    /// Whether the hard state must be part of this turn's write.
    pub(super) fn hard_state_changed(&self) -> bool {
        self.hard_state == Written::Not
    }

    pub(super) const fn change_hard_state(&mut self) {
        self.hard_state = Written::Not;
    }

    /// The log now ends before `from`.
    pub(super) fn truncate(&mut self, from: Index) {
        let last = from.prev();
        self.through = self.through.min(last);
        for write in self.pending.iter_mut().rev().take_while(|write| write.last > last) {
            write.last = last;
        }
    }

    /// The log was replaced: no write on its way says anything about the new one.
    pub(super) fn restart(&mut self) {
        self.truncate(Index(0));
    }

    /// A write that leaves the log ending at `last`.
    pub(super) fn issue(&mut self, last: Index) -> WriteSeq {
        self.issued.0 += 1;
        let seq = self.issued;
        self.pending.push_back(Pending { seq, last });
        if self.hard_state == Written::Not {
            self.hard_state = Written::Pending(seq);
        }
        seq
    }

    /// The write `seq` and all before it are done.
    pub(super) fn persisted(&mut self, seq: WriteSeq) {
        while let Some(write) = self.pending.pop_front_if(|write| write.seq <= seq) {
            self.through = self.through.max(write.last);
        }
        if matches!(self.hard_state, Written::Pending(written) if written <= seq) {
            self.hard_state = Written::Durably;
        }
    }
}

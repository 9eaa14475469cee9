//! How much of what a replica wrote is durable, and so what it may say.
//!
//! Each write has a number and is remembered with the last index it left behind. A truncation lowers that index in all
//! writes on their way, so that a write that completes late never vouches for entries that were overwritten since.
//!
//! Most replicas have no write on its way, and most of the others have one: it costs no memory of its own.

use std::collections::VecDeque;

use super::effects::Effects;
use super::message::Message;
use super::mutant::{Build, Mutant};
use super::types::{Index, WriteSeq};

/// The writes of one replica: which are asked for, which are done.
///
/// Invariants: the writes after `done`, through `issued`, are on their way. `oldest` is the last index that the log will
/// durably have when the first of them is done; `later` has those of the others, in order, and they do not go down.
#[derive(Debug)]
pub(super) struct Durable {
    through: Index,
    issued: WriteSeq,
    done: WriteSeq,
    oldest: Index,
    #[expect(
        clippy::box_collection,
        reason = "a third of the size where there is none, which is almost everywhere"
    )]
    later: Option<Box<VecDeque<Index>>>,
    /// The write that the newest hard state is part of.
    hard_state: WriteSeq,
}

/// The number of a write that will be asked for when this turn ends.
const THIS_TURN: WriteSeq = WriteSeq(u64::MAX);

impl Durable {
    pub(super) const fn new(through: Index) -> Durable {
        Durable {
            through,
            issued: WriteSeq(0),
            done: WriteSeq(0),
            oldest: Index(0),
            later: None,
            hard_state: WriteSeq(0),
        }
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
        self.hard_state <= self.done
    }

    /// Whether the hard state must be part of this turn's write.
    pub(super) fn hard_state_changed(&self) -> bool {
        self.hard_state == THIS_TURN
    }

    pub(super) const fn change_hard_state(&mut self) {
        self.hard_state = THIS_TURN;
    }

    /// The log now ends before `from`.
    pub(super) fn truncate(&mut self, from: Index, build: Build) {
        let last = from.prev();
        self.through = self.through.min(last);
        if build.is(Mutant::LateWriteVouches) {
            return;
        }
        self.oldest = self.oldest.min(last);
        let later = self.later.iter_mut().flat_map(|later| later.iter_mut().rev());
        later.take_while(|write| **write > last).for_each(|write| *write = last);
    }

    /// The log was replaced: no write on its way says anything about the new one.
    pub(super) fn restart(&mut self, build: Build) {
        self.truncate(Index(0), build);
    }

    /// The log begins anew after `base`, which is durable before any write that comes after.
    pub(super) fn begin_at(&mut self, base: Index, build: Build) {
        self.restart(build);
        self.through = base;
    }

    /// A write that leaves the log ending at `last`.
    pub(super) fn issue(&mut self, last: Index) -> WriteSeq {
        if self.issued == self.done {
            self.oldest = last;
        } else {
            self.later.get_or_insert_default().push_back(last);
        }
        self.issued.0 += 1;
        if self.hard_state == THIS_TURN {
            self.hard_state = self.issued;
        }
        self.issued
    }

    /// Gives back what several writes at a time took, if none is on its way.
    pub(super) fn rest(&mut self) {
        if self.issued == self.done {
            self.later = None;
        }
    }

    /// The write `seq` and all before it are done.
    pub(super) fn persisted(&mut self, seq: WriteSeq) {
        while self.done < seq.min(self.issued) {
            self.done.0 += 1;
            self.through = self.through.max(self.oldest);
            if let Some(next) = self.later.as_mut().and_then(|later| later.pop_front()) {
                self.oldest = next;
            }
        }
    }
}

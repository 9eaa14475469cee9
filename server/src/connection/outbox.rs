//! The replies of one connection, in the order of its commands, whoever answers them and when.
//!
//! Every command has a slot in a queue. Threads of a store fill slots; the connection's task takes what is
//! filled at the front. It is woken when the front becomes filled, and not again before it has looked: a
//! store that answers a hundred commands in one go wakes it once.
//!
//! Invariants:
//! - a slot is filled once, by the [`Ticket`] made with it (a ticket that is lost fills it with an error);
//! - `unanswered` counts the empty slots, `ready_bytes` what the filled ones hold, themselves included.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use skep_engine::Error;
use tokio::sync::Notify;

use super::part::Part;
use super::under_way::{Footprint, Hindrance, UnderWay};
use crate::resp::{Protocol, Reply};

/// How a reply is to be written, as it was when its command came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    pub(crate) protocol: Protocol,
    /// The client asked not to be answered.
    pub(crate) is_silent: bool,
}

struct Slot {
    form: Form,
    command_bytes: usize,
    reply: Option<Reply>,
}

#[derive(Default)]
struct State {
    /// The number of the slot at the front.
    first: u64,
    slots: VecDeque<Slot>,
    unanswered: usize,
    unanswered_bytes: usize,
    ready_bytes: usize,
    /// Bytes of answers that are gathered for replies.
    gathered_bytes: usize,
    under_way: UnderWay,
    /// Parts handed to the key space so far: the number of the newest.
    submitted: u64,
    refused: Option<(Part, Error)>,
    is_store_stopped: bool,
    /// What the next part waits for.
    awaited: Option<Hindrance>,
    is_woken: bool,
}

/// See the page of this file.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    wake: Notify,
}

/// What the task of a connection has to know before it takes on more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) unanswered: usize,
    pub(crate) unanswered_bytes: usize,
    pub(crate) ready_bytes: usize,
    pub(crate) gathered_bytes: usize,
    /// The store that this connection talks to has stopped.
    pub(crate) is_store_stopped: bool,
}

impl Outbox {
    /// A filled slot at the end.
    pub(crate) fn push(&self, form: Form, reply: Reply) {
        let mut state = self.state.lock();
        state.ready_bytes += slot_bytes(&reply);
        state.slots.push_back(Slot { form, command_bytes: 0, reply: Some(reply) });
    }

    /// An empty slot at the end, and what fills it.
    pub(crate) fn reserve(self: &Arc<Outbox>, form: Form, command_bytes: usize) -> Ticket {
        let mut state = self.state.lock();
        state.unanswered += 1;
        state.unanswered_bytes += command_bytes;
        state.slots.push_back(Slot { form, command_bytes, reply: None });
        let number = state.first + state.slots.len() as u64 - 1;
        Ticket { outbox: Arc::clone(self), number, is_used: false }
    }

    /// Moves filled slots from the front to `taken`, until that holds `bytes_max`. False if nothing was
    /// filled.
    pub(crate) fn take_ready(&self, bytes_max: usize, taken: &mut Vec<(Form, Reply)>) -> bool {
        let mut state = self.state.lock();
        state.is_woken = false;
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(reply) = state.slots.front_mut().and_then(|slot| slot.reply.take()) else { break };
            let Some(slot) = state.slots.pop_front() else { break };
            state.first += 1;
            state.ready_bytes -= slot_bytes(&reply);
            bytes += slot_bytes(&reply);
            taken.push((slot.form, reply));
        }
        bytes > 0
    }

    /// Counts a part that is about to be handed to the key space, and numbers it. `None` if it has to wait: for an
    /// answer, which wakes the task, or behind a part that was refused.
    pub(crate) fn submitting(&self, footprint: &Footprint) -> Option<u64> {
        let mut state = self.state.lock();
        if state.refused.is_some() {
            return None;
        }
        let held_bytes = state.ready_bytes + state.gathered_bytes;
        state.awaited = state.under_way.hindrance(footprint, held_bytes);
        if state.awaited.is_some() {
            return None;
        }
        state.under_way.begins(footprint);
        state.submitted += 1;
        Some(state.submitted)
    }

    /// A part was answered, with a value of so many bytes if it was one.
    pub(super) fn answered(&self, footprint: &Footprint, value_bytes: Option<usize>) {
        let mut state = self.state.lock();
        state.under_way.ends(footprint, value_bytes);
        if state.awaited.is_some_and(|awaited| state.under_way.is_gone(awaited)) {
            self.wake_up(state);
        }
    }

    /// So many more bytes of answers are kept for a reply.
    pub(super) fn gathers(&self, bytes: usize) {
        self.state.lock().gathered_bytes += bytes;
    }

    /// So many of them have become a reply, or were dropped.
    pub(super) fn gathered(&self, bytes: usize) {
        self.state.lock().gathered_bytes -= bytes;
    }

    /// Takes back a part that the key space had no room for, to be submitted again. If something was
    /// submitted after it, trying again could turn the order of two writes around: then it is returned.
    pub(super) fn refused(&self, number: u64, part: Part, error: Error) -> Option<(Part, Error)> {
        let mut state = self.state.lock();
        if state.submitted != number {
            return Some((part, error));
        }
        state.refused = Some((part, error));
        self.wake_up(state);
        None
    }

    /// What was taken back.
    pub(crate) fn take_refused(&self) -> Option<(Part, Error)> {
        self.state.lock().refused.take()
    }

    /// The store has stopped: another one should be asked from here on.
    pub(super) fn store_stopped(&self) {
        self.state.lock().is_store_stopped = true;
    }

    /// Whether another store may be asked instead of the one that has stopped: not while that one has parts that are
    /// unanswered, because what is asked elsewhere would not keep its order with them. An answer wakes the task.
    pub(crate) fn changes_store(&self) -> bool {
        let mut state = self.state.lock();
        let is_quiet = state.under_way.parts == 0;
        state.is_store_stopped = !is_quiet;
        state.awaited = (!is_quiet).then_some(Hindrance::Room);
        is_quiet
    }

    pub(crate) fn load(&self) -> Load {
        let state = self.state.lock();
        Load {
            unanswered: state.unanswered,
            unanswered_bytes: state.unanswered_bytes,
            ready_bytes: state.ready_bytes,
            gathered_bytes: state.gathered_bytes,
            is_store_stopped: state.is_store_stopped,
        }
    }

    /// Makes [`woken`](Outbox::woken) return.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when there may be something to do.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
        self.state.lock().is_woken = false;
    }

    fn fill(&self, number: u64, reply: Reply) {
        let mut state = self.state.lock();
        let at = (number - state.first) as usize;
        let bytes = slot_bytes(&reply);
        let slot = &mut state.slots[at];
        debug_assert!(slot.reply.is_none(), "a slot is filled once");
        let command_bytes = slot.command_bytes;
        slot.reply = Some(reply);
        state.unanswered -= 1;
        state.unanswered_bytes -= command_bytes;
        state.ready_bytes += bytes;
        if at == 0 {
            self.wake_up(state);
        }
    }

    fn wake_up(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let was_woken = std::mem::replace(&mut state.is_woken, true);
        drop(state);
        if !was_woken {
            self.wake.notify_one();
        }
    }
}

/// What a filled slot costs.
fn slot_bytes(reply: &Reply) -> usize {
    size_of::<Slot>() + reply.bytes()
}

/// The right and the duty to fill one slot.
pub(crate) struct Ticket {
    outbox: Arc<Outbox>,
    number: u64,
    is_used: bool,
}

impl Ticket {
    /// Fills the slot.
    pub(crate) fn fill(mut self, reply: Reply) {
        self.is_used = true;
        self.outbox.fill(self.number, reply);
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_used {
            self.outbox
                .fill(self.number, Reply::error("ERR the store stopped before it answered; outcome unknown"));
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_engine::Command;

    use super::*;

    const FORM: Form = Form { protocol: Protocol::Resp2, is_silent: false };

    fn ready(outbox: &Outbox) -> Vec<Reply> {
        let mut taken = Vec::new();
        while outbox.take_ready(1, &mut taken) {}
        taken.into_iter().map(|(_, reply)| reply).collect()
    }

    #[test]
    fn replies_come_in_the_order_of_the_commands() {
        let outbox = Arc::new(Outbox::default());
        let (first, second) = (outbox.reserve(FORM, 10), outbox.reserve(FORM, 20));
        outbox.push(FORM, Reply::Integer(3));
        second.fill(Reply::Integer(2));
        assert_eq!(ready(&outbox), []);
        assert_eq!((outbox.load().unanswered, outbox.load().unanswered_bytes), (1, 10));
        first.fill(Reply::Integer(1));
        assert_eq!(ready(&outbox), [Reply::Integer(1), Reply::Integer(2), Reply::Integer(3)]);
        assert_eq!((outbox.load().unanswered, outbox.load().ready_bytes), (0, 0));
    }

    #[test]
    fn a_lost_ticket_is_an_answer() {
        let outbox = Arc::new(Outbox::default());
        drop(outbox.reserve(FORM, 0));
        assert!(matches!(&ready(&outbox)[..], [Reply::Error(_)]));
    }

    #[test]
    fn what_is_waited_for_wakes_and_nothing_else() {
        let outbox = Outbox::default();
        let of = |command| Footprint::of(&command);
        let read = |key: &'static str| of(Command::Get { key: key.into() });
        let write = |key: &'static str| of(Command::Increment { key: key.into(), by: 1 });
        assert!(outbox.submitting(&read("a")).is_some());
        assert!(outbox.submitting(&read("b")).is_some());
        assert!(outbox.submitting(&write("c")).is_some());
        assert_eq!(outbox.submitting(&write("a")), None);
        outbox.answered(&read("b"), Some(1));
        outbox.answered(&write("c"), None);
        assert!(!outbox.state.lock().is_woken);
        outbox.answered(&read("a"), Some(1));
        assert!(outbox.state.lock().is_woken);
        assert!(outbox.submitting(&write("a")).is_some());
    }

    #[test]
    fn small_replies_count_with_their_places() {
        let outbox = Outbox::default();
        for _ in 0..1000 {
            outbox.push(FORM, Reply::Bulk(bytes::Bytes::new()));
        }
        assert_eq!(outbox.load().ready_bytes, 1000 * size_of::<Slot>());
    }

    #[test]
    fn another_store_is_asked_only_when_nothing_is_under_way_on_the_old_one() {
        let outbox = Outbox::default();
        let write = Footprint::of(&Command::Increment { key: "a".into(), by: 1 });
        assert!(outbox.submitting(&write).is_some());
        outbox.store_stopped();
        assert!(!outbox.changes_store());
        assert!(outbox.load().is_store_stopped);
        outbox.answered(&write, None);
        assert!(outbox.state.lock().is_woken);
        assert!(outbox.changes_store());
        assert!(!outbox.load().is_store_stopped);
    }
}

//! The way of a connection's work to its store: in order, held back where order asks for it, tried again
//! where the store has no room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use skep_engine::Engine;

use super::outbox::{Outbox, Ticket};
use super::part::{Part, Parts};
use crate::clients::Consistency;
use crate::commands::Work;
use crate::limits::BUSY_PAUSE;
use crate::server::Server;

/// See the page of this file.
pub(super) struct Submitter {
    engine: Engine,
    outbox: Arc<Outbox>,
    /// Commands of which parts are still to be submitted.
    waiting: VecDeque<Parts>,
    /// Parts that were made and could not be submitted: before all others.
    held: VecDeque<Part>,
    retry_at: Option<Instant>,
}

impl Submitter {
    pub(super) fn new(server: &Server, outbox: Arc<Outbox>) -> Submitter {
        Submitter {
            engine: server.choose_store(),
            outbox,
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            retry_at: None,
        }
    }

    /// The store that is asked.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Work for [`submit`](Submitter::submit).
    pub(super) fn take(&mut self, work: Work, reads: Consistency, ticket: Ticket) {
        self.waiting.push_back(Parts::of(work, reads, ticket));
    }

    /// Whether nothing waits here.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }

    /// When [`submit`](Submitter::submit) should be called even if nobody wakes the task.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Submits what waits. False if something still waits.
    pub(super) fn submit(&mut self, server: &Server) -> bool {
        self.take_back(server);
        if self.is_idle() {
            return true;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.retry_at = None;
        if !self.has_store(server) {
            return false;
        }
        while let Some(part) = self.next_part() {
            let Some(number) = self.outbox.submitting(part.footprint()) else {
                self.held.push_front(part);
                return false;
            };
            part.submit(&self.engine, number);
            if self.take_back(server) {
                return false;
            }
        }
        true
    }

    fn next_part(&mut self) -> Option<Part> {
        if let Some(part) = self.held.pop_front() {
            return Some(part);
        }
        loop {
            if let Some(part) = self.waiting.front_mut()?.next() {
                return Some(part);
            }
            self.waiting.pop_front();
        }
    }

    /// Puts what was refused to the front again. True if it has to wait there.
    fn take_back(&mut self, server: &Server) -> bool {
        let Some((part, error)) = self.outbox.take_refused() else {
            return false;
        };
        let now = Instant::now();
        if part.is_late(now, server.request_timeout) {
            part.fail(error);
            return false;
        }
        self.held.push_front(part);
        self.retry_at = Some(now + BUSY_PAUSE);
        true
    }

    /// A connection whose store has stopped goes on with another, once nothing of it is under way on the old
    /// one. False until then.
    fn has_store(&mut self, server: &Server) -> bool {
        if !self.outbox.load().is_store_stopped {
            return true;
        }
        let changes = self.outbox.changes_store();
        if changes {
            self.engine = server.choose_store();
        }
        changes
    }
}

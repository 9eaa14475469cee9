//! The way of a connection's work to its store: in order, held back where order asks for it, tried again
//! where the store has no room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use skep_engine::{Command, Engine, Error};

use super::outbox::{Outbox, Ticket};
use super::part::Part;
use crate::commands::{Work, batches};
use crate::limits::BUSY_PAUSE;
use crate::server::Server;

/// See the page of this file.
pub(super) struct Submitter {
    engine: Engine,
    outbox: Arc<Outbox>,
    waiting: VecDeque<Part>,
    /// Since when the part at the front has been refused.
    refused_since: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Submitter {
    pub(super) fn new(server: &Server, outbox: Arc<Outbox>) -> Submitter {
        let waiting = VecDeque::new();
        Submitter { engine: server.choose_store(), outbox, waiting, refused_since: None, retry_at: None }
    }

    /// The store that is asked.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Work for [`submit`](Submitter::submit).
    pub(super) fn take(&mut self, work: Work, ticket: Ticket) {
        self.waiting.extend(Part::all_of(work, ticket));
    }

    /// Whether nothing waits here.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When [`submit`](Submitter::submit) should be called even if nobody wakes the task.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Submits what waits. False if something still waits.
    pub(super) fn submit(&mut self, server: &Server) -> bool {
        self.take_back(server);
        if self.waiting.is_empty() {
            return true;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.retry_at = None;
        self.maybe_change_store(server);
        while let Some(part) = self.waiting.pop_front() {
            let Some(number) = self.outbox.submitting(part.command.is_write()) else {
                self.waiting.push_front(part);
                return false;
            };
            part.submit(&self.engine, number);
            if self.take_back(server) {
                return false;
            }
            self.refused_since = None;
        }
        true
    }

    /// Puts what was refused to the front again. True if it has to wait there.
    fn take_back(&mut self, server: &Server) -> bool {
        let Some((part, error)) = self.outbox.take_refused() else {
            return false;
        };
        let now = Instant::now();
        let since = *self.refused_since.get_or_insert(now);
        if now.duration_since(since) >= server.request_timeout {
            self.refused_since = None;
            part.fail(error);
            return false;
        }
        for part in self.as_it_lies_now(part, &error).into_iter().rev() {
            self.waiting.push_front(part);
        }
        self.retry_at = Some(now + BUSY_PAUSE);
        true
    }

    /// A batch that was grouped while a region moved is grouped again.
    fn as_it_lies_now(&self, part: Part, error: &Error) -> Vec<Part> {
        match &part.command {
            Command::Batch { writes } if *error == Error::CrossRegion => {
                let commands = batches(&self.engine, writes.clone());
                part.cut(commands)
            }
            _ => vec![part],
        }
    }

    /// A connection whose store has stopped goes on with another, once nothing of it is under way on the old
    /// one.
    fn maybe_change_store(&mut self, server: &Server) {
        let load = self.outbox.load();
        if load.is_store_stopped {
            self.engine = server.choose_store();
            self.outbox.store_changed();
        }
    }
}

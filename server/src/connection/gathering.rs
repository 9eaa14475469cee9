//! The answers of several questions on their way into one reply.

use parking_lot::Mutex;
use skep_engine::{Answer, Error};

use super::outbox::Ticket;
use crate::commands::errors::{self, reply_to};
use crate::commands::{Gather, unexpected, value};
use crate::limits::ANSWER_BYTES_MAX;
use crate::resp::Reply;

/// See the page of this file.
pub(super) struct Gathering {
    /// Taken for moments, by whichever threads answer.
    pieces: Mutex<Pieces>,
}

struct Pieces {
    gather: Gather,
    /// What has come, as far as `gather` keeps it.
    values: Vec<Reply>,
    /// Bytes of the values.
    bytes: usize,
    sum: i64,
    missing: usize,
    /// The first thing that went wrong: the reply.
    error: Option<Reply>,
    ticket: Option<Ticket>,
}

impl Gathering {
    /// For `count` answers.
    pub(super) fn new(gather: Gather, count: usize, ticket: Ticket) -> Gathering {
        let ticket = Some(ticket);
        let pieces =
            Pieces { gather, values: Vec::new(), bytes: 0, sum: 0, missing: count, error: None, ticket };
        Gathering { pieces: Mutex::new(pieces) }
    }

    /// Whether the reply is an error already, whatever else comes.
    pub(super) fn has_failed(&self) -> bool {
        self.pieces.lock().error.is_some()
    }

    /// Fewer answers will come than was thought.
    pub(super) fn fewer(&self, count: usize) {
        let mut pieces = self.pieces.lock();
        pieces.missing -= count;
        finish_if_complete(pieces);
    }

    /// The answer to question `at`, or the error and whether it was a write.
    pub(super) fn arrived(&self, at: usize, result: Result<Answer, (Error, bool)>) {
        let mut pieces = self.pieces.lock();
        match result {
            Ok(_) if pieces.error.is_some() => {}
            Ok(answer) => pieces.take(at, answer),
            Err((error, is_write)) => pieces.fail(reply_to(&error, is_write)),
        }
        pieces.missing -= 1;
        finish_if_complete(pieces);
    }
}

impl Pieces {
    fn take(&mut self, at: usize, answer: Answer) {
        match &self.gather {
            Gather::Done => {}
            Gather::Looks(watched) => {
                if !watched.saw(at, &answer) {
                    self.fail(unexpected(&answer));
                }
            }
            Gather::Sum(count) => match count(&answer) {
                Some(number) => self.sum += number,
                None => self.fail(unexpected(&answer)),
            },
            Gather::Values => self.take_value(at, value(answer)),
        }
    }

    fn take_value(&mut self, at: usize, value: Reply) {
        let bytes = value.bytes();
        self.bytes += bytes;
        if let Some(ticket) = &self.ticket {
            ticket.outbox().gathers(bytes);
        }
        if self.bytes > ANSWER_BYTES_MAX {
            return self.fail(errors::too_many_values());
        }
        if self.values.len() <= at {
            self.values.resize(at + 1, Reply::Null);
        }
        self.values[at] = value;
    }

    fn fail(&mut self, reply: Reply) {
        self.error.get_or_insert(reply);
        self.values = Vec::new();
        self.gathered_no_more();
    }

    fn gathered_no_more(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(ticket) = self.ticket.as_ref().filter(|_| bytes > 0) {
            ticket.outbox().gathered(bytes);
        }
    }

    fn reply(&mut self) -> Reply {
        self.gathered_no_more();
        match (self.error.take(), &self.gather) {
            (Some(error), _) => error,
            (None, Gather::Values) => Reply::Array(std::mem::take(&mut self.values)),
            (None, Gather::Sum(_)) => Reply::Integer(self.sum),
            (None, Gather::Done | Gather::Looks(_)) => Reply::OK,
        }
    }
}

fn finish_if_complete(mut pieces: parking_lot::MutexGuard<'_, Pieces>) {
    if pieces.missing > 0 {
        return;
    }
    let reply = pieces.reply();
    let ticket = pieces.ticket.take();
    drop(pieces);
    if let Some(ticket) = ticket {
        ticket.fill(reply);
    }
}

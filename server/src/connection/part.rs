//! One question to the key space on behalf of a client's command, and the way of its answer back into the reply.
//!
//! Most commands are one part. MGET, DEL and others are several, possibly of several regions: their answers are
//! gathered, and the last one makes the reply.

use std::sync::Arc;

use parking_lot::Mutex;
use skep_engine::{Answer, Command, Engine, Error};

use super::outbox::{Outbox, Ticket};
use crate::commands::errors::reply_to;
use crate::commands::{Finish, Work};
use crate::resp::Reply;

/// See the page of this file.
pub(crate) struct Part {
    pub(crate) command: Command,
    sink: Sink,
}

enum Sink {
    Whole { ticket: Ticket, finish: fn(Answer) -> Reply },
    Piece { gathering: Arc<Gathering>, at: usize },
}

struct Gathering {
    outbox: Arc<Outbox>,
    /// Protects the answers that arrived; taken for moments, by whichever threads answer.
    pieces: Mutex<Pieces>,
}

struct Pieces {
    answers: Vec<Option<Answer>>,
    missing: usize,
    error: Option<(Error, bool)>,
    finish: Option<(Ticket, Finish)>,
}

impl Part {
    /// The parts of one command, in order.
    pub(crate) fn all_of(work: Work, ticket: Ticket) -> Vec<Part> {
        match work {
            Work::One(command, finish) => vec![Part { command, sink: Sink::Whole { ticket, finish } }],
            Work::Several(commands, finish) => {
                let gathering = Arc::new(Gathering::new(commands.len(), ticket, finish));
                let piece =
                    |(at, command)| Part { command, sink: Sink::Piece { gathering: gathering.clone(), at } };
                commands.into_iter().enumerate().map(piece).collect()
            }
        }
    }

    /// Hands it to the key space as part `number` of its connection. The answer may come before this returns.
    pub(crate) fn submit(self, engine: &Engine, number: u64) {
        let command = self.command.clone();
        let counted = Counted { outbox: Arc::clone(self.outbox()), is_write: command.is_write() };
        engine.execute(command, move |result| {
            drop(counted);
            self.answered(number, result);
        });
    }

    /// Gives the part up.
    pub(crate) fn fail(self, error: Error) {
        let is_write = self.command.is_write();
        match self.sink {
            Sink::Whole { ticket, .. } => ticket.fill(reply_to(&error, is_write)),
            Sink::Piece { gathering, at } => gathering.arrived(at, Err((error, is_write))),
        }
    }

    /// The same work as several parts, after it turned out that it lies in several regions.
    pub(crate) fn cut(self, commands: Vec<Command>) -> Vec<Part> {
        let Sink::Piece { gathering, at } = self.sink else {
            debug_assert!(commands.len() < 2, "only gathered work is cut");
            return Vec::from_iter(
                commands.into_iter().next().map(|command| Part { command, sink: self.sink }),
            );
        };
        let mut places = gathering.more(commands.len().saturating_sub(1));
        let mut part = |command| {
            let at = places.next().unwrap_or(at);
            Part { command, sink: Sink::Piece { gathering: gathering.clone(), at } }
        };
        commands.into_iter().map(&mut part).collect()
    }

    fn answered(self, number: u64, result: Result<Answer, Error>) {
        let outbox = Arc::clone(self.outbox());
        match result {
            Ok(answer) => match self.sink {
                Sink::Whole { ticket, finish } => ticket.fill(finish(answer)),
                Sink::Piece { gathering, at } => gathering.arrived(at, Ok(answer)),
            },
            Err(error @ (Error::Busy | Error::NoRegion | Error::CrossRegion)) => {
                if let Some((part, error)) = outbox.refused(number, self, error) {
                    part.fail(error);
                }
            }
            Err(error) => {
                if matches!(error, Error::StoreStopped(_)) {
                    outbox.store_stopped();
                }
                self.fail(error);
            }
        }
    }

    fn outbox(&self) -> &Arc<Outbox> {
        match &self.sink {
            Sink::Whole { ticket, .. } => ticket.outbox(),
            Sink::Piece { gathering, .. } => &gathering.outbox,
        }
    }
}

/// A part that the key space has. Dropped, even with the question unanswered, it no longer counts.
struct Counted {
    outbox: Arc<Outbox>,
    is_write: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.outbox.answered(self.is_write);
    }
}

impl Gathering {
    fn new(count: usize, ticket: Ticket, finish: Finish) -> Gathering {
        let outbox = Arc::clone(ticket.outbox());
        let answers = (0..count).map(|_| None).collect();
        let pieces = Pieces { answers, missing: count, error: None, finish: Some((ticket, finish)) };
        Gathering { outbox, pieces: Mutex::new(pieces) }
    }

    /// Room for more answers than were expected: their places.
    fn more(&self, count: usize) -> std::ops::Range<usize> {
        let mut pieces = self.pieces.lock();
        let start = pieces.answers.len();
        pieces.answers.resize(start + count, None);
        pieces.missing += count;
        start..start + count
    }

    fn arrived(&self, at: usize, result: Result<Answer, (Error, bool)>) {
        let mut pieces = self.pieces.lock();
        match result {
            Ok(answer) => pieces.answers[at] = Some(answer),
            Err(error) => pieces.error = pieces.error.take().or(Some(error)),
        }
        pieces.missing -= 1;
        if pieces.missing > 0 {
            return;
        }
        let Some((ticket, finish)) = pieces.finish.take() else { return };
        let answers = std::mem::take(&mut pieces.answers);
        let error = pieces.error.take();
        drop(pieces);
        ticket.fill(finish(match error {
            Some((error, is_write)) => Err(reply_to(&error, is_write)),
            None => Ok(answers.into_iter().flatten().collect()),
        }));
    }
}

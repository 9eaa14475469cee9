//! One question to the key space on behalf of a client's command, and the way of its answer back into the
//! reply.
//!
//! Most commands are one part. MGET, DEL and others are several, possibly of several regions: their answers
//! are gathered, and the last one makes the reply.

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

#[cfg(test)]
mod tests {
    use super::super::outbox::Form;
    use super::*;
    use crate::resp::Protocol;

    const FORM: Form = Form { protocol: Protocol::Resp2, is_silent: false };

    fn get(key: &'static str) -> Command {
        Command::Get { key: key.into() }
    }

    fn parts(outbox: &Arc<Outbox>, commands: Vec<Command>) -> Vec<Part> {
        let count = |answers: Result<Vec<Answer>, Reply>| {
            answers.map_or_else(|error| error, |a| Reply::Integer(a.len() as i64))
        };
        Part::all_of(Work::Several(commands, Box::new(count)), outbox.reserve(FORM, 0))
    }

    fn ready(outbox: &Outbox) -> Vec<Reply> {
        let mut taken = Vec::new();
        outbox.take_ready(usize::MAX, &mut taken);
        taken.into_iter().map(|(_, reply)| reply).collect()
    }

    #[test]
    fn the_last_answer_makes_the_reply() {
        let outbox = Arc::new(Outbox::default());
        let mut parts = parts(&outbox, vec![get("a"), get("b")]);
        parts.remove(1).answered(2, Ok(Answer::Value(None)));
        assert_eq!(ready(&outbox), []);
        parts.remove(0).answered(1, Ok(Answer::Value(None)));
        assert_eq!(ready(&outbox), [Reply::Integer(2)]);
    }

    #[test]
    fn a_refused_part_is_kept_only_while_it_is_the_newest() {
        let outbox = Arc::new(Outbox::default());
        let mut parts = parts(&outbox, vec![get("a"), get("b")]);
        let (first, second) =
            (outbox.submitting(false).expect("no reads"), outbox.submitting(false).expect("no reads"));
        parts.remove(1).answered(second, Err(Error::Busy));
        let (kept, error) = outbox.take_refused().expect("the newest is kept");
        assert_eq!(error, Error::Busy);
        parts.remove(0).answered(first, Err(Error::Busy));
        assert!(outbox.take_refused().is_none());
        kept.answered(3, Ok(Answer::Value(None)));
        assert!(matches!(&ready(&outbox)[..], [Reply::Error(text)] if text.starts_with("TRYAGAIN")));
    }

    #[test]
    fn work_that_is_cut_still_makes_one_reply() {
        let outbox = Arc::new(Outbox::default());
        let whole = parts(&outbox, vec![get("ab")]).remove(0);
        let mut pieces = whole.cut(vec![get("a"), get("b"), get("c")]);
        while let Some(piece) = pieces.pop() {
            assert_eq!(ready(&outbox), []);
            piece.answered(1, Ok(Answer::Value(None)));
        }
        assert_eq!(ready(&outbox), [Reply::Integer(3)]);
    }
}

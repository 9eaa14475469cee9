//! One question to the key space on behalf of a client's command, and the way of its answer back into the
//! reply.
//!
//! Most commands are one part. MGET, DEL and others are several, possibly of several regions: they are made as they
//! are submitted, so that a command of a million keys is never a million parts at one time; their answers are
//! [gathered](super::gathering).

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_engine::{Answer, Command, Engine, Error};

use super::gathering::Gathering;
use super::outbox::{Outbox, Ticket};
use super::under_way::Footprint;
use crate::clients::Consistency;
use crate::commands::errors::reply_to;
use crate::commands::{Finish, Questions, Step, Walk, Work, unexpected};
use crate::resp::Reply;

/// See the page of this file.
pub(crate) struct Part {
    pub(crate) command: Command,
    footprint: Footprint,
    /// How fresh the answer must be, if it is a read.
    reads: Consistency,
    outbox: Arc<Outbox>,
    sink: Sink,
    /// When it was first handed to the key space.
    first_asked: Option<Instant>,
}

enum Sink {
    Whole { ticket: Ticket, finish: Finish },
    Piece { gathering: Arc<Gathering>, at: usize },
    Walk { ticket: Ticket, walk: Box<dyn Walk> },
}

/// The parts of one command, in order, each made when it is asked for.
pub(crate) enum Parts {
    One(Option<Part>),
    Several(Several),
}

/// A command of several parts.
pub(crate) struct Several {
    questions: Questions,
    gathering: Arc<Gathering>,
    reads: Consistency,
    outbox: Arc<Outbox>,
    /// How many were made.
    at: usize,
}

impl Parts {
    pub(crate) fn of(work: Work, reads: Consistency, ticket: Ticket) -> Parts {
        let outbox = Arc::clone(ticket.outbox());
        match work {
            Work::One(command, finish) => {
                Parts::One(Some(Part::new(command, reads, outbox, Sink::Whole { ticket, finish })))
            }
            Work::Several(questions, gather) => {
                let gathering = Arc::new(Gathering::new(gather, questions.len(), ticket));
                Parts::Several(Several { questions, gathering, reads, outbox, at: 0 })
            }
            Work::Walk(command, walk) => {
                let part = Part::new(command, reads, outbox, Sink::Walk { ticket, walk });
                Parts::One(Some(Part { footprint: part.footprint.walking(), ..part }))
            }
        }
    }
}

impl Iterator for Parts {
    type Item = Part;

    /// Once a part has failed, the rest of a command is not begun.
    fn next(&mut self) -> Option<Part> {
        let several = match self {
            Parts::One(part) => return part.take(),
            Parts::Several(several) => several,
        };
        let Several { questions, gathering, reads, outbox, at } = several;
        if questions.len() > 0 && gathering.has_failed() {
            gathering.fewer(questions.len());
            *questions = Box::new(std::iter::empty());
        }
        let command = questions.next()?;
        let sink = Sink::Piece { gathering: Arc::clone(gathering), at: *at };
        *at += 1;
        Some(Part::new(command, *reads, Arc::clone(outbox), sink))
    }
}

impl Part {
    fn new(command: Command, reads: Consistency, outbox: Arc<Outbox>, sink: Sink) -> Part {
        Part { footprint: Footprint::of(&command), command, reads, outbox, sink, first_asked: None }
    }

    /// What it touches.
    pub(crate) fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// It is handed to the key space, perhaps again.
    fn asked(&mut self, now: Instant) {
        self.first_asked.get_or_insert(now);
    }

    /// Whether it was refused for so long that it is given up, however often it was tried.
    pub(crate) fn is_late(&self, now: Instant, limit: Duration) -> bool {
        self.first_asked.is_some_and(|first| now.duration_since(first) >= limit)
    }

    /// Hands it to the key space as part `number` of its connection. The answer may come before this returns.
    pub(crate) fn submit(mut self, engine: &Engine, number: u64) {
        if let Sink::Walk { walk, .. } = &mut self.sink {
            walk.prepare(&mut self.command);
        }
        self.asked(Instant::now());
        let counted = Counted::of(&self);
        self.ask(engine, number, counted);
    }

    fn ask(self, engine: &Engine, number: u64, mut counted: Counted) {
        let (command, reads) = (self.command.clone(), self.reads);
        let is_walk = matches!(self.sink, Sink::Walk { .. });
        // Only a walk has further questions.
        let again = is_walk.then(|| engine.clone());
        let answered = move |result: Result<Answer, Error>| {
            counted.value_bytes = value_bytes(&result);
            match again {
                Some(engine) => self.walked(&engine, number, counted, result),
                None => self.arrived(number, counted, result),
            }
        };
        match command {
            // Several keys are set one region at a time: it was cut by what was known then.
            Command::Batch { writes } => engine.execute_divided(writes, answered),
            query if reads == Consistency::Stale && !query.is_write() => {
                engine.execute_stale(query, answered)
            }
            command => engine.execute(command, answered),
        }
    }

    /// A walk goes on, or ends.
    fn walked(mut self, engine: &Engine, number: u64, counted: Counted, result: Result<Answer, Error>) {
        let answer = match result {
            Ok(answer) => answer,
            Err(_) => return self.arrived(number, counted, result),
        };
        let Sink::Walk { walk, .. } = &mut self.sink else { return };
        match walk.next(Ok(answer)) {
            Step::Ask(command) => Part { command, ..self }.ask(engine, number, counted),
            Step::Reply(reply) => {
                self.fill(reply);
                drop(counted);
            }
        }
    }

    /// The answer goes where it belongs, and only then is the part no longer under way: what waits for it (EXEC for the
    /// looks of its watched keys) finds it there.
    fn arrived(self, number: u64, counted: Counted, result: Result<Answer, Error>) {
        self.answered(number, result);
        drop(counted);
    }

    fn fill(self, reply: Reply) {
        if let Sink::Walk { ticket, .. } | Sink::Whole { ticket, .. } = self.sink {
            ticket.fill(reply);
        }
    }

    /// Gives the part up.
    pub(crate) fn fail(self, error: Error) {
        let is_write = self.command.is_write();
        match self.sink {
            Sink::Whole { ticket, .. } => ticket.fill(reply_to(&error, is_write)),
            Sink::Piece { gathering, at } => gathering.arrived(at, Err((error, is_write))),
            Sink::Walk { ticket, mut walk } => ticket.fill(match walk.next(Err(error.clone())) {
                Step::Reply(reply) => reply,
                Step::Ask(_) => reply_to(&error, is_write),
            }),
        }
    }

    fn answered(self, number: u64, result: Result<Answer, Error>) {
        match result {
            Ok(answer) => match self.sink {
                Sink::Whole { ticket, finish } => ticket.fill(finish.reply(answer)),
                Sink::Piece { gathering, at } => gathering.arrived(at, Ok(answer)),
                Sink::Walk { ticket, .. } => ticket.fill(unexpected(&answer)),
            },
            // Nothing was done: trying again can help.
            Err(error @ (Error::Busy | Error::NoRegion)) => {
                let outbox = Arc::clone(&self.outbox);
                if let Some((part, error)) = outbox.refused(number, self, error) {
                    part.fail(error);
                }
            }
            Err(error) => {
                if matches!(error, Error::StoreStopped(_)) {
                    self.outbox.store_stopped();
                }
                self.fail(error);
            }
        }
    }
}

fn value_bytes(result: &Result<Answer, Error>) -> Option<usize> {
    match result {
        Ok(answer) => answer_bytes(answer),
        Err(_) => None,
    }
}

fn answer_bytes(answer: &Answer) -> Option<usize> {
    match answer {
        Answer::Value(value) => Some(value.as_ref().map_or(0, bytes::Bytes::len)),
        Answer::Several(answers) => Some(answers.iter().flatten().filter_map(answer_bytes).sum()),
        Answer::Done | Answer::Refused | Answer::Integer(_) | Answer::Pairs { .. } => None,
    }
}

/// A part that the key space has. Dropped, even with the question unanswered, it no longer counts.
struct Counted {
    outbox: Arc<Outbox>,
    footprint: Footprint,
    value_bytes: Option<usize>,
}

impl Counted {
    fn of(part: &Part) -> Counted {
        Counted { outbox: Arc::clone(&part.outbox), footprint: part.footprint.clone(), value_bytes: None }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.outbox.answered(&self.footprint, self.value_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::outbox::Form;
    use super::*;
    use crate::commands::Gather;
    use crate::limits::ANSWER_BYTES_MAX;
    use crate::resp::Protocol;

    const FORM: Form = Form { protocol: Protocol::Resp2, is_silent: false };

    fn get(key: &'static str) -> Command {
        Command::Get { key: key.into() }
    }

    fn parts(outbox: &Arc<Outbox>, commands: Vec<Command>, gather: Gather) -> Parts {
        let work = Work::Several(Box::new(commands.into_iter()), gather);
        Parts::of(work, Consistency::Linearizable, outbox.reserve(FORM, 0))
    }

    fn ready(outbox: &Outbox) -> Vec<Reply> {
        let mut taken = Vec::new();
        outbox.take_ready(usize::MAX, &mut taken);
        taken.into_iter().map(|(_, reply)| reply).collect()
    }

    #[test]
    fn the_last_answer_makes_the_reply() {
        let outbox = Arc::new(Outbox::default());
        let mut parts: Vec<Part> = parts(&outbox, vec![get("a"), get("b")], Gather::Values).collect();
        parts.remove(1).answered(2, Ok(Answer::Value(Some("b".into()))));
        assert_eq!(ready(&outbox), []);
        parts.remove(0).answered(1, Ok(Answer::Value(None)));
        assert_eq!(ready(&outbox), [Reply::Array(vec![Reply::Null, Reply::constant("b")])]);
    }

    #[test]
    fn a_refused_part_is_kept_only_while_it_is_the_newest() {
        let outbox = Arc::new(Outbox::default());
        let mut parts: Vec<Part> = parts(&outbox, vec![get("a"), get("b")], Gather::Values).collect();
        let submitting = |part: &Part| outbox.submitting(part.footprint()).expect("there is room");
        let (first, second) = (submitting(&parts[0]), submitting(&parts[1]));
        let next = Part::new(
            get("c"),
            Consistency::Linearizable,
            Arc::clone(&outbox),
            Sink::Whole { ticket: outbox.reserve(FORM, 0), finish: Finish::Plain(|_| Reply::OK) },
        );
        parts.remove(1).answered(second, Err(Error::Busy));
        assert_eq!(outbox.submitting(next.footprint()), None, "nothing overtakes what was refused");
        let (kept, error) = outbox.take_refused().expect("the newest is kept");
        assert_eq!(error, Error::Busy);
        parts.remove(0).answered(first, Err(Error::Busy));
        assert!(outbox.take_refused().is_none());
        kept.answered(3, Ok(Answer::Value(None)));
        assert!(matches!(&ready(&outbox)[..], [Reply::Error(text)] if text.starts_with("TRYAGAIN")));
    }

    /// A store that does not know the region of a key refuses it after a while, each time.
    #[test]
    fn what_is_refused_again_and_again_is_given_up_in_time() {
        let outbox = Arc::new(Outbox::default());
        let mut parts = parts(&outbox, vec![get("a")], Gather::Values);
        let mut part = parts.next().expect("one");
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        for tried in [0, 2, 4] {
            let now = began + tried * second;
            assert!(!part.is_late(now, 5 * second), "after {tried} s");
            part.asked(now);
            let number = outbox.submitting(part.footprint()).expect("there is room");
            part.answered(number, Err(Error::NoRegion));
            (part, _) = outbox.take_refused().expect("it may be tried again");
        }
        assert!(part.is_late(began + 5 * second, 5 * second));
    }

    thread_local! {
        /// Set while a test's answer is looked at: what asks whether a write of the key it was read from may go.
        static PROBE: RefCell<Option<Box<dyn Fn() -> bool>>> = const { RefCell::new(None) };
    }

    #[test]
    fn what_waits_for_an_answer_goes_when_that_is_in_its_place_and_not_before() {
        let outbox = Arc::new(Outbox::default());
        let looks_at_it =
            Gather::Sum(|_| PROBE.with_borrow(|probe| probe.as_ref().map(|may_go| i64::from(may_go()))));
        let part =
            parts(&outbox, vec![Command::Look { key: "k".into() }], looks_at_it).next().expect("a part");
        let number = outbox.submitting(part.footprint()).expect("there is room");
        let write = Footprint::of(&Command::Delete { key: "k".into(), return_old: false });
        let counted = Counted::of(&part);
        let (asked, of) = (Arc::clone(&outbox), write.clone());
        PROBE.set(Some(Box::new(move || asked.submitting(&of).is_some())));
        part.arrived(number, counted, Ok(Answer::Value(Some("look".into()))));
        assert_eq!(ready(&outbox), [Reply::Integer(0)], "it went before the answer was taken");
        assert!(outbox.submitting(&write).is_some());
    }

    #[test]
    fn what_would_not_fit_into_one_reply_is_not_asked_for() {
        let outbox = Arc::new(Outbox::default());
        let mut parts = parts(&outbox, vec![get("k"); 1000], Gather::Values);
        let value = bytes::Bytes::from(vec![0; skep_engine::VALUE_BYTES_MAX]);
        let asked =
            parts.by_ref().map(|part| part.answered(1, Ok(Answer::Value(Some(value.clone()))))).count();
        assert_eq!(asked, ANSWER_BYTES_MAX / value.len() + 1);
        assert!(matches!(&ready(&outbox)[..], [Reply::Error(text)] if text.contains("fewer keys")));
        assert_eq!(outbox.load().gathered_bytes, 0);
    }
}

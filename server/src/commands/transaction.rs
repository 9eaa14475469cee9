//! MULTI, EXEC, DISCARD, WATCH and UNWATCH: several commands of one region with nothing in between.
//!
//! Commands are queued as they come and read when EXEC does. All that they ask of the key space is then one question,
//! one entry of one region's log. What WATCH saw of its keys goes with it, and the region compares when it applies the
//! entry; nothing is locked, and nothing is remembered between WATCH and EXEC but in this connection.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_engine::{Answer, Command, Engine, Error, RegionDescriptor};

use super::errors::{self, check_arity, reply_to};
use super::table::CommandSpec;
use super::{Context, Finish, Gather, Outcome, Step, Walk, Work, run, unexpected, value};
use crate::limits::{TRANSACTION_BYTES_MAX, WATCHED_KEYS_MAX};
use crate::resp::Reply;

const NESTED: &str = "ERR MULTI calls can not be nested";
const WATCH_INSIDE: &str = "ERR WATCH inside MULTI is not allowed";
const EXEC_ALONE: &str = "ERR EXEC without MULTI";
const DISCARD_ALONE: &str = "ERR DISCARD without MULTI";
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
const NOT_INSIDE: &str = "ERR this command cannot be part of a transaction";

/// What a queued command costs beside the bytes of its arguments.
const QUEUED_BYTES: usize = 64;

/// What a connection has queued since MULTI.
#[derive(Default)]
pub(crate) struct Transaction {
    queued: Vec<Vec<Bytes>>,
    bytes: usize,
    /// Something could not be queued: nothing is carried out.
    is_broken: bool,
}

/// Keys that a connection watches.
pub(crate) struct Watched {
    keys: Vec<Bytes>,
    /// Where each of them lay.
    regions: Vec<RegionDescriptor>,
    /// What each of them looked like, once that is known. Held for one look.
    looks: Mutex<Vec<Option<Bytes>>>,
}

impl Watched {
    /// The answer to the question about key `at`; false if it is none.
    pub(crate) fn saw(&self, at: usize, answer: &Answer) -> bool {
        let Answer::Value(Some(look)) = answer else { return false };
        if let Some(place) = self.looks.lock().get_mut(at) {
            *place = Some(look.clone());
        }
        true
    }
}

/// Whether a command is carried out at once although others are queued.
pub(super) fn is_immediate(spec: &CommandSpec) -> bool {
    matches!(spec.name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset")
}

/// Queues a command.
pub(super) fn queue(transaction: &mut Transaction, spec: Option<&CommandSpec>, arguments: &[Bytes]) -> Reply {
    let refused = match spec {
        None => Some(errors::unknown_command(arguments)),
        Some(spec) => check_arity(spec, arguments.len()),
    };
    transaction.bytes += arguments.iter().map(|argument| QUEUED_BYTES + argument.len()).sum::<usize>();
    let refused =
        refused.or_else(|| (transaction.bytes > TRANSACTION_BYTES_MAX).then(errors::transaction_too_large));
    match refused {
        Some(error) => {
            *transaction = Transaction { is_broken: true, ..Transaction::default() };
            error
        }
        None if transaction.is_broken => Reply::Status("QUEUED"),
        None => {
            transaction.queued.push(arguments.to_vec());
            Reply::Status("QUEUED")
        }
    }
}

pub(super) fn multi(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    if context.session.transaction.is_some() {
        return Reply::error(NESTED).into();
    }
    context.session.transaction = Some(Transaction::default());
    Reply::OK.into()
}

pub(super) fn discard(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    if context.session.transaction.take().is_none() {
        return Reply::error(DISCARD_ALONE).into();
    }
    context.session.watched.clear();
    Reply::OK.into()
}

pub(super) fn watch(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    if context.session.transaction.is_some() {
        return Reply::error(WATCH_INSIDE).into();
    }
    let keys = arguments[1..].to_vec();
    let count: usize = context.session.watched.iter().map(|watched| watched.keys.len()).sum();
    if count + keys.len() > WATCHED_KEYS_MAX {
        return Reply::error(format!(
            "ERR more than {WATCHED_KEYS_MAX} keys are watched: UNWATCH or EXEC first"
        ))
        .into();
    }
    let regions = keys.iter().map(|key| context.engine.region_at(key)).collect();
    let looks = Mutex::new(vec![None; keys.len()]);
    let watched = Arc::new(Watched { keys: keys.clone(), regions, looks });
    context.session.watched.push(Arc::clone(&watched));
    let questions = keys.into_iter().map(|key| Command::Look { key });
    Outcome::Work(Work::Several(Box::new(questions), Gather::Looks(watched)))
}

pub(super) fn unwatch(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    context.session.watched.clear();
    Reply::OK.into()
}

pub(super) fn exec(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    let Some(transaction) = context.session.transaction.take() else {
        return Reply::error(EXEC_ALONE).into();
    };
    let watched = std::mem::take(&mut context.session.watched);
    if transaction.is_broken {
        return Reply::error(ABORTED).into();
    }
    let mut commands = Vec::new();
    let queued = transaction.queued.iter();
    let slots: Vec<Slot> = queued.map(|arguments| Slot::of(run(context, arguments), &mut commands)).collect();
    let keys: Vec<Bytes> = watched.iter().flat_map(|watched| watched.keys.iter().cloned()).collect();
    if commands.is_empty() {
        let Some(key) = keys.first() else {
            return assembled(slots, Vec::new()).into();
        };
        // There is nothing to do but to see whether anything has changed.
        commands.push(Command::Length { key: key.clone() });
    }
    let watched_keys = keys.into_iter().map(|key| (key, Bytes::new())).collect();
    let command = Command::Atomic { watched: watched_keys, commands };
    let exec = Exec { engine: context.engine.clone(), watched, slots };
    Outcome::Work(Work::Walk(command, Box::new(exec)))
}

/// Where the reply to a queued command comes from.
enum Slot {
    Made(Reply),
    One(Finish),
    /// From the answers to so many commands.
    Several(Gather, usize),
}

impl Slot {
    /// What a command wants of the key space goes to `commands`.
    fn of(outcome: Outcome, commands: &mut Vec<Command>) -> Slot {
        match outcome {
            Outcome::Reply(reply) | Outcome::Close(reply) => Slot::Made(reply),
            Outcome::Work(Work::One(command, finish)) => {
                commands.push(command);
                Slot::One(finish)
            }
            Outcome::Work(Work::Several(questions, gather)) => {
                let count = questions.len();
                commands.extend(questions);
                Slot::Several(gather, count)
            }
            Outcome::Work(Work::Walk(..)) | Outcome::Later(_) | Outcome::Drop => {
                Slot::Made(Reply::error(NOT_INSIDE))
            }
        }
    }

    fn reply(self, answers: &mut impl Iterator<Item = Result<Answer, Error>>) -> Reply {
        match self {
            Slot::Made(reply) => reply,
            Slot::One(finish) => match answers.next() {
                Some(Ok(answer)) => finish.reply(answer),
                Some(Err(error)) => reply_to(&error, true),
                None => unexpected(&Answer::Done),
            },
            Slot::Several(gather, count) => {
                let answers: Result<Vec<Answer>, Error> = answers.take(count).collect();
                answers.map_or_else(|error| reply_to(&error, true), |answers| gathered(&gather, answers))
            }
        }
    }
}

fn assembled(slots: Vec<Slot>, answers: Vec<Result<Answer, Error>>) -> Reply {
    let mut answers = answers.into_iter();
    Reply::Array(slots.into_iter().map(|slot| slot.reply(&mut answers)).collect())
}

fn gathered(gather: &Gather, answers: Vec<Answer>) -> Reply {
    match gather {
        Gather::Values => Reply::Array(answers.into_iter().map(value).collect()),
        Gather::Sum(count) => {
            let sum: Option<i64> = answers.iter().map(count).sum();
            sum.map_or_else(|| unexpected(&Answer::Done), Reply::Integer)
        }
        Gather::Done | Gather::Looks(_) => Reply::OK,
    }
}

/// EXEC on its way.
struct Exec {
    engine: Engine,
    watched: Vec<Arc<Watched>>,
    slots: Vec<Slot>,
}

impl Exec {
    /// Whether a watched key lies in another region than when it was watched, or in another state of that region.
    fn has_moved(&self) -> bool {
        let places = self.watched.iter().flat_map(|watched| watched.keys.iter().zip(&watched.regions));
        let mut places = places.map(|(key, then)| (self.engine.region_at(key), then));
        places.any(|(now, then)| (now.id, now.epoch.version) != (then.id, then.epoch.version))
    }
}

impl Walk for Exec {
    /// Now the looks are known: this is submitted when the questions about its keys are answered. One that failed
    /// is like no look at all.
    fn prepare(&mut self, command: &mut Command) {
        let Command::Atomic { watched: keys, .. } = command else { return };
        let looks = self.watched.iter().flat_map(|watched| watched.looks.lock().clone());
        for ((_, place), look) in keys.iter_mut().zip(looks) {
            *place = look.unwrap_or_default();
        }
    }

    fn next(&mut self, answer: Result<Answer, Error>) -> Step {
        Step::Reply(match answer {
            Ok(Answer::Several(answers)) => assembled(std::mem::take(&mut self.slots), answers),
            Ok(Answer::Refused) => Reply::NullArray,
            Ok(other) => unexpected(&other),
            Err(Error::CrossRegion) if self.has_moved() => Reply::NullArray,
            Err(error) => reply_to(&error, true),
        })
    }
}

//! The commands about keys and values.

use std::collections::BTreeMap;

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition, Engine, Write};

use super::errors::{self, NOT_AN_INTEGER};
use super::{Context, Outcome, Work, unexpected};
use crate::resp::{Reply, parse_integer};

pub(super) fn get(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Get { key: arguments[1].clone() }, value)
}

pub(super) fn strlen(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Get { key: arguments[1].clone() }, |answer| match answer {
        Answer::Value(value) => Reply::Integer(value.map_or(0, |value| value.len() as i64)),
        other => unexpected(&other),
    })
}

pub(super) fn kind(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Get { key: arguments[1].clone() }, |answer| match answer {
        Answer::Value(value) => Reply::Status(if value.is_some() { "string" } else { "none" }),
        other => unexpected(&other),
    })
}

pub(super) fn setnx(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(put(arguments, Condition::Absent, false), |answer| match answer {
        Answer::Done => Reply::Integer(1),
        Answer::Refused => Reply::Integer(0),
        other => unexpected(&other),
    })
}

pub(super) fn getset(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(put(arguments, Condition::Always, true), value)
}

pub(super) fn getdel(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Delete { key: arguments[1].clone(), return_old: true }, value)
}

pub(super) fn append(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Append { key: arguments[1].clone(), value: arguments[2].clone() }, integer)
}

pub(super) fn incr(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    increment(arguments, Some(1))
}

pub(super) fn decr(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    increment(arguments, Some(-1))
}

pub(super) fn incrby(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    increment(arguments, parse_integer(&arguments[2]))
}

pub(super) fn decrby(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    match parse_integer(&arguments[2]) {
        Some(i64::MIN) => Reply::error("ERR decrement would overflow").into(),
        by => increment(arguments, by.map(|by| -by)),
    }
}

fn increment(arguments: &[Bytes], by: Option<i64>) -> Outcome {
    match by {
        Some(by) => one(Command::Increment { key: arguments[1].clone(), by }, integer),
        None => Reply::error(NOT_AN_INTEGER).into(),
    }
}

pub(super) fn mget(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let commands = arguments[1..].iter().map(|key| Command::Get { key: key.clone() }).collect();
    several(commands, |answers| Reply::Array(answers.into_iter().map(value).collect()))
}

pub(super) fn exists(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let commands = arguments[1..].iter().map(|key| Command::Get { key: key.clone() }).collect();
    several(commands, |answers| {
        let there = answers.iter().filter(|answer| matches!(answer, Answer::Value(Some(_))));
        Reply::Integer(there.count() as i64)
    })
}

pub(super) fn del(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let delete = |key: &Bytes| Command::Delete { key: key.clone(), return_old: false };
    several(arguments[1..].iter().map(delete).collect(), sum)
}

pub(super) fn mset(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (pairs, rest) = arguments[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return errors::wrong_arity("mset").into();
    }
    let put = |[key, value]: &[Bytes; 2]| Write::Put { key: key.clone(), value: value.clone() };
    several(batches(context.engine, pairs.iter().map(put)), |_| Reply::OK)
}

/// One batch for each region, with its writes in their order.
pub(crate) fn batches(engine: &Engine, writes: impl IntoIterator<Item = Write>) -> Vec<Command> {
    let mut groups = BTreeMap::<_, Vec<Write>>::new();
    for write in writes {
        groups.entry(engine.region_of(write.key())).or_default().push(write);
    }
    groups.into_values().map(|writes| Command::Batch { writes }).collect()
}

/// The sum of the answers.
pub(super) fn sum(answers: Vec<Answer>) -> Reply {
    let sum = answers.iter().try_fold(0, |sum, answer| match answer {
        Answer::Integer(number) => Ok(sum + number),
        other => Err(unexpected(other)),
    });
    sum.map_or_else(|error| error, Reply::Integer)
}

pub(super) fn put(arguments: &[Bytes], condition: Condition, return_old: bool) -> Command {
    Command::Put { key: arguments[1].clone(), value: arguments[2].clone(), condition, return_old }
}

pub(super) fn one(command: Command, finish: fn(Answer) -> Reply) -> Outcome {
    Outcome::Work(Work::One(command, finish))
}

fn several(commands: Vec<Command>, finish: fn(Vec<Answer>) -> Reply) -> Outcome {
    Outcome::Work(Work::Several(
        commands,
        Box::new(move |answers| answers.map_or_else(|error| error, finish)),
    ))
}

pub(super) fn value(answer: Answer) -> Reply {
    match answer {
        Answer::Value(Some(value)) => Reply::Bulk(value),
        Answer::Value(None) => Reply::Null,
        other => unexpected(&other),
    }
}

fn integer(answer: Answer) -> Reply {
    match answer {
        Answer::Integer(number) => Reply::Integer(number),
        other => unexpected(&other),
    }
}

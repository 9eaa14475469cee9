//! The commands about keys and values.

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition, Write};

use super::errors::{self, NOT_AN_INTEGER};
use super::{Context, Gather, Outcome, Work, unexpected};
use crate::resp::{Reply, parse_integer};

pub(super) fn get(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Get { key: arguments[1].clone() }, value)
}

pub(super) fn strlen(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Length { key: arguments[1].clone() }, |answer| match answer {
        Answer::Integer(length) => Reply::Integer(length),
        Answer::Value(None) => Reply::Integer(0),
        other => unexpected(&other),
    })
}

pub(super) fn kind(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::Length { key: arguments[1].clone() }, |answer| match answer {
        Answer::Integer(_) => Reply::Status("string"),
        Answer::Value(None) => Reply::Status("none"),
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
    for_each_key(arguments, |key| Command::Get { key }, Gather::Values)
}

pub(super) fn exists(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let is_there = |answer: &Answer| match answer {
        Answer::Integer(_) => Some(1),
        Answer::Value(None) => Some(0),
        _ => None,
    };
    for_each_key(arguments, |key| Command::Length { key }, Gather::Sum(is_there))
}

pub(super) fn del(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    for_each_key(arguments, |key| Command::Delete { key, return_old: false }, Gather::Sum(number))
}

fn for_each_key(arguments: &[Bytes], question: fn(Bytes) -> Command, gather: Gather) -> Outcome {
    let keys = arguments[1..].to_vec();
    Outcome::Work(Work::Several(Box::new(keys.into_iter().map(question)), gather))
}

/// Nothing is set if any of the pairs is impossible.
pub(super) fn mset(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (pairs, rest) = arguments[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return errors::wrong_arity("mset").into();
    }
    let put = |[key, value]: &[Bytes; 2]| Write::Put { key: key.clone(), value: value.clone() };
    match context.engine.batches(pairs.iter().map(put)) {
        Ok(batches) => Outcome::Work(Work::Several(Box::new(batches.into_iter()), Gather::Done)),
        Err(error) => errors::reply_to(&error, true).into(),
    }
}

/// The number that an answer is.
pub(super) fn number(answer: &Answer) -> Option<i64> {
    match answer {
        Answer::Integer(number) => Some(*number),
        Answer::Done | Answer::Refused | Answer::Value(_) | Answer::Pairs { .. } => None,
    }
}

pub(super) fn put(arguments: &[Bytes], condition: Condition, return_old: bool) -> Command {
    Command::Put { key: arguments[1].clone(), value: arguments[2].clone(), condition, return_old }
}

pub(super) fn one(command: Command, finish: fn(Answer) -> Reply) -> Outcome {
    Outcome::Work(Work::One(command, finish))
}

pub(crate) fn value(answer: Answer) -> Reply {
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

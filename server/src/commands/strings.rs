//! The commands about keys and values.

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition, Expiry, Write};

use super::errors::{self, NOT_AN_INTEGER};
use super::{Context, Finish, Gather, Outcome, Work, unexpected};
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
    one(put(arguments, Condition::Absent, false), one_if_done)
}

fn one_if_done(answer: Answer) -> Reply {
    match answer {
        Answer::Done => Reply::Integer(1),
        Answer::Refused => Reply::Integer(0),
        other => unexpected(&other),
    }
}

/// `KV.CAS key expected new`: 1 if the value was the expected one and is the new one now, else 0. The value's time to
/// expire is kept.
pub(super) fn kv_cas(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let condition = Condition::Equals(arguments[2].clone());
    let (key, value) = (arguments[1].clone(), arguments[3].clone());
    one(Command::Put { key, value, condition, expiry: Expiry::Keep, return_old: false }, one_if_done)
}

pub(super) fn getrange(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (Some(first), Some(last)) = (parse_integer(&arguments[2]), parse_integer(&arguments[3])) else {
        return Reply::error(NOT_AN_INTEGER).into();
    };
    one(Command::Part { key: arguments[1].clone(), first, last }, |answer| match answer {
        Answer::Value(part) => Reply::Bulk(part.unwrap_or_default()),
        other => unexpected(&other),
    })
}

pub(super) fn setrange(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(offset) = parse_integer(&arguments[2]) else {
        return Reply::error(NOT_AN_INTEGER).into();
    };
    if offset < 0 {
        return Reply::error("ERR offset is out of range").into();
    }
    let (key, value) = (arguments[1].clone(), arguments[3].clone());
    if value.is_empty() {
        return strlen(context, arguments);
    }
    match u32::try_from(offset) {
        Ok(offset) => one(Command::SetPart { key, offset, value }, integer),
        Err(_) => errors::too_large().into(),
    }
}

pub(super) fn incrbyfloat(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    one(Command::IncrementFloat { key: arguments[1].clone(), by: arguments[2].clone() }, value)
}

pub(super) fn msetnx(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (pairs, rest) = arguments[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return errors::wrong_arity("msetnx").into();
    }
    let pairs = pairs.iter().map(|[key, value]| (key.clone(), value.clone())).collect();
    one(Command::Create { pairs }, one_if_done)
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
        Answer::Done | Answer::Refused | Answer::Value(_) | Answer::Pairs { .. } | Answer::Several(_) => None,
    }
}

pub(super) fn put(arguments: &[Bytes], condition: Condition, return_old: bool) -> Command {
    let (key, value) = (arguments[1].clone(), arguments[2].clone());
    Command::Put { key, value, condition, expiry: Expiry::Never, return_old }
}

pub(super) fn one(command: Command, finish: fn(Answer) -> Reply) -> Outcome {
    Outcome::Work(Work::One(command, Finish::Plain(finish)))
}

pub(crate) fn value(answer: Answer) -> Reply {
    match answer {
        Answer::Value(Some(value)) => Reply::Bulk(value),
        Answer::Value(None) => Reply::Null,
        other => unexpected(&other),
    }
}

pub(super) fn integer(answer: Answer) -> Reply {
    match answer {
        Answer::Integer(number) => Reply::Integer(number),
        other => unexpected(&other),
    }
}

//! RENAME, RENAMENX and COPY: within one region.

use bytes::Bytes;
use skep_engine::{Answer, Command};

use super::errors::{NOT_AN_INTEGER, SYNTAX};
use super::strings::one;
use super::{Context, Outcome, unexpected};
use crate::resp::{Reply, parse_integer};

const NO_SUCH_KEY: &str = "ERR no such key";

pub(super) fn rename(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, to) = (arguments[1].clone(), arguments[2].clone());
    one(Command::Move { key, to, if_absent: false, keep: false }, |answer| match answer {
        Answer::Done => Reply::OK,
        Answer::Value(None) => Reply::error(NO_SUCH_KEY),
        other => unexpected(&other),
    })
}

pub(super) fn renamenx(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, to) = (arguments[1].clone(), arguments[2].clone());
    one(Command::Move { key, to, if_absent: true, keep: false }, |answer| match answer {
        Answer::Done => Reply::Integer(1),
        Answer::Refused => Reply::Integer(0),
        Answer::Value(None) => Reply::error(NO_SUCH_KEY),
        other => unexpected(&other),
    })
}

pub(super) fn copy(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let if_absent = match is_replace(&arguments[3..]) {
        Ok(is_replace) => !is_replace,
        Err(error) => return Reply::error(error).into(),
    };
    let (key, to) = (arguments[1].clone(), arguments[2].clone());
    if key == to {
        return Reply::error("ERR source and destination objects are the same").into();
    }
    one(Command::Move { key, to, if_absent, keep: true }, |answer| match answer {
        Answer::Done => Reply::Integer(1),
        Answer::Refused | Answer::Value(None) => Reply::Integer(0),
        other => unexpected(&other),
    })
}

fn is_replace(mut words: &[Bytes]) -> Result<bool, &'static str> {
    let mut is_replace = false;
    while let Some((word, rest)) = words.split_first() {
        match (&word.to_ascii_uppercase()[..], rest) {
            (b"REPLACE", _) => (is_replace, words) = (true, rest),
            (b"DB", [number, rest @ ..]) => match parse_integer(number) {
                Some(0) => words = rest,
                Some(_) => return Err("ERR DB index is out of range"),
                None => return Err(NOT_AN_INTEGER),
            },
            _ => return Err(SYNTAX),
        }
    }
    Ok(is_replace)
}

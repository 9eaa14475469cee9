//! OBJECT and MEMORY: what can be said about one value.

use bytes::Bytes;
use skep_engine::{Answer, Command};

use super::errors::{NOT_AN_INTEGER, SYNTAX};
use super::strings::one;
use super::{Context, Outcome, finished, subcommand, table, unexpected};
use crate::resp::{Reply, parse_integer};

const OBJECT: &[(&str, i32)] = &[("encoding", 3), ("freq", 3), ("idletime", 3), ("refcount", 3)];
const MEMORY: &[(&str, i32)] = &[("usage", -3)];

/// Redis keeps strings up to so many bytes in one piece with their object.
const EMBEDDED_BYTES_MAX: usize = 44;

/// Bytes that a pair costs in memory beside its own, about: two strings in place, and its share of the tree.
const PAIR_OVERHEAD_BYTES: i64 = 72;

const NOT_TRACKED: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
    when switching between policies at runtime LRU and LFU data will take some time to adjust.";

pub(super) fn object(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(spec) = table::find(b"object") else { return Reply::error(SYNTAX).into() };
    let name = match subcommand(spec, OBJECT, arguments) {
        Ok(name) => name,
        Err(error) => return error.into(),
    };
    let key = arguments[2].clone();
    match name {
        "encoding" => {
            let last = EMBEDDED_BYTES_MAX as i64;
            one(Command::Part { key, first: 0, last }, |answer| match answer {
                Answer::Value(None) => Reply::Null,
                Answer::Value(Some(beginning)) => Reply::constant(encoding(&beginning)),
                other => unexpected(&other),
            })
        }
        "refcount" => if_present(key, Reply::Integer(1)),
        "idletime" => if_present(key, Reply::Integer(0)),
        _ => if_present(key, Reply::error(NOT_TRACKED)),
    }
}

fn encoding(beginning: &[u8]) -> &'static str {
    if parse_integer(beginning).is_some() {
        "int"
    } else if beginning.len() <= EMBEDDED_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

/// Nothing if there is no value, else this.
pub(super) fn if_present(key: Bytes, reply: Reply) -> Outcome {
    finished(Command::Length { key }, move |answer| match answer {
        Answer::Value(None) => Reply::Null,
        Answer::Integer(_) => reply,
        other => unexpected(&other),
    })
}

pub(super) fn memory(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(spec) = table::find(b"memory") else { return Reply::error(SYNTAX).into() };
    if let Err(error) = subcommand(spec, MEMORY, arguments) {
        return error.into();
    }
    match &arguments[3..] {
        [] => {}
        [word, samples] if word.eq_ignore_ascii_case(b"samples") => {
            if parse_integer(samples).is_none() {
                return Reply::error(NOT_AN_INTEGER).into();
            }
        }
        _ => return Reply::error(SYNTAX).into(),
    }
    let key = arguments[2].clone();
    let beside = key.len() as i64 + PAIR_OVERHEAD_BYTES;
    finished(Command::Length { key }, move |answer| match answer {
        Answer::Value(None) => Reply::Null,
        Answer::Integer(bytes) => Reply::Integer(bytes + beside),
        other => unexpected(&other),
    })
}

//! The commands about when values expire.

use bytes::Bytes;
use skep_engine::{Answer, Command, Expiry, ExpiryCondition, Stamp};

use super::errors::NOT_AN_INTEGER;
use super::strings::{integer, one};
use super::{Context, Outcome, unexpected};
use crate::clock;
use crate::resp::{Reply, parse_integer};

/// What a time is counted in, and from when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    AtSeconds,
    AtMilliseconds,
}

impl Unit {
    /// By the word that SET and GETEX have for it.
    pub(super) fn of(word: &[u8]) -> Option<Unit> {
        match word {
            b"EX" => Some(Unit::Seconds),
            b"PX" => Some(Unit::Milliseconds),
            b"EXAT" => Some(Unit::AtSeconds),
            b"PXAT" => Some(Unit::AtMilliseconds),
            _ => None,
        }
    }

    /// Milliseconds since 1970; `None` if there is no such time.
    fn since_1970(self, time: i64) -> Option<i64> {
        match self {
            Unit::Seconds => clock::now_ms().checked_add(time.checked_mul(1000)?),
            Unit::Milliseconds => clock::now_ms().checked_add(time),
            Unit::AtSeconds => time.checked_mul(1000),
            Unit::AtMilliseconds => Some(time),
        }
    }
}

/// When a new value expires: a time that is not over by definition.
pub(super) fn moment(word: &[u8], unit: Unit, name: &str) -> Result<Stamp, Reply> {
    let time = parse_integer(word).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
    let at = Some(time).filter(|time| *time > 0).and_then(|time| unit.since_1970(time));
    at.map(stamp).ok_or_else(|| impossible(name))
}

fn impossible(name: &str) -> Reply {
    Reply::error(format!("ERR invalid expire time in '{name}' command"))
}

fn stamp(at: i64) -> Stamp {
    Stamp(u64::try_from(at).unwrap_or(0))
}

pub(super) fn expire(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expires(arguments, Unit::Seconds, "expire")
}

pub(super) fn pexpire(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expires(arguments, Unit::Milliseconds, "pexpire")
}

pub(super) fn expireat(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expires(arguments, Unit::AtSeconds, "expireat")
}

pub(super) fn pexpireat(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expires(arguments, Unit::AtMilliseconds, "pexpireat")
}

fn expires(arguments: &[Bytes], unit: Unit, name: &str) -> Outcome {
    let parsed = condition(&arguments[3..]).and_then(|condition| {
        let time = parse_integer(&arguments[2]).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
        let at = unit.since_1970(time).ok_or_else(|| impossible(name))?;
        Ok((condition, at))
    });
    let (condition, at) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return error.into(),
    };
    let expiry = Expiry::At(stamp(at));
    one(Command::Expire { key: arguments[1].clone(), expiry, condition, return_value: false }, integer)
}

fn condition(words: &[Bytes]) -> Result<ExpiryCondition, Reply> {
    let mut condition = ExpiryCondition::default();
    for word in words {
        match &word.to_ascii_uppercase()[..] {
            b"NX" => condition.if_never = true,
            b"XX" => condition.if_some = true,
            b"GT" => condition.if_later = true,
            b"LT" => condition.if_earlier = true,
            _ => {
                let word = String::from_utf8_lossy(word);
                return Err(Reply::error(format!("ERR Unsupported option {word}")));
            }
        }
    }
    let ExpiryCondition { if_never, if_some, if_later, if_earlier } = condition;
    if if_never && (if_some || if_later || if_earlier) {
        return Err(Reply::error("ERR NX and XX, GT or LT options at the same time are not compatible"));
    }
    if if_later && if_earlier {
        return Err(Reply::error("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(condition)
}

pub(super) fn persist(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let condition = ExpiryCondition { if_some: true, ..ExpiryCondition::default() };
    let expiry = Expiry::Never;
    one(Command::Expire { key: arguments[1].clone(), expiry, condition, return_value: false }, integer)
}

pub(super) fn ttl(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expiry_of(arguments, |at| seconds((at - clock::now_ms()).max(0)))
}

pub(super) fn pttl(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expiry_of(arguments, |at| (at - clock::now_ms()).max(0))
}

pub(super) fn expiretime(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expiry_of(arguments, seconds)
}

pub(super) fn pexpiretime(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    expiry_of(arguments, |at| at)
}

fn seconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(500) / 1000
}

/// `shown` is what becomes of a time; that there is none is always told alike.
fn expiry_of(arguments: &[Bytes], shown: fn(i64) -> i64) -> Outcome {
    super::finished(Command::ExpiryOf { key: arguments[1].clone() }, move |answer| match answer {
        Answer::Integer(none) if none < 0 => Reply::Integer(none),
        Answer::Integer(at) => Reply::Integer(shown(at)),
        other => unexpected(&other),
    })
}

//! SET, GETEX and their relatives: values together with the time when they expire.
//!
//! A time is turned into milliseconds since 1970 here, by this server's clock, before it goes into the log; from there
//! on nobody's clock but that of the log decides.

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition, Expiry, ExpiryCondition};

use super::errors::SYNTAX;
use super::expiry::{Unit, moment};
use super::object::if_present;
use super::strings::{one, value};
use super::{Context, Outcome, unexpected};
use crate::resp::Reply;

/// What the words behind a key and its value ask for.
#[derive(Default)]
struct Options<'a> {
    condition: Condition,
    is_get: bool,
    is_kept: bool,
    is_persist: bool,
    time: Option<(Unit, &'a Bytes)>,
}

/// Whose options they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Set,
    GetEx,
}

pub(super) fn set(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    set_command(arguments).unwrap_or_else(Outcome::Reply)
}

fn set_command(arguments: &[Bytes]) -> Result<Outcome, Reply> {
    let options = options(Kind::Set, &arguments[3..])?;
    let expiry = match options.time {
        _ if options.is_kept => Expiry::Keep,
        None => Expiry::Never,
        Some((unit, time)) => Expiry::At(moment(time, unit, "set")?),
    };
    let (condition, return_old) = (options.condition, options.is_get);
    let (key, new) = (arguments[1].clone(), arguments[2].clone());
    let command = Command::Put { key, value: new, condition, expiry, return_old };
    Ok(one(command, if return_old { value } else { done }))
}

fn done(answer: Answer) -> Reply {
    match answer {
        Answer::Done => Reply::OK,
        Answer::Refused => Reply::Null,
        other => unexpected(&other),
    }
}

pub(super) fn getex(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    getex_command(arguments).unwrap_or_else(Outcome::Reply)
}

fn getex_command(arguments: &[Bytes]) -> Result<Outcome, Reply> {
    let options = options(Kind::GetEx, &arguments[2..])?;
    let key = arguments[1].clone();
    let expiry = match options.time {
        _ if options.is_persist => Expiry::Never,
        None => return Ok(one(Command::Get { key }, value)),
        Some((unit, time)) => match moment(time, unit, "getex") {
            Ok(at) => Expiry::At(at),
            // Redis looks for the key first.
            Err(error) => return Ok(if_present(key, error)),
        },
    };
    let condition = ExpiryCondition::default();
    Ok(one(Command::Expire { key, expiry, condition, return_value: true }, value))
}

pub(super) fn setex(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    set_for(arguments, Unit::Seconds, "setex")
}

pub(super) fn psetex(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    set_for(arguments, Unit::Milliseconds, "psetex")
}

fn set_for(arguments: &[Bytes], unit: Unit, name: &str) -> Outcome {
    let at = match moment(&arguments[2], unit, name) {
        Ok(at) => at,
        Err(error) => return error.into(),
    };
    let (key, value) = (arguments[1].clone(), arguments[3].clone());
    let (condition, expiry) = (Condition::Always, Expiry::At(at));
    one(Command::Put { key, value, condition, expiry, return_old: false }, done)
}

/// NX and XX exclude each other, and so do the words about time, each of which may come again.
fn options(kind: Kind, words: &[Bytes]) -> Result<Options<'_>, Reply> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let word = word.to_ascii_uppercase();
        let unit = Unit::of(&word).filter(|unit| {
            !options.is_kept && !options.is_persist && options.time.is_none_or(|(other, _)| other == *unit)
        });
        match (&word[..], kind, unit) {
            (b"NX", Kind::Set, _) if options.condition != Condition::Present => {
                options.condition = Condition::Absent;
            }
            (b"XX", Kind::Set, _) if options.condition != Condition::Absent => {
                options.condition = Condition::Present;
            }
            (b"GET", Kind::Set, _) => options.is_get = true,
            (b"KEEPTTL", Kind::Set, _) if options.time.is_none() => options.is_kept = true,
            (b"PERSIST", Kind::GetEx, _) if options.time.is_none() => options.is_persist = true,
            (_, _, Some(unit)) => {
                let time = words.next().ok_or_else(|| Reply::error(SYNTAX))?;
                options.time = Some((unit, time));
            }
            _ => return Err(Reply::error(SYNTAX)),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition, which of GET, KEEPTTL and PERSIST stand there, and the time.
    type Parsed = (Condition, [bool; 3], Option<(Unit, String)>);

    fn parse(kind: Kind, line: &str) -> Option<Parsed> {
        let words: Vec<Bytes> =
            line.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let options = options(kind, &words).ok()?;
        let time = options.time.map(|(unit, time)| (unit, String::from_utf8_lossy(time).into_owned()));
        Some((options.condition, [options.is_get, options.is_kept, options.is_persist], time))
    }

    #[test]
    fn options_in_any_order() {
        let set = |line| parse(Kind::Set, line).expect("options");
        assert_eq!(set(""), (Condition::Always, [false; 3], None));
        assert_eq!(set("nx"), (Condition::Absent, [false; 3], None));
        assert_eq!(set("GET xx"), (Condition::Present, [true, false, false], None));
        assert_eq!(set("NX GET"), (Condition::Absent, [true, false, false], None));
        assert_eq!(set("EX 10 NX").2, Some((Unit::Seconds, "10".into())));
        assert_eq!(set("pxat 7").2, Some((Unit::AtMilliseconds, "7".into())));
        assert_eq!(set("EX 1 EX 2").2, Some((Unit::Seconds, "2".into())));
        assert_eq!(set("keepttl").1, [false, true, false]);
        assert_eq!(parse(Kind::GetEx, "PERSIST").expect("options").1, [false, false, true]);
    }

    #[test]
    fn words_that_exclude_each_other() {
        for bad in
            ["NX XX", "XX NX", "EX", "EX 1 PX 1", "KEEPTTL EX 1", "EX 1 KEEPTTL", "FOO", "NX FOO", "PERSIST"]
        {
            assert_eq!(parse(Kind::Set, bad), None, "{bad}");
        }
        for bad in ["NX", "GET", "KEEPTTL", "PERSIST EX 1", "EX 1 PERSIST", "EX 1 EXAT 1"] {
            assert_eq!(parse(Kind::GetEx, bad), None, "{bad}");
        }
    }
}

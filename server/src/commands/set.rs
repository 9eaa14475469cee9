//! SET and its options.

use bytes::Bytes;
use skep_engine::{Answer, Condition};

use super::errors::{NOT_AN_INTEGER, SYNTAX};
use super::strings::{one, put, value};
use super::{Context, Outcome, unexpected};
use crate::resp::{Reply, parse_integer};

const NO_EXPIRY_YET: &str = "ERR EX, PX, EXAT, PXAT and KEEPTTL are not supported yet; nothing was set";

#[derive(Default)]
struct Options {
    condition: Condition,
    is_get: bool,
    is_expiry: bool,
}

pub(super) fn set(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let options = match options(&arguments[3..]) {
        Ok(options) if options.is_expiry => return Reply::error(NO_EXPIRY_YET).into(),
        Ok(options) => options,
        Err(error) => return Reply::error(error).into(),
    };
    let command = put(arguments, options.condition, options.is_get);
    if options.is_get { one(command, value) } else { one(command, done) }
}

fn done(answer: Answer) -> Reply {
    match answer {
        Answer::Done => Reply::OK,
        Answer::Refused => Reply::Null,
        other => unexpected(&other),
    }
}

/// Each option at most once, NX and XX not together, one word about expiry.
fn options(words: &[Bytes]) -> Result<Options, &'static str> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match &word.to_ascii_uppercase()[..] {
            b"NX" if options.condition != Condition::Present => options.condition = Condition::Absent,
            b"XX" if options.condition != Condition::Absent => options.condition = Condition::Present,
            b"GET" => options.is_get = true,
            b"KEEPTTL" if !options.is_expiry => options.is_expiry = true,
            b"EX" | b"PX" | b"EXAT" | b"PXAT" if !options.is_expiry => {
                let time = parse_integer(words.next().ok_or(SYNTAX)?).ok_or(NOT_AN_INTEGER)?;
                if time <= 0 {
                    return Err("ERR invalid expire time in 'set' command");
                }
                options.is_expiry = true;
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(Condition, bool, bool), &'static str> {
        let words: Vec<Bytes> =
            line.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        options(&words).map(|options| (options.condition, options.is_get, options.is_expiry))
    }

    #[test]
    fn options_in_any_order() {
        assert_eq!(parse(""), Ok((Condition::Always, false, false)));
        assert_eq!(parse("nx"), Ok((Condition::Absent, false, false)));
        assert_eq!(parse("GET xx"), Ok((Condition::Present, true, false)));
        assert_eq!(parse("NX GET"), Ok((Condition::Absent, true, false)));
        assert_eq!(parse("EX 10 NX"), Ok((Condition::Absent, false, true)));
        assert_eq!(parse("keepttl"), Ok((Condition::Always, false, true)));
    }

    #[test]
    fn mistakes_are_named_as_redis_names_them() {
        for bad in ["NX XX", "XX NX", "EX", "EX 1 PX 1", "KEEPTTL EX 1", "EX 1 KEEPTTL", "FOO", "NX FOO"] {
            assert_eq!(parse(bad).err(), Some(SYNTAX), "{bad}");
        }
        assert_eq!(parse("EX x").err(), Some(NOT_AN_INTEGER));
        assert_eq!(parse("EX 0").err(), Some("ERR invalid expire time in 'set' command"));
    }
}

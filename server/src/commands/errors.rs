//! What clients are told when something is wrong, in Redis' words wherever Redis has any.

use bytes::Bytes;
use skep_engine::{Error, KEY_BYTES_MAX, VALUE_BYTES_MAX};

use super::table::CommandSpec;
use crate::limits::{ANSWER_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::resp::Reply;

/// How much of a name or an argument that a client sent is repeated to it, in bytes.
const QUOTED_BYTES_MAX: usize = 128;

/// To a client that has not given the password.
pub(super) const NOAUTH: &str = "NOAUTH Authentication required.";
pub(super) const NOAUTH_HELLO: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
    HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
    the same time";
pub(crate) const SYNTAX: &str = "ERR syntax error";
/// Redis' own words, and what to do.
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory': delete something, or start the \
    server with a higher memory limit";

/// What may have become of a write.
const UNKNOWN: &str = "outcome unknown: the write may have taken effect, or may yet";

pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// No such command.
pub(crate) fn unknown_command(arguments: &[Bytes]) -> Reply {
    let name = quoted(&arguments[0]);
    let mut listed = String::new();
    for argument in &arguments[1..] {
        // As much of each as there is room for behind those before it.
        let room = QUOTED_BYTES_MAX.saturating_sub(listed.len());
        if room == 0 {
            break;
        }
        listed.push_str(&format!("'{}' ", quoted(&argument[..argument.len().min(room)])));
    }
    Reply::error(format!("ERR unknown command '{name}', with args beginning with: {listed}"))
}

/// No such subcommand; `known` are those that there are.
pub(crate) fn unknown_subcommand(name: &str, subcommand: &[u8], known: &[(&str, i32)]) -> Reply {
    let known: Vec<String> = known.iter().map(|(name, _)| name.to_uppercase()).collect();
    let (name, subcommand) = (name.to_uppercase(), quoted(subcommand));
    Reply::error(format!("ERR unknown subcommand '{subcommand}'. {name} knows {}.", known.join(", ")))
}

/// Too few or too many arguments.
pub(crate) fn wrong_arity(name: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{name}' command"))
}

/// The same, for what is called with these arguments.
pub(crate) fn check_arity(spec: &CommandSpec, count: usize) -> Option<Reply> {
    let wanted = spec.arity.unsigned_abs() as usize;
    let fits = if spec.arity < 0 { count >= wanted } else { count == wanted };
    if fits { None } else { Some(wrong_arity(spec.name)) }
}

/// What was sent is larger than anything that could be stored.
pub(crate) fn too_large() -> Reply {
    Reply::error(format!("ERR string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)"))
}

/// The values that were asked for do not fit one reply.
pub(crate) fn too_many_values() -> Reply {
    Reply::error(format!(
        "ERR the values have more than {ANSWER_BYTES_MAX} bytes together: ask for fewer keys at once"
    ))
}

/// More is queued than one command of the key space may hold.
pub(crate) fn transaction_too_large() -> Reply {
    Reply::error(format!(
        "ERR the transaction has more than {TRANSACTION_BYTES_MAX} bytes: nothing of it will be carried out"
    ))
}

/// What an error of the key space is called here.
pub(crate) fn reply_to(error: &Error, is_write: bool) -> Reply {
    match error {
        Error::ValueTooLarge { .. } => too_large(),
        Error::KeyTooLarge { .. } => {
            Reply::error(format!("ERR key exceeds maximum allowed size ({KEY_BYTES_MAX} bytes)"))
        }
        Error::NotAnInteger => Reply::error(NOT_AN_INTEGER),
        Error::Overflow => Reply::error("ERR increment or decrement would overflow"),
        Error::NotAFloat => Reply::error("ERR value is not a valid float"),
        Error::NotFinite => Reply::error("ERR increment would produce NaN or Infinity"),
        Error::CrossRegion => Reply::error("CROSSSLOT Keys in request don't hash to the same slot"),
        Error::Busy | Error::NoRegion => Reply::error(format!("TRYAGAIN {error}")),
        Error::TimedOut | Error::OutcomeUnknown if is_write => {
            Reply::error(format!("TIMEOUT no answer in time; {UNKNOWN}"))
        }
        Error::TimedOut | Error::OutcomeUnknown => {
            Reply::error("TIMEOUT no answer in time; nothing was changed")
        }
        Error::DiskFull => Reply::error(format!("MISCONF {error}")),
        Error::OutOfMemory { .. } => Reply::error(OUT_OF_MEMORY),
        Error::RegionStopped(why) | Error::StoreStopped(why) => {
            let what = if matches!(error, Error::StoreStopped(_)) { "store" } else { "region" };
            let then = if is_write { UNKNOWN } else { "nothing was changed, try again" };
            Reply::error(format!("CLUSTERDOWN the {what} has stopped here; {then}: {why}"))
        }
        Error::BatchTooLarge { .. }
        | Error::TooManyCommands { .. }
        | Error::AnswerTooLarge
        | Error::EmptyBatch
        | Error::Impossible { .. }
        | Error::Refused(_)
        | Error::Directory(_)
        | Error::Open(_)
        | Error::Internal(_) => Reply::error(format!("ERR {error}")),
    }
}

/// Printable, and not too long.
fn quoted(text: &[u8]) -> String {
    let text = &text[..text.len().min(QUOTED_BYTES_MAX)];
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> &str {
        match reply {
            Reply::Error(text) => text,
            other => panic!("{other:?} is no error"),
        }
    }

    #[test]
    fn a_write_whose_outcome_is_unknown_is_not_sent_elsewhere() {
        for error in
            [Error::StoreStopped("disk".into()), Error::RegionStopped("disk".into()), Error::TimedOut]
        {
            let write = reply_to(&error, true);
            assert!(text(&write).contains("outcome unknown"), "{write:?}");
            let read = reply_to(&error, false);
            assert!(text(&read).contains("nothing was changed"), "{read:?}");
            assert!(!text(&read).contains("another") && !text(&write).contains("another"));
        }
    }
}

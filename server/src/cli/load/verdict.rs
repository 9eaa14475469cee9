//! What the server's answers mean for the lines of a load.

use super::super::answers::Answer;
use super::batch::Entry;
use super::sender::{Judge, Trouble, Verdict};

/// Errors that pass: the code that they begin with.
const PASSING: [&str; 7] = ["TRYAGAIN", "TIMEOUT", "CLUSTERDOWN", "LOADING", "BUSY", "MISCONF", "MASTERDOWN"];

/// An error that passes and has no code of its own.
const TOO_MANY_CLIENTS: &str = "ERR max number of clients reached";

/// A line is acknowledged by OK.
pub(super) struct Writing;

impl Judge for Writing {
    fn judge(&mut self, entry: &Entry, answer: Answer) -> Verdict {
        match answer {
            Answer::Status(_) => Verdict::Acknowledged,
            Answer::Error(why) => error(entry, why),
            Answer::Integer(_) | Answer::Value(_) | Answer::Array(_) => unexpected(entry),
        }
    }
}

/// What an error means.
pub(super) fn error(entry: &Entry, why: String) -> Verdict {
    let code = why.split(' ').next().unwrap_or_default();
    if PASSING.contains(&code) || why.starts_with(TOO_MANY_CLIENTS) {
        Verdict::Later(why)
    } else {
        Verdict::Never(Trouble::Refused(entry.number, why))
    }
}

/// An answer that does not fit its question.
pub(super) fn unexpected(entry: &Entry) -> Verdict {
    Verdict::Never(Trouble::Refused(entry.number, "its answer is not one to this question".into()))
}

//! From the words of a command to what has to be done for it.
//!
//! [`table`] names every command once: its arity, its flags, its keys, and the function that reads its
//! arguments. These functions do nothing themselves. They answer from what the server knows, or say what to
//! ask the key space and how to make the reply of its answer; what a command reads before it writes is read
//! by the key space when it applies the write.

pub(crate) mod errors;

mod client;
mod config;
mod glob;
mod info;
mod introspect;
mod session;
mod set;
mod strings;
mod table;

use std::pin::Pin;

use bytes::Bytes;
use skep_engine::{Answer, Command, Engine};

use crate::clients::Session;
use crate::resp::Reply;
use crate::server::Server;
pub(crate) use strings::value;
use table::CommandSpec;

/// What a command may look at and change, beyond its arguments.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a Server,
    /// The store that this connection talks to.
    pub(crate) engine: &'a Engine,
    pub(crate) session: &'a mut Session,
}

/// What has to be done for a command.
pub(crate) enum Outcome {
    /// Answer.
    Reply(Reply),
    /// Ask the key space.
    Work(Work),
    /// Answer when this is done. Nothing waits for it but the replies behind it.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// Answer, then close the connection.
    Close(Reply),
    /// Close the connection.
    Drop,
}

/// What to ask the key space.
pub(crate) enum Work {
    /// One question.
    One(Command, fn(Answer) -> Reply),
    /// Several, at least one, all reads or all writes. Each is atomic by itself. If one fails, its error is the
    /// reply, and those that were not asked yet are not asked.
    Several(Questions, Gather),
}

/// Questions in order, made when there is room to ask them.
pub(crate) type Questions = Box<dyn ExactSizeIterator<Item = Command> + Send>;

/// What the answers of several questions become.
#[derive(Clone, Copy)]
pub(crate) enum Gather {
    /// An array of values, in the order of the questions.
    Values,
    /// The sum of what each counts for; `None` if it does not fit the question.
    Sum(fn(&Answer) -> Option<i64>),
    /// OK.
    Done,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Outcome {
        Outcome::Reply(reply)
    }
}

/// Runs one command. `arguments` begin with its name.
pub(crate) fn run(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(spec) = table::find(&arguments[0]) else {
        return if is_http(&arguments[0]) {
            Outcome::Drop
        } else {
            errors::unknown_command(arguments).into()
        };
    };
    context.session.client.used(spec.name);
    match errors::check_arity(spec, arguments.len()) {
        Some(error) => error.into(),
        None if session::must_authenticate(context) && !spec.flags.contains(&"no_auth") => {
            Reply::error(errors::NOAUTH).into()
        }
        None => (spec.run)(context, arguments),
    }
}

/// A web page that makes a browser send a request to this port begins like this; what it sends next would be
/// read as commands. Redis closes such connections, too.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// An answer that does not fit its question would be a bug of the key space; the client is told, others go
/// on.
pub(crate) fn unexpected(answer: &Answer) -> Reply {
    tracing::error!(?answer, "unexpected answer of the key space");
    Reply::error("ERR internal error: unexpected answer of the key space")
}

fn subcommand<'a>(
    spec: &CommandSpec,
    names: &[(&'a str, i32)],
    arguments: &[Bytes],
) -> Result<&'a str, Reply> {
    let found = names.iter().find(|(name, _)| arguments[1].eq_ignore_ascii_case(name.as_bytes()));
    let Some((name, arity)) = found else {
        return Err(errors::unknown_subcommand(spec.name, &arguments[1], names));
    };
    let wanted = arity.unsigned_abs() as usize;
    let fits = if *arity < 0 { arguments.len() >= wanted } else { arguments.len() == wanted };
    if fits { Ok(name) } else { Err(errors::wrong_arity(&format!("{}|{name}", spec.name))) }
}

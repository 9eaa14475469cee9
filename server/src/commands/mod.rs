//! From the words of a command to what has to be done for it.
//!
//! [`table`] names every command once: its arity, its flags, its keys, and the function that reads its
//! arguments. These functions do nothing themselves. They answer from what the server knows, or say what to
//! ask the key space and how to make the reply of its answer; what a command reads before it writes is read
//! by the key space when it applies the write.

pub(crate) mod errors;

mod client;
mod config;
mod expiry;
mod glob;
mod info;
mod introspect;
mod moves;
mod object;
mod replication;
mod session;
mod set;
mod strings;
mod table;
mod transaction;
mod walks;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use skep_engine::{Answer, Command, Engine, Error};

use crate::clients::Session;
use crate::resp::Reply;
use crate::server::Server;
pub(crate) use strings::value;
use table::CommandSpec;
pub(crate) use transaction::{Transaction, Watched};

/// What a command may look at and change, beyond its arguments.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a Arc<Server>,
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
    One(Command, Finish),
    /// Several, at least one, all reads or all writes. Each is atomic by itself. If one fails, its error is the
    /// reply, and those that were not asked yet are not asked.
    Several(Questions, Gather),
    /// One question after another. Nothing that could notice goes on beside it.
    Walk(Command, Box<dyn Walk>),
}

/// How the answer to one question becomes a reply.
pub(crate) enum Finish {
    Plain(fn(Answer) -> Reply),
    /// By something that the command said.
    Made(Box<dyn FnOnce(Answer) -> Reply + Send>),
}

impl Finish {
    pub(crate) fn reply(self, answer: Answer) -> Reply {
        match self {
            Finish::Plain(finish) => finish(answer),
            Finish::Made(finish) => finish(answer),
        }
    }
}

/// Questions of which each follows from the answers before it.
pub(crate) trait Walk: Send {
    /// Called with the first question when it is about to be asked.
    fn prepare(&mut self, _first: &mut Command) {}

    /// What to do now.
    fn next(&mut self, answer: Result<Answer, Error>) -> Step;
}

/// What a walk does next.
pub(crate) enum Step {
    Ask(Command),
    Reply(Reply),
}

/// Questions in order, made when there is room to ask them.
pub(crate) type Questions = Box<dyn ExactSizeIterator<Item = Command> + Send>;

/// What the answers of several questions become.
pub(crate) enum Gather {
    /// An array of values, in the order of the questions.
    Values,
    /// The sum of what each counts for; `None` if it does not fit the question.
    Sum(fn(&Answer) -> Option<i64>),
    /// OK.
    Done,
    /// OK; the answers are what keys look like.
    Looks(Arc<Watched>),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Outcome {
        Outcome::Reply(reply)
    }
}

/// Runs one command. `arguments` begin with its name.
pub(crate) fn run(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let found = table::find(&arguments[0]);
    if let Some(transaction) = &mut context.session.transaction
        && !found.is_some_and(transaction::is_immediate)
    {
        return transaction::queue(transaction, found, arguments).into();
    }
    let Some(spec) = found else {
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

/// One question, and a reply that depends on more than its answer.
fn finished(command: Command, finish: impl FnOnce(Answer) -> Reply + Send + 'static) -> Outcome {
    Outcome::Work(Work::One(command, Finish::Made(Box::new(finish))))
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

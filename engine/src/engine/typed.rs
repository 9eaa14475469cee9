//! The commands as functions, each with the type of its answer.

use bytes::Bytes;

use super::Engine;
use crate::ticket::{Ticket, promise};
use crate::{Answer, Command, Condition, Error, Expiry, Write};

impl Engine {
    /// The value of `key`. Linearizable: it is the newest that any write answered before made.
    pub fn get(&self, key: impl Into<Bytes>) -> Ticket<Option<Bytes>> {
        self.ask(Command::Get { key: key.into() }, |answer| match answer {
            Answer::Value(value) => Some(value),
            _ => None,
        })
    }

    /// Sets `key`.
    pub fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Ticket<()> {
        let condition = Condition::Always;
        self.ask(put(key.into(), value.into(), condition), |answer| (answer == Answer::Done).then_some(()))
    }

    /// Sets `key` if it has no value. Whether it did.
    pub fn put_if_absent(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Ticket<bool> {
        self.ask(put(key.into(), value.into(), Condition::Absent), was_done)
    }

    /// Sets `key` if its value is `expected` (`None`: if it has no value). Whether it did.
    pub fn compare_and_put(
        &self,
        key: impl Into<Bytes>,
        expected: Option<Bytes>,
        value: impl Into<Bytes>,
    ) -> Ticket<bool> {
        let condition = expected.map_or(Condition::Absent, Condition::Equals);
        self.ask(put(key.into(), value.into(), condition), was_done)
    }

    /// Deletes `key`. Whether it was there.
    pub fn delete(&self, key: impl Into<Bytes>) -> Ticket<bool> {
        let command = Command::Delete { key: key.into(), return_old: false };
        self.ask(command, |answer| number(answer).map(|deleted| deleted == 1))
    }

    /// Appends to the value of `key`; a missing one is empty. How long it is now.
    pub fn append(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Ticket<u64> {
        let command = Command::Append { key: key.into(), value: value.into() };
        self.ask(command, |answer| number(answer).and_then(|bytes| bytes.try_into().ok()))
    }

    /// Adds `by` to the decimal number that `key` holds; a missing one is zero. The sum.
    pub fn increment(&self, key: impl Into<Bytes>, by: i64) -> Ticket<i64> {
        self.ask(Command::Increment { key: key.into(), by }, number)
    }

    /// Carries out several writes of one region, all or none.
    pub fn batch(&self, writes: Vec<Write>) -> Ticket<()> {
        self.ask(Command::Batch { writes }, |answer| (answer == Answer::Done).then_some(()))
    }

    /// Carries out `command`; `fits` takes what is wanted out of the answer, or finds that it is another one.
    fn ask<T: Send + 'static>(&self, command: Command, fits: fn(Answer) -> Option<T>) -> Ticket<T> {
        let (promise, ticket) = promise();
        self.execute(command, move |answer| {
            promise.keep(answer.and_then(|answer| fits(answer).ok_or_else(unexpected)));
        });
        ticket
    }
}

fn put(key: Bytes, value: Bytes, condition: Condition) -> Command {
    Command::Put { key, value, condition, expiry: Expiry::Never, return_old: false }
}

fn was_done(answer: Answer) -> Option<bool> {
    match answer {
        Answer::Done => Some(true),
        Answer::Refused => Some(false),
        Answer::Integer(_) | Answer::Value(_) | Answer::Pairs { .. } | Answer::Several(_) => None,
    }
}

fn number(answer: Answer) -> Option<i64> {
    match answer {
        Answer::Integer(number) => Some(number),
        Answer::Done | Answer::Refused | Answer::Value(_) | Answer::Pairs { .. } | Answer::Several(_) => None,
    }
}

pub(super) fn unexpected() -> Error {
    Error::Internal("an answer does not fit its question".into())
}

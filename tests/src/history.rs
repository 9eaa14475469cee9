//! What Redis clients of real processes saw, and whether it is linearizable.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_engine::{Answer, Command, Condition, Expiry};

use crate::sim::linear::{Operation, Verdict, check};

/// What clients saw of each key, in a count of all calls and returns.
#[derive(Default)]
pub struct History {
    now: AtomicU64,
    keys: Mutex<BTreeMap<String, Vec<Operation>>>,
}

impl History {
    /// Does something and takes down when it was called and when and what it answered; `None` if nobody knows.
    fn record(
        &self,
        client: usize,
        key: &str,
        command: Command,
        ask: impl FnOnce() -> Option<Answer>,
    ) -> bool {
        let called = self.now.fetch_add(1, Ordering::SeqCst);
        let answer = ask();
        let returned = answer.map(|answer| (self.now.fetch_add(1, Ordering::SeqCst), answer));
        let is_answered = returned.is_some();
        // A read without an answer says nothing.
        if is_answered || command.is_write() {
            let operation = Operation { client, command, called, returned };
            self.keys.lock().expect("no panic").entry(key.to_owned()).or_default().push(operation);
        }
        is_answered
    }

    /// GET; whether it was answered.
    pub fn get(&self, client: usize, connection: &mut redis::Connection, key: &str) -> bool {
        self.record(client, key, Command::Get { key: key.to_owned().into() }, || {
            let got = redis::cmd("GET").arg(key).query::<Option<Vec<u8>>>(connection).ok()?;
            Some(Answer::Value(got.map(Into::into)))
        })
    }

    /// SET; whether it was answered.
    pub fn set(&self, client: usize, connection: &mut redis::Connection, key: &str, value: &str) -> bool {
        let command = Command::Put {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            condition: Condition::Always,
            expiry: Expiry::Never,
            return_old: false,
        };
        self.record(client, key, command, || {
            redis::cmd("SET").arg(key).arg(value).exec(connection).ok().map(|()| Answer::Done)
        })
    }

    /// How many keys were asked for, if what was seen of each could have come from one copy of it. Panics if not.
    pub fn check(&self) -> usize {
        let keys = self.keys.lock().expect("no panic");
        for (key, operations) in keys.iter() {
            match check(operations) {
                Verdict::Linearizable => {}
                Verdict::Impossible(at) => panic!("{key}: no order explains {:?}", operations[at]),
                Verdict::TooHard => panic!("{key}: {} operations are too many to check", operations.len()),
            }
        }
        keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(history: &History, value: &'static str) {
        let answer = Answer::Value(Some(value.into()));
        history.record(0, "k", Command::Get { key: "k".into() }, || Some(answer));
    }

    fn append(history: &History, value: &'static str, answer: Option<Answer>) {
        history.record(1, "k", Command::Append { key: "k".into(), value: value.into() }, || answer);
    }

    #[test]
    fn what_is_not_known_may_have_happened_at_any_time() {
        let history = History::default();
        append(&history, "a", Some(Answer::Integer(1)));
        append(&history, "b", None);
        get(&history, "a");
        get(&history, "ab");
        assert_eq!(history.check(), 1);
    }

    #[test]
    #[should_panic(expected = "no order explains")]
    fn a_stale_read_is_found() {
        let history = History::default();
        append(&history, "a", Some(Answer::Integer(1)));
        append(&history, "b", Some(Answer::Integer(2)));
        get(&history, "a");
        history.check();
    }
}

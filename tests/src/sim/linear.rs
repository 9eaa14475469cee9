//! Whether a history of one key could have come from one copy of it, each operation taking effect at one moment
//! between its call and its return.
//!
//! The search of Wing and Gong, with the memory of Lowe ("Testing for linearizability", 2017): go through the calls
//! in their order, let those that fit the state take effect, go back when a return is met whose operation has not.
//! An operation whose outcome is unknown returns at the end of time with any answer.

use std::collections::HashSet;

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition};

use super::chance::mixed;

/// One operation on the key.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// What was asked for.
    pub command: Command,
    /// When, in a count of all calls and returns.
    pub called: u64,
    /// What was answered, and when; `None` if that is not known.
    pub returned: Option<(u64, Answer)>,
}

/// What the search came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none. The operation (its place in the history) that no order could explain.
    Impossible(usize),
    /// The search was given up.
    TooHard,
}

/// Give up after so many steps.
const STEPS_MAX: u64 = 3_000_000;

type State = Option<Bytes>;

/// What `command` does to a key that holds `state`, and answers.
fn step(state: &State, command: &Command) -> (State, Answer) {
    match command {
        Command::Get { .. } => (state.clone(), Answer::Value(state.clone())),
        Command::Put { value, condition, .. } => {
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => state.is_none(),
                Condition::Present => state.is_some(),
                Condition::Equals(expected) => state.as_ref() == Some(expected),
            };
            if holds { (Some(value.clone()), Answer::Done) } else { (state.clone(), Answer::Refused) }
        }
        Command::Delete { .. } => (None, Answer::Integer(state.is_some().into())),
        Command::Append { value, .. } => {
            let joined = [state.as_deref().unwrap_or_default(), &value[..]].concat();
            let length = joined.len() as i64;
            (Some(Bytes::from(joined)), Answer::Integer(length))
        }
        Command::Increment { by, .. } => {
            let text = state.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let sum = text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) + by;
            (Some(Bytes::from(sum.to_string())), Answer::Integer(sum))
        }
        other => unreachable!("the simulation does not use {other:?}"),
    }
}

/// Searches for an order of `history`, whose key starts without a value.
pub fn check(history: &[Operation]) -> Verdict {
    // Most writes of unknown outcome whose value nobody saw never happened. An order without them explains everything
    // just as well, and is found sooner; only if there is none is the whole history searched.
    let seen: Vec<Operation> = history.iter().filter(|op| may_have_been_seen(op, history)).cloned().collect();
    match Search::new(&seen).run() {
        Verdict::Linearizable => Verdict::Linearizable,
        Verdict::Impossible(_) | Verdict::TooHard => Search::new(history).run(),
    }
}

fn may_have_been_seen(op: &Operation, history: &[Operation]) -> bool {
    let value = match &op.command {
        Command::Put { value, .. } | Command::Append { value, .. } if op.returned.is_none() => value,
        _ => return true,
    };
    history.iter().any(|other| match &other.returned {
        Some((_, Answer::Value(Some(seen)))) => seen.windows(value.len()).any(|part| part == value),
        _ => false,
    })
}

#[derive(Clone, Copy)]
enum Event {
    Call(usize),
    Return(usize),
}

struct Search<'a> {
    history: &'a [Operation],
    events: Vec<Event>,
    /// A ring over the events that are not taken out; the last place is its head.
    next: Vec<usize>,
    prev: Vec<usize>,
    /// Where an operation's return stands.
    return_at: Vec<usize>,
    done: Vec<u64>,
    seen: HashSet<(Box<[u64]>, u64)>,
    /// The calls that took effect, and the state before each.
    taken: Vec<(usize, State)>,
    deepest: (usize, usize),
}

impl<'a> Search<'a> {
    fn new(history: &'a [Operation]) -> Search<'a> {
        let calls = history.iter().enumerate().map(|(at, op)| (op.called, Event::Call(at)));
        let returns = history.iter().enumerate().map(|(at, op)| {
            let when = op.returned.as_ref().map_or(u64::MAX, |(when, _)| *when);
            (when, Event::Return(at))
        });
        let mut timed: Vec<(u64, Event)> = calls.chain(returns).collect();
        timed.sort_by_key(|(when, _)| *when);
        let events: Vec<Event> = timed.into_iter().map(|(_, event)| event).collect();
        let mut return_at = vec![0; history.len()];
        for (at, event) in events.iter().enumerate() {
            if let Event::Return(op) = event {
                return_at[*op] = at;
            }
        }
        let count = events.len();
        Search {
            history,
            next: (1..=count).chain([0]).collect(),
            prev: std::iter::once(count).chain(0..count).collect(),
            events,
            return_at,
            done: vec![0; history.len().div_ceil(64)],
            seen: HashSet::new(),
            taken: Vec::new(),
            deepest: (0, 0),
        }
    }

    fn run(&mut self) -> Verdict {
        let head = self.events.len();
        let mut state: State = None;
        let mut at = self.next[head];
        for _ in 0..STEPS_MAX {
            if at == head {
                return Verdict::Linearizable;
            }
            match self.events[at] {
                Event::Call(op) => {
                    let (after, answer) = step(&state, &self.history[op].command);
                    let fits = self.history[op].returned.as_ref().is_none_or(|(_, told)| *told == answer);
                    if fits && self.is_new(op, &after) {
                        self.take(at, op);
                        self.taken.push((at, std::mem::replace(&mut state, after)));
                        at = self.next[head];
                    } else {
                        at = self.next[at];
                    }
                }
                // Everything that returned has been explained.
                Event::Return(op) if self.history[op].returned.is_none() => return Verdict::Linearizable,
                Event::Return(op) => {
                    self.deepest = self.deepest.max((self.taken.len(), op));
                    let Some((call, before)) = self.taken.pop() else {
                        return Verdict::Impossible(self.deepest.1);
                    };
                    state = before;
                    self.put_back(call);
                    at = self.next[call];
                }
            }
        }
        Verdict::TooHard
    }

    /// Whether this set of operations has not led to this state before.
    fn is_new(&mut self, op: usize, after: &State) -> bool {
        let mut done = self.done.clone().into_boxed_slice();
        done[op / 64] |= 1 << (op % 64);
        let hash = after
            .as_deref()
            .map_or(7, |bytes| bytes.iter().fold(1, |hash, byte| mixed(hash ^ u64::from(*byte))));
        self.seen.insert((done, hash))
    }

    fn take(&mut self, call: usize, op: usize) {
        self.done[op / 64] |= 1 << (op % 64);
        for at in [call, self.return_at[op]] {
            self.next[self.prev[at]] = self.next[at];
            self.prev[self.next[at]] = self.prev[at];
        }
    }

    fn put_back(&mut self, call: usize) {
        let Event::Call(op) = self.events[call] else { unreachable!("only calls are taken") };
        self.done[op / 64] &= !(1 << (op % 64));
        for at in [self.return_at[op], call] {
            self.next[self.prev[at]] = at;
            self.prev[self.next[at]] = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(called: u64, command: Command, returned: Option<(u64, Answer)>) -> Operation {
        Operation { client: 0, command, called, returned }
    }

    fn put(value: &'static str) -> Command {
        Command::Put {
            key: "k".into(),
            value: value.into(),
            condition: Condition::Always,
            expiry: skep_engine::Expiry::Never,
            return_old: false,
        }
    }

    fn get() -> Command {
        Command::Get { key: "k".into() }
    }

    fn value(value: &'static str) -> Answer {
        Answer::Value(Some(value.into()))
    }

    #[test]
    fn a_read_may_see_either_side_of_a_write_that_is_under_way() {
        for seen in [Answer::Value(None), value("a")] {
            let history = [op(1, put("a"), Some((4, Answer::Done))), op(2, get(), Some((3, seen)))];
            assert_eq!(check(&history), Verdict::Linearizable);
        }
    }

    #[test]
    fn a_stale_read_is_impossible() {
        let history = [
            op(1, put("a"), Some((2, Answer::Done))),
            op(3, put("b"), Some((4, Answer::Done))),
            op(5, get(), Some((6, value("a")))),
        ];
        assert_eq!(check(&history), Verdict::Impossible(2));
    }

    #[test]
    fn two_reads_do_not_go_back() {
        let history = [
            op(1, put("a"), Some((9, Answer::Done))),
            op(2, get(), Some((3, value("a")))),
            op(4, get(), Some((5, Answer::Value(None)))),
        ];
        assert_eq!(check(&history), Verdict::Impossible(2));
    }

    #[test]
    fn what_is_unknown_may_happen_late_or_never_but_not_twice() {
        let append =
            |called, returned| op(called, Command::Append { key: "k".into(), value: "x".into() }, returned);
        let read = |at, seen| op(at, get(), Some((at + 1, seen)));
        let late = [append(1, None), read(2, Answer::Value(None)), read(4, value("x"))];
        assert_eq!(check(&late), Verdict::Linearizable);
        let never = [append(1, None), read(2, Answer::Value(None))];
        assert_eq!(check(&never), Verdict::Linearizable);
        let twice = [append(1, None), read(2, value("xx"))];
        assert_eq!(check(&twice), Verdict::Impossible(1));
    }

    #[test]
    fn a_lost_increment_is_impossible() {
        let add =
            |called, sum| op(called, Command::Increment { key: "k".into(), by: 2 }, Some((called + 1, sum)));
        assert_eq!(check(&[add(1, Answer::Integer(2)), add(3, Answer::Integer(4))]), Verdict::Linearizable);
        assert_eq!(check(&[add(1, Answer::Integer(2)), add(3, Answer::Integer(2))]), Verdict::Impossible(1));
    }
}

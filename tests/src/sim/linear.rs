//! Whether a history of one key could have come from one copy of it, each operation taking effect at one moment
//! between its call and its return.
//!
//! The search of Wing and Gong, with the memory of Lowe ("Testing for linearizability", 2017): go through the calls
//! in their order, let those that fit the state take effect, go back when a return is met whose operation has not.
//! An operation whose outcome is unknown returns at the end of time with any answer.
//!
//! What fits and changes nothing (a read, a write that was refused) takes effect at once and for good: in any order that
//! explains the rest it can be moved to here. So only changes are tried in more than one order.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use skep_engine::{Answer, Command};

use super::chance::mixed;
use super::one_key::{Effect, State, effect};

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

impl Operation {
    fn told(&self) -> Option<&Answer> {
        self.returned.as_ref().map(|(_, answer)| answer)
    }
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
    /// Stands for the set of operations that took effect.
    done: u128,
    seen: HashSet<u128, BuildHasherDefault<Spread>>,
    /// The calls that took effect, and the state before each that changed it.
    taken: Vec<(usize, Option<State>)>,
    deepest: (usize, usize),
}

/// What stands for one operation, or one state, in the number of a set: sets differ if their numbers do, and two that
/// differ have one number in 2^128.
fn mark(of: u64) -> u128 {
    u128::from(mixed(of)) << 64 | u128::from(mixed(!of))
}

/// Numbers that are spread already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = mixed(self.0 ^ u64::from(*byte)));
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
            done: 0,
            seen: HashSet::default(),
            taken: Vec::new(),
            deepest: (0, 0),
        }
    }

    fn run(&mut self) -> Verdict {
        let head = self.events.len();
        let mut state = State::new(None);
        let mut at = self.next[head];
        for _ in 0..STEPS_MAX {
            if at == head {
                return Verdict::Linearizable;
            }
            match self.events[at] {
                Event::Call(op) => match self.effect(op, &state) {
                    Some(change) => {
                        self.take(at, op);
                        let before = change.map(|after| std::mem::replace(&mut state, after));
                        self.taken.push((at, before));
                        at = self.next[head];
                    }
                    None => at = self.next[at],
                },
                // Everything that returned has been explained.
                Event::Return(op) if self.history[op].returned.is_none() => return Verdict::Linearizable,
                Event::Return(op) => {
                    self.deepest = self.deepest.max((self.taken.len(), op));
                    let Some((call, before)) = self.go_back() else {
                        return Verdict::Impossible(self.deepest.1);
                    };
                    state = before;
                    at = self.next[call];
                }
            }
        }
        Verdict::TooHard
    }

    /// Whether it is worth a try to let an operation take effect now, and the state after it if that is another.
    fn effect(&mut self, op: usize, state: &State) -> Option<Option<State>> {
        match effect(&state.value, &self.history[op].command, self.history[op].told()) {
            Effect::Unfit => None,
            // If nobody knows that it happened, and nothing comes of it, it need not have.
            Effect::Nothing => self.history[op].returned.is_some().then_some(None),
            Effect::Change(after) => {
                let after = State::new(after);
                // This set of operations may have led to this state before.
                let is_new = self.seen.insert(self.done ^ mark(op as u64) ^ mark(!after.hash).rotate_left(1));
                is_new.then_some(Some(after))
            }
        }
    }

    /// Takes back everything from the last change on: its call, and the state before it.
    fn go_back(&mut self) -> Option<(usize, State)> {
        while let Some((call, before)) = self.taken.pop() {
            self.put_back(call);
            if let Some(before) = before {
                return Some((call, before));
            }
        }
        None
    }

    fn take(&mut self, call: usize, op: usize) {
        self.done ^= mark(op as u64);
        for at in [call, self.return_at[op]] {
            self.next[self.prev[at]] = self.next[at];
            self.prev[self.next[at]] = self.prev[at];
        }
    }

    fn put_back(&mut self, call: usize) {
        let Event::Call(op) = self.events[call] else { unreachable!("only calls are taken") };
        self.done ^= mark(op as u64);
        for at in [self.return_at[op], call] {
            self.next[self.prev[at]] = at;
            self.prev[self.next[at]] = at;
        }
    }
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;

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

/// What the key holds, and a number that stands for it.
#[derive(Clone, Debug)]
struct State {
    value: Option<Bytes>,
    hash: u64,
}

impl State {
    fn new(value: Option<Bytes>) -> State {
        let fold = |bytes: &[u8]| bytes.iter().fold(1, |hash, byte| mixed(hash ^ u64::from(*byte)));
        let hash = value.as_deref().map_or(7, fold);
        State { value, hash }
    }
}

/// What an operation would do now.
enum Effect {
    /// It cannot have happened here: its answer was another.
    Unfit,
    /// It fits, and the key holds what it held.
    Nothing,
    Change(Option<Bytes>),
}

/// What an operation does to a key that holds `value`.
fn effect(value: &Option<Bytes>, op: &Operation) -> Effect {
    let (after, answer) = step(value, &op.command);
    match &op.returned {
        Some((_, told)) if *told != answer => Effect::Unfit,
        _ => after.map_or(Effect::Nothing, Effect::Change),
    }
}

/// What a key that holds `value` holds after a command; `None` if the answer, where there is one, would have been another.
pub fn after(value: &Option<Bytes>, command: &Command, told: Option<&Answer>) -> Option<Option<Bytes>> {
    let (after, answer) = step(value, command);
    told.is_none_or(|told| *told == answer).then(|| after.unwrap_or_else(|| value.clone()))
}

/// What the key holds after a command, unless it is what it held before; and what is answered.
fn step(value: &Option<Bytes>, command: &Command) -> (Option<Option<Bytes>>, Answer) {
    match command {
        Command::Get { .. } => (None, Answer::Value(value.clone())),
        Command::Put { value: new, condition, .. } => {
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => value.is_none(),
                Condition::Present => value.is_some(),
                Condition::Equals(expected) => value.as_ref() == Some(expected),
            };
            if holds { (Some(Some(new.clone())), Answer::Done) } else { (None, Answer::Refused) }
        }
        Command::Delete { .. } => (value.as_ref().map(|_| None), Answer::Integer(i64::from(value.is_some()))),
        Command::Append { value: more, .. } => {
            let joined = [value.as_deref().unwrap_or_default(), &more[..]].concat();
            let length = joined.len() as i64;
            (Some(Some(Bytes::from(joined))), Answer::Integer(length))
        }
        Command::Increment { by, .. } => {
            let text = value.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let sum = text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) + by;
            (Some(Some(Bytes::from(sum.to_string()))), Answer::Integer(sum))
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
        match effect(&state.value, &self.history[op]) {
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
mod tests {
    use super::super::chance::Chance;
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

    /// The obvious version: any operation that no other had returned before, in any order.
    fn by_trying_all(left: &[Operation], value: &Option<Bytes>) -> bool {
        left.iter().all(|op| op.returned.is_none())
            || (0..left.len()).any(|at| {
                let op = &left[at];
                let is_next = !left
                    .iter()
                    .any(|other| other.returned.as_ref().is_some_and(|(returned, _)| *returned < op.called));
                let (after, answer) = step(value, &op.command);
                let fits = op.returned.as_ref().is_none_or(|(_, told)| *told == answer);
                let rest = || [&left[..at], &left[at + 1..]].concat();
                is_next && fits && by_trying_all(&rest(), &after.unwrap_or_else(|| value.clone()))
            })
    }

    fn any_command(chance: &mut Chance) -> Command {
        let value = chance.pick(&[Bytes::from_static(b"1"), Bytes::from_static(b"2")]);
        let condition = chance.pick(&[
            Condition::Always,
            Condition::Absent,
            Condition::Present,
            Condition::Equals(Bytes::from_static(b"1")),
        ]);
        let (key, expiry, return_old) = (Bytes::from_static(b"k"), skep_engine::Expiry::Never, false);
        match chance.below(6) {
            0 | 1 => Command::Get { key },
            2 => Command::Delete { key, return_old },
            3 => Command::Append { key, value },
            4 => Command::Increment { key, by: 1 },
            _ => Command::Put { key, value, condition, expiry, return_old },
        }
    }

    /// A history that something explains, more often than not: each operation takes effect at a moment of its own, and one
    /// answer is changed in every second.
    fn any_history(chance: &mut Chance) -> Vec<Operation> {
        let (mut value, mut history) = (None, Vec::new());
        for moment in 1..=chance.within(1..=6) {
            let command = any_command(chance);
            let (after, answer) = step(&value, &command);
            value = after.unwrap_or(value);
            let around = |chance: &mut Chance| chance.below(25);
            let (called, returned) = (moment * 10 + 100 - around(chance), moment * 10 + 100 + around(chance));
            let is_known = !chance.one_in(4);
            history.push(op(called * 8 + moment, command, is_known.then_some((returned * 8 + 7, answer))));
        }
        if chance.one_in(2) {
            let at = chance.below(history.len() as u64) as usize;
            let other = chance.pick(&[
                Answer::Done,
                Answer::Refused,
                Answer::Integer(1),
                Answer::Integer(2),
                Answer::Value(None),
                value_of(b"1"),
                value_of(b"12"),
            ]);
            history[at].returned = history[at].returned.take().map(|(when, _)| (when, other));
        }
        history.sort_by_key(|op| op.called);
        history
    }

    fn value_of(value: &'static [u8]) -> Answer {
        Answer::Value(Some(Bytes::from_static(value)))
    }

    #[test]
    fn as_by_trying_all_orders() {
        let mut explained = 0;
        for seed in 0..20_000 {
            let history = any_history(&mut Chance::new(seed));
            let expected = by_trying_all(&history, &None);
            explained += u32::from(expected);
            assert_eq!(check(&history) == Verdict::Linearizable, expected, "seed {seed}: {history:#?}");
        }
        assert!((5_000..17_000).contains(&explained), "{explained} of 20,000 histories have an order");
    }
}

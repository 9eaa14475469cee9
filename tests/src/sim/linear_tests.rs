//! Histories that are explained and histories that cannot be, and a checker that tries all orders beside the real one.

use bytes::Bytes;
use skep_engine::Condition;

use super::super::chance::Chance;
use super::super::one_key::step;
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

//! The clients' histories, judged a second time: by `porcupine-rs`, a port of Athalye's Porcupine, which knows nothing of the
//! simulator's own checker but what a command does to a key.

use std::time::Duration;

use bytes::Bytes;
use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use skep_engine::{Answer, Command};
use skep_tests::sim::linear::{self, Verdict};
use skep_tests::sim::{self, Plan, one_key};

const SEEDS: u64 = 12;
/// A history that takes longer is not judged: one with many operations of unknown end, which the own checker orders by what
/// was seen of them.
const PATIENCE: Duration = Duration::from_millis(400);

/// One key.
#[derive(Clone)]
struct Key;

impl Model for Key {
    type State = Option<Bytes>;
    /// What was asked, and what was answered if that is known.
    type Op = (Command, Option<Answer>);
    type Metadata = ();

    fn init() -> Option<Bytes> {
        None
    }

    fn step(value: &Option<Bytes>, (command, told): &(Command, Option<Answer>)) -> (bool, Option<Bytes>) {
        match one_key::after(value, command, told.as_ref()) {
            Some(after) => (true, after),
            None => (false, value.clone()),
        }
    }
}

/// What nobody heard the end of may happen at any time after its call, or, which is the same, after everything else.
fn of_porcupine(history: &[linear::Operation]) -> Vec<Operation<Key>> {
    let end = 1 + history
        .iter()
        .flat_map(|op| [op.called, op.returned.as_ref().map_or(0, |r| r.0)])
        .max()
        .unwrap_or(0);
    let converted = history.iter().enumerate().map(|(at, op)| Operation {
        client_id: Some(op.client as u32),
        call_time: op.called as i64,
        return_time: op.returned.as_ref().map_or(end as i64 + at as i64, |(when, _)| *when as i64),
        op: (op.command.clone(), op.returned.as_ref().map(|(_, answer)| answer.clone())),
        metadata: None,
    });
    converted.collect()
}

fn judged(history: &[linear::Operation]) -> CheckResult {
    check_operations_timeout(&of_porcupine(history), PATIENCE)
}

/// The clients' reads are changed, one at a time, to what an earlier one was told: most of that is impossible, some is not.
fn spoiled(history: &[linear::Operation]) -> Vec<linear::Operation> {
    let mut spoiled = history.to_vec();
    let is_read = |op: &linear::Operation| matches!(op.returned, Some((_, Answer::Value(_))));
    let reads: Vec<usize> = (0..history.len()).filter(|at| is_read(&history[*at])).collect();
    if let [first, .., last] = reads[..] {
        let told = history[first].returned.as_ref().map(|(_, answer)| answer.clone());
        spoiled[last].returned =
            spoiled[last].returned.take().zip(told).map(|((when, _), told)| (when, told));
    }
    spoiled
}

#[test]
fn porcupine_says_the_same() {
    let (mut histories, mut operations, mut impossible, mut unknown) = (0, 0, 0, 0);
    for seed in 1..=SEEDS {
        let found = sim::histories(seed, &Plan::default())
            .unwrap_or_else(|violation| panic!("seed {seed}, {violation}"));
        for history in found.iter().flat_map(|history| [history.clone(), spoiled(history)]) {
            let (own, other) = (linear::check(&history), judged(&history));
            match (&own, &other) {
                (Verdict::TooHard, _) | (_, CheckResult::Unknown) => unknown += 1,
                (Verdict::Linearizable, CheckResult::Ok) => {}
                (Verdict::Impossible(_), CheckResult::Illegal) => impossible += 1,
                _ => panic!("seed {seed}: {own:?} and {other:?} of {history:#?}"),
            }
            histories += 1;
            operations += history.len();
        }
    }
    println!(
        "{histories} histories of {operations} operations, {impossible} impossible, {unknown} not judged"
    );
    // How many are judged depends on the machine, so not much is asked for.
    let is_much = operations > 20_000 && impossible > 20 && histories - unknown > 100;
    assert!(is_much, "too little is judged");
}

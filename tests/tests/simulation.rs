//! Whole stores under faults: whatever happens, nothing that was promised is lost. A failing seed is printed with the
//! command that repeats it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use skep_raftstore::store::Mutant;
use skep_tests::sim::situations::full_disks;
use skep_tests::sim::{self, Plan, Report};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 400;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("the variable holds a number"))
}

/// The run's report, or what went wrong and how to see it again.
fn run(seed: u64, is_told: bool) -> Result<Report, String> {
    let (report, result) = sim::run(seed, &Plan::default(), is_told);
    result.map(|()| report).map_err(|violation| {
        format!(
            "seed {seed}, {violation}\nTo repeat it: SKEP_SIM_SEED={seed} cargo test -p skep-tests --test simulation \
             -- one_seed --nocapture\n"
        )
    })
}

#[test]
fn nothing_is_lost_and_nothing_stale_is_read() {
    let (first, count) = (number("SKEP_SIM_FIRST", 1), number("SKEP_SIM_SEEDS", SEEDS));
    let next = AtomicU64::new(first);
    let work = || {
        let (mut total, mut failures) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return (total, failures);
            }
            match run(seed, false) {
                Ok(report) => total += report,
                Err(failure) => failures.push(failure),
            }
        }
    };
    // Each seed has one thread, and two seeds run at a time.
    let ((mut total, mut failures), (more, others)) = thread::scope(|scope| {
        let other = scope.spawn(work);
        (work(), other.join().expect("no panic"))
    });
    total += more;
    failures.extend(others);
    println!("{count} seeds: {total:?}");
    assert!(failures.is_empty(), "{} seeds failed\n{}", failures.len(), failures.join("\n"));
    assert!(count < SEEDS || total.installed > 0, "no snapshot reached anybody: {total:?}");
    assert!(count < SEEDS || total.splits > 0, "nothing was split: {total:?}");
}

/// Runs the seed named by SKEP_SIM_SEED, and tells what happens.
#[test]
fn one_seed() {
    match run(number("SKEP_SIM_SEED", 1), true) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in [3, 4, 5] {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}

/// Replicas move from store to store, and stores lose everything and are replaced: nothing that was acknowledged is lost.
#[test]
fn nothing_is_lost_while_replicas_move_and_stores_are_lost() {
    let (first, count) = (number("SKEP_SIM_FIRST", 1), number("SKEP_SIM_MOVES", 60));
    let plan = Plan { moves: true, ..Plan::default() };
    let mut total = Report::default();
    for seed in first..first + count {
        let (report, result) = sim::run(seed, &plan, std::env::var_os("SKEP_SIM_TOLD").is_some());
        if let Err(violation) = result {
            panic!("seed {seed}, {violation}");
        }
        total += report;
    }
    println!("{count} seeds: {total:?}");
    assert!(count < 60 || total.moved > 100 && total.lost > 5, "too little moves: {total:?}");
}

/// Only the power fails, often, and everywhere at once: what was promised too early is gone then.
fn crash_heavy() -> Plan {
    Plan { fault_ticks: 1500, fault_every: 100, only_power_cuts: true, ..Plan::default() }
}

/// The first of 30 seeds in which a wrong build breaks a rule.
fn caught(plan: &Plan) -> Option<(u64, String)> {
    (1..=30)
        .find_map(|seed| sim::run(seed, plan, false).1.err().map(|violation| (seed, violation.to_string())))
}

#[test]
fn a_right_build_survives_what_catches_the_wrong_ones() {
    assert_eq!(caught(&crash_heavy()), None);
}

#[test]
fn a_store_that_answers_before_the_sync_is_caught() {
    let found = caught(&Plan { store_mutant: Some(Mutant::ReplyEarly), ..crash_heavy() });
    println!("{:?}", found.expect("a store that answers before the sync was not caught"));
}

#[test]
fn a_log_that_skips_the_sync_is_caught() {
    let found = caught(&Plan { wal_mutant: Some(skep_wal::Mutant::SkipSync), ..crash_heavy() });
    println!("{:?}", found.expect("a log that skips the sync was not caught"));
}

#[test]
fn a_region_that_does_not_wait_for_what_was_split_off_is_caught() {
    let found = caught(&Plan { store_mutant: Some(Mutant::ForgetChildren), ..crash_heavy() });
    println!("{:?}", found.expect("a region that forgets its children was not caught"));
}

/// Where so many disks are full that no quorum is left, writes are refused in words at once and reads go on; where a quorum has
/// room, all goes on. Room is all that is needed.
#[test]
fn a_full_disk_is_told_at_once_and_not_by_silence() {
    for (seed, stores) in
        [(1, &[0, 1, 2][..]), (2, &[0, 1]), (3, &[1, 2]), (4, &[0, 2]), (5, &[2]), (6, &[0])]
    {
        let (full, after) = full_disks(seed, stores);
        println!("{stores:?} full: {full:?}, then: {after:?}");
        let refused = if stores.len() == 1 { 0..1 } else { 1000..usize::MAX };
        assert!(refused.contains(&full.refused), "seed {seed}, {stores:?}: {full:?}");
        assert!(full.answered > 1000 && full.timed_out < 10, "seed {seed}, {stores:?}: {full:?}");
        assert!(
            after.answered > 1000 && after.refused + after.timed_out as usize == 0,
            "seed {seed}: {after:?}"
        );
    }
}

//! Whole stores under faults: whatever happens, nothing that was promised is lost. A failing seed is printed with the
//! command that repeats it.

use skep_tests::sim::{self, Plan, Report};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 100;

fn seeds() -> u64 {
    std::env::var("SKEP_SIM_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SKEP_SIM_SEEDS is a number"))
}

fn run(seed: u64, is_told: bool) -> Report {
    let (report, result) = sim::run(seed, &Plan::default(), is_told);
    if let Err(violation) = result {
        panic!(
            "seed {seed}, {violation}\n\nTo repeat it:\n  SKEP_SIM_SEED={seed} cargo test -p skep-tests --test simulation -- one_seed --nocapture\n"
        );
    }
    report
}

#[test]
fn nothing_is_lost_and_nothing_stale_is_read() {
    let mut total = Report::default();
    for seed in 1..=seeds() {
        let report = run(seed, false);
        total.seconds += report.seconds;
        total.operations += report.operations;
        total.unknown += report.unknown;
        total.crashes += report.crashes;
        total.elections += report.elections;
        total.applied += report.applied;
        total.restored += report.restored;
    }
    println!("{} seeds: {total:?}", seeds());
}

/// Runs the seed named by SKEP_SIM_SEED, and tells what happens.
#[test]
fn one_seed() {
    let seed = std::env::var("SKEP_SIM_SEED").map_or(1, |seed| seed.parse().expect("SKEP_SIM_SEED is a number"));
    println!("{:?}", run(seed, true));
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in [3, 4, 5] {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}

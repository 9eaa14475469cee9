//! Whole stores under faults: whatever happens, nothing that was promised is lost. A failing seed is printed with the
//! command that repeats it.

use skep_tests::sim::{self, Plan, Report};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 100;

fn seeds() -> u64 {
    std::env::var("SKEP_SIM_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SKEP_SIM_SEEDS is a number"))
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
    let mut total = Report::default();
    let mut failures = Vec::new();
    for seed in 1..=seeds() {
        let report = match run(seed, false) {
            Ok(report) => report,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        total.seconds += report.seconds;
        total.operations += report.operations;
        total.unknown += report.unknown;
        total.crashes += report.crashes;
        total.elections += report.elections;
        total.applied += report.applied;
        total.restored += report.restored;
    }
    println!("{} seeds: {total:?}", seeds());
    assert!(failures.is_empty(), "{} seeds failed\n{}", failures.len(), failures.join("\n"));
}

/// Runs the seed named by SKEP_SIM_SEED, and tells what happens.
#[test]
fn one_seed() {
    let seed = std::env::var("SKEP_SIM_SEED").map_or(1, |seed| seed.parse().expect("SKEP_SIM_SEED is a number"));
    match run(seed, true) {
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

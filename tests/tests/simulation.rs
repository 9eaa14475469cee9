//! Whole stores under faults: whatever happens, nothing that was promised is lost. A failing seed is printed with the
//! command that repeats it.

use skep_tests::sim::full_disks::full_disks;
use skep_tests::sim::many::run_many;
use skep_tests::sim::{self, Plan};

/// Seeds that every `cargo test` runs, how many simulated hours these are at least, and how many commands of clients.
const SEEDS: (u64, f64, u64) = (8350, 60.0, 2_000_000);
/// And those in which replicas stay where they are.
const STILL_SEEDS: (u64, f64, u64) = (500, 3.5, 500_000);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("the variable holds a number"))
}

/// Runs so many seeds, unless the variable says otherwise; the violations that came of it are the test's message, each with the
/// command that repeats it.
fn run_all(variable: &str, (seeds, hours_min, operations_min): (u64, f64, u64), plan: &Plan) {
    let count = number(variable, seeds);
    let summary = run_many(number("SKEP_SIM_FIRST", 1), count, plan);
    let (hours, total) = (summary.hours(), &summary.total);
    eprintln!("{count} seeds, {hours:.2} simulated hours: {total:?}");
    let failed = summary.failures.len();
    assert!(failed == 0, "{failed} seeds failed\n{}", summary.told(plan));
    assert_eq!(summary.tame(plan), None, "of {count} seeds");
    eprintln!("{}", summary.total.reached);
    if count == seeds {
        assert!(hours >= hours_min && total.operations >= operations_min, "too little was simulated");
    }
}

/// Replicas move from store to store, regions are split, and stores lose everything and are replaced: nothing that was acknowledged
/// is lost.
#[test]
fn nothing_is_lost_and_nothing_stale_is_read() {
    run_all("SKEP_SIM_SEEDS", SEEDS, &Plan::default());
}

/// The simpler case must be seen, too: more is damaged where nothing else is missing.
#[test]
fn nothing_is_lost_where_replicas_stay_where_they_are() {
    run_all("SKEP_SIM_STILL", STILL_SEEDS, &Plan::still());
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in [3, 4, 5] {
        let run = || sim::run(seed, &Plan::default(), false);
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// Seeds that failed once in runs of 40 s: a region waited for its machine from one that had been damaged and replaced.
#[test]
fn seeds_that_failed_once_in_longer_runs() {
    let plan = Plan { fault_ticks: 4000, ..Plan::still() };
    for seed in [435, 2180, 3407] {
        let (_, result) = sim::run(seed, &plan, false);
        result.unwrap_or_else(|violation| panic!("seed {seed}, {violation}"));
    }
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

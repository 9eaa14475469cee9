//! The bug bank: errors that others have made, each built in behind a switch, and each noticed by the simulator. (Those of the
//! protocol are noticed by its stories, too: `raftstore/src/raft/tests/mutants.rs`; those of the log by its own tests.)

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use skep_tests::sim::many::repeating;
use skep_tests::sim::wrong::Wrong;
use skep_tests::sim::{self, Plan};

/// An error is noticed by one of so many seeds. The right build breaks no rule in any of them: see `simulation.rs`, which runs
/// more. Most need a few; a joint configuration that is left early does harm in one of 250, and which one that is changes with
/// every change of what a run does.
const SEEDS: u64 = 1000;

/// And within so many seconds.
const SECONDS_MAX: f64 = 60.0;

/// Which runs find an error soonest.
#[derive(Clone, Copy)]
enum Runs {
    Still,
    Moves,
    Power,
}

use Runs::{Moves, Power, Still};

const BANK: [(&str, Runs); 30] = [
    ("raft::VoteNotWritten", Still),
    ("raft::VotesAgain", Still),
    ("raft::KeepsVote", Power),
    ("raft::AcknowledgesEarly", Power),
    ("raft::CampaignsEarly", Moves),
    ("raft::CountsItselfEarly", Moves),
    ("raft::CountsLearners", Moves),
    ("raft::NoOpLeftOut", Power),
    ("raft::ReadsUnconfirmed", Still),
    ("raft::IgnoresPrevTerm", Moves),
    ("raft::LateAppendCuts", Moves),
    ("raft::CommitGoesBack", Power),
    ("raft::HeartbeatsCommitAll", Power),
    ("raft::FollowsAnyHint", Still),
    ("raft::LeavesJointEarly", Moves),
    ("store::ReplyEarly", Moves),
    ("store::ForgetChildren", Power),
    ("store::CompactsTooFar", Power),
    ("store::InstallsEarly", Moves),
    ("store::ForgetsGraves", Moves),
    ("store::SessionPerAttempt", Power),
    ("wal::SkipSync", Power),
    ("wal::SyncAgain", Still),
    ("wal::WatermarkTooFar", Power),
    ("wal::NamesNotSynced", Still),
    ("wal::TornFrameKept", Still),
    ("wal::LaterFrameProves", Power),
    ("wal::TailNotSynced", Moves),
    ("wal::BodiesUnchecked", Moves),
    ("wal::CarriedReplaces", Power),
];

impl Runs {
    fn plan(self) -> Plan {
        match self {
            Still => Plan::still(),
            Moves => Plan::default(),
            Power => Plan::power_cuts(),
        }
    }
}

/// How an error was noticed, in words; `None` if it was not in this many seeds, or not soon enough.
fn noticed(name: &str, runs: Runs) -> Option<String> {
    let wrong = Wrong::named(name).expect("there is a switch of this name");
    let plan = Plan { wrong: Some(wrong), ..runs.plan() };
    let began = Instant::now();
    let found = (1..=SEEDS).find_map(|seed| Some((seed, sim::run(seed, &plan, false).1.err()?)));
    let (seed, violation) = found?;
    let (seconds, what) = (began.elapsed().as_secs_f64(), violation.to_string());
    let what = what.lines().next().unwrap_or_default();
    (seconds < SECONDS_MAX)
        .then(|| format!("{name} | {seed} | {seconds:.1} | {what} | {}", repeating(seed, &plan)))
}

#[test]
fn every_bug_of_the_bank_is_noticed() {
    let left = Mutex::new(BANK.iter());
    let missed = Mutex::new(Vec::new());
    let next = || left.lock().expect("no panic").next();
    let work = || {
        while let Some((name, runs)) = next() {
            match noticed(name, *runs) {
                Some(how) => eprintln!("{how}"),
                None => missed.lock().expect("no panic").push(*name),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "not noticed in {SEEDS} seeds and {SECONDS_MAX} s: {missed:?}");
}

#[test]
fn the_right_build_survives_what_only_the_power_does() {
    for seed in 1..=60 {
        let (_, result) = sim::run(seed, &Plan::power_cuts(), false);
        assert_eq!(result, Ok(()), "seed {seed}");
    }
}

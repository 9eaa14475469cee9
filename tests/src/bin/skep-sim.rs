//! The simulator's command line: many seeds, or the story of one.

use std::process::ExitCode;

use clap::Parser;
use skep_tests::sim::many::{Summary, repeating, run_many};
use skep_tests::sim::wrong::Wrong;
use skep_tests::sim::{self, Plan, Report};

/// Runs whole stores under faults: one seed decides everything.
#[derive(Parser, Debug)]
#[command(name = "skep-sim")]
struct Args {
    /// How many seeds to run, on all cores.
    #[arg(long, default_value_t = 400, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1, conflicts_with = "seed")]
    first: u64,
    /// Runs this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints what happens in it, and nothing that depends on the machine.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Replicas stay where they are: three stores, none of which is lost.
    #[arg(long)]
    still: bool,
    /// The same, and nothing fails but the power, and that often.
    #[arg(long)]
    power_cuts: bool,
    /// True time with faults, in ticks of 10 ms.
    #[arg(long)]
    fault_ticks: Option<u64>,
    /// Runs a wrong build, by the name of its switch.
    #[arg(long, value_parser = wrong)]
    wrong: Option<Wrong>,
}

fn wrong(name: &str) -> Result<Wrong, String> {
    let names = || Wrong::all().into_iter().map(Wrong::name).collect::<Vec<_>>().join(", ");
    Wrong::named(name).ok_or_else(|| format!("there is none of this name, but these: {}", names()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let kind = match (args.power_cuts, args.still) {
        (true, _) => Plan::power_cuts(),
        (false, true) => Plan::still(),
        (false, false) => Plan::default(),
    };
    let fault_ticks = args.fault_ticks.unwrap_or(kind.fault_ticks);
    let plan = Plan { wrong: args.wrong, fault_ticks, ..kind };
    let is_right = match args.seed {
        Some(seed) => run_one(seed, &plan, args.trace),
        None => run_all(&args, &plan),
    };
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(seed: u64, plan: &Plan, is_told: bool) -> bool {
    let (report, result) = sim::run(seed, plan, is_told);
    say(&format!("{report:#?}"));
    if let Err(violation) = &result {
        say(&format!("seed {seed}, {violation}\nTo repeat it: {}", repeating(seed, plan)));
    }
    result.is_ok()
}

fn run_all(args: &Args, plan: &Plan) -> bool {
    let summary = run_many(args.first, args.seeds, plan);
    say(&summary.told(plan));
    let Summary { seeds, total, failures, .. } = &summary;
    let (tame, missing) = (summary.tame(plan), total.reached.missing(plan).len());
    say(&format!("situations reached, and in how many seeds:\n{}", total.reached));
    tame.iter().for_each(|why| say(why));
    say(&format!("seeds: {seeds}, {} failed", failures.len()));
    say(&format!("simulated hours: {:.2}", summary.hours()));
    say(&format!("client operations: {}", total.operations));
    let Report { moved, lost, damages, .. } = total;
    say(&format!("replicas moved: {moved}, stores lost: {lost}, logs damaged: {damages}"));
    say(&format!("situations reached: {}, {missing} missing", total.reached.len()));
    say(&format!("simulated hours per hour: {:.0}", summary.speed()));
    failures.is_empty() && tame.is_none()
}

#[expect(clippy::print_stdout, reason = "what the command line is for")]
fn say(line: &str) {
    if !line.is_empty() {
        println!("{line}");
    }
}

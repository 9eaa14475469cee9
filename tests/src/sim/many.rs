//! Many seeds on all cores: what they did together, and which of them failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::settings::Plan;
use super::situations::SEEDS_THAT_REACH_ALL;
use super::{Report, Violation, run};

/// What many seeds came to.
#[derive(Clone, Default, Debug)]
pub struct Summary {
    /// How many seeds.
    pub seeds: u64,
    /// All that they did.
    pub total: Report,
    /// Those that failed, in their order.
    pub failures: Vec<(u64, Violation)>,
    /// Time on the wall.
    pub took: Duration,
}

impl Summary {
    /// Simulated hours.
    pub fn hours(&self) -> f64 {
        self.total.seconds as f64 / 3600.0
    }

    /// Simulated hours in one hour on the wall.
    pub fn speed(&self) -> f64 {
        self.hours() / self.took.as_secs_f64().max(1e-9) * 3600.0
    }

    /// What is wrong with all of them together: situations that so many seeds must come to and did not.
    pub fn tame(&self, plan: &Plan) -> Option<String> {
        let missing = self.total.reached.missing(plan);
        let is_enough = self.seeds >= SEEDS_THAT_REACH_ALL && self.failures.is_empty();
        let words: Vec<&str> = missing.into_iter().map(|situation| situation.words()).collect();
        (is_enough && !words.is_empty()).then(|| format!("never reached: {}", words.join("; ")))
    }

    /// Each failure, with the one command that repeats it.
    pub fn told(&self, plan: &Plan) -> String {
        let told = |(seed, violation): &(u64, Violation)| {
            format!("seed {seed}, {violation}\nTo repeat it: {}\n", repeating(*seed, plan))
        };
        self.failures.iter().map(told).collect()
    }
}

/// The command that runs one seed again and tells what happens.
pub fn repeating(seed: u64, plan: &Plan) -> String {
    let kind = match (plan.only_power_cuts, plan.moves) {
        (true, _) => " --power-cuts",
        (false, true) => "",
        (false, false) => " --still",
    };
    let usual = if plan.only_power_cuts { Plan::power_cuts() } else { Plan::default() };
    let is_usual = plan.fault_ticks == usual.fault_ticks;
    let time = if is_usual { String::new() } else { format!(" --fault-ticks {}", plan.fault_ticks) };
    let wrong = plan.wrong.map(|wrong| format!(" --wrong {}", wrong.name())).unwrap_or_default();
    format!("cargo run -p skep-tests --bin skep-sim -- --seed {seed} --trace{kind}{time}{wrong}")
}

/// Runs `count` seeds from `first` on, each on one thread, as many at a time as there are cores.
pub fn run_many(first: u64, count: u64, plan: &Plan) -> Summary {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let work = || {
        let mut done = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return done;
            }
            let (report, result) = run(seed, plan, false);
            done.seeds += 1;
            done.total += report;
            done.failures.extend(result.err().map(|violation| (seed, violation)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().fold(Summary::default(), |mut all, worker| {
            let done = worker.join().expect("panics are caught");
            all.seeds += done.seeds;
            all.total += done.total;
            all.failures.extend(done.failures);
            all
        })
    });
    all.failures.sort_by_key(|(seed, _)| *seed);
    all.took = began.elapsed();
    all
}

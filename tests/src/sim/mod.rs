//! A simulation of whole stores, without threads: one seed decides everything, and the same seed always does the same.
//!
//! Three real stores, or four where replicas move (workers, syncs, apply pool and keeper, stepped by hand; the real log on
//! disks in memory), serve a few clients over a network in memory, while power, disks, clocks, processes and the network fail. In the end the
//! faults stop; then everything must heal, and everything that clients were told must be explained.

mod chance;
mod clients;
mod clock;
mod faults;
pub mod full_disks;
mod invariants;
mod ledger;
pub mod linear;
pub mod many;
mod moves;
mod node;
pub mod one_key;
mod ordered;
mod power;
mod rest;
mod settings;
mod sightings;
pub mod situations;
mod tap;
mod watched;
mod world;
pub mod wrong;

use std::any::Any;
use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use settings::Plan;
use situations::Reached;
use world::World;

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When.
    pub at_tick: u64,
    /// Which, in words.
    pub what: String,
}

/// What a run did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Report {
    /// A number that stands for everything that happened.
    pub trace: u64,
    /// Simulated time.
    pub seconds: u64,
    /// Commands that clients gave.
    pub operations: u64,
    /// Of those, how many have an unknown outcome.
    pub unknown: u64,
    /// Power cuts and dead processes.
    pub crashes: u64,
    /// Elections that were won.
    pub elections: u64,
    /// Entries that were applied, on all replicas.
    pub applied: u64,
    /// Machines that were restored from a checkpoint.
    pub reopened: u64,
    /// Machines that were replaced by a snapshot of another store.
    pub installed: u64,
    /// Logs whose durable bytes were changed.
    pub damages: u64,
    /// Regions that were split off, on all replicas.
    pub splits: u64,
    /// Replicas that moved from one store to another.
    pub moved: u64,
    /// Stores that lost everything and were replaced by new ones.
    pub lost: u64,
    /// Keys whose history was too hard to be searched to the end.
    pub too_hard: u64,
    /// The situations that it came to.
    pub reached: Reached,
}

impl AddAssign for Report {
    fn add_assign(&mut self, more: Report) {
        self.trace ^= more.trace;
        self.seconds += more.seconds;
        self.operations += more.operations;
        self.unknown += more.unknown;
        self.crashes += more.crashes;
        self.elections += more.elections;
        self.applied += more.applied;
        self.reopened += more.reopened;
        self.installed += more.installed;
        self.damages += more.damages;
        self.splits += more.splits;
        self.moved += more.moved;
        self.lost += more.lost;
        self.too_hard += more.too_hard;
        self.reached += more.reached;
    }
}

/// Runs one seed to its end, or to the first broken rule; a panic breaks one. `is_told`: prints what happens, and nothing that
/// depends on the machine.
pub fn run(seed: u64, plan: &Plan, is_told: bool) -> (Report, Result<(), Violation>) {
    let mut world = World::new(seed, plan, is_told);
    let result = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let what = format!("a panic: {}", words_of(&*panic));
        Err(Violation { at_tick: world.now, what })
    });
    let ledger = world.ledger.lock();
    let report = Report {
        trace: world.trace(),
        seconds: world.simulated_seconds(),
        operations: world.clients.operations() as u64,
        unknown: world.clients.unknown,
        crashes: world.crashes,
        elections: ledger.elections,
        applied: ledger.applied,
        reopened: ledger.reopened,
        installed: ledger.installed,
        damages: world.damages,
        splits: ledger.splits,
        moved: world.moves.done,
        lost: world.moves.losses(),
        too_hard: world.too_hard,
        reached: ledger.sightings.reached.clone(),
    };
    drop(ledger);
    (report, result)
}

/// What the clients of a run asked and were told: a history for each key, in the order of the calls.
pub fn histories(seed: u64, plan: &Plan) -> Result<Vec<Vec<linear::Operation>>, Violation> {
    let mut world = World::new(seed, plan, false);
    world.run()?;
    Ok(world.clients.histories().into_values().collect())
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at tick {}: {}", self.at_tick, self.what)
    }
}

//! Raft cores: three replicas in one thread, messages passed by call, the log in memory, durable as soon as it is told.
//!
//! What makes it fair: all commit the same payloads, slices of one buffer; each entry is replicated to all three and applied
//! on the leader within the time that is measured; what all three applied in the end is compared with what was proposed.
//! Each core is driven as its users would drive it at best: everything that waits for a replica is given to it before it is
//! asked what to do, proposals go in as one if they can, payloads are shared where the core can share them, and logs are
//! cut at the same length.

mod group;
mod idle;
mod raft_io;
mod skep;
mod tikv;

use bytes::Bytes;

use self::group::{Core, Group, Machine, PAYLOAD_BYTES, REPLICAS, payloads};
use crate::measure::{cost, median};
use crate::peer::Result;
use crate::report::{Report, Target};

/// How often each measurement of time is repeated, alternating between the cores.
const ROUNDS: usize = 15;

/// What is measured of one core.
struct Measured {
    name: &'static str,
    cpu_ns: fn(&Load, &[Bytes]) -> Result<f64>,
    allocations: fn(&Load, &[Bytes]) -> Result<f64>,
}

/// Skep first.
const CORES: [Measured; 6] = [
    measured::<skep::Skep<false, true>>("skep"),
    measured::<skep::Skep<true, true>>("skep, payloads copied"),
    measured::<skep::Skep<false, false>>("skep, followers hear of a commit at once"),
    measured::<raft_io::RaftIo>("raft-io"),
    measured::<tikv::Tikv<false>>("raft"),
    measured::<tikv::Tikv<true>>("raft, followers hear of a commit with the next entry"),
];

const fn measured<C: Core>(name: &'static str) -> Measured {
    Measured { name, cpu_ns: cpu_ns::<C>, allocations: allocations::<C> }
}

/// How many entries are proposed at a time, how many in all, and what Skep's core may take for each.
struct Load {
    name: &'static str,
    at_a_time: usize,
    entries: usize,
    cpu_ns: f64,
    allocations: f64,
}

const LOADS: [Load; 2] = [
    Load { name: "one at a time", at_a_time: 1, entries: 128 << 10, cpu_ns: 400.0, allocations: 3.0 },
    Load { name: "64 at a time", at_a_time: 64, entries: 512 << 10, cpu_ns: 160.0, allocations: 0.2 },
];

pub(crate) fn all(report: &mut Report) -> Result<()> {
    let payloads = payloads();
    for load in &LOADS {
        let mut rounds = vec![Vec::new(); CORES.len()];
        for _ in 0..ROUNDS {
            for (core, rounds) in CORES.iter().zip(&mut rounds) {
                rounds.push((core.cpu_ns)(load, &payloads)?);
            }
        }
        let medians: Vec<f64> = rounds.into_iter().map(median).collect();
        let name = format!("{PAYLOAD_BYTES} B, {}: CPU per committed entry", load.name);
        show(report, &name, (&medians, "ns"), load.cpu_ns);
    }
    for load in &LOADS {
        let counts =
            CORES.iter().map(|core| (core.allocations)(load, &payloads)).collect::<Result<Vec<f64>>>()?;
        let name = format!("{PAYLOAD_BYTES} B, {}: allocations per committed entry", load.name);
        show(report, &name, (&counts, ""), load.allocations);
    }
    idle::all(report)
}

fn show(report: &mut Report, name: &str, (values, unit): (&[f64], &'static str), most: f64) {
    report.row(name, (values[0], unit), Target::AtMost(most));
    for (core, value) in CORES.iter().zip(values) {
        report.peer(format!("{name}: {}", core.name), (*value, unit));
    }
}

/// One round, of new replicas that are warm when measuring begins.
///
/// Allocations are not counted meanwhile, but the allocator still asks whether they are, which weighs most on those who
/// allocate most.
fn cpu_ns<C: Core>(load: &Load, payloads: &[Bytes]) -> Result<f64> {
    let mut group = Group::<C>::new()?;
    commit(&mut group, load, payloads, load.entries / 8)?;
    let mut done = Ok(());
    let ((), cost) = cost(|| {
        allocation_counter::opt_out(|| done = commit(&mut group, load, payloads, load.entries));
    });
    done?;
    check(&mut group, payloads, load.entries / 8 + load.entries)?;
    Ok(cost.cpu.as_nanos() as f64 / load.entries as f64)
}

/// Counted in a round of its own, in which every byte is looked at.
fn allocations<C: Core>(load: &Load, payloads: &[Bytes]) -> Result<f64> {
    let mut group = Group::<C>::new()?;
    group.read_every_byte();
    let entries = load.entries / 8;
    commit(&mut group, load, payloads, entries)?;
    let mut done = Ok(());
    let found = allocation_counter::measure(|| done = commit(&mut group, load, payloads, entries));
    done?;
    check(&mut group, payloads, 2 * entries)?;
    Ok(found.count_total as f64 / entries as f64)
}

/// Commits so many entries, a multiple of all payloads, and makes sure that the leader applied them.
fn commit<C: Core>(group: &mut Group<C>, load: &Load, payloads: &[Bytes], entries: usize) -> Result<()> {
    let before = group.machine().entries;
    for at in (0..entries).step_by(load.at_a_time) {
        let at = at % payloads.len();
        group.commit(&payloads[at..at + load.at_a_time])?;
    }
    let applied = group.machine().entries - before;
    if applied == entries as u64 {
        return Ok(());
    }
    Err(format!("the leader applied {applied} of {entries} entries").into())
}

/// All three replicas have applied all entries, in order.
fn check<C: Core>(group: &mut Group<C>, payloads: &[Bytes], entries: usize) -> Result<()> {
    let checksum = group.machine().checksum.map(|_| 0);
    let mut expected = Machine { checksum, ..Machine::default() };
    payloads.iter().cycle().take(entries).for_each(|payload| expected.apply(&payload[1..]));
    let applied = group.machines()?;
    if applied == [expected; REPLICAS] {
        return Ok(());
    }
    Err(format!("{expected:?} was to be applied, and not {applied:?}").into())
}

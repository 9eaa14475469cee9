//! Followers that have heard from their leader and have nothing to do: what they take in memory, and what time costs them.
//!
//! A follower's own state counts, with the head of its log where it owns one; not the entries, and not what a worker
//! needs once for all its replicas.

use std::hint::black_box;

use raft_io::Event as IoEvent;
use skep_raftstore::raft::{Effects, Event, Raft, Tick};

use super::group::{Core, Group};
use super::{raft_io as io, skep, tikv};
use crate::measure::{cost, median};
use crate::peer::Result;
use crate::report::{Report, Target};

const GROUPS: usize = 1000;
/// Less than any of the peers waits for its leader.
const TICKS: u64 = 8;
const TIME: &str = "cost of time passing for an idle follower";

pub(crate) fn all(report: &mut Report) -> Result<()> {
    let name = "heap of an idle follower";
    let (mut followers, bytes) = held::<skep::Skep<false, true>>()?;
    report.row(name, (bytes, "B"), Target::AtMost(400.0));
    report.peer(format!("{name}: skep"), (bytes, "B"));
    time_of_skep(report, &mut followers);
    drop(followers);

    let (mut followers, bytes) = held::<io::RaftIo>()?;
    report.peer(format!("{name}: raft-io"), (bytes, "B"));
    let ns = per_follower(&mut followers, |follower| drop(black_box(follower.step(IoEvent::Tick))));
    report.peer(format!("{TIME}: raft-io, per tick"), (ns, "ns"));
    drop(followers);

    let (mut followers, bytes) = held::<tikv::Tikv<false>>()?;
    report.peer(format!("{name}: raft"), (bytes, "B"));
    let ns = per_follower(&mut followers, |follower| {
        black_box(follower.tick() || follower.has_ready());
    });
    report.peer(format!("{TIME}: raft, per tick"), (ns, "ns"));
    Ok(())
}

/// The followers of so many groups, each with an elected leader, and what one takes. The leaders are gone when it is counted.
fn held<C: Core>() -> Result<(Vec<C::Node>, f64)> {
    let mut made = Ok(Vec::new());
    let found = allocation_counter::measure(|| made = followers::<C>());
    let followers = made?;
    let bytes = found.bytes_current as f64 / followers.len() as f64;
    Ok((followers, bytes))
}

fn followers<C: Core>() -> Result<Vec<C::Node>> {
    let mut followers = Vec::with_capacity(GROUPS * 2);
    for _ in 0..GROUPS {
        followers.extend(Group::<C>::new()?.into_followers()?);
    }
    Ok(followers)
}

/// Asks each once for its deadline, and calls whoever has reached it while all ticks before the first deadline pass.
fn time_of_skep(report: &mut Report, followers: &mut [Raft]) {
    let deadlines: Vec<Tick> = followers.iter().map(Raft::deadline).collect();
    let until = deadlines.iter().min().map_or(0, |first| first.0);
    let (mut calls, mut fx) = (0, Effects::default());
    for now in skep::NOW.0..until {
        for (follower, deadline) in followers.iter_mut().zip(&deadlines) {
            if *deadline <= Tick(now) {
                follower.step(Tick(now), Event::Timeout, &mut fx);
                calls += 1;
            }
        }
    }
    report.row(format!("{TIME}: calls"), (f64::from(calls), ""), Target::AtMost(0.0));
    report.peer(format!("{TIME}: skep, ticks without a call"), ((until - skep::NOW.0) as f64, "ticks"));
    let ns = per_follower(followers, |follower| {
        black_box(follower.deadline());
    });
    report.peer(format!("{TIME}: skep, per question for the deadline"), (ns, "ns"));
}

/// The median of a few rounds in which each is called once.
fn per_follower<T>(followers: &mut [T], call: impl Fn(&mut T)) -> f64 {
    let rounds = (0..TICKS).map(|_| {
        let ((), cost) = cost(|| followers.iter_mut().for_each(&call));
        cost.cpu.as_nanos() as f64 / followers.len() as f64
    });
    median(rounds.collect())
}

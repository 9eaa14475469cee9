//! Stories and random schedules.

mod allocations;
mod disk;
mod garbage;
mod group;
mod leases;
mod ledger;
mod mutants;
mod pauses;
mod random;
mod ranks;
mod scripts;
mod snapshots;
mod twins;
mod unborn;

use super::{Config, Raft, ReplicaId};

/// The knobs of one replica that is stepped alone.
fn config(id: ReplicaId) -> Config {
    Config {
        id,
        election_ticks_min: 10,
        election_ticks_max: 20,
        heartbeat_ticks: 2,
        commit_news_ticks: 0,
        inflight_messages_max: 4,
        entries_per_message_max: 4,
        inflight_bytes_max: 16 << 20,
        uncommitted_bytes_max: 64 << 20,
        rank: 0,
        lease_ticks: 0,
        seed: 1,
    }
}

/// With the one list that it has on the heap, an idle follower is to take 400 bytes: see `docs/BENCHMARKS.md`.
#[test]
fn an_idle_replica_is_small() {
    assert!(size_of::<Raft>() <= 376, "{} bytes", size_of::<Raft>());
}

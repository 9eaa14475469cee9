//! What is observed from outside: told to the rules and to those who look for situations, and counted.

use bytes::Bytes;
use skep_raftstore::ids::{Index, RegionId, StoreId, Term};
use skep_raftstore::machine::Committed;
use skep_raftstore::message::StoreMessage;
use skep_raftstore::raft::LogPos;
use skep_raftstore::store::StoreParts;

use super::chance::mixed;
use super::invariants::Invariants;
use super::sightings::Sightings;

/// See the page of this file.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) invariants: Invariants,
    pub(super) sightings: Sightings,
    pub(super) elections: u64,
    pub(super) applied: u64,
    /// Machines restored from a checkpoint while their store was opened.
    pub(super) reopened: u64,
    /// Machines replaced by another store's snapshot.
    pub(super) installed: u64,
    /// Regions that were split off, on all replicas.
    pub(super) splits: u64,
    pub(super) is_opening: bool,
}

impl Ledger {
    /// A store has had a turn. Those of its replicas that were elected; `None` if all are what they were.
    pub(super) fn looks_at(&mut self, store: StoreId, parts: &StoreParts) -> Option<Vec<(RegionId, Term)>> {
        let news = parts.region_news(self.sightings.known(store));
        if news.is_empty() {
            return None;
        }
        let elected = self.invariants.saw(&news.changed);
        self.elections += elected.len() as u64;
        self.sightings.saw(store, news);
        self.invariants.hosts(store, self.sightings.known(store).values());
        Some(elected)
    }

    /// A frame with these messages leaves a store.
    pub(super) fn leaves(&mut self, from: StoreId, to: StoreId, bytes: usize, messages: &[StoreMessage]) {
        self.invariants.leaves(from, bytes, messages);
        messages.iter().for_each(|message| self.sightings.leaves(from, to, message));
    }

    /// A machine that stands at `at` is about to apply `batch`.
    pub(super) fn applies(&mut self, store: StoreId, region: RegionId, at: LogPos, batch: &[Committed]) {
        self.applied += batch.len() as u64;
        self.invariants.applies(store, region, at, batch);
    }

    /// An entry was answered.
    pub(super) fn applied(&mut self, region: RegionId, entry: &Committed, answer: &[u8]) {
        if let Some(origin) = entry.origin {
            let answer = answer.iter().fold(1, |hash, byte| mixed(hash ^ u64::from(*byte)));
            self.sightings.applied(region, entry.index.0, origin, answer);
        }
    }

    /// A machine was split off, with this digest, and is made from this description of its region.
    pub(super) fn split_off(
        &mut self,
        store: StoreId,
        (region, at, digest): (RegionId, LogPos, u64),
        description: &Bytes,
    ) {
        self.splits += 1;
        self.invariants.split_off(store, region, at, digest);
        self.invariants.described(description);
    }

    /// A machine took over the state of a checkpoint or snapshot.
    pub(super) fn restored(&mut self, store: StoreId, region: RegionId, at: Index) {
        if self.is_opening {
            self.reopened += 1;
        } else {
            self.installed += 1;
            self.sightings.installed((store, region), at);
        }
    }

    /// The store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.sightings.gone(store);
        self.invariants.gone(store);
    }

    /// Where a replica's machine stands.
    pub(super) fn state(&self, store: StoreId, region: RegionId) -> Option<(LogPos, u64)> {
        self.invariants.state(store, region)
    }
}

//! What is observed from outside and must fit together, whoever says it: who led, what was applied, to what effect.

use std::collections::{BTreeMap, BTreeSet};

use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::machine::Committed;
use skep_raftstore::raft::{LogPos, Role};
use skep_raftstore::store::RegionStatus;

use super::chance::mixed;
use super::sightings::Sightings;

/// See the page of this file. The first broken rule is kept, in words.
#[derive(Default)]
pub(super) struct Ledger {
    leaders: BTreeMap<(RegionId, Term), StoreId>,
    /// The entry that was applied at an index: its term, and a hash of what it says.
    entries: BTreeMap<(RegionId, Index), (Term, u64)>,
    /// The digest of the state after an index.
    digests: BTreeMap<(RegionId, Index), u64>,
    /// Where each replica's machine stands, in its present life.
    states: BTreeMap<(StoreId, RegionId), (LogPos, u64)>,
    /// Which region answered for a key in a version.
    answered: BTreeMap<(Vec<u8>, u64), RegionId>,
    /// How far each replica was seen to be committed, in its present life.
    commits: BTreeMap<(RegionId, ReplicaId), Index>,
    /// The replicas that each store was last seen to host.
    hosted: BTreeMap<StoreId, BTreeMap<RegionId, ReplicaId>>,
    /// Replicas that were seen to be gone, in the present life of their store.
    buried: BTreeSet<(RegionId, ReplicaId)>,
    /// The store whose log was damaged: replicas may stop there, until they are replaced.
    pub(super) damaged: Option<StoreId>,
    pub(super) sightings: Sightings,
    pub(super) broken: Option<String>,
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
    pub(super) fn break_rule(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// At most one leader in a term of a region, and a commit index that never goes back in a life. True if nobody was seen to
    /// lead in that term before.
    pub(super) fn saw(&mut self, store: StoreId, status: &RegionStatus) -> bool {
        let region = status.region;
        let elections = self.elections;
        if let Some(why) = &status.stopped
            && self.damaged != Some(store)
        {
            self.break_rule(format!("{region} stopped on {store}: {why}"));
        }
        if status.role == Role::Leader {
            let elections = &mut self.elections;
            let leader = *self.leaders.entry((region, status.term)).or_insert_with(|| {
                *elections += 1;
                store
            });
            if leader != store {
                self.break_rule(format!("{leader} and {store} both lead {region} in term {}", status.term.0));
            }
        }
        let commit = self.commits.entry((region, status.replica)).or_insert(status.commit);
        let before = std::mem::replace(commit, status.commit);
        if status.commit < before {
            let (before, now) = (before.0, status.commit.0);
            self.break_rule(format!("{region} on {store} was committed through {before}, now through {now}"));
        }
        self.elections > elections
    }

    /// A replica that was removed never comes back.
    pub(super) fn hosts(&mut self, store: StoreId, statuses: &[RegionStatus]) {
        let now: BTreeMap<RegionId, ReplicaId> =
            statuses.iter().map(|status| (status.region, status.replica)).collect();
        let before = self.hosted.insert(store, now.clone()).unwrap_or_default();
        self.buried.extend(before.into_iter().filter(|(region, replica)| now.get(region) != Some(replica)));
        if let Some((region, replica)) = now.into_iter().find(|is| self.buried.contains(is)) {
            self.break_rule(format!("{replica} of {region} was removed and is back"));
        }
    }

    /// A machine is about to apply `batch`: in order, and the same entries as everyone.
    pub(super) fn applies(&mut self, store: StoreId, region: RegionId, at: LogPos, batch: &[Committed]) {
        let mut last = at.index;
        for entry in batch {
            self.applied += 1;
            if entry.index != last.next() {
                self.break_rule(format!(
                    "{region} on {store} applies entry {} after entry {}",
                    entry.index.0, last.0
                ));
            }
            last = entry.index;
            let what = (entry.term, hash_of(entry));
            let known = *self.entries.entry((region, entry.index)).or_insert(what);
            if known != what {
                self.break_rule(format!(
                    "{region} on {store}: entry {} of term {} is applied where another replica applied one of term {}",
                    entry.index.0, entry.term.0, known.0.0
                ));
            }
        }
    }

    /// An entry was answered.
    pub(super) fn applied(&mut self, region: RegionId, entry: &Committed, answer: &[u8]) {
        if let Some(origin) = entry.origin {
            let answer = answer.iter().fold(1, |hash, byte| mixed(hash ^ u64::from(*byte)));
            self.sightings.applied(region, entry.index.0, origin, answer);
        }
    }

    /// A machine stands at `at` with this digest: replicas are equal at equal index.
    pub(super) fn stands(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) {
        self.states.insert((store, region), (at, digest));
        self.is_equal(store, region, at, digest);
    }

    /// A machine was split off. It is the region's, unless that has one already that is further on.
    pub(super) fn split_off(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) {
        self.splits += 1;
        self.states.entry((store, region)).or_insert((at, digest));
        self.is_equal(store, region, at, digest);
    }

    fn is_equal(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) {
        let known = *self.digests.entry((region, at.index)).or_insert(digest);
        if known != digest {
            let index = at.index.0;
            self.break_rule(format!("{region} on {store} differs from another replica after entry {index}"));
        }
    }

    /// A region answers for a key: in each version of a range, only one does.
    pub(super) fn answers(&mut self, region: RegionId, key: Vec<u8>, version: u64) {
        let name = String::from_utf8_lossy(&key).into_owned();
        let known = *self.answered.entry((key, version)).or_insert(region);
        if known != region {
            self.break_rule(format!("{known} and {region} both answer for {name} in version {version}"));
        }
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
        self.commits.retain(|(_, replica), _| replica.store() != store);
        self.hosted.remove(&store);
        self.buried.retain(|(_, replica)| replica.store() != store);
        self.states.retain(|(of, _), _| *of != store);
    }

    /// Where a replica's machine stands.
    pub(super) fn state(&self, store: StoreId, region: RegionId) -> Option<(LogPos, u64)> {
        self.states.get(&(store, region)).copied()
    }
}

fn hash_of(entry: &Committed) -> u64 {
    let origin = entry.origin.map_or(0, |origin| {
        mixed(u64::from(origin.store.0) ^ mixed(origin.life.0 ^ mixed(origin.seq ^ mixed(origin.lowest))))
    });
    entry.body.iter().fold(mixed(entry.stamp.0 ^ origin), |hash, byte| mixed(hash ^ u64::from(*byte)))
}

//! The rules that hold at every moment of a run, whatever goes wrong. Each stands in a file of its own: what it says, how it is
//! judged from outside, and wrong histories that it notices.
//!
//! Here is who is told what. The first rule that is broken is kept, in words. Rules draw no chance and change nothing, so that a
//! seed does the same with and without them.

mod applied_in_order;
mod bounded_memory;
mod commit_forward;
mod commit_on_quorum;
mod durable_first;
mod election_safety;
mod equal_replicas;
mod leader_completeness;
mod log_matching;
mod medium;
mod now_and_then;
mod one_answers;
mod one_change;
mod one_vote;
mod regions_tile;
mod removed_stays_away;
#[cfg(test)]
mod samples;
mod stopped_where_damaged;

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use skep_engine::RegionDescriptor;
use skep_raftstore::ids::{RegionId, StoreId, Term};
use skep_raftstore::machine::Committed;
use skep_raftstore::message::StoreMessage;
use skep_raftstore::raft::LogPos;
use skep_raftstore::store::{Footprint, RegionStatus, StoreConfig};
use skep_raftstore::transport::memory::MemoryNetwork;
use skep_wal::{MemDisk, WalConfig};

use applied_in_order::AppliedInOrder;
use bounded_memory::BoundedMemory;
use commit_forward::CommitForward;
use commit_on_quorum::CommitOnQuorum;
use election_safety::ElectionSafety;
use equal_replicas::EqualReplicas;
use leader_completeness::LeaderCompleteness;
use log_matching::LogMatching;
use medium::Media;
pub(super) use now_and_then::NowAndThen;
use one_answers::OneAnswers;
use one_change::OneChange;
use one_vote::OneVote;
use regions_tile::RegionsTile;
pub(super) use regions_tile::gap;
use removed_stays_away::RemovedStaysAway;
use stopped_where_damaged::StoppedWhereDamaged;

/// What a rule says of what it is told: an error is the rule that was broken, in words.
type Judged = Result<(), String>;

/// All rules, and what they look at together.
#[derive(Default)]
pub(super) struct Invariants {
    election_safety: ElectionSafety,
    one_vote: OneVote,
    one_change: OneChange,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    commit_on_quorum: CommitOnQuorum,
    applied_in_order: AppliedInOrder,
    equal_replicas: EqualReplicas,
    regions_tile: RegionsTile,
    bounded_memory: BoundedMemory,
    commit_forward: CommitForward,
    removed_stays_away: RemovedStaysAway,
    one_answers: OneAnswers,
    stopped_where_damaged: StoppedWhereDamaged,
    media: Media,
    broken: Option<String>,
}

impl Invariants {
    fn judge(&mut self, judged: Judged) {
        if let Err(what) = judged {
            self.broken.get_or_insert(what);
        }
    }

    /// The first rule that was broken, once.
    pub(super) fn broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// A cluster begins with these regions.
    pub(super) fn begin(&mut self, regions: &[RegionDescriptor]) {
        self.regions_tile.begin(regions);
    }

    /// A store begins a life with its log on this disk.
    pub(super) fn begins(&mut self, store: StoreId, log: MemDisk, config: WalConfig) {
        self.media.begins(store, log, config);
    }

    /// Replicas have become this. Those that lead and were not seen to lead in this term before.
    pub(super) fn saw(&mut self, changed: &[RegionStatus]) -> Vec<(RegionId, Term)> {
        let mut elected = Vec::new();
        for status in changed {
            match self.election_safety.saw(status) {
                Ok(is_new) => elected.extend(is_new.then_some((status.region, status.term))),
                Err(what) => self.judge(Err(what)),
            }
            let judged = self.commit_forward.saw(status);
            self.judge(judged);
            let judged = self.leader_completeness.saw(status);
            self.judge(judged);
            let judged = self.commit_on_quorum.saw(status, &mut self.media);
            self.judge(judged);
        }
        elected
    }

    /// A store has had a turn in which something changed, and these are its replicas.
    pub(super) fn hosts<'a>(&mut self, store: StoreId, all: impl Iterator<Item = &'a RegionStatus> + Clone) {
        for status in all.clone() {
            self.judge(self.stopped_where_damaged.saw(store, status));
        }
        let judged = self.removed_stays_away.hosts(store, all);
        self.judge(judged);
    }

    /// A store has had a turn, and holds so much for others.
    pub(super) fn holds(&mut self, store: StoreId, holds: &Footprint, limits: &StoreConfig) {
        self.judge(self.bounded_memory.saw(store, holds, limits));
    }

    /// A tick has passed with this network between the stores.
    pub(super) fn under_way(&mut self, network: &MemoryNetwork) {
        self.judge(self.bounded_memory.under_way(network));
    }

    /// A frame with these messages leaves a store.
    pub(super) fn leaves(&mut self, store: StoreId, frame_bytes: usize, messages: &[StoreMessage]) {
        self.bounded_memory.leaves(frame_bytes);
        for message in messages {
            let judged = durable_first::leaves(store, message, &mut self.media);
            self.judge(judged);
            if let StoreMessage::Raft { region, message } = message {
                let judged = self.election_safety.leaves(*region, message);
                self.judge(judged);
                let judged = self.one_vote.leaves(*region, message);
                self.judge(judged);
                let judged = self.one_change.leaves(*region, message);
                self.judge(judged);
                let judged = self.log_matching.leaves(*region, message);
                self.judge(judged);
                self.judge(self.leader_completeness.leaves(*region, message));
            }
        }
    }

    /// A machine that stands at `at` is about to apply `batch`.
    pub(super) fn applies(&mut self, store: StoreId, region: RegionId, at: LogPos, batch: &[Committed]) {
        let judged = self.applied_in_order.applies(store, region, at, batch);
        self.judge(judged);
        for entry in batch {
            self.leader_completeness.applies(region, entry.index, entry.term);
        }
    }

    /// A machine stands at `at` with this digest.
    pub(super) fn stands(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) {
        let judged = self.equal_replicas.stands(store, region, at, digest);
        self.judge(judged);
    }

    /// A machine was split off, with this digest.
    pub(super) fn split_off(&mut self, store: StoreId, region: RegionId, at: LogPos, digest: u64) {
        let judged = self.equal_replicas.split_off(store, region, at, digest);
        self.judge(judged);
    }

    /// A machine says what its region is, or is made with it.
    pub(super) fn described(&mut self, description: &Bytes) {
        let judged = self.regions_tile.described(description);
        self.judge(judged);
    }

    /// A store has done what it does at one time.
    pub(super) fn slice_done(&mut self) {
        let judged = self.regions_tile.check();
        self.judge(judged);
    }

    /// A region has carried out a command for a key.
    pub(super) fn answers(&mut self, region: RegionId, key: Vec<u8>, version: u64) {
        let judged = self.one_answers.answers(region, key, version);
        self.judge(judged);
    }

    /// Durable bytes of a store's log are not what they were.
    pub(super) fn damaged(&mut self, store: StoreId) {
        self.stopped_where_damaged.damaged(store);
        self.media.damaged(store);
    }

    /// A store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.commit_forward.gone(store);
        self.removed_stays_away.gone(store);
        self.equal_replicas.gone(store);
        self.commit_on_quorum.gone(store);
        self.media.gone(store);
    }

    /// A store is lost with everything it had.
    pub(super) fn lost(&mut self, store: StoreId) {
        self.one_vote.lost(store);
        self.media.lost(store);
    }

    /// Where a replica's machine stands.
    pub(super) fn state(&self, store: StoreId, region: RegionId) -> Option<(LogPos, u64)> {
        self.equal_replicas.state(store, region)
    }
}

fn hash_of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

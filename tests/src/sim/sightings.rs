//! Who watches the stores from outside and marks the situations that they come to: by what they say of their replicas after each
//! turn, and by the messages that leave and arrive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::machine::Origin;
use skep_raftstore::message::{Replies, RequestKind, StoreMessage, Submit, TransferState};
use skep_raftstore::raft::{Body, Message, Role};
use skep_raftstore::store::{RegionNews, RegionStatus};

use super::situations::{Reached, Situation};

/// One frame in so many is kept, to arrive once more much later.
const FRAME_KEPT_EVERY: u64 = 7;
/// And so many for each store.
const FRAMES_KEPT_MAX: usize = 200;

/// A replica's place: its store and its region.
type Place = (StoreId, RegionId);

/// See the page of this file. What is said of a store is of its present life.
#[derive(Default)]
pub(super) struct Sightings {
    pub(super) reached: Reached,
    /// What each replica was, after the last turn of its store.
    last: BTreeMap<StoreId, BTreeMap<RegionId, RegionStatus>>,
    /// Replicas that led without a vote.
    without_vote: BTreeSet<Place>,
    /// Replicas that were seen to be gone.
    removed: BTreeSet<(RegionId, ReplicaId)>,
    /// Candidates whose own vote may not be synced.
    unsynced_votes: BTreeSet<Place>,
    /// The first leader that had a joint membership, by its number, in force.
    joint: BTreeMap<(RegionId, u64), Term>,
    /// Some of the frames that have reached each store, whatever has become of it since.
    frames: BTreeMap<StoreId, VecDeque<(StoreId, Bytes)>>,
    frames_seen: u64,
    newest_term: BTreeMap<RegionId, Term>,
    /// In which term the state after an index was last sent to a place.
    snapshot_terms: BTreeMap<(Place, Index), Term>,
    /// Snapshots that were sent and have not been answered for good, by their numbers at the sender.
    snapshots_out: BTreeSet<(Place, u64)>,
    /// Where a piece of a snapshot arrived last, and from whom; taken by who wants to disturb it.
    pub(super) snapshot_under_way: Option<(StoreId, StoreId)>,
    /// Transfers to replicas that lagged, and in which term they were asked for.
    transfers: BTreeMap<(RegionId, ReplicaId), Term>,
    /// Reads of a store, and the leader that each was sent to first.
    reads: BTreeMap<(StoreId, u64), StoreId>,
    /// Commands that were applied, and a hash of the answer.
    applied: BTreeMap<(RegionId, StoreId, u64), (u64, u64)>,
}

impl Sightings {
    pub(super) fn mark(&mut self, situation: Situation) {
        self.reached.mark(situation);
    }

    /// What a replica of this store was last seen to be.
    pub(super) fn status(&self, store: StoreId, region: RegionId) -> Option<&RegionStatus> {
        self.last.get(&store)?.get(&region)
    }

    /// What each replica of a store was last seen to be.
    pub(super) fn known(&mut self, store: StoreId) -> &BTreeMap<RegionId, RegionStatus> {
        self.last.entry(store).or_default()
    }

    /// Whether a store says anything of its replicas that it did not say after its last turn.
    pub(super) fn is_news(&self, store: StoreId, statuses: &[RegionStatus]) -> bool {
        let Some(last) = self.last.get(&store) else { return true };
        last.len() != statuses.len() || statuses.iter().any(|status| last.get(&status.region) != Some(status))
    }

    /// A store has had a turn, and says this of its replicas that is new.
    pub(super) fn saw(&mut self, store: StoreId, news: RegionNews) {
        let mut last = self.last.remove(&store).unwrap_or_default();
        let changed: BTreeSet<RegionId> = news.changed.iter().map(|status| status.region).collect();
        for status in news.changed {
            self.saw_one((store, status.region), last.get(&status.region), &status);
            last.insert(status.region, status);
        }
        for region in news.gone {
            let gone = last.remove(&region);
            gone.into_iter().for_each(|gone| self.left_place((store, region), gone.replica));
        }
        // A follower that is what it was is of no interest; of others it is, what the rest have become meanwhile.
        let others = last.values().filter(|status| status.role != Role::Follower);
        for status in others.filter(|status| !changed.contains(&status.region)) {
            self.saw_one((store, status.region), Some(status), status);
        }
        self.last.insert(store, last);
    }

    fn left_place(&mut self, place: Place, replica: ReplicaId) {
        self.removed.insert((place.1, replica));
        if self.without_vote.remove(&place) {
            self.removed_itself(place);
        }
    }

    fn removed_itself(&mut self, place: Place) {
        self.mark(Situation::RemovedItself);
        if self.snapshots_out.iter().any(|(sender, _)| *sender == place) {
            self.mark(Situation::RemovedWhileSending);
        }
    }

    fn saw_one(&mut self, place: Place, before: Option<&RegionStatus>, now: &RegionStatus) {
        if now.membership.voters.is_empty() {
            self.mark(Situation::BornByMessage);
        }
        match before.filter(|before| before.replica == now.replica) {
            Some(before) => self.went_on(place, before, now),
            None if now.role == Role::Leader => self.began_to_lead(place, now),
            None => {}
        }
        match now.role {
            Role::Leader => self.leads(place, now),
            Role::Candidate => self.campaigns(place, now),
            Role::Follower | Role::PreCandidate => {}
        }
    }

    /// One replica, before and after a turn.
    fn went_on(&mut self, place: Place, before: &RegionStatus, now: &RegionStatus) {
        let (own, is_same_term) = (now.replica, before.term == now.term);
        if now.role == Role::Leader && !(before.role == Role::Leader && is_same_term) {
            self.began_to_lead(place, now);
        }
        if before.role == Role::Leader && now.role != Role::Leader {
            if self.without_vote.remove(&place) {
                self.removed_itself(place);
            } else if is_same_term && now.membership.is_voter(own) {
                self.mark(Situation::GaveUpAlone);
            }
        }
        let follows = now.role == Role::Follower && now.leader.is_some();
        if before.role == Role::PreCandidate && follows && is_same_term {
            self.mark(Situation::PreVoteInVain);
        }
        if now.role == Role::Candidate && !is_same_term {
            self.unsynced_votes.insert(place);
        }
        if now.last < before.last && now.first == before.first {
            self.mark(Situation::Truncated);
        }
        if before.membership.learners.contains(&own) && now.membership.voters.contains(&own) {
            self.mark(Situation::LearnerPromoted);
        }
    }

    fn began_to_lead(&mut self, (_, region): Place, now: &RegionStatus) {
        let newest = self.newest_term.entry(region).or_default();
        *newest = now.term.max(*newest);
        // It has appended its own first entry, and nothing else before that one is applied.
        if now.commit < now.last.prev() {
            self.mark(Situation::EarlierTermUncommitted);
        }
    }

    /// What the other replicas of its region were last seen to be.
    fn others(&self, (store, region): Place) -> impl Iterator<Item = &RegionStatus> {
        let others = self.last.iter().filter(move |(other, _)| **other != store);
        others.filter_map(move |(_, regions)| regions.get(&region))
    }

    fn campaigns(&mut self, place: Place, now: &RegionStatus) {
        if self.others(place).any(|other| other.role == Role::Candidate && other.term == now.term) {
            self.mark(Situation::TwoCandidates);
        }
    }

    fn leads(&mut self, place: Place, now: &RegionStatus) {
        if self.others(place).any(|other| other.role == Role::Leader) {
            self.mark(Situation::TwoLeaders);
        }
        let lacks =
            |other: &RegionStatus| other.last.next() < now.first && !other.membership.voters.is_empty();
        if self.others(place).any(lacks) {
            self.mark(Situation::LogLetGo);
        }
        if now.membership.is_joint() {
            let first = *self.joint.entry((place.1, now.membership.number)).or_insert(now.term);
            if first < now.term {
                self.mark(Situation::JointAcrossChange);
            }
        } else if !now.membership.is_voter(now.replica) {
            self.without_vote.insert(place);
        }
    }

    /// A store's log was synced, or tried to.
    pub(super) fn synced(&mut self, store: StoreId) {
        self.unsynced_votes.retain(|place| place.0 != store);
    }

    /// The power of a store goes between two of its steps, and there was room for what it wrote.
    pub(super) fn loses_power(&mut self, store: StoreId) {
        if self.unsynced_votes.iter().any(|place| place.0 == store) {
            self.mark(Situation::VoteLost);
        }
    }

    /// A store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.last.remove(&store);
        self.without_vote.retain(|place| place.0 != store);
        self.unsynced_votes.retain(|place| place.0 != store);
        self.removed.retain(|(_, replica)| replica.store() != store);
        self.snapshot_terms.retain(|(place, _), _| place.0 != store);
        self.snapshots_out.retain(|(place, _)| place.0 != store);
        self.reads.retain(|(of, _), _| *of != store);
    }

    /// A leader is asked to hand over.
    pub(super) fn transfer_asked(&mut self, leader: &RegionStatus, to: ReplicaId) {
        let lags = |target: &RegionStatus| target.replica == to && target.last < leader.last;
        if leader.role == Role::Leader && self.status(to.store(), leader.region).is_some_and(lags) {
            self.transfers.insert((leader.region, to), leader.term);
        }
    }

    /// A machine takes over the state of a snapshot of another store.
    pub(super) fn installed(&mut self, place: Place, at: Index) {
        let newest = self.newest_term.get(&place.1).copied().unwrap_or_default();
        if self.snapshot_terms.get(&(place, at)).is_some_and(|sent_in| *sent_in < newest) {
            self.mark(Situation::SnapshotAcrossChange);
        }
    }

    /// An entry was applied, and answered.
    pub(super) fn applied(&mut self, region: RegionId, index: u64, origin: Origin, answer: u64) {
        // Numbers are not given twice, whatever the life.
        let (known, first) =
            *self.applied.entry((region, origin.store, origin.seq)).or_insert((index, answer));
        if known != index && first == answer {
            self.mark(Situation::Duplicate);
        }
    }

    /// A store sends something.
    pub(super) fn leaves(&mut self, from: StoreId, to: StoreId, message: &StoreMessage) {
        match message {
            StoreMessage::Raft { region, message }
                if message.body == Body::TimeoutNow
                    && self.transfers.get(&(*region, message.to)) == Some(&message.term) =>
            {
                self.mark(Situation::TransferToLagging);
            }
            StoreMessage::Submit(run) => self.asks(from, to, run),
            StoreMessage::SnapshotChunk(chunk) => {
                self.snapshots_out.insert(((from, chunk.region), chunk.transfer));
            }
            _ => {}
        }
    }

    /// Reads that go to who leads at this moment.
    fn asks(&mut self, from: StoreId, to: StoreId, run: &Submit) {
        let leads = self.status(to, run.region).is_some_and(|status| status.role == Role::Leader);
        if leads {
            for read in run.items.iter().filter(|item| item.kind == RequestKind::Read) {
                self.reads.entry((from, read.seq)).or_insert(to);
            }
        }
    }

    /// Something reaches a store.
    pub(super) fn arrives(&mut self, at: StoreId, from: StoreId, message: &StoreMessage) {
        match message {
            StoreMessage::Raft { region, message } => self.raft_arrives((at, *region), message),
            StoreMessage::Replies(Replies { results, .. }) => {
                for (seq, _) in results {
                    if self.reads.remove(&(at, *seq)).is_some_and(|asked| asked != from) {
                        self.mark(Situation::ReadAfterChange);
                    }
                }
            }
            StoreMessage::SnapshotAck(ack) if ack.state != TransferState::Receiving => {
                self.snapshots_out.remove(&((at, ack.region), ack.transfer));
            }
            StoreMessage::SnapshotChunk(chunk) => {
                let sent_in =
                    self.snapshot_terms.entry(((at, chunk.region), chunk.meta.at.index)).or_default();
                *sent_in = chunk.term.max(*sent_in);
                self.snapshot_under_way = Some((at, from));
            }
            _ => {}
        }
    }

    /// Keeps one frame in a few, so that those that are kept are of all ages.
    pub(super) fn remember(&mut self, at: StoreId, from: StoreId, frame: &Bytes) {
        self.frames_seen += 1;
        if self.frames_seen.is_multiple_of(FRAME_KEPT_EVERY) {
            let frames = self.frames.entry(at).or_default();
            frames.push_back((from, frame.clone()));
            if frames.len() > FRAMES_KEPT_MAX {
                frames.pop_front();
            }
        }
    }

    /// The frames that are kept for a store.
    pub(super) fn remembered(&self, at: StoreId) -> Vec<(StoreId, Bytes)> {
        self.frames.get(&at).into_iter().flatten().cloned().collect()
    }

    fn raft_arrives(&mut self, place: Place, message: &Message) {
        if self.removed.contains(&(place.1, message.to)) {
            self.mark(Situation::LateForRemoved);
        }
        let Some(status) = self.status(place.0, place.1) else { return };
        match &message.body {
            Body::AppendAccepted { .. } if status.role == Role::Leader && message.term < status.term => {
                self.mark(Situation::LateAcknowledgement);
            }
            Body::Append { entries, .. }
                if entries.last().is_some_and(|last| last.index <= status.commit) =>
            {
                self.mark(Situation::LateAppend);
            }
            _ => {}
        }
    }
}

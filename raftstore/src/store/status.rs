//! What a store says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use super::replica::{Condition, Replica};
use crate::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use crate::raft::{Membership, Role};

/// Totals since the start.
#[derive(Default, Debug)]
pub struct Counters {
    /// Entries appended to the log.
    pub entries_appended: AtomicU64,
    /// Syncs of the log that completed.
    pub syncs: AtomicU64,
    /// Messages for regions that are not here, or from senders that are not who they say.
    pub messages_unknown: AtomicU64,
    /// Lanes that heard nothing for so long that they sent everything again.
    pub lanes_stalled: AtomicU64,
    /// Turns in which proposals of a region waited because too much was proposed and not committed.
    pub proposals_held_up: AtomicU64,
    /// Turns in which entries of a region waited because too many bytes were on their way to another store.
    pub windows_full: AtomicU64,
    /// Tasks that the keeper had no room for.
    pub keeper_busy: AtomicU64,
}

/// One region's replica, as its worker saw it when asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionStatus {
    /// Which region.
    pub region: RegionId,
    /// Which replica of it.
    pub replica: ReplicaId,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads, if it knows.
    pub leader: Option<ReplicaId>,
    /// Who takes part.
    pub membership: Membership,
    /// The first entry still in the log.
    pub first: Index,
    /// The last.
    pub last: Index,
    /// Through where it is committed.
    pub commit: Index,
    /// Through where it is applied.
    pub applied: Index,
    /// Bytes of its data, approximately.
    pub size: u64,
    /// What its machine says the region is; empty until it has one.
    pub description: Bytes,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

impl RegionStatus {
    pub(super) fn of(replica: &Replica) -> RegionStatus {
        RegionStatus {
            region: replica.region,
            replica: replica.id(),
            role: replica.standing.role,
            term: replica.raft.term(),
            leader: replica.standing.leader,
            membership: replica.raft.membership().clone(),
            first: replica.raft.first_index(),
            last: replica.raft.last_index(),
            commit: replica.raft.commit(),
            applied: replica.applied,
            size: replica.size,
            description: replica.description.clone(),
            stopped: why_stopped(replica).map(str::to_owned),
        }
    }

    /// Whether it still says what a replica is: the same as a new one of it would.
    fn is_still(&self, replica: &Replica) -> bool {
        let RegionStatus {
            region,
            replica: id,
            role,
            term,
            leader,
            membership,
            first,
            last,
            commit,
            applied,
            size,
            description,
            stopped,
        } = self;
        let raft = &replica.raft;
        (*commit, *last, *applied, *size) == (raft.commit(), raft.last_index(), replica.applied, replica.size)
            && (*region, *id, *term, *first)
                == (replica.region, replica.id(), raft.term(), raft.first_index())
            && (*role, *leader) == (replica.standing.role, replica.standing.leader)
            && membership == raft.membership()
            && description == &replica.description
            && stopped.as_deref() == why_stopped(replica)
    }
}

fn why_stopped(replica: &Replica) -> Option<&str> {
    match &replica.condition {
        Condition::Stopped(why) => Some(why),
        Condition::Running | Condition::Restoring | Condition::Elsewhere => None,
    }
}

/// What has changed of a store's replicas since they were last asked.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RegionNews {
    /// Those that are new, or not what they were.
    pub changed: Vec<RegionStatus>,
    /// The regions of which there is none any more.
    pub gone: Vec<RegionId>,
}

impl RegionNews {
    /// Of these replicas, where `known` is what they were.
    pub(super) fn of<'a>(
        replicas: impl Iterator<Item = &'a Replica> + Clone,
        known: &BTreeMap<RegionId, RegionStatus>,
    ) -> RegionNews {
        let mut news = RegionNews::default();
        let mut met = 0;
        for replica in replicas.clone() {
            let before = known.get(&replica.region);
            met += usize::from(before.is_some());
            if before.is_none_or(|before| !before.is_still(replica)) {
                news.changed.push(RegionStatus::of(replica));
            }
        }
        if met < known.len() {
            let here: BTreeSet<RegionId> = replicas.map(|replica| replica.region).collect();
            news.gone = known.keys().copied().filter(|region| !here.contains(region)).collect();
        }
        news
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

/// A store, as its handle sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoreStatus {
    /// Which store.
    pub id: StoreId,
    /// Why it stopped, if it did.
    pub failed: Option<String>,
    /// Replicas it hosts.
    pub replicas: usize,
    /// Of those, how many lead their region.
    pub leaders: usize,
    /// Of those, how many run and know a leader.
    pub led: usize,
    /// Of those, how many have stopped.
    pub stopped: usize,
    /// Commands taken and not answered.
    pub unanswered: usize,
    /// Entries appended since the start.
    pub entries_appended: u64,
    /// Syncs completed since the start.
    pub syncs: u64,
    /// Segments of the log on disk.
    pub log_segments: u64,
    /// Bytes that the log takes on disk.
    pub log_bytes: u64,
    /// What an operator should know of it, in sentences.
    pub troubles: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::super::one_store::{OWN, World};
    use super::*;

    /// Whatever is not what it was is news, field by field, and nothing else is.
    #[test]
    fn what_has_changed_is_told() {
        let own = ReplicaId::new(1, OWN);
        let mut world = World::new(own, Membership::of_voters(vec![own]), true);
        world.settle();
        let now = RegionStatus::of(world.worker().here().next().expect("it has one"));
        let mut news = |known: &[&RegionStatus]| {
            let known = known.iter().map(|status| (status.region, (*status).clone())).collect();
            RegionNews::of(world.worker().here(), &known)
        };
        assert!(news(&[&now]).is_empty());
        let is = RegionNews { changed: vec![now.clone()], gone: Vec::new() };
        assert_eq!(news(&[]), is);
        let was: [fn(&mut RegionStatus); 12] = [
            |status| status.replica = ReplicaId::new(2, OWN),
            |status| status.role = Role::PreCandidate,
            |status| status.term = Term(77),
            |status| status.leader = None,
            |status| status.membership.number += 1,
            |status| status.first = Index(77),
            |status| status.last = Index(77),
            |status| status.commit = Index(77),
            |status| status.applied = Index(77),
            |status| status.size += 1,
            |status| status.description = Bytes::from_static(b"other"),
            |status| status.stopped = Some("why".into()),
        ];
        for (field, change) in was.iter().enumerate() {
            let mut before = now.clone();
            change(&mut before);
            assert_eq!(news(&[&before]), is, "field {field}");
        }
        let elsewhere = RegionStatus { region: RegionId(77), ..now.clone() };
        let moved = news(&[&now, &elsewhere]);
        assert_eq!(moved, RegionNews { changed: Vec::new(), gone: vec![RegionId(77)] });
    }
}

//! What a store says of itself.

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
            stopped: match &replica.condition {
                Condition::Stopped(why) => Some(why.clone()),
                Condition::Running | Condition::Restoring | Condition::Elsewhere => None,
            },
        }
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
}

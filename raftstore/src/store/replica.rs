//! One region's copy on this store, as its worker holds it.

use bytes::Bytes;

use super::lane::Lane;
use super::leading::Leading;
use super::mending::Mending;
use super::tail::Tail;
use crate::apply::ApplyHandle;
use crate::ids::{Index, RegionId, ReplicaId, Tick};
use crate::message::SnapshotMeta;
use crate::raft::{Effects, LogPos, Raft, Role, Standing};

/// Where a replica stands in the worker's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Slot(pub(super) u32);

/// Whether a replica takes part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    /// It does.
    Running,
    /// Its machine is being replaced by a snapshot; what arrives meanwhile is dropped.
    Restoring,
    /// It stopped for good, and this is why.
    Stopped(String),
    /// There is none here, or no longer: only the lane is of use, which sends commands to where the region is.
    Elsewhere,
}

/// See the page of this file.
pub(super) struct Replica {
    pub(super) region: RegionId,
    pub(super) raft: Raft,
    pub(super) standing: Standing,
    pub(super) condition: Condition,
    pub(super) apply: ApplyHandle,
    pub(super) genesis: Bytes,
    /// What this turn wants done. Boxed and taken away again: an idle replica has none.
    pub(super) effects: Option<Box<Effects>>,
    /// Whether it stands in the ready list.
    pub(super) is_ready: bool,
    /// The log is to forget everything through here.
    pub(super) compact: Option<LogPos>,
    /// When its timer in the wheel fires, if it has one there.
    pub(super) armed: Option<Tick>,
    pub(super) lane: Option<Box<Lane>>,
    /// Whether its lane has an entry in the wheel.
    pub(super) is_lane_armed: bool,
    pub(super) leading: Option<Box<Leading>>,
    /// Through where jobs were handed to the apply pool.
    pub(super) dispatched: Index,
    pub(super) applied: Index,
    /// Bytes appended since the last checkpoint.
    pub(super) log_bytes: u64,
    /// How far back its log may be kept.
    pub(super) tail: Tail,
    /// A snapshot on its way to a follower: until then, the log after it is kept if it is not too long.
    pub(super) snapshot_hold: Option<(Index, Tick)>,
    /// Whether a checkpoint was asked for and has not come.
    pub(super) is_checkpointing: bool,
    /// Whether it waits for its machine: it takes part, applies nothing, and never leads.
    pub(super) is_vacant: bool,
    /// Through where a vacant one would have applied.
    pub(super) deferred: Option<Index>,
    /// The region that must be able to hand out this one's state again, until this one is durable by itself.
    pub(super) awaited_by: Option<RegionId>,
    /// The regions that were split off this one and are not durable by themselves: until then its log and its base stay.
    pub(super) children: Vec<RegionId>,
    /// Whether a checkpoint is put off because of them.
    pub(super) is_checkpoint_put_off: bool,
    /// Bytes of its machine's data.
    pub(super) size: u64,
    /// At this size its leader is told that it is large.
    pub(super) large_at: u64,
    /// What its machine says it is.
    pub(super) description: Bytes,
    /// How far it is from being whole.
    pub(super) mending: Mending,
    /// Replicas that were removed, and have confirmed to this leader that they are gone.
    pub(super) gone: Vec<ReplicaId>,
}

impl Replica {
    /// One that has done nothing yet, and whose machine stands where its protocol starts.
    pub(super) fn new(region: RegionId, raft: Raft, apply: ApplyHandle, genesis: Bytes) -> Replica {
        Replica {
            region,
            standing: Standing { term: raft.term(), ..Standing::default() },
            condition: Condition::Running,
            apply,
            genesis,
            effects: None,
            is_ready: false,
            compact: None,
            armed: None,
            lane: None,
            is_lane_armed: false,
            leading: None,
            dispatched: raft.applied(),
            applied: raft.applied(),
            log_bytes: 0,
            tail: Tail::default(),
            snapshot_hold: None,
            is_checkpointing: false,
            is_vacant: false,
            deferred: None,
            awaited_by: None,
            children: Vec::new(),
            is_checkpoint_put_off: false,
            size: 0,
            large_at: 0,
            description: Bytes::new(),
            mending: Mending::Over,
            gone: Vec::new(),
            raft,
        }
    }

    pub(super) fn id(&self) -> ReplicaId {
        self.raft.id()
    }

    pub(super) fn is_leader(&self) -> bool {
        self.standing.role == Role::Leader
    }

    pub(super) fn is_running(&self) -> bool {
        self.condition == Condition::Running
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.condition == Condition::Elsewhere
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.condition, Condition::Stopped(_) | Condition::Elsewhere)
    }

    /// Whether what it had was found damaged, so that it has to be replaced.
    pub(super) fn is_damaged(&self) -> bool {
        matches!(self.mending, Mending::Listens | Mending::Leaves)
    }

    /// The voters besides this one.
    pub(super) fn others(&self) -> impl Iterator<Item = ReplicaId> {
        let own = self.id();
        self.raft.membership().voters.iter().copied().filter(move |voter| *voter != own)
    }

    /// Why nobody can answer for the region: this replica has stopped and there is no other.
    pub(super) fn is_out_of_reach(&self) -> Option<String> {
        match &self.condition {
            Condition::Stopped(why) if self.raft.membership().voters == [self.id()] => Some(why.clone()),
            Condition::Stopped(_) | Condition::Running | Condition::Restoring | Condition::Elsewhere => None,
        }
    }

    /// What a snapshot of the state at `at` says of itself.
    pub(super) fn snapshot_meta(&self, at: LogPos) -> SnapshotMeta {
        SnapshotMeta {
            at,
            membership: self.raft.membership_at(at.index).clone(),
            genesis: self.genesis.clone(),
        }
    }
}

//! The knobs and limits of a store, each with its unit and its reason.

use std::time::Duration;

#[cfg(feature = "mutants")]
use super::mutant::Mutant;
use crate::ids::{Life, StoreId};

/// How long one tick of logical time is. Fine enough for a heartbeat, coarse enough to batch them.
pub const TICK: Duration = Duration::from_millis(10);

/// A frame is sent when it holds this much, even in the middle of a turn. A few socket buffers' worth.
pub(super) const FRAME_BYTES_FULL: usize = 1 << 20;

/// With so many segments the log waits for no follower: one that is receiving a snapshot may need another.
pub(super) const LOG_SEGMENTS_LONG: usize = 32;

/// How long the log after a snapshot is kept for the follower that receives it, since the last news of it.
pub(super) const SNAPSHOT_HOLD_TICKS: u64 = 3000;

/// A message of commands or answers is cut when it holds this much. With one of the largest commands behind, it is still
/// far below what a frame may hold.
pub(super) const MESSAGE_BYTES_ABOUT: usize = 1 << 20;

/// One append carries about this much at most (one entry at least): small enough that a heartbeat is not stuck behind it.
pub(super) const APPEND_BYTES_MAX: usize = 1 << 20;

/// What one turn takes from its inbox, and one region proposes in it, in bytes.
pub(super) const TURN_BYTES_MAX: usize = 8 << 20;

/// How often the commands of a lane are looked at: deadlines, and whether the leader still answers.
pub(super) const LANE_CHECK_TICKS: u64 = 10;

/// A lane that got no answer for this long starts over: its frames, or the answers, were lost.
pub(super) const LANE_RETRY_TICKS: u64 = 100;

/// How often this doubles while the same leader stays silent. It may only be slow, and everything sent again is work.
pub(super) const LANE_RETRY_DOUBLINGS_MAX: u32 = 2;

/// How often the election timer of a replica without a machine is put off.
pub(super) const VACANT_CHECK_TICKS: u64 = 100;

/// Beyond so many tasks that wait for the keeper, pieces of snapshots are dropped; they come again.
pub(super) const KEEPER_TASKS_MAX: usize = 1024;

/// How a store runs. `StoreConfig::new` gives the values that are right for most.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Which store.
    pub id: StoreId,
    /// Which of its lives.
    pub life: Life,
    /// Threads that own regions. More than cores only costs switches.
    pub workers: usize,
    /// Threads that apply. Two, so that one stuck machine leaves one for the others.
    pub apply_threads: usize,
    /// The shortest silence of a leader after which a replica asks for an election, in ticks.
    pub election_ticks_min: u64,
    /// The longest. Far from the shortest, so that two rarely ask at once.
    pub election_ticks_max: u64,
    /// Whether this store is to lead rather than others: those of rank zero, if they can, before those of rank one, and so on.
    pub rank: u8,
    /// How often a leader that has nothing to say says so, in ticks.
    pub heartbeat_ticks: u64,
    /// Messages with entries that may be under way to one follower.
    pub inflight_messages_max: usize,
    /// Entries in one of them.
    pub entries_per_message_max: u64,
    /// Bytes of entries that may be under way to one follower of one region, and one message more.
    pub inflight_bytes_max: u64,
    /// Bytes of entries that may be under way to one other store, over all regions that are led here, and one message more for each
    /// worker. Far less than a queue of the transport holds, and no more than a slow link carries between two heartbeats: what
    /// is not acknowledged by then is taken for lost.
    pub peer_bytes_max: u64,
    /// Bytes of entries of one region that may be proposed and not committed. Beyond, its commands wait, as many as
    /// `proposals_bytes_max`, and then they are refused as busy.
    pub uncommitted_bytes_max: u64,
    /// How long a command may take before its caller is told that it timed out, unless it says otherwise.
    pub request_timeout: Duration,
    /// Bytes of frames that may wait in a worker's inbox. Beyond, frames are dropped: the protocol sends again.
    pub inbox_bytes_max: usize,
    /// Bytes of commands a store has taken and not answered. Beyond, callers are told [`Busy`](super::SubmitError::Busy).
    pub unanswered_bytes_max: usize,
    /// The same, counted in commands.
    pub unanswered_max: usize,
    /// Bytes of proposals that may wait in one region for its leader to be ready. Beyond, they are refused as busy.
    pub proposals_bytes_max: usize,
    /// A region is checkpointed when its log has grown by this much since the last time, in bytes.
    pub checkpoint_log_bytes: u64,
    /// How many entries a leader's compaction leaves for followers that are a little behind, so that they need no
    /// snapshot.
    pub log_tail_entries: u64,
    /// The same, in bytes: what is beyond either is not left. A follower that is further behind, or that was never heard from,
    /// gets a snapshot.
    pub log_tail_bytes: u64,
    /// A region that this store leads and whose data is beyond this is told to the [`Watcher`](super::Watcher), in bytes.
    pub large_bytes: u64,
    /// Seeds everything random in the store.
    pub seed: u64,
    /// A wrong build of the driver, for tests that must notice it.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
    /// A wrong build of the protocol.
    #[cfg(feature = "mutants")]
    pub raft_mutant: Option<crate::raft::Mutant>,
}

impl StoreConfig {
    /// A store with the usual values.
    pub fn new(id: StoreId, life: Life, seed: u64) -> StoreConfig {
        StoreConfig {
            id,
            life,
            workers: 1,
            apply_threads: 2,
            election_ticks_min: 100,
            election_ticks_max: 200,
            rank: 0,
            heartbeat_ticks: 25,
            inflight_messages_max: 256,
            entries_per_message_max: 4096,
            inflight_bytes_max: 8 << 20,
            peer_bytes_max: 16 << 20,
            uncommitted_bytes_max: 64 << 20,
            request_timeout: Duration::from_secs(5),
            inbox_bytes_max: 256 << 20,
            unanswered_bytes_max: 256 << 20,
            unanswered_max: 1 << 18,
            proposals_bytes_max: 64 << 20,
            checkpoint_log_bytes: 64 << 20,
            log_tail_entries: 4096,
            log_tail_bytes: 32 << 20,
            large_bytes: u64::MAX,
            seed,
            #[cfg(feature = "mutants")]
            mutant: None,
            #[cfg(feature = "mutants")]
            raft_mutant: None,
        }
    }
}

/// A duration in whole ticks, rounded up.
pub(super) fn ticks(duration: Duration) -> u64 {
    duration.as_nanos().div_ceil(TICK.as_nanos()) as u64
}

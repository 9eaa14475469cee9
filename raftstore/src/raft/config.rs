//! What a replica is started with: its knobs, and what its shell found on disk.

use super::membership::Membership;
use super::memberships::Brought;
use super::types::{HardState, Index, LogPos, ReplicaId, Term};

/// The knobs of one replica. All times are in ticks. What does not fit (times, entries and bytes into 32 bits, messages
/// into 16, the time of news into 8) is taken for the largest that does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who this is.
    pub id: ReplicaId,
    /// A follower that heard from its leader less than this long ago neither votes nor pre-votes for another.
    pub election_ticks_min: u64,
    /// A follower waits at most this long; a leader that heard from no quorum for this long steps down, and a
    /// leadership transfer is given up after it.
    pub election_ticks_max: u64,
    /// How long a leader may be silent. A fraction of `election_ticks_min`.
    pub heartbeat_ticks: u64,
    /// How long a leader may leave it to the next entry to tell its followers that commands are committed; zero if each commit is
    /// to be news at once, in messages of its own. A fraction of `heartbeat_ticks`.
    pub commit_news_ticks: u64,
    /// Messages with entries on their way to one follower at the same time; beyond, its entries wait in the log.
    pub inflight_messages_max: usize,
    /// Entries in one message; what is longer is sent as several.
    pub entries_per_message_max: u64,
    /// Bytes of entries on their way to one follower, and one message more; beyond, its entries wait in the log. Counted as
    /// [`Raft::sent`](super::Raft::sent) says.
    pub inflight_bytes_max: u64,
    /// Bytes of entries that a leader has proposed and that are not committed: once there are so many, it takes no more
    /// ([`ProposeRefusal::Busy`](super::ProposeRefusal::Busy)).
    pub uncommitted_bytes_max: u64,
    /// Who is to lead rather: a replica waits longer for a leader by the range of election timeouts for each rank above zero, so that
    /// those of a lower rank campaign before it if they can. A preference only: it counts for no vote, and displaces no leader.
    pub rank: u8,
    /// How long a leader answers reads without asking again after a quorum has answered it; zero for never (see `lease.rs`). The
    /// same for all replicas of a group. While one clock counts so many ticks, no other may count `election_ticks_min`: a
    /// lease that is not shorter than that is none. Ticks are counted whole, so clocks that differ in speed by `drift` need
    /// `lease_ticks * (1 + drift) <= election_ticks_min - 1`.
    pub lease_ticks: u64,
    /// Where election timeouts come from, together with `id`.
    pub seed: u64,
}

/// What a replica keeps of its [`Config`], in half the room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knobs {
    pub(super) id: ReplicaId,
    election_ticks_min: u32,
    election_ticks_max: u32,
    heartbeat_ticks: u32,
    commit_news_ticks: u8,
    inflight_messages_max: u16,
    rank: u8,
    entries_per_message_max: u32,
    inflight_bytes_max: u32,
    uncommitted_bytes_max: u32,
    lease_ticks: u32,
}

impl Knobs {
    /// A limit of zero would mean to do nothing for ever.
    pub(super) fn new(config: &Config) -> Knobs {
        let fitting = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Knobs {
            id: config.id,
            election_ticks_min: fitting(config.election_ticks_min).max(1),
            election_ticks_max: fitting(config.election_ticks_max),
            heartbeat_ticks: fitting(config.heartbeat_ticks).max(1),
            commit_news_ticks: u8::try_from(config.commit_news_ticks).unwrap_or(u8::MAX),
            inflight_messages_max: u16::try_from(config.inflight_messages_max).unwrap_or(u16::MAX).max(1),
            rank: config.rank,
            entries_per_message_max: fitting(config.entries_per_message_max).max(1),
            inflight_bytes_max: fitting(config.inflight_bytes_max).max(1),
            uncommitted_bytes_max: fitting(config.uncommitted_bytes_max).max(1),
            lease_ticks: if config.lease_ticks < config.election_ticks_min {
                fitting(config.lease_ticks)
            } else {
                0
            },
        }
    }

    pub(super) fn election_ticks_min(&self) -> u64 {
        self.election_ticks_min.into()
    }

    pub(super) fn election_ticks_max(&self) -> u64 {
        self.election_ticks_max.into()
    }

    /// Zero if there are no leases.
    pub(super) fn lease_ticks(&self) -> u64 {
        self.lease_ticks.into()
    }

    pub(super) fn heartbeat_ticks(&self) -> u64 {
        self.heartbeat_ticks.into()
    }

    pub(super) fn commit_news_ticks(&self) -> u64 {
        self.commit_news_ticks.into()
    }

    pub(super) const fn inflight_messages_max(&self) -> usize {
        self.inflight_messages_max as usize
    }

    pub(super) fn inflight_bytes_max(&self) -> u64 {
        self.inflight_bytes_max.into()
    }

    pub(super) fn uncommitted_bytes_max(&self) -> u64 {
        self.uncommitted_bytes_max.into()
    }

    pub(super) fn rank(&self) -> u64 {
        self.rank.into()
    }

    pub(super) fn entries_per_message_max(&self) -> u64 {
        self.entries_per_message_max.into()
    }
}

/// What the shell found on disk. All of it is durable.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Start {
    /// The newest hard state.
    pub hard_state: HardState,
    /// Who takes part at `applied`.
    pub membership: Membership,
    /// What membership entries may have brought since, in order. Those that are not in the log count for nothing.
    pub brought: Vec<Brought>,
    /// The log is compacted through here.
    pub base: LogPos,
    /// The first index of each term in the log, growing.
    pub runs: Vec<(Index, Term)>,
    /// The last entry; `base.index` if there is none.
    pub last: Index,
    /// What the state machine contains. The commit index starts here, or at `committed` if that is further on.
    pub applied: Index,
    /// Everything through here is known to be committed, by whatever has come of it.
    pub committed: Index,
    /// Set if there is no state from bootstrap, a split or a snapshot: such a replica neither votes, campaigns nor
    /// acknowledges, and writes nothing, until a snapshot is installed or it is born.
    pub blank: bool,
    /// Set if such a replica was never anything else, so that it has promised nothing to anybody: it may vote.
    pub unborn: bool,
    /// Set if the shell persisted that this replica is a witness. Not needed if `membership` or `brought` say so.
    pub witness: bool,
}

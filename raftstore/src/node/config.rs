//! What a node is started with: who it is, and its knobs.

use super::types::{Index, NodeId};
use crate::raft::{self, Membership, ReplicaId};

/// Messages with entries on their way to one follower at the same time.
const INFLIGHT_MESSAGES_MAX: usize = 64;
/// And bytes of these entries.
const INFLIGHT_BYTES_MAX: u64 = 16 << 20;
/// Spreads the groups of one process over the range of election timeouts.
const GROUP_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Who a node is, and its knobs. All times are in ticks.
///
/// ```
/// use skep_raftstore::node::RaftConfig;
/// let config = RaftConfig::new(1, [1, 2, 3]).with_election_timeout(15, 30).with_seed(7);
/// assert_eq!(config.peers(), &[2, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct RaftConfig {
    id: NodeId,
    peers: Vec<NodeId>,
    is_joining: bool,
    witnesses: Vec<NodeId>,
    group: u64,
    election_timeout: (u32, u32),
    heartbeat_interval: u32,
    commit_news: u8,
    max_batch: usize,
    max_uncommitted_bytes: u64,
    snapshot_threshold: usize,
    snapshot_threshold_bytes: u64,
    log_tail: u64,
    lease: u32,
    rank: u8,
    applied: Index,
    seed: u64,
}

impl RaftConfig {
    /// A member of a group with these others. Its own number may stand among them.
    pub fn new(id: NodeId, peers: impl IntoIterator<Item = NodeId>) -> RaftConfig {
        let mut peers: Vec<NodeId> = peers.into_iter().filter(|&peer| peer != id).collect();
        peers.sort_unstable();
        peers.dedup();
        RaftConfig {
            id,
            peers,
            is_joining: false,
            witnesses: Vec::new(),
            group: 0,
            election_timeout: (10, 20),
            heartbeat_interval: 3,
            commit_news: 0,
            max_batch: 64,
            max_uncommitted_bytes: 64 << 20,
            snapshot_threshold: 0,
            snapshot_threshold_bytes: 0,
            log_tail: 1024,
            lease: 0,
            rank: 0,
            applied: 0,
            seed: id,
        }
    }

    /// A group of one.
    pub fn single(id: NodeId) -> RaftConfig {
        RaftConfig::new(id, [])
    }

    /// A node that a group is about to take in: it takes no part until the group's log or a snapshot says that it does.
    pub fn joining(id: NodeId) -> RaftConfig {
        RaftConfig { is_joining: true, ..RaftConfig::new(id, []) }
    }

    /// These keep no data: they vote, never lead, and hand out nothing to apply. What a node is, it stays. Give all members of a
    /// new group the same; a node that joins as a witness names itself.
    pub fn with_witnesses(self, witnesses: impl IntoIterator<Item = NodeId>) -> RaftConfig {
        let mut witnesses: Vec<NodeId> = witnesses.into_iter().collect();
        witnesses.sort_unstable();
        witnesses.dedup();
        RaftConfig { witnesses, ..self }
    }

    /// Names the group, so that messages of another one are refused. Zero unless it is set.
    pub fn with_group(self, group: u64) -> RaftConfig {
        RaftConfig { group, ..self }
    }

    /// How long a follower waits for a leader: drawn anew for every election from `min` through `max` ticks.
    pub fn with_election_timeout(self, min: u32, max: u32) -> RaftConfig {
        let min = min.max(1);
        RaftConfig { election_timeout: (min, max.max(min)), ..self }
    }

    /// How long a leader may be silent, in ticks, at least one.
    pub fn with_heartbeat_interval(self, interval: u32) -> RaftConfig {
        RaftConfig { heartbeat_interval: interval.max(1), ..self }
    }

    /// For how many ticks a leader may leave it to the next entry to tell its followers that commands are committed. Zero, as it is
    /// unless it is set, tells them at once, in a message of its own; where one entry follows the other, that is a third of all
    /// messages.
    pub fn with_commit_news(self, ticks: u8) -> RaftConfig {
        RaftConfig { commit_news: ticks, ..self }
    }

    /// How many entries go into one message, at least one. A message is also limited in bytes.
    pub fn with_max_batch(self, entries: usize) -> RaftConfig {
        RaftConfig { max_batch: entries.max(1), ..self }
    }

    /// How many bytes of commands may be proposed and not committed: beyond, a leader says that it is busy.
    pub fn with_max_uncommitted_bytes(self, bytes: u64) -> RaftConfig {
        RaftConfig { max_uncommitted_bytes: bytes.max(1), ..self }
    }

    /// After how many applied entries a snapshot is asked for; zero for never.
    pub fn with_snapshot_threshold(self, entries: usize) -> RaftConfig {
        RaftConfig { snapshot_threshold: entries, ..self }
    }

    /// After how many bytes of applied commands a snapshot is asked for; zero for never.
    pub fn with_snapshot_threshold_bytes(self, bytes: u64) -> RaftConfig {
        RaftConfig { snapshot_threshold_bytes: bytes, ..self }
    }

    /// How many entries below a snapshot stay in the log at most, for followers that lag a little.
    pub fn with_log_tail(self, entries: u64) -> RaftConfig {
        RaftConfig { log_tail: entries, ..self }
    }

    /// For how many ticks a leader answers reads without asking again after a quorum has answered; zero, as it is unless it is set,
    /// for never. The same for all nodes of the group, and shorter than the shortest election timeout, or it is none.
    ///
    /// It trusts clocks: while one node counts these ticks, no other may count the shortest election timeout, and ticks must go
    /// on while a process is stopped. Ticks are counted whole: of 10, a lease of 9 allows no clock to be faster than another, one
    /// of 8 an eighth. A node that starts neither votes nor campaigns for that timeout, alone or not.
    pub fn with_lease(self, ticks: u32) -> RaftConfig {
        RaftConfig { lease: ticks, ..self }
    }

    /// Whether this node is to lead rather than others: those of rank zero, as all are unless it is set, campaign before those of
    /// rank one, and so on, each waiting longer by the range of election timeouts. It displaces no leader: `TransferLeadership` does.
    pub fn with_rank(self, rank: u8) -> RaftConfig {
        RaftConfig { rank, ..self }
    }

    /// What the state machine durably contains by itself: entries through here are not applied again.
    pub fn with_applied(self, applied: Index) -> RaftConfig {
        RaftConfig { applied, ..self }
    }

    /// Where election timeouts come from, together with the node and the group.
    pub fn with_seed(self, seed: u64) -> RaftConfig {
        RaftConfig { seed, ..self }
    }

    /// Who this is.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// The others, sorted.
    pub fn peers(&self) -> &[NodeId] {
        &self.peers
    }

    /// The group.
    pub const fn group(&self) -> u64 {
        self.group
    }

    /// The shortest and the longest election timeout, in ticks.
    pub const fn election_timeout(&self) -> (u32, u32) {
        self.election_timeout
    }

    /// The longest silence of a leader, in ticks.
    pub const fn heartbeat_interval(&self) -> u32 {
        self.heartbeat_interval
    }

    /// Entries in one message.
    pub const fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Bytes of commands that may be proposed and not committed.
    pub const fn max_uncommitted_bytes(&self) -> u64 {
        self.max_uncommitted_bytes
    }

    /// After how many applied entries a snapshot is asked for.
    pub const fn snapshot_threshold(&self) -> usize {
        self.snapshot_threshold
    }

    /// After how many applied bytes a snapshot is asked for.
    pub const fn snapshot_threshold_bytes(&self) -> u64 {
        self.snapshot_threshold_bytes
    }

    /// How many entries below a snapshot stay in the log at most.
    pub const fn log_tail(&self) -> u64 {
        self.log_tail
    }

    /// What the state machine durably contains by itself.
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn is_witness(&self) -> bool {
        self.witnesses.contains(&self.id)
    }

    /// Who takes part before the log or a snapshot says anything.
    pub(super) fn bootstrap(&self) -> Membership {
        if self.is_joining {
            return Membership::default();
        }
        let voters = self.peers.iter().chain([&self.id]).copied().map(ReplicaId).collect();
        let mut bootstrap = Membership::of_voters(voters);
        bootstrap.witnesses = self.witnesses.iter().copied().map(ReplicaId).collect();
        bootstrap.witnesses.retain(|witness| bootstrap.voters.contains(witness));
        bootstrap
    }

    pub(super) fn core(&self) -> raft::Config {
        raft::Config {
            id: ReplicaId(self.id),
            election_ticks_min: u64::from(self.election_timeout.0),
            election_ticks_max: u64::from(self.election_timeout.1),
            heartbeat_ticks: u64::from(self.heartbeat_interval),
            commit_news_ticks: u64::from(self.commit_news),
            inflight_messages_max: INFLIGHT_MESSAGES_MAX,
            entries_per_message_max: self.max_batch as u64,
            inflight_bytes_max: INFLIGHT_BYTES_MAX,
            uncommitted_bytes_max: self.max_uncommitted_bytes,
            rank: self.rank,
            lease_ticks: u64::from(self.lease),
            seed: self.seed ^ self.group.wrapping_mul(GROUP_SPREAD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_zero_and_bounds_the_wrong_way_round_are_mended() {
        let config = RaftConfig::new(2, [3, 1, 2, 3]).with_election_timeout(0, 0).with_max_batch(0);
        let config = config.with_heartbeat_interval(0);
        assert_eq!((config.peers(), config.election_timeout()), (&[1, 3][..], (1, 1)));
        assert_eq!((config.max_batch(), config.heartbeat_interval()), (1, 1));
        assert_eq!(RaftConfig::single(1).with_election_timeout(9, 3).election_timeout(), (9, 9));
    }

    #[test]
    fn who_joins_takes_no_part_yet() {
        assert_eq!(RaftConfig::joining(4).bootstrap(), Membership::default());
        let voters = RaftConfig::new(1, [3, 2]).bootstrap().voters;
        assert_eq!(voters, [ReplicaId(1), ReplicaId(2), ReplicaId(3)]);
    }
}

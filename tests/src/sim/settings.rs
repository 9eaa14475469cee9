//! What a run is made of: sizes and kinds of faults, drawn from the seed within the bounds of a plan.

use skep_raftstore::store::StoreConfig;
use skep_raftstore::transport::memory::Link;
use skep_wal::WalConfig;

use super::chance::Chance;
use super::wrong::Wrong;

/// What kind of run is wanted.
#[derive(Clone, Debug)]
pub struct Plan {
    /// True time with faults, in ticks of 10 ms.
    pub fault_ticks: u64,
    /// A fault about every so many ticks.
    pub fault_every: u64,
    /// Whether faults are power cuts and nothing else: what finds a build that promises too early.
    pub only_power_cuts: bool,
    /// Whether replicas move from store to store and stores are lost.
    pub moves: bool,
    /// What is built wrong, if anything is.
    pub wrong: Option<Wrong>,
}

impl Plan {
    /// Nothing fails but the power, often, and everywhere at once: what was promised too early is gone then.
    pub fn power_cuts() -> Plan {
        Plan { fault_ticks: 1500, fault_every: 100, only_power_cuts: true, ..Plan::still() }
    }

    /// Three stores, of which each has a replica of every region for ever.
    pub fn still() -> Plan {
        Plan { moves: false, ..Plan::default() }
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { fault_ticks: 2500, fault_every: 60, only_power_cuts: false, moves: true, wrong: None }
    }
}

/// One seed in so many has tight limits.
const TIGHT_EVERY: u64 = 16;
/// And this is what they are about: a few of the longest commands.
const TIGHT_BYTES: usize = 8 << 10;
/// The same for the network, which has no way to send what is longer.
const TIGHT_QUEUE_BYTES: usize = 64 << 10;

fn tight(config: StoreConfig) -> StoreConfig {
    StoreConfig {
        inbox_bytes_max: TIGHT_BYTES,
        // Of the two kinds of clients, only those that read reach this, and only where nothing is answered for a while.
        unanswered_max: 64,
        unanswered_bytes_max: TIGHT_BYTES / 2,
        proposals_bytes_max: TIGHT_BYTES / 4,
        ..config
    }
}

/// What one run does.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) plan: Plan,
    pub(super) regions: u32,
    pub(super) keys: u64,
    pub(super) clients: usize,
    /// A client waits up to so long before its next command, in ticks.
    pub(super) think_ticks: u64,
    pub(super) request_timeout_ticks: u64,
    pub(super) segment_bytes: u64,
    pub(super) checkpoint_log_bytes: u64,
    pub(super) log_tail_entries: u64,
    /// A store syncs in so many of a hundred steps that it could.
    pub(super) sync_percent: u64,
    pub(super) workers: usize,
    pub(super) link: Link,
    /// Whether stores and network hold little for others, so that their limits are reached.
    pub(super) is_tight: bool,
}

impl Settings {
    pub(super) fn draw(seed: u64, chance: &mut Chance, plan: &Plan) -> Settings {
        // Not drawn: what all other seeds do stays what it is.
        let is_tight = seed % TIGHT_EVERY == TIGHT_EVERY / 2;
        let queue_bytes_max = if is_tight { TIGHT_QUEUE_BYTES } else { Link::default().queue_bytes_max };
        let link = Link {
            queue_bytes_max,
            loss_per_million: chance.pick(&[0, 0, 2_000, 20_000]),
            duplicate_per_million: chance.pick(&[0, 10_000]),
            delay_ticks: chance.pick(&[0..=0, 0..=2, 1..=5]),
            reorder: chance.one_in(3),
            ..Link::default()
        };
        Settings {
            plan: plan.clone(),
            regions: chance.within(3..=8) as u32,
            keys: chance.within(6..=14),
            clients: chance.within(4..=7) as usize,
            think_ticks: chance.pick(&[1, 3, 10]),
            request_timeout_ticks: chance.pick(&[500, 700, 1000]),
            segment_bytes: chance.pick(&[128 << 10, 192 << 10, 256 << 10]),
            checkpoint_log_bytes: chance.pick(&[1 << 10, 4 << 10, 16 << 10]),
            log_tail_entries: chance.pick(&[0, 2, 16, 200]),
            sync_percent: chance.pick(&[100, 50, 15]),
            workers: chance.pick(&[1, 1, 2]),
            link,
            is_tight,
        }
    }

    pub(super) fn store(&self, config: StoreConfig) -> StoreConfig {
        let config = if self.is_tight { tight(config) } else { config };
        StoreConfig {
            workers: self.workers,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            log_tail_entries: self.log_tail_entries,
            // Small messages, so that what one turn writes fits into a small segment.
            entries_per_message_max: 8,
            inflight_messages_max: 4,
            // Limits that runs come to.
            inflight_bytes_max: 600,
            peer_bytes_max: 1500,
            uncommitted_bytes_max: 500,
            request_timeout: (self.request_timeout_ticks as u32) * skep_raftstore::store::TICK,
            mutant: self.plan.wrong.and_then(Wrong::store),
            raft_mutant: self.plan.wrong.and_then(Wrong::raft),
            ..config
        }
    }

    pub(super) fn log(&self) -> WalConfig {
        WalConfig { mutant: self.plan.wrong.and_then(Wrong::wal), ..self.right_log() }
    }

    /// How the log is laid out, whatever is built wrong in it.
    pub(super) fn right_log(&self) -> WalConfig {
        WalConfig { segment_bytes: self.segment_bytes, ..WalConfig::small() }
    }
}

//! The limits of the keeper and of transfers, each with its unit and its reason.

/// The limits of a keeper. Times are in ticks.
#[derive(Clone, Copy, Debug)]
pub struct KeeperLimits {
    /// Regions whose snapshots are asked for at a time: each pins what its machine would have freed.
    pub checkpoint_regions_max: usize,
    /// How long the others of a file wait for a machine that is stuck.
    pub checkpoint_wait_ticks: u64,
    /// When what failed, or was not answered, is tried again.
    pub retry_ticks: u64,
    /// How often the log is tidied.
    pub maintain_ticks: u64,
    /// Transfers that leave at a time. Each has a file.
    pub sends_max: usize,
    /// Snapshots that wait for one of them to end. Beyond, the protocol is told that it failed and asks again.
    pub sends_waiting_max: usize,
    /// Bytes of one transfer that may be unacknowledged.
    pub window_bytes: u64,
    /// When unacknowledged bytes are sent again.
    pub retransmit_ticks: u64,
    /// When a transfer that hears nothing, or receives nothing, is given up.
    pub abandon_ticks: u64,
    /// Transfers that arrive at a time. Others are kept waiting by their acknowledgements.
    pub receives_max: usize,
    /// Bytes of all snapshots that have arrived, or are arriving, and are not in force.
    pub receive_bytes_max: u64,
}

impl Default for KeeperLimits {
    fn default() -> KeeperLimits {
        KeeperLimits {
            checkpoint_regions_max: 256,
            checkpoint_wait_ticks: 50,
            retry_ticks: 500,
            maintain_ticks: 5,
            sends_max: 4,
            sends_waiting_max: 64,
            window_bytes: 2 << 20,
            retransmit_ticks: 50,
            abandon_ticks: 3000,
            receives_max: 8,
            receive_bytes_max: 64 << 30,
        }
    }
}

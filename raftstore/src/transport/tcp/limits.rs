//! How much of what a TCP transport takes, and how long it waits.

use std::time::Duration;

/// Limits of one store's transport; those of a queue are for each peer.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Bulk frames that wait for a slow peer. A new one that does not fit is dropped: the protocol sends
    /// again.
    pub bulk_bytes_max: usize,
    /// Urgent frames that wait. Old heartbeats are worth nothing, so there is room for few.
    pub urgent_bytes_max: usize,
    /// Snapshot frames that wait, for a connection too. The largest frame must fit.
    pub snapshot_bytes_max: usize,
    /// What the kernel may hold of one connection that is not under way yet: this much goes before an urgent
    /// frame.
    pub unsent_bytes_max: u32,
    /// Connections that have not said who they are. When one more comes, the oldest of them is closed.
    pub greetings_max: usize,
    /// How long a handshake may take, on either side.
    pub handshake_time_max: Duration,
    /// The pause after a connection is lost; it doubles with every failure, and is shortened at random by up
    /// to half.
    pub redial_pause_min: Duration,
    /// The longest such pause.
    pub redial_pause_max: Duration,
    /// After so long without a sign of life, data or probe, a connection is given up.
    pub dead_after: Duration,
}

impl Default for TcpLimits {
    fn default() -> TcpLimits {
        TcpLimits {
            bulk_bytes_max: 64 << 20,
            urgent_bytes_max: 1 << 20,
            snapshot_bytes_max: 64 << 20,
            unsent_bytes_max: 512 << 10,
            greetings_max: 64,
            handshake_time_max: Duration::from_secs(2),
            redial_pause_min: Duration::from_millis(20),
            redial_pause_max: Duration::from_millis(500),
            dead_after: Duration::from_secs(6),
        }
    }
}

//! Every limit of a group driven by hand, with its unit and its reason.

/// The longest command, in bytes: it has to fit into one frame of the log.
pub const COMMAND_BYTES_MAX: usize = 8 << 20;

/// The longest snapshot, in bytes: it is held in memory, as the application hands it over.
pub const SNAPSHOT_BYTES_MAX: usize = 4 << 30;

/// Commands in one message, in bytes, unless a single one is longer. What is cut goes with the next message.
pub(super) const APPEND_BYTES_MAX: usize = 1 << 20;

/// A piece of a snapshot, in bytes. One is on its way to a follower at a time.
pub(super) const SNAPSHOT_PART_BYTES: usize = 1 << 20;

/// How often a piece that is not answered is sent again before the follower is left alone until it shows a sign of life.
pub(super) const PART_RESENDS_MAX: u32 = 2;

/// Entries that one step hands out at most: a driver is never kept busy for long by one group.
pub(super) const APPLIES_PER_STEP_MAX: u64 = 1024;

/// The same in bytes of commands, unless a single one is longer.
pub(super) const APPLY_BYTES_PER_STEP_MAX: usize = 8 << 20;

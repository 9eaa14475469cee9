//! Snapshots: a region's state as a file, on this store's disk and on its way to another.
//!
//! ```text
//!                    +--> checkpoints: many regions in one file, so that the log may forget
//! machine --source---+
//!                    +--> send: a spooled file, in chunks --network--> receive: a file --> machine --> checkpoints
//! ```
//!
//! [`Keeper`] is the one thread that does all of it, and the page of its file has the order of the steps. What a file
//! looks like is in [`mod@format`], free of any input or output.
//!
//! Nothing is deleted because it could not be read, and nothing replaces an older state before it has been verified and
//! synced.

mod carry;
mod checkpoints;
mod counters;
mod error;
mod file;
pub mod format;
mod keeper;
mod limits;
mod outgoing;
mod receive;
mod received;
mod send;
mod task;
#[cfg(test)]
mod tests;

pub use checkpoints::{CheckpointInfo, Checkpoints, Taken};
pub use counters::KeeperCounters;
pub use error::SnapshotError;
pub use file::SectionReader;
pub use format::CHUNK_BYTES;
pub use keeper::{Keeper, KeeperParts, Maintain};
pub use limits::KeeperLimits;
pub use received::ReceivedSnapshot;
pub use task::{KeeperOutcome, KeeperSink, KeeperTask};

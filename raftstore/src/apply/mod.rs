//! Applying: committed entries of many regions go to their state machines on a few threads.
//!
//! ```text
//! worker --Job--> mailbox (one per region) --if it was idle--> ready queue --> a thread: one bounded pass
//!                                                                                    |
//! worker <-------------------------- ApplyOutcome, one per pass <--------------------+
//! ```
//!
//! - Within a region jobs run in the order in which they were pushed, on one thread at a time.
//! - A pass over a mailbox is bounded in bytes; then the mailbox goes to the back of the queue, so that a busy region
//!   does not hold the others. A machine that is stuck holds one thread, and no other.
//! - A push to a mailbox that is queued or being worked on wakes nobody.
//! - A machine that fails or panics stops its own region and no other.
//!
//! The queues have no limit of their own: what waits in them are positions and who waits for a reply. Entries stay in
//! the log until they are applied, and commands are limited where they are taken.

mod applier;
mod job;
mod mailbox;
mod pool;
#[cfg(test)]
mod tests;

pub(crate) use applier::panic_text;
pub use job::{ApplyOutcome, ApplySink, CommittedLog, Job, ReadReply, ReplyTo, SnapshotPurpose, Wanted};
pub use mailbox::ApplyHandle;
pub use pool::{ApplyLimits, ApplyPool};

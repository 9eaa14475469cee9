//! What a caller hands to a store, and what it gets back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::message::RequestKind;

/// Called once with the answer, on a thread of the store: it must be quick and must not block.
pub type Reply = Box<dyn FnOnce(Result<Bytes, SubmitError>) + Send>;

/// One command or query for the leader of a region.
pub struct Request {
    /// Whether it becomes an entry of the log.
    pub kind: RequestKind,
    /// For the state machine.
    pub body: Bytes,
    /// How long to try; the store's `request_timeout` if `None`.
    pub timeout: Option<Duration>,
    /// Who wants to know.
    pub reply: Reply,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubmitError {
    /// No leader answered in time. A write may or may not have taken effect, or may do so later.
    TimedOut,
    /// The store holds as much unanswered work as it may. Nothing was done: try again a little later.
    Busy,
    /// The disk of a store that must write is full. Nothing was done: free some space and try again.
    DiskFull,
    /// The store does not host this region.
    NoRegion,
    /// The region stopped and says why; others go on.
    RegionStopped(String),
    /// The store stopped and says why. A write may or may not have taken effect.
    StoreStopped(String),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::TimedOut => {
                f.write_str("no answer in time; a write may or may not have taken effect")
            }
            SubmitError::Busy => {
                f.write_str("too much unanswered work: nothing was done, try again a little later")
            }
            SubmitError::DiskFull => {
                f.write_str("the disk is full: nothing was done, free some space and try again")
            }
            SubmitError::NoRegion => f.write_str("the region is not on this store"),
            SubmitError::RegionStopped(why) => write!(f, "the region has stopped: {why}"),
            SubmitError::StoreStopped(why) => {
                write!(f, "the store has stopped: {why}; a write may or may not have taken effect")
            }
        }
    }
}

impl std::error::Error for SubmitError {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?}, {} B)", self.kind, self.body.len())
    }
}

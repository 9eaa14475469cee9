//! Why a step was refused or failed, told apart by what the caller can do about it.

use std::fmt;

use super::types::NodeId;

/// What every fallible call here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a node or a log refused or failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Go elsewhere: somebody else leads, perhaps this node.
    NotLeader {
        /// Who leads, if it is known. Never the node that says this.
        leader: Option<NodeId>,
    },
    /// Try again at a later tick: this node leads and cannot take it just now.
    Busy {
        /// What stands in the way.
        why: &'static str,
    },
    /// Try again when the change of membership that is under way is done.
    ConfigInProgress,
    /// Fix the input: no such membership can be.
    Impossible {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Fix the input: it is longer than a log or a message may hold. Nothing was changed.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Stop this node: its log failed, so nobody knows what it holds. Every later step says the same. Open the log anew.
    Storage {
        /// What was being done.
        context: &'static str,
        /// What the log said.
        detail: String,
    },
    /// Drop the message: its bytes are not those of one.
    Encoding {
        /// What was being done.
        context: &'static str,
        /// What is wrong with the bytes.
        detail: String,
    },
}

impl Error {
    /// A failure of a log, for those who write one.
    pub fn storage(context: &'static str, source: impl fmt::Display) -> Error {
        Error::Storage { context, detail: source.to_string() }
    }

    /// Bytes that are not what they should be.
    pub fn encoding(context: &'static str, source: impl fmt::Display) -> Error {
        Error::Encoding { context, detail: source.to_string() }
    }

    /// Whether the same call may succeed later, here or at the leader.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Error::NotLeader { .. } | Error::Busy { .. } | Error::ConfigInProgress)
    }

    /// Whether the node is of no use any more.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Error::Storage { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotLeader { leader: Some(leader) } => {
                write!(f, "this node does not lead: ask node {leader}")
            }
            Error::NotLeader { leader: None } => {
                write!(f, "this node does not lead and knows of no leader: try again later")
            }
            Error::Busy { why } => write!(f, "{why}: try again at a later tick"),
            Error::ConfigInProgress => {
                write!(f, "a change of membership is under way: try again when it is done")
            }
            Error::Impossible { why } => {
                write!(f, "there can be no such membership ({why}): ask for another")
            }
            Error::TooLarge { bytes, bytes_max } => {
                write!(f, "{bytes} bytes are more than the {bytes_max} that fit: split it")
            }
            Error::Storage { context, detail } => {
                write!(f, "{context}: {detail}; stop this node and open its log anew")
            }
            Error::Encoding { context, detail } => write!(f, "{context}: {detail}; drop it"),
        }
    }
}

impl std::error::Error for Error {}

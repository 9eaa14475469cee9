//! Why a store does not open.

use std::fmt;

use skep_wal::WalError;

use crate::ids::RegionId;
use crate::snapshot::SnapshotError;
use crate::wire::WireError;

/// Why a store does not open. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// The log does not open, or could not be written.
    Log(WalError),
    /// The checkpoints cannot be listed.
    Checkpoints(SnapshotError),
    /// What the log keeps about a region cannot be understood.
    Record(WireError),
    /// This region has witnesses, which the protocol knows and a store cannot host yet.
    Witnesses(RegionId),
    /// The operating system gives no thread.
    Thread(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Log(error) => write!(f, "the log: {error}"),
            OpenError::Checkpoints(error) => write!(f, "the checkpoints: {error}"),
            OpenError::Record(error) => write!(f, "what the log keeps about a region: {error}"),
            OpenError::Witnesses(region) => {
                write!(f, "region {region} has witnesses, and this version hosts none")
            }
            OpenError::Thread(error) => write!(f, "no thread could be started: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<WalError> for OpenError {
    fn from(error: WalError) -> OpenError {
        OpenError::Log(error)
    }
}

impl From<WireError> for OpenError {
    fn from(error: WireError) -> OpenError {
        OpenError::Record(error)
    }
}

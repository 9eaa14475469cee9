//! What can go wrong, in the order of what the caller can do about it.

use std::fmt;

use crate::limits::{ATOMIC_COMMANDS_MAX, KEY_BYTES_MAX, REGIONS_MAX, STORES_MAX, VALUE_BYTES_MAX};
use crate::store_dir::DirectoryError;

/// Why a command was not carried out, or a store not opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    // Fix the input.
    /// A key beyond [`KEY_BYTES_MAX`].
    KeyTooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// A value beyond [`VALUE_BYTES_MAX`], or an append that would make one.
    ValueTooLarge {
        /// How large it is, or would be.
        bytes: usize,
    },
    /// A command whose keys and values together are beyond [`COMMAND_BYTES_MAX`](crate::COMMAND_BYTES_MAX), or beyond
    /// half a segment of the log where segments are small.
    BatchTooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// A batch of no writes.
    EmptyBatch,
    /// A batch whose keys lie in several regions.
    CrossRegion,
    /// The value that should be incremented is not a decimal number of 64 bits.
    NotAnInteger,
    /// The sum does not fit 64 bits.
    Overflow,
    /// The value that should be incremented, or what should be added, is not a decimal number.
    NotAFloat,
    /// The sum is too large for any number.
    NotFinite,
    /// More commands than can be carried out at once.
    TooManyCommands {
        /// How many there are.
        count: usize,
    },
    /// One of several commands was carried out, but with its answer there would be too much to send back.
    AnswerTooLarge,
    /// A new cluster of this many stores or regions is not possible.
    Impossible {
        /// How many regions were asked for.
        regions: u32,
        /// How many stores were asked for.
        stores: u32,
    },

    /// The store does not fit the others: another list of addresses, another cluster, an id that is taken.
    Refused(String),

    // Try again, a little later.
    /// Too much is under way. Nothing was done.
    Busy,
    /// The region is not here, or is moving. Nothing was done.
    NoRegion,
    /// A disk that must be written is full. Nothing was done; reads go on.
    DiskFull,
    /// The data of this store takes as much memory as it may, so nothing is taken that adds to it. Nothing was done; reads
    /// and deletes go on.
    OutOfMemory {
        /// Bytes of data, at most.
        limit: u64,
    },

    // Find out what happened.
    /// No answer came in time. A write may have taken effect, or may yet.
    TimedOut,
    /// The command was sent again so late that its answer is no longer kept. It may have taken effect.
    OutcomeUnknown,

    // Repair, or give up.
    /// One region has stopped on this store; the others go on.
    RegionStopped(String),
    /// This store has stopped.
    StoreStopped(String),
    /// The data directory cannot be used.
    Directory(DirectoryError),
    /// A store could not be opened: its log, its address, or its threads.
    Open(String),
    /// A bug: an answer that does not fit its question.
    Internal(String),
}

impl Error {
    /// Whether the same command may simply be tried again: nothing was done.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Busy | Error::NoRegion | Error::DiskFull | Error::OutOfMemory { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::KeyTooLarge { bytes } => {
                write!(f, "the key has {bytes} bytes; at most {KEY_BYTES_MAX} are allowed")
            }
            Error::ValueTooLarge { bytes } => {
                write!(f, "the value has {bytes} bytes; at most {VALUE_BYTES_MAX} are allowed")
            }
            Error::BatchTooLarge { bytes, bytes_max } => {
                write!(f, "the command has {bytes} bytes; at most {bytes_max} are allowed: send it in parts")
            }
            Error::EmptyBatch => f.write_str("a batch needs at least one write"),
            Error::CrossRegion => f.write_str("the keys of a batch must lie in one region: send one batch for each"),
            Error::NotAnInteger => f.write_str("value is not an integer or out of range"),
            Error::Overflow => f.write_str("increment or decrement would overflow"),
            Error::NotAFloat => f.write_str("value is not a valid float"),
            Error::NotFinite => f.write_str("increment would produce NaN or Infinity"),
            Error::TooManyCommands { count } => {
                write!(f, "{count} commands at once are too many; at most {ATOMIC_COMMANDS_MAX} are allowed")
            }
            Error::AnswerTooLarge => f.write_str(
                "the command was carried out, but the answers of all commands are too large: ask for less at once",
            ),
            Error::Impossible { regions, stores } => write!(
                f,
                "a cluster of {stores} stores and {regions} regions is not possible: choose 1 to {STORES_MAX} stores and 1 \
                 to {REGIONS_MAX} regions"
            ),
            Error::Refused(why) => f.write_str(why),
            Error::Busy => f.write_str("too much is under way, nothing was done: try again a little later"),
            Error::NoRegion => f.write_str("the region is not here, nothing was done: try again a little later"),
            Error::DiskFull => f.write_str("the disk is full, nothing was done: free some space and try again"),
            Error::OutOfMemory { limit } => write!(
                f,
                "the data takes the {limit} bytes of memory that it may, nothing was done: delete something, or open the \
                 store with a higher memory limit"
            ),
            Error::TimedOut => {
                f.write_str("no answer in time; a write may have taken effect: read it back before trying again")
            }
            Error::OutcomeUnknown => f.write_str(
                "the answer is no longer kept; the write may have taken effect: read it back before trying again",
            ),
            Error::RegionStopped(why) => {
                write!(f, "the region has stopped on this store, ask another: {why}")
            }
            Error::StoreStopped(why) => {
                write!(f, "the store has stopped, ask another; a write may have taken effect: {why}")
            },
            Error::Directory(error) => error.fmt(f),
            Error::Open(why) => write!(f, "the store cannot be opened: {why}"),
            Error::Internal(what) => write!(f, "a bug in Skep, please report it: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Directory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Error {
        Error::Directory(error)
    }
}

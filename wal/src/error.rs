//! What can go wrong, told apart by what the caller can do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::{Lsn, StreamId};

/// Why the log refused or failed.
#[derive(Clone, Debug)]
pub enum WalError {
    /// Give up: a sync failed, so nobody knows what the disk holds, not even whether what was appended last is there.
    /// Stop, and open the log anew to find out.
    Poisoned {
        /// The first failure, in words.
        cause: Arc<str>,
    },
    /// Free some space and try again: the disk has no room for the next segment. Nothing was written.
    Full {
        /// How many bytes a new segment takes.
        segment_bytes: u64,
    },
    /// Split the batch: it does not fit into one segment.
    BatchTooLarge {
        /// What the batch would take.
        bytes: u64,
        /// What one frame may take.
        bytes_max: u64,
    },
    /// Fix the caller: the batch asks for something that makes no sense for this stream. Nothing was written.
    Misuse {
        /// The stream that was misused.
        stream: StreamId,
        /// What was asked, and what stands in the way.
        what: Misuse,
    },
    /// Go elsewhere: these entries are not in the log (compacted, or not yet written).
    NotFound {
        /// The stream that was read.
        stream: StreamId,
        /// The first index asked for.
        first: u64,
        /// The last index asked for.
        last: u64,
        /// What the log holds: the first and the last index (first > last when it holds nothing).
        held: (u64, u64),
    },
    /// Repair the data: the bytes of an entry do not match their checksum, or cannot be read.
    Damaged {
        /// The stream whose entry it is.
        stream: StreamId,
        /// The entry.
        index: u64,
        /// The segment it lies in.
        segment: u64,
        /// The place of its record in the segment, in bytes.
        offset: u64,
    },
    /// Use a newer build: the directory was written by one.
    NewerFormat {
        /// The file in question.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest this build reads.
        supported: u32,
    },
    /// Sort out the files: this one belongs to another log.
    Foreign {
        /// The file in question.
        file: String,
    },
    /// The operating system refused; the place and its reason are inside.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

/// What a batch got wrong about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Entries that do not touch the end of the log: it would have a hole.
    Gap {
        /// The last index of the stream.
        last: u64,
        /// The first index of the entries.
        first: u64,
    },
    /// An index at or below what was compacted.
    BelowBase {
        /// The stream was compacted through this index.
        base: u64,
        /// The index asked for.
        index: u64,
    },
    /// A compaction past the last entry; `restart` is the word for that.
    BeyondEnd {
        /// The last index of the stream.
        last: u64,
        /// The index asked for.
        index: u64,
    },
    /// A hard state or named state that is longer than it may be.
    StateTooLong {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
}

impl WalError {
    /// Whether the same may succeed later with nothing changed but what the machine has left: space, memory, file
    /// descriptors. Of a log that is [poisoned](crate::Wal::poisoned) nothing succeeds any more.
    pub fn may_pass(&self) -> bool {
        match self {
            WalError::Full { .. } => true,
            WalError::Io { source, .. } => {
                let scarce =
                    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN, Errno::INTR];
                source.raw_os_error().is_some_and(|code| scarce.map(Errno::raw_os_error).contains(&code))
            }
            _ => false,
        }
    }

    pub(crate) fn io(doing: &'static str, file: &str, source: io::Error) -> WalError {
        WalError::Io { doing, file: file.to_owned(), source: Arc::new(source) }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WalError::Poisoned { cause } => {
                write!(
                    f,
                    "the log stopped after a failed write or sync, and whether the last entries are on the disk is \
                     unknown: {cause}"
                )
            }
            WalError::Full { segment_bytes } => {
                write!(
                    f,
                    "the disk has no room for another segment of {segment_bytes} bytes: free some space and try again"
                )
            }
            WalError::BatchTooLarge { bytes, bytes_max } => {
                write!(f, "a batch of {bytes} bytes is larger than a frame may be ({bytes_max} bytes)")
            }
            WalError::Misuse { stream, what } => write!(f, "{stream}: {what}"),
            WalError::NotFound { stream, first, last, held } => {
                write!(
                    f,
                    "{stream}: entries {first}..={last} were asked for, the log holds {}..={}",
                    held.0, held.1
                )
            }
            WalError::Damaged { stream, index, segment, offset } => {
                write!(f, "{stream}: entry {index} is damaged (segment {segment}, offset {offset})")
            }
            WalError::NewerFormat { file, found, supported } => {
                write!(f, "{file} has log format {found}; this build reads up to {supported}")
            }
            WalError::Foreign { file } => write!(f, "{file} belongs to another log"),
            WalError::Io { doing, file, source } => write!(f, "{doing} {file}: {source}"),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Gap { last, first } => write!(f, "entries from {first} would leave a hole after {last}"),
            Misuse::BelowBase { base, index } => write!(f, "index {index} was compacted (through {base})"),
            Misuse::BeyondEnd { last, index } => {
                write!(f, "compacting through {index}, but the log ends at {last}")
            }
            Misuse::StateTooLong { bytes, bytes_max } => {
                write!(f, "a state of {bytes} bytes (at most {bytes_max})")
            }
        }
    }
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WalError::Io { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// What recovery found hit in a stream. The stream stays readable as far as its bytes are whole, and keeps
/// this mark over restarts until it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged frame began.
    pub at: Lsn,
    /// The segment it lies in.
    pub segment: u64,
    /// What it held of this stream, as far as that is known.
    pub what: DamagedPart,
}

/// The part of a stream that damage hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    /// Entries only: hard state and named states are whole.
    Entries,
    /// Possibly everything: entries, hard state and named states.
    Anything,
}

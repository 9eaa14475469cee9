//! The log of a store that has stopped: to be looked at, never changed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_raftstore::ids::RegionId;
use skep_wal::{RealDisk, StateName, StreamInfo, WalError};

pub use skep_wal::{Damage, DamagedPart, InspectedSegment, Inspection, LogEntry, Reached, SegmentState};

use crate::store_dir::LOG;

/// Why there is nothing to be seen.
#[derive(Debug)]
pub enum StoppedLogError {
    /// Name the directory of a store: this one has no log in it.
    NoLog(PathBuf),
    /// Stop the store first: its process has the log.
    InUse(PathBuf),
    /// The directory cannot be read.
    Io(PathBuf, io::Error),
    /// The log refuses to be opened, by this build or at all, and says why.
    Refused(WalError),
}

/// Looks at the log in a store's directory.
pub fn inspect_log(store: &Path) -> Result<Inspection, StoppedLogError> {
    let path = store.join(LOG);
    if !path.is_dir() {
        return Err(StoppedLogError::NoLog(store.to_path_buf()));
    }
    let disk = RealDisk::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => StoppedLogError::InUse(store.to_path_buf()),
        _ => StoppedLogError::Io(path.clone(), error),
    })?;
    let found = skep_wal::inspect(Arc::new(disk)).map_err(StoppedLogError::Refused)?;
    found.ok_or_else(|| StoppedLogError::NoLog(store.to_path_buf()))
}

/// What the log holds of a region: its place in the protocol, its named states, and its entries as far as they can be
/// read.
pub struct RegionLog {
    /// First and last entry, terms, the hard state, and whether it is damaged.
    pub info: StreamInfo,
    /// The named states: number and length in bytes.
    pub states: Vec<(u8, usize)>,
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// Why they end early, if they do.
    pub unreadable: Option<WalError>,
}

/// The part of a log that belongs to a region; `None` if there is none.
pub fn region_log(found: &Inspection, region: RegionId) -> Option<RegionLog> {
    let stream = region.stream();
    let info = found.log.stream(stream)?;
    let named = |name| Some((name, found.log.state(stream, StateName(name))?.len()));
    let states = (0..=u8::MAX).filter_map(named).collect();
    let (mut entries, mut unreadable) = (Vec::new(), None);
    for index in info.base_index + 1..=info.last_index {
        if let Err(error) = found.log.read(stream, index, index, usize::MAX, &mut entries) {
            unreadable = Some(error);
            break;
        }
    }
    Some(RegionLog { info, states, entries, unreadable })
}

impl fmt::Display for StoppedLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoppedLogError::NoLog(path) => write!(
                f,
                "{} has no log in it: name the directory of one store, for example skep-data/store-1",
                path.display()
            ),
            StoppedLogError::InUse(path) => {
                write!(f, "{} is in use: stop the process that has it and try again", path.display())
            }
            StoppedLogError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            StoppedLogError::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StoppedLogError {}

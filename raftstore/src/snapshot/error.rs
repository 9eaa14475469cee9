//! What can go wrong with snapshots, told apart by what the caller can do about it.

use std::fmt;
use std::io;

use crate::ids::{RegionId, StoreId};

/// Why a snapshot was not written, read or taken. Whatever stood before still stands.
#[derive(Debug)]
pub enum SnapshotError {
    /// Use a newer build: the file was written by one.
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Sort out the files: this one belongs to another store.
    Foreign {
        /// The file.
        file: String,
        /// Whose it is.
        store: StoreId,
    },
    /// Repair the data, or take a snapshot from another replica: these bytes are not what was written.
    Damaged {
        /// The file.
        file: String,
        /// The region whose section it is; `None` if all of the file is in doubt.
        region: Option<RegionId>,
        /// What does not hold.
        why: &'static str,
    },
    /// Look at the region's machine: it could not write its state down.
    Source {
        /// The region.
        region: RegionId,
        /// What it said.
        why: String,
    },
    /// Free some space, or see to the disk: the operating system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SnapshotError {
    /// Turns an error of the system into one that names the place.
    pub(super) fn io<'a>(doing: &'static str, file: &'a str) -> impl FnOnce(io::Error) -> SnapshotError + 'a {
        move |source| SnapshotError::Io { doing, file: file.to_owned(), source }
    }

    pub(super) fn damaged(file: &str, region: Option<RegionId>, why: &'static str) -> SnapshotError {
        SnapshotError::Damaged { file: file.to_owned(), region, why }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Newer { file, found, known } => {
                write!(
                    f,
                    "{file} has version {found}, but this release knows versions up to {known}: upgrade it"
                )
            }
            SnapshotError::Foreign { file, store } => write!(f, "{file} belongs to another store, {store}"),
            SnapshotError::Damaged { file, region: Some(region), why } => {
                write!(f, "the snapshot of {region} in {file} is damaged: {why}")
            }
            SnapshotError::Damaged { file, region: None, why } => write!(f, "{file} is damaged: {why}"),
            SnapshotError::Source { region, why } => write!(f, "{region} could not write its state: {why}"),
            SnapshotError::Io { doing, file, source } => write!(f, "{doing} {file}: {source}"),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SnapshotError::Io { source, .. } => Some(source),
            SnapshotError::Newer { .. }
            | SnapshotError::Foreign { .. }
            | SnapshotError::Damaged { .. }
            | SnapshotError::Source { .. } => None,
        }
    }
}

//! Why a directory cannot be used, each in one sentence that says what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use skep_raftstore::ids::ClusterId;

/// Why a directory cannot be used. Nothing in it was touched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryError {
    /// Which directory or file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It is a file.
    NotADirectory,
    /// It holds something else.
    Foreign,
    /// It holds one store, and a cluster of several in one process was asked for.
    OneStore,
    /// It holds a cluster of several stores in one process, and one store was asked for.
    SeveralStores,
    /// It holds a store that is a cluster of its own, and one of several processes was asked for.
    Alone,
    /// It holds a store that was to found a cluster with others and has not.
    Unfounded,
    /// Another process has it open.
    InUse,
    /// It belongs to another cluster.
    OtherCluster {
        /// To which.
        found: ClusterId,
        /// To which it should.
        expected: ClusterId,
    },
    /// It lies where a store of a cluster should, and belongs to another cluster.
    OtherMember,
    /// It belongs to another store.
    OtherStore,
    /// It was written by a newer version.
    Newer(String),
    /// What it says about itself cannot be read.
    Damaged(String),
    /// It, or what must be in it, is missing.
    Missing,
    /// There is no room for what has to be written.
    NoSpace,
    /// The operating system refuses.
    Io(String),
}

impl DirectoryError {
    pub(crate) fn new(path: &Path, problem: Problem) -> DirectoryError {
        DirectoryError { path: path.to_path_buf(), problem }
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> DirectoryError {
        let problem = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::NoSpace,
            _ => Problem::Io(error.to_string()),
        };
        DirectoryError::new(path, problem)
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::NotADirectory => write!(f, "{path} is not a directory: choose another path"),
            Problem::Foreign => {
                write!(
                    f,
                    "{path} holds files that are not Skep's: choose an empty directory, or one of Skep's"
                )
            }
            Problem::OneStore => {
                write!(
                    f,
                    "{path} holds one store, not a cluster of several: choose the directory that it lies in, or another"
                )
            }
            Problem::SeveralStores => {
                write!(f, "{path} holds a cluster of several stores: open it as a cluster, or choose another")
            }
            Problem::Alone => {
                write!(f, "{path} holds a store that is a cluster of its own: choose another directory")
            }
            Problem::Unfounded => {
                write!(
                    f,
                    "{path} holds a store that waits for others to found a cluster: start it with its configuration"
                )
            }
            Problem::InUse => write!(f, "{path} is in use by another process: stop that one first"),
            Problem::OtherCluster { found, expected } => {
                write!(f, "{path} belongs to cluster {found}, not to {expected}: choose another directory")
            }
            Problem::OtherMember => {
                let own = self.path.file_name().unwrap_or_default().display();
                write!(f, "{path} belongs to another cluster: put this cluster's own {own} back")
            }
            Problem::OtherStore => {
                write!(f, "{path} belongs to another store: put the directories back where they were")
            }
            Problem::Newer(what) => {
                write!(f, "{path} was written by a newer version of Skep ({what}): start that version")
            }
            Problem::Damaged(what) => write!(f, "{path} is damaged ({what}): restore it from a copy"),
            Problem::Missing => {
                write!(
                    f,
                    "{path} is missing, and was there before: restore it from a copy, or start a new directory"
                )
            }
            Problem::NoSpace => {
                write!(f, "{path} cannot be written, the disk is full: free some space and start again")
            }
            Problem::Io(error) => write!(f, "{path} cannot be used: {error}"),
        }
    }
}

impl std::error::Error for DirectoryError {}

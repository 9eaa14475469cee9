//! A store's directory: who it is, that nobody else has it open, and where its log and snapshots lie.
//!
//! ```text
//! identity     who the store is; replaced as a whole at every start (identity.new: what it was before)
//! founding     of a store that has a process of its own: with whom it founded its cluster
//! LOCK         held while the store is open
//! wal/         the log
//! snapshots/   checkpoints, and snapshots on their way
//! region-ids   which names of regions were given; there once one was
//! ```
//!
//! Order of making: directory, `LOCK`, `identity`, the rest, the store's regions, and last a mark in `identity` that
//! they were made. So a directory without the mark holds nothing that anyone was promised, and its log is begun
//! afresh; one with the mark and without its log has lost it.

use std::fs::File;
use std::path::{Path, PathBuf};

use skep_raftstore::ids::{ClusterId, Life};

pub use error::{DirectoryError, Problem};
pub(crate) use identity::Identity;

use crate::layout::Unreadable;
use identity::IDENTITY_BYTES;

mod error;
pub(crate) mod files;
mod identity;

/// Is there if the directory is a store's.
pub(crate) const IDENTITY: &str = "identity";
/// Is there if the directory is that of several stores.
pub(crate) const CLUSTER: &str = "cluster";
const IDENTITY_NEW: &str = "identity.new";
const LOCK: &str = "LOCK";
pub(crate) const LOG: &str = "wal";
const SNAPSHOTS: &str = "snapshots";
const REGION_IDS: &str = "region-ids";

/// A store's directory, locked.
#[derive(Debug)]
pub(crate) struct StoreDir {
    path: PathBuf,
    identity: Identity,
    /// Locked until it is dropped.
    _lock: File,
}

/// What stands at a path.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nothing, or an empty directory, or one whose making was interrupted before it meant anything.
    Nothing,
    /// A store.
    Store(Identity),
}

/// The cluster of a store that has none yet.
pub(crate) const NO_CLUSTER: ClusterId = ClusterId(0);

/// Whether nobody has the store at `path` open. Touches nothing.
pub(crate) fn check_free(path: &Path) -> Result<(), DirectoryError> {
    files::check_unlocked(path, &path.join(LOCK))
}

/// Looks, and touches nothing.
pub(crate) fn look(path: &Path) -> Result<Found, DirectoryError> {
    let Some(names) = files::names(path)? else { return Ok(Found::Nothing) };
    if names.iter().any(|name| name == IDENTITY) {
        return read_identity(path).map(Found::Store);
    }
    if names.iter().all(|name| [LOCK, IDENTITY_NEW].contains(&name.as_str())) {
        return Ok(Found::Nothing);
    }
    let several = names.iter().any(|name| name == CLUSTER);
    Err(DirectoryError::new(path, if several { Problem::SeveralStores } else { Problem::Foreign }))
}

fn read_identity(directory: &Path) -> Result<Identity, DirectoryError> {
    let path = directory.join(IDENTITY);
    let bytes = files::read(&path, IDENTITY_BYTES as u64 + 1)?.unwrap_or_default();
    let problem = match Identity::decode(&bytes) {
        Some(Ok(identity)) => return Ok(identity),
        Some(Err(Unreadable::Newer(what, found))) => Problem::Newer(format!("{what} {found}")),
        Some(Err(Unreadable::Damaged(what))) => Problem::Damaged(what.into()),
        None => Problem::Damaged("it is not an identity of Skep's".into()),
    };
    Err(DirectoryError::new(&path, problem))
}

impl StoreDir {
    /// Makes a store where there is nothing. `identity.life` is its first life.
    pub(crate) fn create(path: &Path, identity: Identity) -> Result<StoreDir, DirectoryError> {
        match look(path)? {
            Found::Nothing => {}
            Found::Store(_) => return Err(DirectoryError::new(path, Problem::OtherStore)),
        }
        files::make_directory(path)?;
        let lock = files::lock(path, &path.join(LOCK))?;
        files::replace(&path.join(IDENTITY), &identity.encode())?;
        let dir = StoreDir { path: path.to_path_buf(), identity, _lock: lock };
        dir.make_parts()?;
        Ok(dir)
    }

    /// Opens a store, of `cluster` if that is given, and begins its next life, durably.
    pub(crate) fn open(path: &Path, cluster: Option<ClusterId>) -> Result<StoreDir, DirectoryError> {
        check_cluster(path, cluster)?;
        let lock = files::lock(path, &path.join(LOCK))?;
        // Read again: whoever had the lock until now may have written.
        let identity = check_cluster(path, cluster)?;
        let mut dir = StoreDir { path: path.to_path_buf(), identity, _lock: lock };
        dir.make_parts()?;
        dir.replace_identity(Identity { life: Life(identity.life.0 + 1), ..identity })?;
        Ok(dir)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the log lies.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where checkpoints lie.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// Where it stands which names of regions were given.
    pub(crate) fn region_ids(&self) -> PathBuf {
        self.path.join(REGION_IDS)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers which cluster the store belongs to from now on.
    pub(crate) fn set_cluster(&mut self, cluster: ClusterId) -> Result<(), DirectoryError> {
        self.replace_identity(Identity { cluster, ..self.identity })
    }

    /// Remembers that the store's regions were made.
    pub(crate) fn set_born(&mut self) -> Result<(), DirectoryError> {
        self.replace_identity(Identity { is_born: true, ..self.identity })
    }

    /// As if the lights had gone out before [`set_born`](StoreDir::set_born).
    #[cfg(test)]
    pub(crate) fn set_unborn(&mut self) {
        self.replace_identity(Identity { is_born: false, ..self.identity }).unwrap();
    }

    fn replace_identity(&mut self, identity: Identity) -> Result<(), DirectoryError> {
        files::replace(&self.path.join(IDENTITY), &identity.encode())?;
        self.identity = identity;
        Ok(())
    }

    fn make_parts(&self) -> Result<(), DirectoryError> {
        [self.log(), self.snapshots()].iter().try_for_each(|part| match self.identity.is_born {
            false => files::make_empty_directory(part),
            true if part.is_dir() => Ok(()),
            true => Err(DirectoryError::new(part, Problem::Missing)),
        })
    }
}

fn check_cluster(path: &Path, expected: Option<ClusterId>) -> Result<Identity, DirectoryError> {
    let identity = match look(path)? {
        Found::Store(identity) => identity,
        Found::Nothing => return Err(DirectoryError::new(path, Problem::Missing)),
    };
    match expected {
        Some(expected) if expected != identity.cluster => {
            let found = identity.cluster;
            Err(DirectoryError::new(path, Problem::OtherCluster { found, expected }))
        }
        Some(_) | None => Ok(identity),
    }
}

#[cfg(test)]
mod tests;

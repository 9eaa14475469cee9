//! What every peer must be able to do, and where it does it.

use std::error::Error;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::measure::{Cost, cost_on};
use crate::work::{Payloads, Work};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A log under test, new and with its space prepared.
pub(crate) trait Peer {
    /// Appends a batch of this number, and makes it durable if asked to.
    fn batch(&mut self, number: u64, work: &Work, payloads: &Payloads) -> Result<()>;
}

/// Makes a peer with room for the work.
pub(crate) type Make = fn(&std::path::Path, &Work) -> Result<Box<dyn Peer>>;

/// A directory that goes when it is dropped.
pub(crate) fn directory() -> Result<TempDir> {
    let base = std::env::var_os("SKEP_PEERS_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    Ok(tempfile::Builder::new().prefix("skep-peers-").tempdir_in(base)?)
}

/// Does the work on a new log; only the work is measured.
pub(crate) fn run(make: Make, work: &Work, payloads: &Payloads) -> Result<Cost> {
    let directory = directory()?;
    let mut peer = make(directory.path(), work)?;
    let (done, cost) = cost_on(directory.path(), || {
        (0..work.batches).try_for_each(|number| peer.batch(number, work, payloads))
    });
    done?;
    Ok(cost)
}

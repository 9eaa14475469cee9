//! A snapshot that has arrived: whole, verified and durable, and not yet anybody's state.

use std::fmt;
use std::sync::Arc;

use skep_wal::DiskFile;

use super::file::{SectionPlace, SectionReader};
use crate::ids::{RegionId, ReplicaId, StoreId, Term};
use crate::message::SnapshotMeta;

/// See the page of this file.
#[derive(Clone)]
pub struct ReceivedSnapshot {
    /// Of which region.
    pub region: RegionId,
    /// Who sent it.
    pub from: ReplicaId,
    /// The sender's term.
    pub term: Term,
    /// What it contains.
    pub meta: SnapshotMeta,
    /// The file it lies in until it is adopted or discarded.
    pub name: String,
    pub(super) sender: StoreId,
    pub(super) transfer: u64,
    pub(super) number: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) place: SectionPlace,
}

impl ReceivedSnapshot {
    /// Reads what the sender's machine wrote. Checks what it reads, so that an error is damage since it was verified.
    pub fn open(&self) -> SectionReader {
        SectionReader::new(self.file.clone(), &self.name, self.region, self.place)
    }
}

impl fmt::Debug for ReceivedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot of {} at {:?} from {} in {}", self.region, self.meta.at, self.from, self.name)
    }
}

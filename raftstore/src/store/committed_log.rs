//! Reading a region's entries out of the shared log.

use std::sync::Arc;

use bytes::Bytes;
use skep_wal::{Wal, WalError};

use crate::apply::CommittedLog;
use crate::ids::{Index, RegionId, Term};
use crate::raft::{Entries, Entry, Payload};

/// Entries `first..=last` of a region; fewer if they are over `bytes_max`, but at least one.
pub(super) fn read_entries(
    wal: &Wal,
    region: RegionId,
    first: u64,
    last: u64,
    bytes_max: usize,
) -> Result<Entries, WalError> {
    let mut found = Vec::new();
    wal.read(region.stream(), first, last, bytes_max, &mut found)?;
    let entry = |found: skep_wal::LogEntry| {
        // Only payloads that parsed were ever appended, and the log checks its bytes.
        let payload = Payload::parse(found.payload)?;
        Some(Entry { index: Index(found.index), term: Term(found.term), payload })
    };
    Ok(found.into_iter().map_while(entry).collect())
}

/// The log as the apply threads see it.
pub(super) struct SharedLog(pub(super) Arc<Wal>);

impl CommittedLog for SharedLog {
    fn read(
        &self,
        region: RegionId,
        first: Index,
        last: Index,
        bytes_max: usize,
        out: &mut Vec<(Index, Term, Bytes)>,
    ) -> Result<(), String> {
        let mut found = Vec::new();
        self.0
            .read(region.stream(), first.0, last.0, bytes_max, &mut found)
            .map_err(|error| error.to_string())?;
        out.extend(found.into_iter().map(|entry| (Index(entry.index), Term(entry.term), entry.payload)));
        Ok(())
    }
}

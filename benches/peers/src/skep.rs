//! Skep's log.

use std::path::Path;
use std::sync::Arc;

use skep_wal::{Batch, RealDisk, StreamId, Wal, WalConfig};

use crate::peer::{Peer, Result};
use crate::work::{Payloads, Work, regions};

pub(crate) struct Skep {
    wal: Wal,
    batch: Batch,
}

pub(crate) fn make(directory: &Path, work: &Work) -> Result<Box<dyn Peer>> {
    let config = WalConfig::default();
    let segments = work.bytes_max().div_ceil(config.segment_bytes) as usize;
    let wal = open(directory, WalConfig { prepared_segments: segments, ..config })?;
    wal.maintain()?;
    Ok(Box::new(Skep { wal, batch: Batch::new() }))
}

pub(crate) fn open(directory: &Path, config: WalConfig) -> Result<Wal> {
    Ok(Wal::open(Arc::new(RealDisk::open(directory)?), config)?.0)
}

/// Puts the entries of a batch of this number into `batch`.
pub(crate) fn fill(batch: &mut Batch, number: u64, entries_per_region: u64, payloads: &Payloads) {
    for (region, first) in regions(number, entries_per_region) {
        let entries = (first..first + entries_per_region).map(|index| payloads.of(region, index));
        batch.entries(StreamId(region), first, 1, entries);
    }
}

impl Peer for Skep {
    fn batch(&mut self, number: u64, work: &Work, payloads: &Payloads) -> Result<()> {
        fill(&mut self.batch, number, work.entries_per_region, payloads);
        self.wal.append(&mut self.batch)?;
        if work.is_synced {
            self.wal.sync()?;
        }
        Ok(())
    }
}

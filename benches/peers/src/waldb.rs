//! `wal-db`: one record per batch, framed by the caller. It keeps no index.

use std::path::Path;

use wal_db::Wal;

use crate::peer::{Peer, Result};
use crate::work::{Payloads, Work, regions};

struct WalDb {
    wal: Wal,
    buffer: Vec<u8>,
}

pub(crate) fn make(directory: &Path, _work: &Work) -> Result<Box<dyn Peer>> {
    Ok(Box::new(WalDb { wal: Wal::open(directory.join("wal-db"))?, buffer: Vec::new() }))
}

impl Peer for WalDb {
    fn batch(&mut self, number: u64, work: &Work, payloads: &Payloads) -> Result<()> {
        self.buffer.clear();
        for (region, first) in regions(number, work.entries_per_region) {
            for index in first..first + work.entries_per_region {
                let payload = payloads.of(region, index);
                self.buffer.extend_from_slice(&region.to_le_bytes());
                self.buffer.extend_from_slice(&index.to_le_bytes());
                self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                self.buffer.extend_from_slice(payload);
            }
        }
        let _place = self.wal.append(&self.buffer)?;
        if work.is_synced {
            self.wal.sync()?;
        }
        Ok(())
    }
}

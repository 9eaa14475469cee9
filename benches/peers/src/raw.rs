//! The limit: checksum the same bytes, write them once per batch into prewritten blocks, sync.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::peer::{Peer, Result};
use crate::work::{Payloads, Work, regions};

/// What stands before each payload: checksum, length, region.
const HEADER_BYTES: usize = 16;

pub(crate) struct Raw {
    file: File,
    end: u64,
    buffer: Vec<u8>,
}

pub(crate) fn make(directory: &Path, work: &Work) -> Result<Box<dyn Peer>> {
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(directory.join("raw"))?;
    let zeros = [0; 16 * 1024];
    for at in (0..work.bytes_max()).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(Box::new(Raw { file, end: 0, buffer: Vec::new() }))
}

impl Peer for Raw {
    fn batch(&mut self, number: u64, work: &Work, payloads: &Payloads) -> Result<()> {
        self.buffer.clear();
        for (region, first) in regions(number, work.entries_per_region) {
            for index in first..first + work.entries_per_region {
                let payload = payloads.of(region, index);
                let mut header = [0; HEADER_BYTES];
                header[..4].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
                header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
                header[8..].copy_from_slice(&region.to_le_bytes());
                self.buffer.extend_from_slice(&header);
                self.buffer.extend_from_slice(payload);
            }
        }
        self.file.write_all_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        if work.is_synced {
            self.file.sync_data()?;
            self.end = self.end.next_multiple_of(4096);
        }
        Ok(())
    }
}

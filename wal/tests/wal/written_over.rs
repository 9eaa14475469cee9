//! A recycled segment is being written over when the power goes: its old header may be all that is left of the
//! old one, and must not be taken for a damaged part of the log.

use std::sync::Arc;

use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig};

const STREAM: StreamId = StreamId(3);

/// Entries are appended and forgotten until segments have been recycled many times; at some point the power goes,
/// with a few frames not synced.
#[test]
fn a_recycled_segment_that_was_partly_written_over_is_no_damage() {
    let config = || WalConfig { segment_bytes: 16 << 10, ..WalConfig::small() };
    for seed in 0..150 {
        let disk = MemDisk::new(seed);
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config()).unwrap();
        let mut batch = Batch::new();
        let mut synced = 0;
        for index in 1..200 + seed {
            batch.entries(STREAM, index, 1, [[index as u8; 700].as_slice()]);
            if index > 4 {
                batch.compact(STREAM, index - 4, 1);
            }
            wal.append(&mut batch).unwrap();
            if index % 3 == 0 {
                wal.sync().unwrap();
                synced = index;
            }
            if index % 5 == 0 {
                wal.maintain().unwrap();
            }
        }
        disk.crash(seed);
        let (wal, report) = Wal::open(Arc::new(disk.clone()), config()).unwrap();
        assert!(report.damaged.is_empty(), "seed {seed}: {report:?}");
        assert!(wal.stream(STREAM).unwrap().last_index >= synced, "seed {seed}");
    }
}

//! Wrong builds of the log are noticed.

use std::sync::Arc;

use skep_wal::{Batch, MemDisk, Mutant, StreamId, Wal, WalConfig};

/// A log that says it synced and did not loses what it acknowledged in nearly every crash.
#[test]
fn skipped_syncs_lose_acknowledged_entries() {
    let lost = (0..20).filter(|seed| {
        let disk = MemDisk::new(1);
        let config = WalConfig { mutant: Some(Mutant::SkipSync), ..WalConfig::small() };
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config).unwrap();
        let mut batch = Batch::new();
        batch.entries(StreamId(1), 1, 1, [vec![1; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
        assert_eq!(wal.durable_lsn(), wal.appended_lsn());
        disk.crash(*seed);
        Wal::open(Arc::new(disk), WalConfig::small()).unwrap().0.stream(StreamId(1)).is_none()
    });
    assert!(lost.count() > 15);
}

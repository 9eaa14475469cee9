//! Opening the log is itself interrupted, at any of its syncs: what the next process finds in the page cache
//! alone must not become what the log stands on.

use std::sync::Arc;

use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig};

const STREAM: StreamId = StreamId(7);

fn append(wal: &Wal, first: u64, count: u64) {
    let mut batch = Batch::new();
    for index in first..first + count {
        batch.entries(STREAM, index, 3, [index.to_le_bytes().as_slice()]);
        batch.hard_state(STREAM, b"voted");
        wal.append(&mut batch).unwrap();
    }
}

fn open(disk: &MemDisk) -> Wal {
    Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0
}

/// A process dies with an unsynced tail. The next writes it again and dies at one of its syncs, the page cache
/// lives on. A third opens the log, appends and syncs, and then the power goes. All that was synced is there.
#[test]
fn a_process_that_dies_while_opening_leaves_nothing_that_can_be_lost_later() {
    for (failing, seed) in (0..10).flat_map(|failing| (0..12).map(move |seed| (failing, seed))) {
        let disk = MemDisk::new(seed);
        let wal = open(&disk);
        append(&wal, 1, 3);
        wal.sync().unwrap();
        append(&wal, 4, 3);
        disk.restart();

        disk.fail_sync(failing, false);
        let interrupted = Wal::open(Arc::new(disk.clone()), WalConfig::small()).is_err();
        disk.fail_sync(u64::MAX, false);
        disk.restart();

        let wal = open(&disk);
        append(&wal, 7, 3);
        wal.sync().unwrap();
        disk.crash(seed);

        let info = open(&disk).stream(STREAM).unwrap();
        let found = (info.last_index, info.damaged);
        assert_eq!(found, (9, None), "sync {failing} failed ({interrupted}), crash {seed}");
    }
}

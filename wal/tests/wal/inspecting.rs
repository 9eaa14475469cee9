//! Looking at a log changes nothing, and tells what opening it would find.

use std::sync::Arc;

use skep_wal::{Batch, Disk, MemDisk, SegmentState, StreamId, Wal, WalConfig, inspect};

const ONE: StreamId = StreamId(1);

fn append(wal: &Wal, indexes: std::ops::RangeInclusive<u64>) {
    let mut batch = Batch::new();
    for index in indexes {
        batch.entries(ONE, index, 1, [[index as u8; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
    }
}

fn bytes_of(disk: &MemDisk) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let file = disk.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        (name, bytes)
    };
    disk.list().unwrap().into_iter().map(read).collect()
}

/// A log with a segment that nobody needs, one that is live, and a torn end.
fn written() -> MemDisk {
    let disk = MemDisk::new(1);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
    append(&wal, 1..=90);
    let mut batch = Batch::new();
    batch.compact(ONE, 60, 1);
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    append(&wal, 91..=91);
    disk.restart();
    disk
}

#[test]
fn looking_changes_nothing() {
    let disk = written();
    let (before, counters) = (bytes_of(&disk), disk.counters());
    let found = inspect(Arc::new(disk.clone())).unwrap().unwrap();
    assert_eq!((bytes_of(&disk), disk.counters()), (before, counters));
    let states: Vec<_> = found.segments.iter().map(|segment| segment.state).collect();
    assert_eq!(states[0], SegmentState::Reclaimable);
    assert!(matches!(states.last(), Some(SegmentState::Live { items, .. }) if *items > 0), "{states:?}");
    assert!(found.report.rewritten_bytes > 3000 && found.report.torn_tail.is_none());
    let info = found.log.stream(ONE).unwrap();
    assert_eq!((info.base_index, info.last_index), (60, 91));
    let mut read = Vec::new();
    found.log.read(ONE, 61, 91, usize::MAX, &mut read).unwrap();
    assert!(read.iter().all(|entry| entry.payload[..] == [entry.index as u8; 3000]));
    // And the store that opens it afterwards finds the same.
    let (wal, report) = Wal::open(Arc::new(disk), WalConfig::small()).unwrap();
    assert_eq!(report.rewritten_bytes, found.report.rewritten_bytes);
    assert_eq!(wal.stream(ONE).unwrap().last_index, 91);
}

/// Whatever was appended last, and whether or not the next frame repeats it: a log at rest proves all that is in it.
#[test]
fn a_log_at_rest_leaves_nothing_to_do() {
    for last_is_hard_state in [false, true] {
        let disk = MemDisk::new(1);
        let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
        append(&wal, 1..=3);
        if last_is_hard_state {
            let mut batch = Batch::new();
            batch.hard_state(ONE, b"a vote");
            wal.append(&mut batch).unwrap();
        }
        wal.rest().unwrap();
        let found = inspect(Arc::new(disk)).unwrap().unwrap();
        let report = &found.report;
        assert_eq!((report.rewritten_bytes, report.torn_tail), (0, None), "{last_is_hard_state}");
    }
}

#[test]
fn damage_and_torn_ends_are_told() {
    let disk = written();
    let newest = bytes_of(&disk).into_iter().max_by_key(|(_, bytes)| bytes[32]).unwrap();
    let frame =
        |n: usize| (4096..newest.1.len() - 64).filter(|at| newest.1[*at..].starts_with(&[1, 1, 0, 0])).nth(n);
    disk.flip_bit(&newest.0, frame(2).unwrap() as u64 + 200, 0);
    let found = inspect(Arc::new(disk)).unwrap().unwrap();
    assert_eq!(found.report.damaged, [ONE]);
}

/// Nothing is there, or something that was prepared and never used: that is no log.
#[test]
fn an_empty_directory_has_no_log() {
    let disk = MemDisk::new(1);
    assert!(inspect(Arc::new(disk.clone())).unwrap().is_none());
    disk.create("segment-00000001").unwrap().prewrite(100).unwrap();
    assert!(inspect(Arc::new(disk.clone())).unwrap().is_none());
    assert_eq!(disk.list().unwrap().len(), 1);
}

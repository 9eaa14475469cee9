//! The log stays short: idle streams are carried forward, segments are recycled, and their old bytes never
//! parse.

use std::sync::Arc;

use crate::twin::Twin;
use skep_wal::{Batch, LogEntry, MemDisk, RealDisk, StateName, StreamId, Wal, WalConfig};

const BUSY: StreamId = StreamId(9999);

fn idle_streams(wal: &Wal) -> Twin {
    let mut batch = Batch::new();
    for id in (1..=200).map(StreamId) {
        batch.entries(id, 1, 3, [b"one".as_slice(), b"two"]);
        batch.compact(id, 1, 3);
        batch.hard_state(id, &id.0.to_le_bytes());
        batch.state(id, StateName(1), b"born");
    }
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    Twin::of(wal)
}

/// One busy stream, two hundred that wrote once. The log is a few segments long however much is written, and
/// after a crash the idle ones are as they were, though the segments they wrote to have been overwritten many
/// times.
#[test]
fn idle_streams_do_not_pin_the_log() {
    let disk = MemDisk::new(3);
    let (mut wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
    let idle = idle_streams(&wal);
    let mut batch = Batch::new();
    let mut recycled = 0;
    for round in 0..600u64 {
        batch.entries(BUSY, round + 1, 1, [vec![round as u8; 3000].as_slice()]);
        if round > 5 {
            batch.compact(BUSY, round - 5, 1);
        }
        wal.append(&mut batch).unwrap();
        if round % 3 == 0 {
            wal.sync().unwrap();
            recycled += wal.maintain().unwrap().recycled;
            let usage = wal.usage();
            let bound = 2 * usage.live_bytes + 6 * usage.segment_bytes;
            assert!(usage.log_bytes <= bound + 3 * usage.segment_bytes, "{usage:?}");
        }
        if round % 100 == 99 {
            wal.sync().unwrap();
            disk.crash(round);
            let (again, report) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
            assert!(report.damaged.is_empty(), "{report:?}");
            wal = again;
            let mut found = Twin::of(&wal);
            found.streams.remove(&BUSY.0);
            assert_eq!(found, idle);
        }
    }
    assert!(recycled > 10, "{recycled}");
}

/// Ten thousand streams that wrote once, and a busy one, for as long as it runs. The log stays within twice what is live
/// and four segments. Reclaiming costs the busy stream no more than a frame of `carry_frame_bytes` at a time, whose
/// write is the longest thing an append ever waits for, and in all no more bytes than the stream itself writes.
#[test]
fn space_stays_within_its_bound_and_appends_wait_for_no_more_than_a_frame() {
    let disk = MemDisk::new(3);
    let config = WalConfig { segment_bytes: 1 << 20, ..WalConfig::small() };
    let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
    let mut batch = Batch::new();
    for id in (1..=10_000).map(StreamId) {
        batch.entries(id, 1, 3, [[id.0 as u8; 128].as_slice()]);
        batch.hard_state(id, &id.0.to_le_bytes());
        if id.0 % 16 == 0 {
            wal.append(&mut batch).unwrap();
        }
    }
    wal.append(&mut batch).unwrap();
    wal.rest().unwrap();
    let (mut appended, mut carried, mut most) = (0u64, 0u64, 0u64);
    for round in 1..=12_000u64 {
        batch.entries(BUSY, round + 1, 1, [[round as u8; 4000].as_slice()]);
        batch.compact(BUSY, round.saturating_sub(8).max(1), 1);
        appended += batch.bytes();
        wal.append(&mut batch).unwrap();
        if round % 32 != 0 {
            continue;
        }
        wal.sync().unwrap();
        let before = disk.counters();
        let done = wal.maintain().unwrap();
        let after = disk.counters();
        carried += after.bytes - before.bytes - done.prepared as u64 * config.segment_bytes;
        most = most.max(after.write_bytes_max);
        let usage = wal.usage();
        let (bound, held) = (2 * usage.live_bytes + 4 * config.segment_bytes, usage.segments as u64);
        assert!(held * config.segment_bytes <= bound, "round {round}: {held} segments, {usage:?}");
    }
    assert!(most <= config.carry_frame_bytes + 4096, "a write of {most} bytes");
    assert!(carried <= appended, "{carried} bytes carried for {appended} bytes appended");
    assert_eq!(wal.streams().len(), 10_000);
}

/// Two copies of everything would be wrong as well: what is carried replaces nothing that came later.
#[test]
fn carrying_leaves_the_newer_alone() {
    let disk = MemDisk::new(3);
    let config = WalConfig { slack_segments: 1, ..WalConfig::small() };
    let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
    let (one, mut batch) = (StreamId(1), Batch::new());
    batch.entries(one, 1, 1, [b"1".as_slice(), b"2", b"3"]);
    wal.append(&mut batch).unwrap();
    for index in 1..200 {
        batch.entries(BUSY, index, 1, [vec![0; 3000].as_slice()]);
        batch.compact(BUSY, index, 1);
        wal.append(&mut batch).unwrap();
    }
    batch.entries(one, 3, 2, [b"new 3".as_slice(), b"4"]);
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    let before = Twin::of(&wal);
    assert!(wal.maintain().unwrap().carried > 0);
    assert_eq!(Twin::of(&wal), before);
    wal.sync().unwrap();
    disk.crash(1);
    assert_eq!(Twin::of(&Wal::open(Arc::new(disk), config).unwrap().0), before);
}

/// A stream with many entries in the oldest segment is reported to its owner, not carried.
#[test]
fn large_streams_are_reported() {
    let (wal, _) = Wal::open(Arc::new(MemDisk::new(3)), WalConfig::small()).unwrap();
    let mut batch = Batch::new();
    for index in 1..=300 {
        batch.entries(StreamId(index % 2 + 1), index.div_ceil(2), 1, [vec![0; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
    }
    wal.sync().unwrap();
    wal.maintain().unwrap();
    let pins = wal.oldest(10);
    assert_eq!(pins.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2]);
    let before = wal.usage().segments;
    for (id, through) in pins {
        batch.compact(id, through, 1);
    }
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    wal.maintain().unwrap();
    assert!(wal.usage().segments < before);
}

/// On a real file system: slices of the map stay what they were while their segment would like to be
/// recycled.
#[test]
fn held_slices_hold_back_recycling() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (wal, report) = Wal::open(disk, WalConfig::small()).unwrap();
    assert_eq!(report.segments, 0);
    let mut batch = Batch::new();
    let mut held: Vec<LogEntry> = Vec::new();
    for round in 0..400u64 {
        batch.entries(BUSY, round + 1, 1, [vec![round as u8; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
        if round == 10 {
            wal.read(BUSY, 5, 11, usize::MAX, &mut held).unwrap();
        }
        if round >= 10 {
            batch.compact(BUSY, round + 1, 1);
            wal.append(&mut batch).unwrap();
        }
        if round % 20 == 0 {
            wal.sync().unwrap();
            wal.maintain().unwrap();
        }
    }
    for entry in &held {
        assert!(entry.payload.iter().all(|byte| u64::from(*byte) == entry.index - 1));
    }
    assert_eq!(wal.usage().held_segments, 1);
    held.clear();
    wal.maintain().unwrap();
    wal.maintain().unwrap();
    assert_eq!(wal.usage().held_segments, 0);
    drop(wal);
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (wal, report) = Wal::open(disk, WalConfig::small()).unwrap();
    assert!(report.damaged.is_empty());
    assert_eq!(wal.stream(BUSY).unwrap().base_index, 400);
}

//! The defects of `raft-io`'s durable log, by their numbers: none of them exists here.

use std::sync::Arc;

use skep_wal::{Disk, MemDisk, Wal, WalConfig};

use super::cluster::{config, leader};
use super::logs_agree::open_small;
use crate::node::{Error, Event, HardState, LogEntry, RaftLog, RaftNode, Snapshot, WalLog};
use crate::raft::{Membership, ReplicaId};

fn entries(first: u64, count: u64) -> Vec<LogEntry> {
    (first..first + count).map(|index| LogEntry::new(1, index, vec![index as u8; 500])).collect()
}

fn snapshot(index: u64, bytes: usize) -> Snapshot {
    let config = Membership::of_voters(vec![ReplicaId(1)]);
    Snapshot { index, term: 1, config, data: vec![index as u8; bytes].into() }
}

/// A compaction let go of nothing on disk.
#[test]
fn d1_space_comes_back() {
    let disk = MemDisk::new(1);
    let config = WalConfig { carry_entry_bytes_max: u64::MAX, ..WalConfig::small() };
    let segment_bytes = config.segment_bytes;
    let (wal, _) = Wal::open(Arc::new(disk), config).unwrap();
    let wal = Arc::new(wal);
    let mut log = WalLog::of_group(wal.clone(), 0).unwrap();
    let mut written = 0;
    for round in 0..50 {
        let index = (round + 1) * 100;
        log.append(&entries(index - 99, 100)).unwrap();
        log.apply_snapshot(&snapshot(index, 40_000)).unwrap();
        log.compact(index).unwrap();
        log.sync().unwrap();
        written += 90_000;
    }
    let usage = wal.usage();
    assert!(usage.log_bytes <= 10 * segment_bytes, "{} of {written} bytes", usage.log_bytes);
    assert!(written > 3 * usage.log_bytes);
}

/// Dropping old records would have taken the tail with it, and came before the snapshot was durable.
#[test]
fn d2_a_crash_leaves_the_old_snapshot_or_the_new_and_never_less() {
    let mut seen = [0, 0];
    for seed in 0..60 {
        let disk = MemDisk::new(seed);
        let mut log = open_small(&disk);
        log.append(&entries(1, 50)).unwrap();
        log.apply_snapshot(&snapshot(20, 300)).unwrap();
        log.compact(20).unwrap();
        log.sync().unwrap();
        // The next one never gets its sync.
        log.apply_snapshot(&snapshot(40, 300)).unwrap();
        log.compact(40).unwrap();
        disk.crash(seed);
        let log = open_small(&disk);
        let snapshot = log.snapshot().unwrap().unwrap();
        assert_eq!(snapshot.data, vec![snapshot.index as u8; 300]);
        assert!(log.base_index() <= snapshot.index);
        assert_eq!(log.entries(log.base_index() + 1, 50).unwrap().len() as u64, 50 - log.base_index());
        seen[usize::from(snapshot.index == 40)] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

/// More than one record's worth of state was fatal.
#[test]
fn d3_a_snapshot_may_be_longer_than_a_record() {
    let disk = MemDisk::new(1);
    let mut log = WalLog::on_disk(Arc::new(disk.clone())).unwrap();
    log.append(&entries(1, 10)).unwrap();
    let big = snapshot(10, 65 << 20);
    log.apply_snapshot(&big).unwrap();
    log.compact(10).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(1);
    let log = WalLog::on_disk(Arc::new(disk)).unwrap();
    assert_eq!((log.base_index(), log.last_index()), (10, 10));
    assert!(log.snapshot().unwrap() == Some(big));
}

/// A disk with votes and entries, all proven durable, and the names of its files.
fn written() -> MemDisk {
    let disk = MemDisk::new(1);
    let mut log = open_small(&disk);
    for round in 0..20 {
        log.set_hard_state(HardState { term: round + 1, voted_for: Some(2) }).unwrap();
        log.append(&entries(round * 5 + 1, 5)).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.restart();
    disk
}

fn reopened(disk: &MemDisk) -> Result<WalLog, Error> {
    disk.restart();
    let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
    WalLog::of_group(Arc::new(wal), 3)
}

/// One bit that flipped in a synced record, and the log was opened as if it had never been written.
#[test]
fn d4_rot_is_refused_and_never_forgotten() {
    let names = written().list().unwrap();
    let (mut refused, mut whole) = (0, 0);
    for offset in (4096..40_000_u64).step_by(97) {
        let disk = written();
        if !names.iter().any(|name| name.starts_with("segment") && disk.flip_bit(name, offset, 3)) {
            continue;
        }
        match reopened(&disk) {
            Err(error) => {
                assert!(error.is_fatal() && error.to_string().contains("damaged"), "{error}");
                refused += 1;
            }
            Ok(log) => {
                assert_eq!((log.last_index(), log.hard_state().term), (100, 20), "offset {offset}");
                whole += 1;
            }
        }
    }
    assert!(refused > 100, "{refused} refused, {whole} hit nothing that counts");
}

/// One write for each entry, one file and one sync for each group.
#[test]
fn d5_many_entries_are_one_write_and_groups_share_a_sync() {
    let disk = MemDisk::new(1);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::default()).unwrap();
    let wal = Arc::new(wal);
    let mut nodes: Vec<_> = (0..50)
        .map(|group| {
            leader(config(1, 1).with_group(group), WalLog::of_group(wal.clone(), group as u32).unwrap())
        })
        .collect();
    let before = disk.counters();
    nodes[0].step(Event::ProposeAll(vec!["x".into(); 1000])).unwrap();
    let after = disk.counters();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (1, 1));
    let mut logs: Vec<WalLog> =
        (50..100).map(|group| WalLog::of_group(wal.clone(), group).unwrap()).collect();
    for log in &mut logs {
        log.append(&entries(1, 3)).unwrap();
    }
    logs[0].sync().unwrap();
    assert_eq!(disk.counters().syncs - after.syncs, 1, "what all wrote is durable");
    disk.crash(9);
    let (wal, _) = Wal::open(Arc::new(disk), WalConfig::default()).unwrap();
    let wal = Arc::new(wal);
    assert!((50..100).all(|group| WalLog::of_group(wal.clone(), group).unwrap().last_index() == 3));
}

/// A log whose older part is compacted away, so that it begins in a later segment than the first.
fn written_and_compacted() -> MemDisk {
    let disk = MemDisk::new(1);
    let mut log = open_small(&disk);
    for round in 0..30 {
        let index = (round + 1) * 100;
        log.append(&entries(index - 99, 100)).unwrap();
        log.apply_snapshot(&snapshot(index - 50, 1000)).unwrap();
        log.compact(index - 50).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    disk.restart();
    disk
}

/// The place where the log begins was rewritten in place, and losing it lost everything.
#[test]
fn d6_no_single_sector_says_where_the_log_begins() {
    for name in written_and_compacted().list().unwrap() {
        for offset in [20, 2048 + 20] {
            let disk = written_and_compacted();
            disk.flip_bit(&name, offset, 1);
            let log = open_small(&disk);
            assert_eq!(
                (log.base_index(), log.last_index(), log.snapshot_index()),
                (2950, 3000, 2950),
                "{name}"
            );
            assert_eq!(log.entries(2951, 3000).unwrap().len(), 50);
        }
    }
}

/// A sync after writes on both sides of a boundary left one side out.
#[test]
fn d7_a_sync_covers_every_segment_that_was_written() {
    for seed in 0..20 {
        let disk = MemDisk::new(seed);
        let mut log = open_small(&disk);
        for round in 0..8 {
            log.append(&entries(round * 100 + 1, 100)).unwrap();
        }
        log.sync().unwrap();
        drop(log);
        disk.crash(seed);
        let log = open_small(&disk);
        assert_eq!(log.entries(1, 800).unwrap(), entries(1, 800), "seed {seed}");
    }
}

/// A sync that failed was forgotten, and a new file's name was never made durable.
#[test]
fn d8_a_failed_sync_is_the_last() {
    let disk = MemDisk::new(1);
    let mut log = open_small(&disk);
    log.append(&entries(1, 1)).unwrap();
    disk.fail_sync(0, true);
    assert!(log.sync().is_err());
    assert!(log.sync().is_err(), "the disk would say yes by now");
    assert!(log.append(&entries(2, 1)).is_err());
}

#[test]
fn d8_the_first_sync_makes_the_files_durable_too() {
    for seed in 0..20 {
        let disk = MemDisk::new(seed);
        let mut log = WalLog::on_disk(Arc::new(disk.clone())).unwrap();
        log.append(&entries(1, 1)).unwrap();
        log.sync().unwrap();
        drop(log);
        disk.crash(seed);
        let log = WalLog::on_disk(Arc::new(disk)).unwrap();
        let node = RaftNode::with_log(config(1, 1), log);
        assert_eq!(node.log().last_index(), 1, "seed {seed}");
    }
}

//! Bytes that were a log once, but not here: recycled segments, other logs, other places. None of it ever parses.

use std::sync::Arc;

use crate::twin::Twin;
use skep_wal::{Batch, Disk, MemDisk, OpenReport, StreamId, Wal, WalConfig};

const ONE: StreamId = StreamId(1);
const PAGE: usize = 4096;

fn open(disk: &MemDisk) -> (Wal, OpenReport) {
    disk.restart();
    Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap()
}

fn bytes_of(disk: &MemDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn put(disk: &MemDisk, name: &str, at: usize, bytes: &[u8]) {
    let file = disk.open(name).unwrap();
    file.write_at(at as u64, bytes).unwrap();
    file.sync().unwrap();
}

/// Files in use, oldest segment first: number, name.
fn segments(disk: &MemDisk) -> Vec<(u8, String)> {
    let numbered = |name: String| (bytes_of(disk, &name)[32], name);
    let mut files: Vec<_> = disk.list().unwrap().into_iter().map(numbered).collect();
    files.retain(|(number, _)| *number != 0);
    files.sort();
    files
}

/// A log of so many synced entries of one page each, of this seed. The same seed is the same log, byte for byte.
fn log(seed: u64, entries: u64) -> MemDisk {
    let disk = MemDisk::new(seed);
    let (wal, _) = open(&disk);
    let mut batch = Batch::new();
    for index in 1..=entries {
        batch.entries(ONE, index, 1, [vec![index as u8; 1000].as_slice()]);
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
    }
    disk
}

/// The rest of the newest segment holds frames of another log that stood at the very same places: same segment number,
/// same positions, whole checksums. Only their salt is another.
#[test]
fn frames_of_another_log_never_continue_this_one() {
    let (mine, other) = (log(1, 3), log(2, 9));
    let (file, theirs) = (segments(&mine).pop().unwrap().1, segments(&other).pop().unwrap().1);
    let after = 4 * PAGE;
    put(&mine, &file, after, &bytes_of(&other, &theirs)[after..]);
    let (wal, report) = open(&mine);
    assert_eq!(wal.stream(ONE).unwrap().last_index, 3);
    assert!(report.damaged.is_empty(), "{report:?}");
}

/// The log's own frames at places that are not theirs: a later page, an earlier page, another segment.
#[test]
fn frames_at_another_place_never_parse() {
    let clean = log(1, 120);
    clean.restart();
    let files = segments(&clean);
    assert!(files.len() > 2);
    let (last, first) = (&files[files.len() - 1].1, &files[0].1);
    let (newest, oldest) = (bytes_of(&clean, last), bytes_of(&clean, first));
    let used = (PAGE..newest.len()).step_by(PAGE).take_while(|at| newest[*at] == 1).count();
    let free = PAGE * (1 + used);
    for source in [
        &newest[PAGE..2 * PAGE],
        &newest[free - PAGE..free],
        &oldest[PAGE..2 * PAGE],
        &oldest[free..free + PAGE],
    ] {
        let disk = clean.fork();
        put(&disk, last, free, source);
        let (wal, report) = open(&disk);
        assert!(report.damaged.is_empty(), "{report:?}");
        assert_eq!(wal.stream(ONE).unwrap().last_index, 120);
    }
}

/// A write went to the wrong place: one durable frame stands where another should. That is damage, and named.
#[test]
fn a_misdirected_write_is_damage() {
    let disk = log(1, 20);
    let file = segments(&disk).pop().unwrap().1;
    let bytes = bytes_of(&disk, &file);
    put(&disk, &file, 5 * PAGE, &bytes[3 * PAGE..4 * PAGE]);
    let (wal, report) = open(&disk);
    assert_eq!(report.damaged, [ONE]);
    assert_eq!(wal.stream(ONE).unwrap().last_index, 4);
}

/// All files change their names in a circle: names mean nothing.
#[test]
fn swapped_files_are_the_same_log() {
    let disk = log(1, 120);
    let before = Twin::of(&open(&disk).0);
    let files = disk.list().unwrap();
    let contents: Vec<_> = files.iter().map(|name| bytes_of(&disk, name)).collect();
    for (name, bytes) in files.iter().zip(contents.iter().cycle().skip(1)) {
        put(&disk, name, 0, bytes);
    }
    let (wal, report) = open(&disk);
    assert!(report.damaged.is_empty(), "{report:?}");
    assert_eq!(Twin::of(&wal), before);
}

/// The bodies of two segments change places, their headers stay: nothing of it parses, and it is called damage.
#[test]
fn swapped_contents_are_damage() {
    let disk = log(1, 120);
    let files = segments(&disk);
    let (a, b) = (bytes_of(&disk, &files[0].1), bytes_of(&disk, &files[1].1));
    put(&disk, &files[0].1, PAGE, &b[PAGE..]);
    put(&disk, &files[1].1, PAGE, &a[PAGE..]);
    let (wal, report) = open(&disk);
    assert!(report.damaged == [ONE] && report.nameless.is_some(), "{report:?}");
    let mut read = Vec::new();
    let info = wal.stream(ONE).unwrap();
    assert!(info.last_index == 0 || wal.read(ONE, 1, info.last_index, 1, &mut read).is_ok());
}

/// The same tail is recovered, cut and recovered again, so that a file holds unacknowledged frames at exactly the
/// positions where the next segment will have its own: they must not come back.
#[test]
fn an_old_tail_never_comes_back() {
    for seed in 0..60 {
        let disk = MemDisk::new(seed);
        let (wal, _) = open(&disk);
        let mut batch = Batch::new();
        batch.entries(ONE, 1, 1, [b"durable".as_slice()]);
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
        drop(wal);
        for round in 0..4u64 {
            let (wal, _) = open(&disk);
            // Frames of the same lengths in every round, some of them synced by chance, none acknowledged.
            for index in 2..6 {
                batch.entries(ONE, index, 2 + round, [vec![round as u8; 900].as_slice()]);
                wal.append(&mut batch).unwrap();
            }
            drop(wal);
            disk.crash(seed * 10 + round);
            let (wal, report) = open(&disk);
            assert!(report.damaged.is_empty(), "{report:?}");
            // Whatever was recovered is of one round: what a later one wrote replaced what an earlier one had.
            let runs = wal.stream(ONE).unwrap().runs;
            assert!(runs.iter().all(|(_, term)| *term <= 2 + round), "{runs:?}");
            batch.truncate(ONE, 2);
            wal.append(&mut batch).unwrap();
            wal.sync().unwrap();
            disk.crash(seed * 10 + round);
            assert_eq!(open(&disk).0.stream(ONE).unwrap().last_index, 1);
        }
    }
}

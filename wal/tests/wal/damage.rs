//! Bits flip in bytes that were durable: it is noticed, only the streams that are hit are marked, and it is
//! never taken for a torn tail.

use std::sync::Arc;

use skep_wal::{
    Batch, DamagedPart, Disk, MemDisk, OpenReport, StateName, StreamId, Wal, WalConfig, WalError,
};

const FRAMES: u64 = 12;

/// Twelve synced frames about two streams each: frame n about streams n and n + 100.
fn written() -> MemDisk {
    let disk = MemDisk::new(1);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
    let mut batch = Batch::new();
    for n in 1..=FRAMES {
        for stream in [StreamId(n), StreamId(n + 100)] {
            batch.entries(stream, 1, 5, [vec![n as u8; 700].as_slice(), b"second"]);
            batch.hard_state(stream, b"voted");
        }
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
    }
    // At rest: the last records are proven, too.
    wal.maintain().unwrap();
    disk.restart();
    disk
}

fn open(disk: &MemDisk) -> (Wal, OpenReport) {
    disk.restart();
    Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap()
}

/// The file whose header page is not blank, and its bytes.
fn newest(disk: &MemDisk) -> (String, Vec<u8>) {
    let mut best = (String::new(), Vec::new());
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        if bytes[0] != 0 && (best.1.is_empty() || bytes[32] > best.1[32]) {
            best = (name, bytes);
        }
    }
    best
}

/// Where the frames begin: each was written after a sync, on a page of its own.
fn frames(bytes: &[u8]) -> Vec<usize> {
    (4096..bytes.len()).step_by(4096).filter(|at| bytes[*at] == 1).take(FRAMES as usize).collect()
}

/// Any byte of an acknowledged frame changes: it is noticed; only streams of this frame are marked, and none if no more
/// than padding or the list of streams was hit; all others are whole, and nothing is cut. The last frame is no
/// exception: at rest, what stands behind it says that it was durable.
#[test]
fn a_flip_is_noticed_and_marks_whom_it_hits() {
    let clean = newest(&written());
    let places = frames(&clean.1);
    assert_eq!(places.len(), FRAMES as usize);
    for (n, frame) in places.iter().enumerate() {
        let length = u32::from_le_bytes(clean.1[frame + 8..frame + 12].try_into().unwrap()) as usize;
        let step = if n + 1 == places.len() { 1 } else { 23 };
        for offset in (0..length).step_by(step).chain(0..64) {
            let disk = written();
            assert!(disk.flip_bit(&clean.0, (frame + offset) as u64, (offset % 8) as u8));
            let (wal, report) = open(&disk);
            let hit = [StreamId(n as u64 + 1), StreamId(n as u64 + 101)];
            assert!(report.damaged.iter().all(|id| hit.contains(id)), "{n} {offset}: {report:?}");
            assert_eq!(report.torn_tail, None, "{n} {offset}");
            assert_eq!(report.damaged.is_empty(), !report.blemishes.is_empty(), "{n} {offset}: {report:?}");
            for id in wal.streams().into_iter().filter(|id| !report.damaged.contains(id)) {
                assert_eq!(wal.stream(id).unwrap().last_index, 2);
            }
            // A vote is never lost with one frame: the next one has it, too.
            assert!(hit.iter().all(|id| &wal.stream(*id).unwrap().hard_state[..] == b"voted"));
            let part = |id: &StreamId| wal.stream(*id).unwrap().damaged.unwrap().what;
            let is_state = |id: &&StreamId| part(id) == DamagedPart::Anything;
            assert!(report.damaged.iter().filter(is_state).count() <= 1, "{n} {offset}: {report:?}");
        }
    }
}

/// One copy of a segment's header rots: nothing is lost, and it is told.
#[test]
fn a_damaged_copy_of_a_header_is_told() {
    let disk = written();
    let (name, _) = newest(&disk);
    assert!(disk.flip_bit(&name, 2048 + 17, 3));
    let (wal, report) = open(&disk);
    assert_eq!((report.blemishes.len(), report.damaged.len()), (1, 0));
    assert_eq!(wal.streams().len(), 2 * FRAMES as usize);
}

/// A whole sector of small frames, which stand one behind the other, rots or cannot be read: whoever is marked was in a
/// frame with bytes in this sector, and none of them is left out if its data was.
#[test]
fn a_lost_sector_marks_whom_it_hits() {
    let write = || {
        let disk = MemDisk::new(1);
        let (wal, _) = open(&disk);
        let mut batch = Batch::new();
        for n in 1..=20 {
            batch.entries(StreamId(n), 1, 5, [vec![n as u8; 40].as_slice()]);
            batch.hard_state(StreamId(n), b"voted");
            wal.append(&mut batch).unwrap();
        }
        wal.rest().unwrap();
        disk.restart();
        disk
    };
    let (name, bytes) = newest(&write());
    let starts: Vec<usize> = (4096..bytes.len() - 64)
        .step_by(8)
        .filter(|at| bytes[*at] == 1 && bytes[at + 40..at + 48] == bytes[4096 + 40..4096 + 48])
        .take(20)
        .collect();
    let end = |n: usize| starts.get(n + 1).copied().unwrap_or(starts[n] + (starts[1] - starts[0]));
    for sector in (4096..end(19)).step_by(512) {
        for unreadable in [false, true] {
            let disk = write();
            if unreadable {
                disk.break_sector(&name, sector as u64);
            } else {
                let garbage: Vec<u8> = (0..512u32).map(|n| (n * 7 + 1) as u8).collect();
                let file = disk.open(&name).unwrap();
                file.write_at(sector as u64, &garbage).unwrap();
                file.sync().unwrap();
            }
            // What cannot be read costs its page.
            let lost = if unreadable {
                sector / 4096 * 4096..sector / 4096 * 4096 + 4096
            } else {
                sector..sector + 512
            };
            let touched: Vec<u64> = (0..20)
                .filter(|n| starts[*n] < lost.end && end(*n) > lost.start)
                .map(|n| n as u64 + 1)
                .collect();
            let (wal, report) = open(&disk);
            assert_eq!(report.torn_tail, None, "{sector}");
            let all = report.damaged.len() == wal.streams().len();
            assert!(!all || unreadable, "{sector}: {report:?}");
            let is_hit = |id: &StreamId| all || touched.contains(&id.0);
            assert!(report.damaged.iter().all(is_hit), "{sector}: {report:?} {touched:?}");
            for id in (1..=20).map(StreamId).filter(|id| !report.damaged.contains(id)) {
                assert_eq!(wal.stream(id).unwrap().last_index, 1, "{sector}: {id}");
            }
        }
    }
}

/// The mark stays over restarts, and keeps the evidence from being recycled, until the stream is removed.
#[test]
fn a_mark_stays_until_the_stream_is_removed() {
    let disk = written();
    let (name, bytes) = newest(&disk);
    disk.flip_bit(&name, frames(&bytes)[3] as u64 + 400, 1);
    for _ in 0..3 {
        let (wal, report) = open(&disk);
        assert_eq!(report.damaged.len(), 1);
        wal.maintain().unwrap();
    }
    let (wal, report) = open(&disk);
    let hit = report.damaged[0];
    assert_eq!(wal.stream(hit).unwrap().damaged.unwrap().what, DamagedPart::Entries);
    assert_eq!(&wal.stream(hit).unwrap().hard_state[..], b"voted");
    let mut batch = Batch::new();
    batch.remove(hit);
    batch.state(hit, StateName(1), b"tombstone");
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert!(open(&disk).1.damaged.is_empty());
}

/// The head and the trailer of a frame are both gone: nobody knows whom it was about, so everyone is in
/// doubt.
#[test]
fn a_hole_without_names_puts_all_in_doubt() {
    let disk = written();
    let (name, bytes) = newest(&disk);
    let frame = frames(&bytes)[5];
    let length = u32::from_le_bytes(bytes[frame + 8..frame + 12].try_into().unwrap()) as usize;
    disk.flip_bit(&name, frame as u64 + 20, 0);
    disk.flip_bit(&name, (frame + length - 3) as u64, 0);
    let (wal, report) = open(&disk);
    assert_eq!(report.damaged.len(), wal.streams().len());
    // Two streams were in this frame alone. They are known by their hard states, which the next frame repeats.
    assert_eq!(wal.streams().len(), 2 * FRAMES as usize);
    assert_eq!(wal.stream(StreamId(6)).unwrap().last_index, 0);
}

/// Without a later watermark the last frame is a torn tail: it is cut, and its streams are whole.
#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let disk = MemDisk::new(1);
    let (wal, _) = open(&disk);
    let mut batch = Batch::new();
    for n in 1..=3 {
        batch.entries(StreamId(1), n, 1, [vec![n as u8; 600].as_slice()]);
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
    }
    let (name, bytes) = newest(&disk);
    disk.flip_bit(&name, frames(&bytes)[2] as u64 + 300, 0);
    let (wal, report) = open(&disk);
    assert!(report.torn_tail.is_some() && report.damaged.is_empty());
    assert_eq!(wal.stream(StreamId(1)).unwrap().last_index, 2);
    batch.entries(StreamId(1), 3, 2, [b"again".as_slice()]);
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    let (wal, report) = open(&disk);
    assert_eq!(report.torn_tail, None);
    assert_eq!(wal.stream(StreamId(1)).unwrap().runs, [(1, 1), (3, 2)]);
}

/// Rot found while reading is an error for that stream alone.
#[test]
fn rot_found_by_a_reader_is_named() {
    let disk = written();
    let (wal, _) = open(&disk);
    let (first, bytes) = {
        let mut all: Vec<_> =
            disk.list().unwrap().into_iter().map(|name| (name.clone(), read_all(&disk, &name))).collect();
        all.retain(|(_, bytes)| bytes[0] != 0 && !frames(bytes).is_empty());
        all.remove(0)
    };
    disk.flip_bit(&first, frames(&bytes)[0] as u64 + 300, 0);
    let mut out = Vec::new();
    let error = wal.read(StreamId(1), 1, 2, usize::MAX, &mut out).unwrap_err();
    assert!(matches!(error, WalError::Damaged { stream: StreamId(1), index: 1, .. }), "{error}");
    wal.read(StreamId(2), 1, 2, usize::MAX, &mut out).unwrap();
}

fn read_all(disk: &MemDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A newer format is refused by name, and so is a file of another log.
#[test]
fn strangers_are_refused() {
    let disk = written();
    let (name, mut bytes) = newest(&disk);
    bytes[8] = 2;
    for at in [0, 2048] {
        bytes[at + 8] = 2;
        bytes[at + 12..at + 16].fill(0);
        let crc = crc32fast::hash(&bytes[at..at + 128]);
        bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
    }
    disk.open(&name).unwrap().write_at(0, &bytes[..4096]).unwrap();
    let error = Wal::open(Arc::new(disk.clone()), WalConfig::small()).map(drop).unwrap_err();
    assert!(matches!(error, WalError::NewerFormat { found: 2, supported: 1, .. }), "{error}");

    let (mine, other) = (written(), MemDisk::new(2));
    let (wal, _) = Wal::open(Arc::new(other.clone()), WalConfig::small()).unwrap();
    wal.sync().unwrap();
    let (name, bytes) = newest(&other);
    let file = mine.create(&format!("segment-9{}", &name["segment-".len()..])).unwrap();
    file.write_at(0, &bytes).unwrap();
    let error = Wal::open(Arc::new(mine), WalConfig::small()).map(drop).unwrap_err();
    assert!(matches!(error, WalError::Foreign { .. }), "{error}");
}

/// Names mean nothing: swapped files are the same log. A segment that is gone is noticed, and stays noticed.
#[test]
fn a_lost_segment_is_noticed() {
    let disk = MemDisk::new(1);
    let (wal, _) = open(&disk);
    let mut batch = Batch::new();
    for n in 1..=200 {
        batch.entries(StreamId(n % 4), n.div_ceil(4), 1, [vec![n as u8; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
    }
    wal.maintain().unwrap();
    drop(wal);
    let used = |disk: &MemDisk| {
        let mut files: Vec<_> =
            disk.list().unwrap().into_iter().map(|name| (read_all(disk, &name)[32], name)).collect();
        files.retain(|(number, _)| *number != 0);
        files.sort();
        files.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    let files = used(&disk);
    assert!(files.len() > 4);
    for (from, to) in
        [(&files[0], "segment-99"), (&files[1], &files[0][..]), (&"segment-99".to_owned(), &files[1][..])]
    {
        disk.rename(from, to).unwrap();
    }
    let (wal, report) = open(&disk);
    assert!(report.damaged.is_empty() && wal.streams().len() == 4);
    drop(wal);
    disk.remove(&used(&disk)[2]).unwrap();
    for _ in 0..3 {
        let (wal, report) = open(&disk);
        assert_eq!(report.damaged.len(), 4);
        wal.maintain().unwrap();
    }
    disk.remove(&used(&disk)[0]).unwrap();
    for _ in 0..2 {
        let (wal, report) = open(&disk);
        assert_eq!(report.damaged.len(), wal.streams().len());
        wal.maintain().unwrap();
    }
}

/// The file of a segment in the middle was cut short: what stood behind the cut is damage, and what is named stays named.
#[test]
fn a_file_that_was_cut_is_noticed() {
    let disk = MemDisk::new(1);
    let (wal, _) = open(&disk);
    let mut batch = Batch::new();
    for n in 1..=200 {
        batch.entries(StreamId(n % 4), n.div_ceil(4), 1, [vec![n as u8; 3000].as_slice()]);
        wal.append(&mut batch).unwrap();
    }
    wal.rest().unwrap();
    drop(wal);
    let second = disk.list().unwrap().into_iter().find(|name| read_all(&disk, name)[32] == 2).unwrap();
    let file = disk.open(&second).unwrap();
    file.set_len(70_000).unwrap();
    file.sync().unwrap();
    for _ in 0..2 {
        let (wal, report) = open(&disk);
        assert!(report.damaged.len() == 4 && report.nameless.is_some(), "{report:?}");
        assert!(wal.streams().iter().all(|id| wal.stream(*id).unwrap().last_index > 0));
    }
}

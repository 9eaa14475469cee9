//! Whole segments as files, accepted and refused: what one version wrote, the next ones read or refuse by name.
//!
//! `SKEP_WAL_WRITE_GOLDEN=1` writes them anew: only for a new format version. The zeros at the end of a segment are left
//! out.

use std::path::PathBuf;
use std::sync::Arc;

use skep_wal::{Batch, Disk, MemDisk, StateName, StreamId, Wal, WalConfig, WalError};

const SEGMENT_BYTES: u64 = 16 << 10;

fn config() -> WalConfig {
    WalConfig { segment_bytes: SEGMENT_BYTES, ..WalConfig::small() }
}

/// A log of one segment with one record of each kind in it.
fn written() -> Vec<u8> {
    let disk = MemDisk::new(7);
    let (wal, _) = Wal::open(Arc::new(disk.clone()), config()).unwrap();
    let (one, two, three) = (StreamId(1), StreamId(2), StreamId(3));
    let mut batch = Batch::new();
    batch.entries(one, 1, 1, [b"nectar".as_slice(), b"pollen", b"wax", b""]);
    batch.hard_state(one, b"term 1, voted for 2");
    batch.restart(two, 40, 6);
    batch.entries(two, 41, 7, [[0xab; 900].as_slice()]);
    batch.state(three, StateName(2), b"gone");
    wal.append(&mut batch).unwrap();
    wal.sync().unwrap();
    batch.truncate(one, 4);
    batch.compact(one, 1, 1);
    batch.remove(three);
    batch.state(three, StateName(9), b"tombstone");
    wal.append(&mut batch).unwrap();
    wal.rest().unwrap();
    let name = disk.list().unwrap().remove(0);
    let mut bytes = vec![0; SEGMENT_BYTES as usize];
    disk.open(&name).unwrap().read_at(0, &mut bytes).unwrap();
    bytes
}

/// What is refused, and with which words.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut newer_segment = written();
    for at in [0, 2048] {
        newer_segment[at + 8] = 2;
        newer_segment[at + 12..at + 16].fill(0);
        let crc = crc32fast::hash(&newer_segment[at..at + 128]);
        newer_segment[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
    }
    let mut newer_frame = written();
    newer_frame[4096 + 1] = 2;
    let records = u32::from_le_bytes(newer_frame[4096 + 12..4096 + 16].try_into().unwrap()) as usize;
    let salt = u32::from_le_bytes(newer_frame[4096 + 40..4096 + 44].try_into().unwrap());
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&newer_frame[4096..4100]);
    hasher.update(&newer_frame[4104..4096 + 64 + records * 40]);
    newer_frame[4100..4104].copy_from_slice(&hasher.finalize().to_le_bytes());
    let mut no_header = written();
    no_header[7] ^= 0x40;
    no_header[2048 + 90] ^= 1;
    vec![
        ("refused-newer-segment", newer_segment, "has log format 2; this build reads up to 1"),
        ("refused-newer-frame", newer_frame, "has log format 2; this build reads up to 1"),
        ("refused-no-header", no_header, "belongs to another log"),
    ]
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.segment"))
}

/// The bytes are those in the file.
fn check_file(name: &str, bytes: &[u8]) {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if std::env::var_os("SKEP_WAL_WRITE_GOLDEN").is_some() {
        std::fs::write(file(name), &bytes[..end]).unwrap();
    }
    assert!(std::fs::read(file(name)).unwrap() == bytes[..end], "{name} has other bytes than promised");
}

fn load(name: &str) -> MemDisk {
    let disk = MemDisk::new(1);
    let segment = disk.create("segment-00000001").unwrap();
    segment.prewrite(SEGMENT_BYTES).unwrap();
    segment.write_at(0, &std::fs::read(file(name)).unwrap()).unwrap();
    segment.sync().unwrap();
    disk.sync_dir().unwrap();
    disk
}

#[test]
fn a_golden_segment_is_written_and_read() {
    check_file("accepted", &written());
    let (wal, report) = Wal::open(Arc::new(load("accepted")), config()).unwrap();
    assert!(
        report.damaged.is_empty() && report.blemishes.is_empty() && report.torn_tail.is_none(),
        "{report:?}"
    );
    let (one, two) = (wal.stream(StreamId(1)).unwrap(), wal.stream(StreamId(2)).unwrap());
    assert_eq!((one.base_index, one.last_index, &one.hard_state[..]), (1, 3, &b"term 1, voted for 2"[..]));
    assert_eq!((two.base_index, two.base_term, two.last_index, two.last_term), (40, 6, 41, 7));
    let mut read = Vec::new();
    wal.read(StreamId(1), 2, 3, usize::MAX, &mut read).unwrap();
    assert_eq!((&read[0].payload[..], &read[1].payload[..]), (&b"pollen"[..], &b"wax"[..]));
    assert_eq!(wal.state(StreamId(3), StateName(2)), None);
    assert_eq!(&wal.state(StreamId(3), StateName(9)).unwrap()[..], b"tombstone");
}

#[test]
fn golden_segments_are_refused_and_not_touched() {
    for (name, bytes, why) in refused() {
        check_file(name, &bytes);
        let disk = load(name);
        let before = disk.counters();
        let error = Wal::open(Arc::new(disk.clone()), config()).map(drop).unwrap_err();
        assert!(matches!(error, WalError::NewerFormat { .. } | WalError::Foreign { .. }), "{name}: {error}");
        assert!(error.to_string().contains(why), "{name}: {error}");
        assert_eq!(disk.counters(), before, "{name} was touched");
    }
}

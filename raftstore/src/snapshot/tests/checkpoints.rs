//! Files of many regions: written, read back, superseded, carried, damaged, crashed over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use proptest::prelude::*;
use skep_wal::{Disk, MemDisk};

use super::stop_disk::StopDisk;
use super::*;
use crate::snapshot::checkpoints::{CheckpointInfo, Checkpointed, Checkpoints};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::format::{self, CHUNK_BYTES};

type Opened = Result<(Checkpoints, BTreeMap<RegionId, CheckpointInfo>), SnapshotError>;

fn try_open(disk: &(impl Disk + Clone + 'static)) -> Opened {
    Checkpoints::open(Arc::new(disk.clone()), STORE)
}

fn open(disk: &MemDisk) -> Checkpoints {
    let (checkpoints, _) = try_open(disk).unwrap();
    assert!(checkpoints.damaged().is_empty(), "{:?}", checkpoints.damaged());
    checkpoints
}

fn write(checkpoints: &mut Checkpoints, batch: Vec<Taken>) -> Result<Checkpointed, SnapshotError> {
    checkpoints.write(&mut VecDeque::from(batch))
}

/// What `checkpoints` has of a region: its index and how many bytes, all checked.
fn state(checkpoints: &Checkpoints, region: RegionId) -> Option<(u64, u64)> {
    let index = checkpoints.newest(region)?.at.index.0;
    let mut reader = checkpoints.load(region).unwrap()?;
    Some((index, check_pattern(region, index, &mut reader).unwrap()))
}

fn length(disk: &MemDisk, name: &str) -> u64 {
    disk.open(name).unwrap().len().unwrap()
}

#[test]
fn many_regions_in_one_file_with_one_sync_come_back_after_a_restart() {
    let disk = MemDisk::new(1);
    let mut checkpoints = open(&disk);
    let sizes = [0, 1, CHUNK_BYTES as u64 - 1, CHUNK_BYTES as u64, CHUNK_BYTES as u64 + 1, 3_000_000];
    let region = |number: usize| RegionId(number as u64 + 1);
    let batch = sizes.iter().enumerate().map(|(number, &bytes)| taken(region(number), 7, bytes)).collect();
    let written = write(&mut checkpoints, batch).unwrap();
    assert_eq!(written.done.len(), sizes.len());
    assert_eq!(disk.counters().syncs, 1);
    disk.crash(5);
    let checkpoints = open(&disk);
    assert_eq!(checkpoints.files(), 1);
    for (number, &bytes) in sizes.iter().enumerate() {
        assert_eq!(state(&checkpoints, region(number)), Some((7, bytes)));
        let info = checkpoints.newest(region(number)).unwrap();
        assert_eq!((&info.membership, &info.genesis), (&meta(7).membership, &meta(7).genesis));
    }
}

#[test]
fn an_older_state_never_replaces_a_newer_one_and_a_dead_file_goes() {
    let disk = MemDisk::new(1);
    let mut checkpoints = open(&disk);
    write(&mut checkpoints, vec![taken(A, 5, 10)]).unwrap();
    let written = write(&mut checkpoints, vec![taken(A, 4, 99)]).unwrap();
    assert_eq!(written.done, [(A, at(5))]);
    assert_eq!(state(&checkpoints, A), Some((5, 10)));
    write(&mut checkpoints, vec![taken(A, 6, 11)]).unwrap();
    assert_eq!(disk.list().unwrap(), ["checkpoint-0000000000000003"]);
    assert_eq!(state(&checkpoints, A), Some((6, 11)));
}

#[test]
fn the_files_take_at_most_twice_what_is_live() {
    let disk = MemDisk::new(1);
    let mut checkpoints = open(&disk);
    let everyone = (1..=40).map(|region| taken(RegionId(region), 1, 20_000)).collect();
    write(&mut checkpoints, everyone).unwrap();
    for round in 2..200u64 {
        let region = RegionId(1 + round * 7 % 40);
        write(&mut checkpoints, vec![taken(region, round, 20_000)]).unwrap();
        let bytes: u64 = disk.list().unwrap().iter().map(|name| length(&disk, name)).sum();
        assert!(bytes < 2 * 40 * 20_000 + 60_000, "{bytes} bytes after round {round}");
        assert!(!checkpoints.wants_carrying());
    }
    let checkpoints = open(&disk);
    for region in 1..=40 {
        assert_eq!(state(&checkpoints, RegionId(region)).unwrap().1, 20_000);
    }
}

#[test]
fn many_small_files_are_carried_together() {
    let disk = MemDisk::new(1);
    let mut checkpoints = open(&disk);
    for region in 1..=100 {
        write(&mut checkpoints, vec![taken(RegionId(region), 1, 100)]).unwrap();
    }
    assert!(checkpoints.files() <= 65, "{} files", checkpoints.files());
    assert_eq!(state(&checkpoints, RegionId(3)), Some((1, 100)));
}

/// A state that cannot be written down.
struct Broken(bool);

impl SnapshotSource for Broken {
    fn at(&self) -> LogPos {
        at(9)
    }
    fn write_to(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&vec![1; 300_000])?;
        assert!(!self.0, "no words");
        Err(io::Error::other("no words"))
    }
}

#[test]
fn a_state_that_cannot_be_written_spoils_no_other_of_the_file() {
    for panics in [false, true] {
        let disk = MemDisk::new(1);
        let mut checkpoints = open(&disk);
        let broken = Taken { region: B, meta: meta(9), source: Box::new(Broken(panics)) };
        let written =
            write(&mut checkpoints, vec![taken(A, 5, 10), broken, taken(RegionId(3), 5, 10)]).unwrap();
        assert_eq!(written.done, [(A, at(5)), (RegionId(3), at(5))]);
        assert!(written.failed[0].1.to_string().contains("no words"), "{:?}", written.failed);
        let checkpoints = open(&disk);
        assert_eq!(state(&checkpoints, RegionId(3)), Some((5, 10)));
        assert_eq!(state(&checkpoints, B), None);
    }
}

#[test]
fn a_full_disk_is_a_sentence_and_keeps_the_old_state() {
    let disk = MemDisk::new(1);
    let mut checkpoints = open(&disk);
    write(&mut checkpoints, vec![taken(A, 5, 10)]).unwrap();
    disk.set_capacity(Some(1 << 20));
    let error = write(&mut checkpoints, vec![taken(A, 6, 2 << 20)]).unwrap_err();
    assert!(error.to_string().starts_with("writing checkpoint-0000000000000002.tmp: "), "{error}");
    assert_eq!(disk.list().unwrap().len(), 1);
    disk.set_capacity(None);
    write(&mut checkpoints, vec![taken(A, 6, 2 << 20)]).unwrap();
    assert_eq!(state(&open(&disk), A), Some((6, 2 << 20)));
}

#[test]
fn a_crash_between_any_two_steps_leaves_the_old_or_the_new() {
    for seed in 0..6 {
        for changes in 0.. {
            let disk = MemDisk::new(seed);
            let old = vec![taken(A, 5, 1000), taken(B, 5, 300_000)];
            write(&mut open(&disk), old).unwrap();
            let (mut dying, _) = try_open(&StopDisk::new(disk.clone(), changes)).unwrap();
            // Two writes, so that a file is superseded and removed as well.
            let first = write(&mut dying, vec![taken(A, 6, 2000)]).is_ok();
            let second = write(&mut dying, vec![taken(B, 7, 700_000)]).is_ok();
            disk.crash(seed * 1000 + changes);
            let after = open(&disk);
            let (a, b) = (state(&after, A).unwrap(), state(&after, B).unwrap());
            assert!(a == (6, 2000) || (a == (5, 1000) && !first), "{a:?} after {changes} changes");
            assert!(b == (7, 700_000) || (b == (5, 300_000) && !second), "{b:?} after {changes} changes");
            assert!(disk.list().unwrap().iter().all(|name| !name.ends_with(".tmp")));
            if first && second {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_reports_nothing_as_durable() {
    for after in 0..2 {
        let disk = MemDisk::new(1);
        let mut checkpoints = open(&disk);
        write(&mut checkpoints, vec![taken(A, 5, 10)]).unwrap();
        disk.fail_sync(after, true);
        assert!(write(&mut checkpoints, vec![taken(A, 6, 11)]).is_err());
        assert_eq!(state(&checkpoints, A), Some((5, 10)));
        disk.crash(3);
        // The file itself was synced in the second case, and its name may have become durable without a sync.
        let is_left = state(&open(&disk), A);
        assert!(is_left == Some((5, 10)) || (after == 1 && is_left == Some((6, 11))), "{is_left:?}");
    }
}

#[test]
fn files_of_a_newer_release_and_of_another_store_are_refused_by_name_and_left_alone() {
    let disk = MemDisk::new(1);
    write(&mut open(&disk), vec![taken(A, 5, 10)]).unwrap();
    let other = Checkpoints::open(Arc::new(disk.clone()), StoreId(9)).err().unwrap();
    assert_eq!(other.to_string(), "checkpoint-0000000000000001 belongs to another store, s00000abc");
    disk.flip_bit("checkpoint-0000000000000001", 4, 1);
    let newer = try_open(&disk).err().unwrap().to_string();
    assert!(newer.starts_with("checkpoint-0000000000000001 has version 3, but"), "{newer}");
    assert_eq!(disk.list().unwrap().len(), 1);
}

#[test]
fn damage_in_one_section_is_named_and_the_others_and_the_file_stay() {
    let disk = MemDisk::new(1);
    write(&mut open(&disk), vec![taken(A, 5, 300_000), taken(B, 5, 10)]).unwrap();
    disk.flip_bit("checkpoint-0000000000000001", 200_000, 3);
    let (mut checkpoints, found) = try_open(&disk).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&B]);
    let damage = checkpoints.damaged()[0].to_string();
    let expected =
        "the snapshot of ra in checkpoint-0000000000000001 is damaged: the checksum of a chunk does not hold";
    assert_eq!(damage, expected);
    write(&mut checkpoints, vec![taken(B, 6, 10)]).unwrap();
    assert_eq!(disk.list().unwrap().len(), 2);
    write(&mut checkpoints, vec![taken(A, 6, 10)]).unwrap();
    assert!(!disk.list().unwrap().contains(&"checkpoint-0000000000000001".to_owned()));
}

#[test]
fn the_golden_bytes_of_a_file() {
    let disk = MemDisk::new(1);
    write(&mut open(&disk), vec![taken(A, 5, 4)]).unwrap();
    let name = &disk.list().unwrap()[0];
    let mut bytes = vec![0; length(&disk, name) as usize];
    disk.open(name).unwrap().read_at(0, &mut bytes).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN.replace(char::is_whitespace, ""));
}

/// Header; prefix and description; genesis; chunk; end; index; trailer.
const GOLDEN: &str = "
    534b5043 01000000 bc0a0000 00000000 0100000000000000 2e1ebdf9 00000000
    48000000 9bbaf9e2 53454354 0a00000000000000 0500000000000000 0300000000000000
    0000000000000000 02000000 0200000001000000 bc0a000001000000 00000000 00000000
    04000000 626f726e
    04000000 9aff0121 223d1c7f
    00000000 22e9c441 0400000000000000 9aff0121
    494e4458 01000000 0a00000000000000 2000000000000000 7000000000000000 0500000000000000 0300000000000000
    9000000000000000 30000000 08889232 8d109e72 534b5045";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_flipped_bit_anywhere_is_noticed_and_never_a_panic(place in 0u64..310_000, bit in 0u8..8) {
        let disk = MemDisk::new(1);
        write(&mut open(&disk), vec![taken(A, 5, 300_000), taken(B, 5, 10)]).unwrap();
        let name = "checkpoint-0000000000000001";
        let place = place % length(&disk, name);
        prop_assume!(disk.flip_bit(name, place, bit));
        match try_open(&disk) {
            Err(error) => prop_assert!(matches!(error, SnapshotError::Newer { .. }), "{}", error),
            Ok((checkpoints, _)) => prop_assert!(!checkpoints.damaged().is_empty(), "place {}", place),
        }
        prop_assert_eq!(disk.list().unwrap(), [name]);
    }

    #[test]
    fn a_cut_or_arbitrary_file_is_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0u64..400) {
        let disk = MemDisk::new(1);
        write(&mut open(&disk), vec![taken(A, 5, 10)]).unwrap();
        let file = disk.open("checkpoint-0000000000000001").unwrap();
        file.set_len(cut.min(file.len().unwrap() - 1)).unwrap();
        disk.create("checkpoint-0000000000000002").unwrap().write_at(0, &bytes).unwrap();
        if let Ok((checkpoints, found)) = try_open(&disk) {
            prop_assert_eq!(checkpoints.damaged().len(), 2);
            prop_assert!(found.is_empty());
        }
    }
}

#[test]
fn lengths_that_lie_are_refused_before_anything_is_allocated() {
    let trailer = format::Trailer { offset: u64::MAX - 10, length: 100, crc: 0 };
    let index = format::encode_index(&[], trailer.offset);
    let last = index[index.len() - format::TRAILER_BYTES..].try_into().unwrap();
    assert!(format::decode_trailer(&last, 1000).is_err());
    let item = format::IndexItem { region: A, offset: 40, length: u64::MAX - 20, at: at(1) };
    let index = format::encode_index(&[item], 500);
    let bytes = &index[..index.len() - format::TRAILER_BYTES];
    let trailer = format::Trailer { offset: 500, length: bytes.len() as u32, crc: crc32fast::hash(bytes) };
    assert_eq!(format::decode_index(trailer, bytes), Err("its index points out of the sections"));
}

//! Wrong builds of the log are noticed: each test runs a scenario with the right build, which passes, and with a wrong
//! one, which does not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::hook::{HookDisk, When};
use crate::images::script;
use crate::twin::Twin;
use crate::world::tiny;
use skep_wal::{Batch, Disk, LogEntry, MemDisk, Mutant, RealDisk, StreamId, Wal, WalConfig, WalError};

const ONE: StreamId = StreamId(1);
const BUSY: StreamId = StreamId(2);

/// Seeds of random scripts (see `images.rs`) among which a wrong build must be caught.
const SEEDS: u64 = 300;

fn wrong(mutant: Mutant, config: WalConfig) -> WalConfig {
    WalConfig { mutant: Some(mutant), ..config }
}

/// The scenario passes with the right build, and fails with the wrong one.
fn caught(mutant: Mutant, scenario: fn(WalConfig)) {
    scenario(WalConfig::small());
    let survived = catch_unwind(|| scenario(wrong(mutant, WalConfig::small()))).is_ok();
    assert!(!survived, "{mutant:?} was not noticed");
}

/// Some random script with its crashes fails with the wrong build, and does not with the right one.
fn caught_by_images(mutant: Mutant) {
    let is_caught =
        |seed: &u64| catch_unwind(AssertUnwindSafe(|| script(*seed, wrong(mutant, tiny())))).is_err();
    let seed = (1..=SEEDS).find(is_caught).unwrap_or_else(|| panic!("{mutant:?} was not noticed"));
    eprintln!("{mutant:?} is caught by seed {seed}");
    script(seed, tiny());
}

fn open(disk: &MemDisk, config: &WalConfig) -> Wal {
    disk.restart();
    Wal::open(Arc::new(disk.clone()), config.clone()).unwrap().0
}

fn append(wal: &Wal, stream: StreamId, index: u64, payload: &[u8]) -> Result<(), WalError> {
    let mut batch = Batch::new();
    batch.entries(stream, index, 1, [payload]);
    wal.append(&mut batch).map(drop)
}

#[test]
fn a_sync_that_does_nothing() {
    caught_by_images(Mutant::SkipSync);
}

#[test]
fn a_sync_of_the_newest_segment_only() {
    caught_by_images(Mutant::SyncNewestOnly);
}

#[test]
fn a_sync_that_is_tried_again() {
    caught_by_images(Mutant::SyncAgain);
}

#[test]
fn a_watermark_one_frame_too_far() {
    caught_by_images(Mutant::WatermarkTooFar);
}

#[test]
fn a_directory_that_is_not_synced() {
    caught_by_images(Mutant::NamesNotSynced);
}

#[test]
fn a_torn_frame_that_is_kept() {
    caught_by_images(Mutant::TornFrameKept);
}

#[test]
fn a_later_frame_taken_for_proof() {
    caught_by_images(Mutant::LaterFrameProves);
}

/// After a failed sync the page cache shows an entry that the medium never got: a restart must not find it.
#[test]
fn a_recovery_that_believes_the_page_cache() {
    caught(Mutant::ReadFromCache, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        append(&wal, ONE, 1, b"synced").unwrap();
        wal.sync().unwrap();
        append(&wal, ONE, 2, b"dropped").unwrap();
        disk.fail_sync(0, true);
        wal.sync().unwrap_err();
        assert_eq!(open(&disk, &config).stream(ONE).unwrap().last_index, 1);
    });
}

#[test]
fn a_recovery_on_ground_that_is_not_synced() {
    caught_by_images(Mutant::GroundNotSynced);
}

#[test]
fn a_tail_that_is_not_repaired_before_it_counts() {
    caught_by_images(Mutant::TailNotSynced);
}

/// A process ends with several unsynced segments; the next one writes them again, and the power goes meanwhile.
#[test]
fn a_group_of_segments_that_is_not_whole() {
    caught(Mutant::GroupNotWhole, |config| {
        let config = WalConfig { segment_bytes: 16 << 10, ..config };
        for (changes, seed) in (0..60).flat_map(|changes| (0..4).map(move |seed| (changes, seed))) {
            let disk = MemDisk::new(1);
            let wal = open(&disk, &config);
            for index in 1..20 {
                append(&wal, ONE, index, &[index as u8; 3000]).unwrap();
            }
            disk.restart();
            disk.stop_after(changes);
            let _ = Wal::open(Arc::new(disk.clone()), config.clone());
            disk.crash(seed);
            let (_, report) = Wal::open(Arc::new(disk), config.clone()).unwrap();
            assert!(report.damaged.is_empty() && report.nameless.is_none());
        }
    });
}

#[test]
fn a_salt_that_is_not_checked() {
    caught_by_images(Mutant::SaltUnchecked);
}

#[test]
fn a_segment_recycled_before_what_freed_it_is_durable() {
    caught_by_images(Mutant::RecycledEarly);
}

#[test]
fn a_carried_record_that_replaces_what_came_later() {
    caught_by_images(Mutant::CarriedReplaces);
}

/// The durable position of a log whose sync failed has not moved.
#[test]
fn a_sync_told_early() {
    caught(Mutant::SyncToldEarly, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        let durable = wal.durable_lsn();
        append(&wal, ONE, 1, b"lost").unwrap();
        disk.fail_sync(0, true);
        wal.sync().unwrap_err();
        assert_eq!(wal.durable_lsn(), durable);
    });
}

/// What was appended while a sync ran is not durable when it ends.
#[test]
fn a_sync_told_too_far() {
    caught(Mutant::SyncToldTooFar, |config| {
        let disk = HookDisk::new();
        let wal = Arc::new(Wal::open(Arc::new(disk.clone()), config).unwrap().0);
        append(&wal, ONE, 1, b"before").unwrap();
        let other = Arc::clone(&wal);
        disk.once(When::Synced, move || append(&other, ONE, 2, b"meanwhile").unwrap());
        wal.sync().unwrap();
        assert!(wal.durable_lsn() < wal.appended_lsn());
        wal.sync().unwrap();
        disk.disk.crash(1);
        assert_eq!(open(&disk.disk, &WalConfig::small()).stream(ONE).unwrap().last_index, 2);
    });
}

/// A frame is lost, and the vote in it is in the next.
#[test]
fn hard_states_that_are_not_repeated() {
    caught(Mutant::NoRepeats, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        let mut batch = Batch::new();
        batch.hard_state(ONE, b"voted");
        wal.append(&mut batch).unwrap();
        wal.rest().unwrap();
        let name = named(&disk);
        disk.flip_bit(&name, 4096 + 20, 1);
        assert_eq!(&open(&disk, &config).stream(ONE).unwrap().hard_state[..], b"voted");
    });
}

/// When entries are refused, a vote still finds room.
#[test]
fn a_reserve_that_entries_may_take() {
    caught(Mutant::NoReserve, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        wal.maintain().unwrap();
        disk.set_capacity(Some(4 * (128 << 10)));
        let full = (1..).find(|index| append(&wal, ONE, *index, &[0; 60_000]).is_err()).unwrap();
        assert!(full > 1);
        let mut batch = Batch::new();
        for vote in 0..100u64 {
            batch.hard_state(ONE, &vote.to_le_bytes());
            wal.append(&mut batch).unwrap();
        }
    });
}

/// The file of the newest segment.
fn named(disk: &MemDisk) -> String {
    let header = |name: &String| {
        let mut page = [0; 64];
        disk.open(name).unwrap().read_at(0, &mut page).unwrap();
        page[32]
    };
    disk.list().unwrap().into_iter().max_by_key(header).unwrap()
}

/// Five streams, a synced frame each, at rest; then a bit of the frame of the third flips, and the log opens again.
fn flipped(config: &WalConfig, offset: u64) -> (Wal, skep_wal::OpenReport) {
    let disk = MemDisk::new(1);
    let wal = open(&disk, config);
    for stream in (1..=5).map(StreamId) {
        append(&wal, stream, 1, &[stream.0 as u8; 900]).unwrap();
        wal.sync().unwrap();
    }
    wal.rest().unwrap();
    assert!(disk.flip_bit(&named(&disk), 3 * 4096 + offset, 0));
    disk.restart();
    Wal::open(Arc::new(disk), config.clone()).unwrap()
}

fn damage_is_named(config: WalConfig) {
    for offset in [0, 9, 17, 25, 70, 300] {
        let (wal, report) = flipped(&config, offset);
        assert_eq!((report.damaged, report.torn_tail), (vec![StreamId(3)], None), "{offset}");
        assert_eq!(wal.stream(StreamId(5)).unwrap().last_index, 1);
    }
}

#[test]
fn damage_taken_for_a_torn_tail() {
    caught(Mutant::DamageIsTorn, damage_is_named);
}

#[test]
fn a_hole_that_marks_nobody() {
    caught(Mutant::HoleMarksNobody, damage_is_named);
}

#[test]
fn bodies_that_are_not_checked() {
    caught(Mutant::BodiesUnchecked, damage_is_named);
}

/// A frame stands where another should.
#[test]
fn a_place_that_is_not_checked() {
    caught(Mutant::PlaceUnchecked, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        for stream in (1..=5).map(StreamId) {
            append(&wal, stream, 1, &[7; 900]).unwrap();
            wal.sync().unwrap();
        }
        wal.rest().unwrap();
        let file = disk.open(&named(&disk)).unwrap();
        let mut page = [0; 4096];
        file.read_at(2 * 4096, &mut page).unwrap();
        file.write_at(3 * 4096, &page).unwrap();
        file.sync().unwrap();
        disk.restart();
        let (_, report) = Wal::open(Arc::new(disk), config).unwrap();
        assert!(report.nameless.is_some() && report.damaged.len() == 4);
    });
}

/// Slices that somebody holds stay what they were.
#[test]
fn a_segment_recycled_while_it_is_read() {
    caught(Mutant::RecycledWhileRead, |config| {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
        let (wal, _) = Wal::open(disk, config).unwrap();
        let mut held: Vec<LogEntry> = Vec::new();
        for index in 1..300u64 {
            append(&wal, BUSY, index, &[index as u8; 3000]).unwrap();
            if index == 5 {
                wal.read(BUSY, 1, 5, usize::MAX, &mut held).unwrap();
            }
            if index % 20 == 0 {
                let mut batch = Batch::new();
                batch.compact(BUSY, index, 1);
                wal.append(&mut batch).unwrap();
                wal.sync().unwrap();
                wal.maintain().unwrap();
            }
        }
        for entry in &held {
            assert!(entry.payload.iter().all(|byte| u64::from(*byte) == entry.index));
        }
    });
}

/// While an idle stream's entries are read to be carried forward, their owner replaces them.
#[test]
fn a_carried_record_that_is_stale() {
    caught(Mutant::CarriedStale, |config| {
        let disk = HookDisk::new();
        let config = WalConfig { slack_segments: 1, ..config };
        let wal = Arc::new(Wal::open(Arc::new(disk.clone()), config).unwrap().0);
        append(&wal, ONE, 1, b"old").unwrap();
        for index in 1..200 {
            append(&wal, BUSY, index, &[0; 3000]).unwrap();
        }
        let mut batch = Batch::new();
        batch.compact(BUSY, 199, 1);
        wal.append(&mut batch).unwrap();
        let other = Arc::clone(&wal);
        disk.once(When::Read, move || append(&other, ONE, 1, b"new").unwrap());
        wal.maintain().unwrap();
        assert_eq!(Twin::of(&wal).streams[&1].entries, [(1, b"new".to_vec())]);
    });
}

/// Rot in an old segment is noticed by whoever reads it.
#[test]
fn entries_that_are_not_checked_when_they_are_read() {
    caught(Mutant::ReadUnchecked, |config| {
        let disk = MemDisk::new(1);
        let wal = open(&disk, &config);
        append(&wal, ONE, 1, &[1; 900]).unwrap();
        wal.sync().unwrap();
        disk.flip_bit(&named(&disk), 4096 + 400, 2);
        let mut read = Vec::new();
        wal.read(ONE, 1, 1, usize::MAX, &mut read).unwrap_err();
    });
}

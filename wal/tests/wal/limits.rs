//! What happens when the disk fails, when it is full, and when the caller asks for nonsense.

use std::sync::Arc;

use skep_wal::{Batch, Disk, MemDisk, Misuse, StateName, StreamId, Wal, WalConfig, WalError};

use crate::hook::HookDisk;

const ONE: StreamId = StreamId(1);

fn open(disk: &MemDisk) -> Wal {
    Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0
}

fn append(wal: &Wal, index: u64, bytes: usize) -> Result<skep_wal::Lsn, WalError> {
    let mut batch = Batch::new();
    batch.entries(ONE, index, 1, [vec![7; bytes].as_slice()]);
    wal.append(&mut batch)
}

/// The first failed sync is the last word. The next process reads what the medium holds and not what the page
/// cache pretends: the dropped entry is gone, the one before it is there.
#[test]
fn a_failed_sync_poisons_for_good() {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    append(&wal, 1, 100).unwrap();
    wal.sync().unwrap();
    let durable = wal.durable_lsn();
    append(&wal, 2, 100).unwrap();
    disk.fail_sync(0, true);
    let first = wal.sync().unwrap_err();
    assert!(matches!(first, WalError::Poisoned { .. }));
    assert_eq!(wal.durable_lsn(), durable);
    for again in [wal.sync().map(drop), append(&wal, 3, 1).map(drop), wal.maintain().map(drop)] {
        assert_eq!(again.unwrap_err().to_string(), first.to_string());
    }
    disk.restart();
    assert_eq!(open(&disk).stream(ONE).unwrap().last_index, 1);
}

/// A full disk is an error before anything is written; with room again, the log goes on.
#[test]
fn a_full_disk_leaves_the_log_usable() {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    disk.set_capacity(Some(4 * 128 * 1024));
    let mut index = 1;
    let full = loop {
        match append(&wal, index, 5000) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WalError::Full { .. }), "{full}");
    assert!(index > 60 && wal.poisoned().is_none());
    assert!(matches!(wal.maintain().unwrap_err(), WalError::Full { .. }));
    append(&wal, index, 10).unwrap();
    wal.sync().unwrap();
    disk.set_capacity(None);
    append(&wal, index + 1, 5000).unwrap();
    wal.sync().unwrap();
    disk.crash(9);
    assert_eq!(open(&disk).stream(ONE).unwrap().last_index, index + 1);
}

/// What a full disk has let through of a frame is not followed when the log is opened, wherever the next frame would begin.
#[test]
fn a_frame_that_a_full_disk_cut_off_is_overwritten() {
    for (syncs_before, syncs_between) in [(false, false), (false, true), (true, false), (true, true)] {
        let disk = HookDisk::new();
        let wal = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0;
        append(&wal, 1, 100).unwrap();
        if syncs_before {
            wal.sync().unwrap();
        }
        disk.cut_off_next_write(400);
        let full = append(&wal, 2, 5000).unwrap_err();
        assert!(matches!(full, WalError::Full { .. }) && wal.poisoned().is_none(), "{full}");
        if syncs_between {
            append(&wal, 2, 100).unwrap();
            wal.sync().unwrap();
            disk.cut_off_next_write(400);
            append(&wal, 3, 5000).unwrap_err();
            wal.sync().unwrap();
        }
        wal.sync().unwrap();
        append(&wal, 2, 200).unwrap();
        append(&wal, 3, 300).unwrap();
        wal.sync().unwrap();
        drop(wal);
        disk.disk.crash(9);
        let (wal, report) = Wal::open(Arc::new(disk), WalConfig::small()).unwrap();
        let cases = (syncs_before, syncs_between);
        assert_eq!((&report.damaged[..], &report.unreadable[..]), (&[][..], &[][..]), "{cases:?}");
        assert_eq!(wal.stream(ONE).unwrap().last_index, 3, "{cases:?}");
    }
}

/// The same where nothing overwrites it: the power goes first, or the log goes on in its next segment.
#[test]
fn a_frame_that_a_full_disk_cut_off_may_stay_where_the_log_goes_on_elsewhere() {
    for goes_on in [false, true] {
        let disk = HookDisk::new();
        let wal = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0;
        [100, 60_000, 55_000].into_iter().zip(1..).for_each(|(bytes, index)| {
            append(&wal, index, bytes).unwrap();
        });
        disk.cut_off_next_write(400);
        append(&wal, 4, 5000).unwrap_err();
        let segments = wal.usage().segments;
        wal.sync().unwrap();
        if goes_on {
            append(&wal, 4, 60_000).unwrap();
            append(&wal, 5, 100).unwrap();
            assert!(wal.usage().segments > segments);
            wal.sync().unwrap();
        }
        drop(wal);
        disk.disk.crash(9);
        let (wal, report) = Wal::open(Arc::new(disk), WalConfig::small()).unwrap();
        assert_eq!((&report.damaged[..], &report.unreadable[..]), (&[][..], &[][..]));
        assert_eq!(wal.stream(ONE).unwrap().last_index, if goes_on { 5 } else { 3 });
    }
}

/// A full disk lets the header of the next segment through in part: one copy of it. What is appended later where the log was is found
/// again, whether or not there is a next segment after all.
#[test]
fn a_header_that_a_full_disk_cut_off_is_taken_back() {
    for (is_repeated, last) in [(false, 4), (true, 4), (false, 5), (true, 5)] {
        let disk = HookDisk::new();
        let wal = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0;
        [100, 60_000, 55_000].into_iter().zip(1..).for_each(|(bytes, index)| {
            append(&wal, index, bytes).unwrap();
        });
        for _ in 0..=usize::from(is_repeated) {
            disk.cut_off_next_write(512);
            let full = append(&wal, 4, 30_000).unwrap_err();
            assert!(matches!(full, WalError::Full { .. }) && wal.poisoned().is_none(), "{full}");
            // Files are prepared meanwhile.
            wal.maintain().unwrap();
        }
        [100, 30_000].into_iter().zip(4..=last).for_each(|(bytes, index)| {
            append(&wal, index, bytes).unwrap();
        });
        wal.sync().unwrap();
        drop(wal);
        disk.disk.crash(9);
        let (wal, report) = Wal::open(Arc::new(disk), WalConfig::small()).unwrap();
        assert_eq!((&report.damaged[..], &report.unreadable[..]), (&[][..], &[][..]));
        assert_eq!(wal.stream(ONE).unwrap().last_index, last);
    }
}

/// The disk is full, and no more entries can be written. Votes can, and so can what makes room: a stream is compacted,
/// another is removed, an idle one is carried out of the oldest segment, and entries are taken again.
#[test]
fn votes_and_compaction_go_on_while_the_disk_is_full() {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    let mut batch = Batch::new();
    batch.entries(StreamId(3), 1, 1, [b"idle".as_slice()]);
    wal.append(&mut batch).unwrap();
    wal.maintain().unwrap();
    disk.set_capacity(Some(6 * 128 * 1024));
    let mut index = 1;
    while append(&wal, index, 5000).is_ok() {
        index += 1;
    }
    assert!(wal.maintain().is_err() && wal.is_short_of_space() && wal.poisoned().is_none());
    for vote in 0..20u64 {
        batch.hard_state(StreamId(2), &vote.to_le_bytes());
        wal.append(&mut batch).unwrap();
        wal.sync().unwrap();
    }
    batch.compact(ONE, index - 1, 1);
    wal.append(&mut batch).unwrap();
    for _ in 0..4 {
        wal.sync().unwrap();
        let _ = wal.maintain();
    }
    assert!(!wal.is_short_of_space(), "{:?}", wal.usage());
    append(&wal, index, 5000).unwrap();
    wal.sync().unwrap();
    disk.crash(3);
    let wal = open(&disk);
    assert_eq!(wal.stream(ONE).unwrap().last_index, index);
    assert_eq!(wal.stream(StreamId(3)).unwrap().last_index, 1);
    assert_eq!(&wal.stream(StreamId(2)).unwrap().hard_state[..], 19u64.to_le_bytes());
}

/// Whoever waits for a sync that fails is told that nobody knows what is on the disk, and so is everyone after.
#[test]
fn waiters_learn_that_the_outcome_is_unknown() {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    append(&wal, 1, 100).unwrap();
    disk.fail_sync(0, false);
    let told: Vec<String> = std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(|| wal.sync().unwrap_err().to_string())).collect();
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
    });
    assert!(told.iter().all(|error| error.contains("unknown") && *error == told[0]), "{told:?}");
}

/// The error of a sync that belongs to another file (its directory, a file being prepared) ends the log as well.
#[test]
fn whoever_sees_the_first_error_it_counts_for_all() {
    for failing in 0..2 {
        let disk = MemDisk::new(1);
        let wal = open(&disk);
        append(&wal, 1, 100).unwrap();
        disk.fail_sync(failing, false);
        assert!(matches!(wal.maintain().unwrap_err(), WalError::Poisoned { .. }), "{failing}");
        assert!(matches!(wal.sync().unwrap_err(), WalError::Poisoned { .. }));
        assert!(matches!(append(&wal, 2, 1).unwrap_err(), WalError::Poisoned { .. }));
    }
}

/// A bad sector is an error for the stream whose entry is in it, and for no other.
#[test]
fn a_bad_sector_is_an_error_for_its_stream_alone() {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    let mut batch = Batch::new();
    batch.entries(ONE, 1, 1, [vec![1; 3000].as_slice()]);
    batch.entries(StreamId(2), 1, 1, [vec![2; 3000].as_slice()]);
    wal.append(&mut batch).unwrap();
    let name = disk.list().unwrap().into_iter().find(|name| disk.break_sector(name, 4096 + 4608)).unwrap();
    let mut out = Vec::new();
    wal.read(ONE, 1, 1, usize::MAX, &mut out).unwrap();
    let error = wal.read(StreamId(2), 1, 1, usize::MAX, &mut out).unwrap_err();
    assert!(matches!(error, WalError::Damaged { stream: StreamId(2), index: 1, .. }), "{name}: {error}");
    append(&wal, 2, 10).unwrap();
    wal.sync().unwrap();
}

/// Compacting makes room on a full disk.
#[test]
fn compaction_frees_a_full_disk() {
    let disk = MemDisk::new(1);
    disk.set_capacity(Some(5 * 128 * 1024));
    let wal = open(&disk);
    let mut batch = Batch::new();
    for index in 1..2000 {
        append(&wal, index, 2000).unwrap();
        if index % 20 == 0 {
            batch.compact(ONE, index, 1);
            wal.append(&mut batch).unwrap();
            wal.sync().unwrap();
            wal.maintain()
                .map(drop)
                .or_else(|error| if matches!(error, WalError::Full { .. }) { Ok(()) } else { Err(error) })
                .unwrap();
        }
    }
    assert!(wal.usage().log_bytes <= 5 * 128 * 1024);
}

/// Nonsense is refused before anything is written, and the whole batch with it.
#[test]
fn nonsense_is_refused() {
    let wal = open(&MemDisk::new(1));
    append(&wal, 1, 1).unwrap();
    let refuse = |fill: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        batch.entries(StreamId(2), 1, 1, [b"innocent".as_slice()]);
        fill(&mut batch);
        match wal.append(&mut batch) {
            Err(WalError::Misuse { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refuse(&|batch| batch.entries(ONE, 3, 1, [b"".as_slice()])),
        Misuse::Gap { last: 1, first: 3 }
    );
    assert_eq!(refuse(&|batch| batch.compact(ONE, 2, 1)), Misuse::BeyondEnd { last: 1, index: 2 });
    assert_eq!(
        refuse(&|batch| {
            batch.compact(ONE, 1, 1);
            batch.truncate(ONE, 1);
        }),
        Misuse::BelowBase { base: 1, index: 1 }
    );
    let long = Misuse::StateTooLong { bytes: 65, bytes_max: 64 };
    assert_eq!(refuse(&|batch| batch.hard_state(ONE, &[0; 65])), long);
    assert!(wal.stream(StreamId(2)).is_none());
    let mut batch = Batch::new();
    batch.entries(ONE, 2, 1, [vec![0; 128 * 1024].as_slice()]);
    assert!(matches!(wal.append(&mut batch), Err(WalError::BatchTooLarge { .. })));
    assert!(!batch.is_empty());
}

/// Reads give at least one entry, stop at the limit, and say what there is when asked for what there is not.
#[test]
fn reads_are_bounded() {
    let wal = open(&MemDisk::new(1));
    for index in 1..=10 {
        append(&wal, index, 100).unwrap();
    }
    let mut out = Vec::new();
    wal.read(ONE, 3, 10, 250, &mut out).unwrap();
    assert_eq!(out.iter().map(|entry| entry.index).collect::<Vec<_>>(), [3, 4]);
    out.clear();
    wal.read(ONE, 3, 10, 1, &mut out).unwrap();
    assert_eq!(out.len(), 1);
    let error = wal.read(ONE, 10, 11, 1, &mut out).unwrap_err();
    assert!(matches!(error, WalError::NotFound { held: (1, 10), .. }));
    assert!(matches!(wal.read(StreamId(9), 1, 1, 1, &mut out), Err(WalError::NotFound { .. })));
}

/// States survive compaction and restarts of the stream, and nothing survives its removal.
#[test]
fn removal_forgets_everything() {
    let wal = open(&MemDisk::new(1));
    let mut batch = Batch::new();
    batch.entries(ONE, 1, 1, [b"a".as_slice(), b"b"]);
    batch.hard_state(ONE, b"hard");
    batch.state(ONE, StateName(4), b"named");
    batch.restart(ONE, 50, 3);
    wal.append(&mut batch).unwrap();
    let info = wal.stream(ONE).unwrap();
    assert_eq!((info.base_index, info.base_term, info.last_index, info.last_term), (50, 3, 50, 3));
    assert_eq!(
        (&info.hard_state[..], &wal.state(ONE, StateName(4)).unwrap()[..]),
        (&b"hard"[..], &b"named"[..])
    );
    batch.remove(ONE);
    wal.append(&mut batch).unwrap();
    assert!(wal.stream(ONE).is_none() && wal.streams().is_empty());
    batch.remove(ONE);
    batch.state(ONE, StateName(1), b"tombstone");
    wal.append(&mut batch).unwrap();
    assert_eq!(&wal.state(ONE, StateName(1)).unwrap()[..], b"tombstone");
}

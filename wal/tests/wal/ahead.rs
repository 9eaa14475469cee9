//! Segments that several threads check while recovery goes on: whatever was hit, what comes of it is the same as when one
//! thread reads them one by one.

use std::sync::Arc;

use crate::world::{Chance, World, tiny};
use skep_wal::{Disk, MemDisk, StateName, Wal, WalConfig};

/// Segments of several pieces.
fn config() -> WalConfig {
    WalConfig { segment_bytes: 32 << 10, slack_segments: 20, ..tiny() }
}

/// What opening a copy of the disk finds, and all that the log holds then, in words.
fn opened(disk: &MemDisk, open_threads: usize) -> Vec<String> {
    let config = WalConfig { open_threads, ..config() };
    let (wal, report) = Wal::open(Arc::new(disk.fork()), config).unwrap();
    let stream = |id| {
        let info = wal.stream(id).unwrap();
        let states: Vec<_> = (0..3).map(|name| wal.state(id, StateName(name))).collect();
        let mut entries = Vec::new();
        let read = wal.read(id, info.base_index + 1, info.last_index, usize::MAX, &mut entries);
        let entries: Vec<_> = entries.iter().map(|entry| (entry.index, entry.term, &entry.payload)).collect();
        format!("{id} {info:?} {states:?} {read:?} {entries:?}")
    };
    std::iter::once(format!("{report:?}")).chain(wal.streams().into_iter().map(stream)).collect()
}

/// A log of many segments, hit in up to three places: bits flip, sectors go blank, files are cut short.
#[test]
fn many_threads_find_what_one_finds() {
    let (mut damaged, mut segments) = (0, 0);
    for seed in 0..100 {
        let mut chance = Chance(seed);
        let mut world = World::new(config());
        for _ in 0..300 {
            let records: Vec<_> = (0..=chance.of(3)).map(|_| chance.raw()).collect();
            world.append(&records).unwrap();
            if chance.of(4) == 0 {
                world.sync().unwrap();
            }
        }
        world.sync().unwrap();
        let disk = world.disk.fork();
        drop(world);
        disk.restart();
        for _ in 0..chance.of(4) {
            let names = disk.list().unwrap();
            let name = &names[chance.of(names.len() as u64) as usize];
            let offset = 4096 + chance.of(28 << 10);
            match chance.of(3) {
                0 => drop(disk.flip_bit(name, offset, chance.of(8) as u8)),
                1 => disk.open(name).unwrap().write_at(offset & !511, &[0; 512]).unwrap(),
                _ => disk.open(name).unwrap().set_len(offset).unwrap(),
            }
        }
        let one = opened(&disk, 1);
        damaged += u32::from(!one[0].contains("damaged: []"));
        segments = segments.max(disk.list().unwrap().len());
        for threads in [2, 4] {
            assert!(opened(&disk, threads) == one, "seed {seed}, {threads} threads");
        }
    }
    assert!(damaged > 5 && segments > 8, "{damaged} {segments}");
}

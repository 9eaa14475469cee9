//! Following the medium from sync to sync finds what opening a copy of it finds.

use std::sync::Arc;

use skep_wal::{Batch, MediumLog, MemDisk, StateName, StreamId, StreamInfo, Wal, WalConfig};

/// Reads what is new on the medium, and opens a copy of all of it.
pub(crate) fn check(followed: &mut MediumLog, disk: &MemDisk, config: &WalConfig) {
    followed.catch_up().unwrap();
    let (opened, _) = Wal::open(Arc::new(disk.medium()), config.clone()).unwrap();
    assert_eq!(
        all(followed.streams(), |id| followed.stream(id)),
        all(opened.streams(), |id| opened.stream(id))
    );
    for (id, name) in
        opened.streams().into_iter().flat_map(|id| (0..4).map(move |name| (id, StateName(name))))
    {
        assert_eq!(followed.state(id, name), opened.state(id, name));
    }
}

fn all(streams: Vec<StreamId>, info: impl Fn(StreamId) -> Option<StreamInfo>) -> Vec<String> {
    streams.into_iter().map(|id| format!("{id:?} {:?}", info(id))).collect()
}

/// Entries, votes, states, truncation and removal in many streams, while segments are filled, carried forward and used again.
#[test]
fn it_is_followed_through_segments_that_come_and_go() {
    let (disk, config) = (MemDisk::new(3), WalConfig { segment_bytes: 64 << 10, ..WalConfig::small() });
    let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
    let mut followed = MediumLog::new(disk.clone(), config.clone()).unwrap();
    let mut batch = Batch::new();
    let idle = StreamId(100);
    batch.hard_state(idle, b"a vote");
    batch.state(idle, StateName(1), b"a state");
    batch.entries(idle, 1, 1, [b"e".as_slice()]);
    wal.append(&mut batch).unwrap();
    for round in 1..=600_u64 {
        let stream = StreamId(round % 5);
        let last = wal.stream(stream).map_or(0, |info| info.last_index);
        match round % 97 {
            50 => batch.truncate(stream, last),
            80 => batch.remove(stream),
            _ => batch.entries(stream, last + 1, round / 50 + 1, [[7; 900].as_slice(); 2]),
        }
        batch.hard_state(StreamId(round % 3 + 20), &round.to_le_bytes());
        if last > 20 && round % 97 < 50 {
            batch.compact(stream, last - 4, wal.stream(stream).map_or(0, |info| info.last_term));
        }
        wal.append(&mut batch).unwrap();
        if round % 3 == 0 {
            wal.sync().unwrap();
        }
        if round % 7 == 0 {
            wal.maintain().unwrap();
        }
        check(&mut followed, &disk, &config);
    }
    assert!(wal.usage().segments < 8, "nothing came free: {:?}", wal.usage());
}

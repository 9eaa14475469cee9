//! Arbitrary bytes where a segment or a frame should be: nothing may panic, nothing may be believed that was not
//! checked. The targets in `wal/fuzz` call this, and `cargo test` replays their corpus.

use std::sync::Arc;

use crate::Lsn;
use crate::config::{PAGE_BYTES, SEGMENT_BYTES_MIN, WalConfig};
use crate::disk::Disk;
use crate::format::{self, FRAME_ALIGN, Records, SegmentHeader};
use crate::log::Wal;
use crate::mem_disk::MemDisk;

const SALT: u64 = 0x5eed_5eed_5eed_5eed;
const SEGMENT: u32 = 3;

/// Opens a log whose only segment holds these bytes behind a whole header. The first byte says whether the checksums of
/// frames are made right first (so that what they cover is reached), the next two how much the header calls durable.
pub fn segment(input: &[u8]) {
    let Some((mode, body)) = input.split_at_checked(3) else { return };
    let mut bytes = vec![0; SEGMENT_BYTES_MIN as usize];
    let room = &mut bytes[PAGE_BYTES as usize..];
    let length = body.len().min(room.len());
    room[..length].copy_from_slice(&body[..length]);
    if mode[0] & 1 == 1 {
        make_right(room);
    }
    let header = SegmentHeader {
        log: 7,
        number: SEGMENT,
        previous: 0,
        start: 0,
        salt: SALT,
        durable: u64::from(u16::from_le_bytes([mode[1], mode[2]])),
        segment_bytes: SEGMENT_BYTES_MIN,
        group: (SEGMENT, SEGMENT),
        log_start: SEGMENT,
    };
    bytes[..PAGE_BYTES as usize].copy_from_slice(&header.page());
    open_twice(&bytes);
}

/// Reads these bytes as a frame, and everything in it that its checksums allow.
pub fn frame(input: &[u8]) {
    let mut bytes = input.to_vec();
    make_right(&mut bytes);
    for bytes in [input, &bytes] {
        let _ = format::decode_trailer(bytes, SALT);
        let Ok(head) = format::decode_frame(bytes, SEGMENT, SALT, 0) else { continue };
        let frame = &bytes[..head.length as usize];
        for (record, at) in format::decode_records(&head, frame).unwrap_or_default() {
            let body = &frame[at..at + record.body_bytes as usize];
            let _ = format::check_body(SALT, &record, body);
            for slot in 0..usize::from(record.count) {
                let range = format::entry_range(body, slot, body.len());
                assert!(range.is_none_or(|(range, _)| range.end <= body.len()));
            }
        }
    }
}

/// A frame to begin with.
pub fn example() -> Vec<u8> {
    let (mut batch, mut repeats) = (crate::Batch::new(), crate::Batch::new());
    repeats.hard_state(crate::StreamId(1), b"vote");
    batch.entries(crate::StreamId(1), 1, 1, [b"bee".as_slice(), b"hive"]);
    batch.state(crate::StreamId(2), crate::StateName(3), b"named");
    batch.compact(crate::StreamId(1), 1, 1);
    let place = format::FramePlace {
        salt: SALT,
        segment: SEGMENT,
        lsn: 0,
        durable: 0,
        gap: 0,
        log_start: SEGMENT,
        before: format::Before::default(),
    };
    let mut out = Vec::new();
    let records: Records<'_> = batch.records();
    format::encode_frame(&place, repeats.records(), records, &mut out);
    out
}

/// Whatever looks like a frame is given the place that it has, and the checksum that it needs.
fn make_right(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 64 <= bytes.len() {
        let length = match bytes[at] {
            1 => format::make_right(&mut bytes[at..], (SEGMENT, SALT, at as u64)),
            _ => None,
        };
        at += length.unwrap_or(FRAME_ALIGN);
    }
}

/// The log opens, or says why not; what it holds can be read, and is the same the next time.
fn open_twice(bytes: &[u8]) {
    let disk = MemDisk::new(1);
    let written = disk.create("segment-00000001").and_then(|file| {
        file.write_at(0, bytes)?;
        file.sync()
    });
    if written.and_then(|()| disk.sync_dir()).is_err() {
        return;
    }
    let config = WalConfig { segment_bytes: SEGMENT_BYTES_MIN, ..WalConfig::small() };
    let mut before: Option<Vec<_>> = None;
    for _ in 0..2 {
        let Ok((wal, _)) = Wal::open(Arc::new(disk.clone()), config.clone()) else { return };
        assert!(wal.durable_lsn() >= Lsn(0));
        let found: Vec<_> = wal
            .streams()
            .into_iter()
            .map(|stream| {
                let info = wal.stream(stream);
                let mut entries = Vec::new();
                if let Some(info) = info.as_ref().filter(|info| info.last_index > info.base_index) {
                    // Entries of a damaged stream may be gone.
                    let _ = wal.read(stream, info.base_index + 1, info.last_index, 4096, &mut entries);
                }
                (stream, info.map(|info| (info.base_index, info.last_index)), entries)
            })
            .collect();
        if let Some(before) = before {
            assert_eq!(before, found, "the second opening finds something else");
        }
        before = Some(found);
        disk.restart();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_file::Chance;
    use std::path::Path;

    /// Inputs that are made of each input of the corpus in every run.
    const VARIANTS: u64 = 300;

    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut inputs: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 4, "{target}");
        inputs
    }

    fn replay(target: &str, run: fn(&[u8])) {
        for (name, input) in corpus(target) {
            run(&input);
            for variant in 0..VARIANTS {
                let mut chance = Chance(variant);
                let mut changed = input.clone();
                for _ in 0..=chance.of(4) {
                    let at = chance.of(changed.len() as u64) as usize;
                    changed[at] = match chance.of(3) {
                        0 => 0xff,
                        1 => changed[at] ^ (1 << chance.of(8)),
                        _ => chance.of(256) as u8,
                    };
                }
                let told = std::panic::catch_unwind(|| run(&changed));
                assert!(told.is_ok(), "{target}/{name}, variant {variant}");
            }
        }
    }

    #[test]
    fn the_corpus_of_frames() {
        replay("frame", frame);
    }

    #[test]
    fn the_corpus_of_segments() {
        replay("segment", segment);
    }

    /// The example is a whole frame, so the corpus begins with something that gets far.
    #[test]
    fn the_example_is_whole() {
        let bytes = example();
        let head = format::decode_frame(&bytes, SEGMENT, SALT, 0).unwrap();
        assert_eq!(format::decode_records(&head, &bytes).unwrap().len(), 4);
        assert_eq!(bytes, corpus("frame")[0].1);
    }
}

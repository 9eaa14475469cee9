//! What is not proven durable is read from the medium piece by piece: a frame is found wherever a piece ends.

use std::sync::Arc;

use skep_wal::{Batch, MemDisk, StreamId, Wal, WalConfig};

const STREAM: StreamId = StreamId(7);

/// The first piece of a small segment.
const PIECE_BYTES: usize = 2 * PAGE_BYTES;
const PAGE_BYTES: usize = 4096;

fn open(disk: &MemDisk) -> Wal {
    Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap().0
}

fn append(wal: &Wal, index: u64, bytes: usize) {
    let mut batch = Batch::new();
    batch.entries(STREAM, index, 3, [&vec![1; bytes][..]]);
    wal.append(&mut batch).unwrap();
}

/// Two frames that one sync makes durable, and nothing behind them says so. `proven` bytes before them are known to be durable
/// (if there are any); the second frame stands behind `bytes` of the first.
fn both_are_found(proven: Option<usize>, bytes: usize) {
    let disk = MemDisk::new(1);
    let wal = open(&disk);
    if let Some(proven) = proven {
        append(&wal, 1, proven);
        wal.sync().unwrap();
    }
    let first = 1 + u64::from(proven.is_some());
    append(&wal, first, bytes);
    append(&wal, first + 1, 5);
    wal.sync().unwrap();
    disk.crash(2);
    let info = open(&disk).stream(STREAM).unwrap();
    assert_eq!((info.last_index, info.damaged), (first + 1, None), "{bytes} bytes behind {proven:?}");
}

/// The second frame begins in the first piece, in the next one, or has its head in both.
#[test]
fn a_frame_that_begins_where_a_piece_ends_is_found() {
    (PIECE_BYTES - 300..PIECE_BYTES + 100).for_each(|bytes| both_are_found(None, bytes));
}

/// The same, where pieces end a little behind a page, on which the frame might stand as well.
#[test]
fn a_frame_that_begins_before_a_page_where_a_piece_ends_is_found() {
    for proven in (PAGE_BYTES - 200..PAGE_BYTES).step_by(8) {
        (PAGE_BYTES - 200..PAGE_BYTES).step_by(4).for_each(|bytes| both_are_found(Some(proven), bytes));
    }
}

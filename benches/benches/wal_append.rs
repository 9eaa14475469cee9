//! Appending to the shared log: one batch for 64 streams, with and without the sync that makes it durable.

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use skep_wal::{Batch, RealDisk, StreamId, Wal, WalConfig};

const STREAMS: u64 = 64;
const PAYLOAD: usize = 128;

/// Payloads that do not compress, so that no file system flatters the figures.
fn payload() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..PAYLOAD).map(|_| byte()).collect()
}

struct Writer {
    wal: Wal,
    next: u64,
    payload: Vec<u8>,
}

impl Writer {
    fn batch(&mut self, per_stream: u64) -> Batch {
        let mut batch = Batch::new();
        for stream in 0..STREAMS {
            let payloads = (0..per_stream).map(|_| &self.payload[..]);
            batch.entries(StreamId(stream), self.next, 1, payloads);
        }
        self.next += per_stream;
        batch
    }

    /// Forgets what was written, so that the log is recycled instead of growing.
    fn forget(&mut self) {
        let mut batch = Batch::new();
        (0..STREAMS).for_each(|stream| batch.compact(StreamId(stream), self.next - 1, 1));
        self.wal.append(&mut batch).expect("appended");
        self.wal.sync().expect("synced");
        self.wal.maintain().expect("maintained");
    }
}

fn wal_append(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal_append");
    for (per_stream, synced) in [(1, false), (8, false), (1, true), (8, true)] {
        let dir = tempfile::tempdir_in(".").expect("a directory");
        let disk = Arc::new(RealDisk::open(dir.path()).expect("a disk"));
        let (wal, _) = Wal::open(disk, WalConfig::default()).expect("a log");
        let mut writer = Writer { wal, next: 1, payload: payload() };
        group.throughput(Throughput::Elements(STREAMS * per_stream));
        let name = if synced { "synced" } else { "not_synced" };
        let mut since = 0;
        group.bench_with_input(BenchmarkId::new(name, per_stream), &per_stream, |b, &per_stream| {
            b.iter_batched(
                || (),
                |()| {
                    let mut batch = writer.batch(per_stream);
                    writer.wal.append(&mut batch).expect("appended");
                    if synced {
                        writer.wal.sync().expect("synced");
                    }
                    since += STREAMS * per_stream;
                    if since >= 256 << 10 {
                        since = 0;
                        writer.forget();
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = wal_append
}
criterion_main!(benches);

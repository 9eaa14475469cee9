//! The whole path, embedded: three stores over TCP, every write synced on a quorum, one thousand writes under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skep_engine::{Command, Condition, Expiry, LocalCluster, LocalConfig};

const UNDER_WAY: u64 = 1024;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key:{:012}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000))
}

fn put(number: u64) -> Command {
    let value = Bytes::copy_from_slice(&number.wrapping_mul(0xd134_2543_de82_ef95).to_le_bytes().repeat(2));
    Command::Put {
        key: key(number),
        value,
        condition: Condition::Always,
        expiry: Expiry::Never,
        return_old: false,
    }
}

/// Sends `count` commands, all under way at once, spread over the stores, and waits for the last.
fn run(cluster: &LocalCluster, count: u64, command: impl Fn(u64) -> Command) {
    let left = Arc::new(AtomicU64::new(count));
    let (done, wait) = std::sync::mpsc::channel();
    for number in 0..count {
        let (left, done) = (left.clone(), done.clone());
        cluster.engine(number as usize).execute(command(number), move |answer| {
            answer.expect("answered");
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let _ = done.send(());
            }
        });
    }
    wait.recv().expect("the last one answers");
}

fn engine(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let cluster = LocalCluster::open(LocalConfig::new(dir.path().join("data"))).expect("a cluster");
    cluster.wait_ready(Duration::from_secs(30)).expect("leaders");
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(UNDER_WAY));
    group.bench_function("put_16_bytes", |b| b.iter(|| run(&cluster, UNDER_WAY, put)));
    group.bench_function("get_16_bytes", |b| {
        b.iter(|| run(&cluster, UNDER_WAY, |n| Command::Get { key: key(n) }))
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("put_one_at_a_time", |b| b.iter(|| run(&cluster, 1, put)));
    group.finish();
    cluster.close().expect("closed");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = engine
}
criterion_main!(benches);

//! What a store takes of memory and of the disk has an end, and reaching it loses nothing.

#![allow(clippy::unwrap_used)] // also in what the tests share

use std::path::Path;
use std::time::Duration;

use skep_engine::{Error, LocalCluster, LocalConfig};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const SEGMENT_BYTES: u64 = 1 << 20;
const LIMIT: u64 = 1 << 20;

fn open(dir: &Path, memory_limit: Option<u64>) -> LocalCluster {
    let config = LocalConfig {
        segment_bytes: SEGMENT_BYTES,
        regions: 8,
        memory_limit,
        request_timeout: PATIENCE,
        ..LocalConfig::new(dir)
    };
    let cluster = LocalCluster::open(config).unwrap();
    cluster.wait_ready(PATIENCE).unwrap();
    cluster
}

fn key(number: u32) -> String {
    format!("key:{:012}", number * 997 % 100_000)
}

/// Waits until every store has applied what the others have.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < end, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes until the limit: then reads and deletes go on, and what is deleted makes room. A restart changes nothing of that.
#[test]
fn over_the_memory_limit_only_what_adds_data_is_refused() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let cluster = open(&dir, Some(LIMIT));
    let value = vec![7; 1000];
    let store = |number: u32| cluster.engine(number as usize);
    let mut written = 0;
    let refused = loop {
        match store(written).put(key(written), value.clone()).wait() {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::OutOfMemory { limit: LIMIT });
    assert!(refused.is_retryable() && refused.to_string().contains("delete something"), "{refused}");
    // Each value and its key have 1,016 bytes, and what a pair costs beside.
    assert!((800..940).contains(&written), "{written}");
    // A store that lags has room, as far as it knows.
    wait_until(|| cluster.engines().windows(2).all(|two| two[0].memory_used() == two[1].memory_used()));
    for store in cluster.engines() {
        assert!((LIMIT - 10_000..=LIMIT + 10_000).contains(&store.memory_used()), "{}", store.memory_used());
        assert_eq!(store.memory_limit(), Some(LIMIT));
        assert_eq!(store.get(key(5)).wait().unwrap().as_deref(), Some(&value[..]));
        assert!(matches!(store.append(key(5), value.clone()).wait(), Err(Error::OutOfMemory { .. })));
        assert_eq!(store.count_keys().wait().unwrap(), u64::from(written));
    }
    // What a split hands over still counts, once.
    assert_eq!(store(0).split(key(1)).wait().unwrap().len(), 2);
    for store in cluster.engines() {
        wait_until(|| store.regions().len() == 9);
        assert!((LIMIT - 10_000..=LIMIT + 10_000).contains(&store.memory_used()), "{}", store.memory_used());
    }
    for number in 0..10 {
        assert_eq!(store(number).delete(key(number)).wait(), Ok(true));
    }
    for store in cluster.engines() {
        wait_until(|| store.memory_used() <= LIMIT - 9_000);
    }
    store(0).put(key(3), value.clone()).wait().unwrap();
    cluster.close().unwrap();
    drop(cluster);

    // Opened with less than it holds, it serves what it has.
    let cluster = open(&dir, Some(LIMIT / 2));
    let store = cluster.engine(1);
    assert_eq!(store.count_keys().wait().unwrap(), u64::from(written) - 9);
    assert!(matches!(store.put(key(3), value.clone()).wait(), Err(Error::OutOfMemory { .. })));
    assert_eq!(store.get(key(3)).wait().unwrap().as_deref(), Some(&value[..]));
    cluster.close().unwrap();
    drop(cluster);
    let cluster = open(&dir, None);
    cluster.engine(2).put(key(4), value).wait().unwrap();
    cluster.close().unwrap();
}

/// One region is written to without an end, the others have been written to once: the log is recycled many times over, on
/// every store, and the idle regions are as they were after a restart.
#[test]
fn the_log_stays_short_under_load_beside_idle_regions() {
    const LOG_BYTES_MAX: u64 = 128 * SEGMENT_BYTES;
    const LOG_BYTES_AT_REST_MAX: u64 = 20 * SEGMENT_BYTES;
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let cluster = open(&dir, None);
    let store = cluster.engine(0);
    (0..100).for_each(|number| store.put(key(number), "idle").wait().unwrap());
    let mut longest = 0;
    for round in 0..160 {
        let puts: Vec<_> =
            (0..25).map(|number| store.put(format!("busy {number}"), vec![round; 100_000])).collect();
        puts.into_iter().for_each(|put| put.wait().unwrap());
        let lengths = cluster.engines().iter().map(|store| store.store_status().log_bytes);
        longest = longest.max(lengths.max().unwrap());
        assert!(longest <= LOG_BYTES_MAX, "{longest} bytes in round {round}");
    }
    println!("400 MB were written, no log was longer than {} MiB", longest >> 20);
    wait_until(|| {
        cluster.engines().iter().all(|store| store.store_status().log_bytes <= LOG_BYTES_AT_REST_MAX)
    });
    cluster.close().unwrap();
    drop(cluster);
    let cluster = open(&dir, None);
    let store = cluster.engine(1);
    for number in 0..100 {
        assert_eq!(store.get(key(number)).wait().unwrap().as_deref(), Some(&b"idle"[..]));
    }
    assert_eq!(store.get("busy 7").wait().unwrap().as_deref(), Some(&[159; 100_000][..]));
    cluster.close().unwrap();
}

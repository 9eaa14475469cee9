//! Bytes of one store's log rot while it is closed: the regions that are hit are replaced there, and nothing is lost.

#![allow(clippy::unwrap_used)] // also in what the tests share

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use skep_engine::{LocalCluster, LocalConfig};
use skep_raftstore::store::RegionStatus;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: u32 = 200;

fn open(dir: &Path) -> LocalCluster {
    let config = LocalConfig {
        segment_bytes: 1 << 20,
        regions: 4,
        request_timeout: PATIENCE,
        ..LocalConfig::new(dir)
    };
    let cluster = LocalCluster::open(config).unwrap();
    cluster.wait_ready(PATIENCE).unwrap();
    cluster
}

fn key(number: u32) -> String {
    format!("key:{:012}", number * 100_000 / KEYS)
}

fn value(number: u32) -> String {
    format!("<the value of {number}>")
}

/// Changes one bit of what stands behind `value` in a store's log. Says where.
fn rot(log: &Path, value: &str) -> PathBuf {
    for entry in fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(value.len()).position(|window| window == value.as_bytes());
        if let Some(at) = at {
            bytes[at + 3] ^= 4;
            fs::write(&path, bytes).unwrap();
            return path;
        }
    }
    panic!("{value} is not in the log");
}

#[test]
fn what_rots_on_one_store_is_replaced_from_the_others() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let cluster = open(&dir);
    for number in 0..KEYS {
        cluster.engine(0).put(key(number), value(number)).wait().unwrap();
    }
    let before = cluster.engine(1).region_status();
    cluster.close().unwrap();
    drop(cluster);
    // One value in each of two regions, on the second store.
    for number in [0, KEYS - 1] {
        rot(&dir.join("store-2").join("wal"), &value(number));
    }

    let cluster = open(&dir);
    let end = Instant::now() + PATIENCE;
    let is_new = |region: &RegionStatus| {
        let is_voter = region.membership.voters.contains(&region.replica) && !region.membership.is_joint();
        let name = before.iter().find(|known| known.region == region.region).map(|known| known.replica);
        is_voter && region.stopped.is_none() && name.is_some_and(|name| name < region.replica)
    };
    loop {
        let status = cluster.engine(1).region_status();
        if status.len() == 4 && status.iter().filter(|region| is_new(region)).count() == 2 {
            break;
        }
        assert!(Instant::now() < end, "{status:#?}");
        // Whoever reads meanwhile, through any store, sees nothing of it.
        assert_eq!(cluster.engine(1).get(key(0)).wait().unwrap().as_deref(), Some(value(0).as_bytes()));
        std::thread::sleep(Duration::from_millis(20));
    }
    for number in 0..KEYS {
        let read = cluster.engine(number as usize % 3).get(key(number)).wait().unwrap();
        assert_eq!(read.as_deref(), Some(value(number).as_bytes()));
    }
    cluster.close().unwrap();
}

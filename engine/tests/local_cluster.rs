//! Three real stores in one process: written to through one, read through the others, closed, opened again.

#![allow(clippy::unwrap_used)] // also in what the tests share

use std::fs;
use std::path::Path;
use std::time::Duration;

use skep_engine::{
    Answer, Command, Engine, EngineConfig, Error, LocalCluster, LocalConfig, Opened, Problem, Write,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// Small, so that a test does not write hundreds of MiB of empty log.
const SEGMENT_BYTES: u64 = 1 << 20;

fn config(dir: &Path) -> LocalConfig {
    LocalConfig {
        segment_bytes: SEGMENT_BYTES,
        regions: 4,
        request_timeout: PATIENCE,
        ..LocalConfig::new(dir)
    }
}

fn open(dir: &Path) -> LocalCluster {
    let cluster = LocalCluster::open(config(dir)).unwrap();
    cluster.wait_ready(PATIENCE).unwrap();
    cluster
}

fn key(number: u32) -> String {
    format!("key:{:012}", number * 997 % 100_000)
}

#[test]
fn what_was_written_through_one_store_is_read_through_the_others_and_after_a_restart() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let cluster = open(&dir);
    assert_eq!(cluster.opened(), Opened::New { regions: 4 });
    let puts: Vec<_> =
        (0..500).map(|i| cluster.engine(i as usize).put(key(i), format!("value {i}"))).collect();
    puts.into_iter().for_each(|put| put.wait().unwrap());
    check_contents(&cluster);
    let status = cluster.status();
    assert_eq!((status.regions, status.leaders, status.losable), (4, 4, 1));
    cluster.close().unwrap();
    drop(cluster);

    let cluster = open(&dir);
    assert_eq!(cluster.opened(), Opened::Existing { regions: 4 });
    check_contents(&cluster);
    cluster.close().unwrap();
}

fn check_contents(cluster: &LocalCluster) {
    for i in 0..500 {
        let value = cluster.engine(i as usize + 1).get(key(i)).wait().unwrap();
        assert_eq!(value, Some(format!("value {i}").into()), "{}", key(i));
    }
    let engine = cluster.engine(0);
    assert_eq!(engine.count_keys().wait().unwrap(), 500);
    let all = engine.scan("", None, 1000).wait().unwrap();
    assert_eq!(all.len(), 500);
    assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(engine.scan("key:", None, 7).wait().unwrap(), all[..7]);
}

/// A bit flips in what one store's log holds of one region: that replica stops, the cluster is ready without it, and every
/// store answers for every key.
#[test]
fn a_damaged_replica_is_not_waited_for() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let cluster = open(&dir);
    let puts: Vec<_> = (0..500).map(|i| cluster.engine(0).put(key(i), format!("value {i}"))).collect();
    puts.into_iter().for_each(|put| put.wait().unwrap());
    cluster.close().unwrap();
    drop(cluster);
    assert_eq!(flip_a_bit_of("value 250", &dir.join("store-2")), 1);

    let cluster = open(&dir);
    let stopped: Vec<usize> = cluster.engines().iter().map(|engine| engine.store_status().stopped).collect();
    assert!(
        stopped[0] + stopped[2] == 0 && stopped[1] <= 1,
        "it may have been replaced already: {stopped:?}"
    );
    check_contents(&cluster);
    cluster.engine(1).put(key(250), "value 250").wait().unwrap();
    check_contents(&cluster);
    cluster.close().unwrap();
}

/// In each file of a store that holds these bytes. Says in how many.
fn flip_a_bit_of(text: &str, dir: &Path) -> usize {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let Some(at) = bytes.windows(text.len()).position(|part| part == text.as_bytes()) else { return 0 };
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
        1
    };
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { flip_a_bit_of(text, &path) } else { flip(&path) }).sum()
}

#[test]
fn writes_to_one_key_through_all_stores_lose_nothing() {
    let temp = TempDir::new().unwrap();
    let cluster = open(temp.path());
    let sums: Vec<_> = (0..300).map(|i| cluster.engine(i).increment("counter", 1)).collect();
    let mut sums: Vec<i64> = sums.into_iter().map(|sum| sum.wait().unwrap()).collect();
    sums.sort_unstable();
    assert!(sums.into_iter().eq(1..=300));
}

#[test]
fn every_kind_of_command() {
    let temp = TempDir::new().unwrap();
    let engine =
        Engine::open(EngineConfig { segment_bytes: SEGMENT_BYTES, ..EngineConfig::new(temp.path()) })
            .unwrap();
    assert!(engine.put_if_absent("a", "1").wait().unwrap());
    assert!(!engine.put_if_absent("a", "2").wait().unwrap());
    assert!(engine.compare_and_put("a", Some("1".into()), "3").wait().unwrap());
    assert!(!engine.compare_and_put("a", None, "4").wait().unwrap());
    assert_eq!(engine.append("a", "45").wait().unwrap(), 3);
    assert_eq!(engine.increment("a", 1).wait().unwrap(), 346);
    assert_eq!(engine.append("a", "x").wait().unwrap(), 4);
    assert_eq!(engine.increment("a", 1).wait(), Err(Error::NotAnInteger));
    let writes = vec![Write::Delete { key: "a".into() }, Write::Put { key: "b".into(), value: "6".into() }];
    engine.batch(writes).wait().unwrap();
    assert_eq!(engine.get("a").wait().unwrap(), None);
    assert!(engine.delete("b").wait().unwrap());
    assert!(!engine.delete("b").wait().unwrap());
    assert_eq!(engine.batch(vec![]).wait(), Err(Error::EmptyBatch));
    assert_eq!(engine.get(vec![0; 65 << 10]).wait(), Err(Error::KeyTooLarge { bytes: 65 << 10 }));
    assert_eq!(engine.put("a", vec![0; 9 << 20]).wait(), Err(Error::ValueTooLarge { bytes: 9 << 20 }));
    engine.close();
    assert!(matches!(engine.get("a").wait(), Err(Error::StoreStopped(_))));
}

#[test]
fn a_batch_lies_in_one_region() {
    let temp = TempDir::new().unwrap();
    let cluster = open(temp.path());
    let engine = cluster.engine(0);
    assert_ne!(engine.region_of(b"a"), engine.region_of(b"key:000000099999"));
    let writes = vec![Write::Delete { key: "a".into() }, Write::Delete { key: "key:000000099999".into() }];
    assert_eq!(engine.batch(writes).wait(), Err(Error::CrossRegion));
}

#[test]
fn writes_are_cut_into_batches_that_regions_take() {
    let temp = TempDir::new().unwrap();
    let cluster = open(&temp.path().join("data"));
    let engine = cluster.engine(0);
    let put =
        |key: &str, bytes: usize| Write::Put { key: key.to_owned().into(), value: vec![7; bytes].into() };
    // Half a segment is the most: three values of 200 KiB are two batches; another region's write is one of its own.
    let writes = [put("a", 200 << 10), put("key:000000099999", 1), put("b", 200 << 10), put("a", 200 << 10)];
    let batches = engine.batches(writes).unwrap();
    let keys = |command: &Command| match command {
        Command::Batch { writes } => writes.iter().map(|write| write.key().to_vec()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let keys: Vec<_> = batches.iter().map(keys).collect();
    assert_eq!(
        keys,
        [vec![b"a".to_vec(), b"b".to_vec()], vec![b"a".to_vec()], vec![b"key:000000099999".to_vec()]]
    );
    for batch in batches {
        let (done, answer) = std::sync::mpsc::channel();
        engine.execute(batch, move |result| done.send(result).unwrap());
        assert_eq!(answer.recv().unwrap(), Ok(Answer::Done));
    }
    let impossible = engine.batches([put("a", 1), put("b", 600 << 10)]);
    assert!(matches!(impossible, Err(Error::BatchTooLarge { .. })), "{impossible:?}");
    let impossible = engine.batches([put("a", 1), put(&"k".repeat(65_537), 1)]);
    assert_eq!(impossible, Err(Error::KeyTooLarge { bytes: 65_537 }));
}

fn problem(dir: &Path) -> Problem {
    match LocalCluster::open(config(dir)) {
        Err(Error::Directory(error)) => error.problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn a_directory_that_is_in_use_mixed_or_incomplete_is_refused() {
    let temp = TempDir::new().unwrap();
    let (one, other) = (temp.path().join("one"), temp.path().join("other"));
    let cluster = open(&one);
    assert_eq!(problem(&one), Problem::InUse);
    drop(cluster);
    drop(open(&other));

    fs::rename(one.join("store-2"), temp.path().join("store-2")).unwrap();
    assert_eq!(problem(&one), Problem::Missing);
    fs::rename(other.join("store-2"), one.join("store-2")).unwrap();
    assert_eq!(problem(&one), Problem::OtherMember);
    let sentence = LocalCluster::open(config(&one)).err().unwrap().to_string();
    assert!(sentence.ends_with("put this cluster's own store-2 back"), "{sentence}");
    fs::remove_dir_all(one.join("store-2")).unwrap();
    fs::rename(one.join("store-3"), one.join("store-2")).unwrap();
    assert_eq!(problem(&one), Problem::OtherStore);
    assert_eq!(problem(temp.path()), Problem::Foreign);
}

//! Regions of three real stores are split, by hand and by size, while clients read and write: nothing is lost, nothing is out of
//! order, and nobody sees an error.

#![allow(clippy::unwrap_used)] // also in what the tests share

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use skep_engine::{Answer, Engine, Error, LocalCluster, LocalConfig, Write};
use tempfile::TempDir;

/// For what is to happen at last, on a machine that may stand still for seconds: how fast it is, benchmarks tell.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(temp: &TempDir) -> LocalConfig {
    let dir = temp.path().join("data");
    LocalConfig { segment_bytes: 4 << 20, regions: 1, request_timeout: PATIENCE, ..LocalConfig::new(dir) }
}

/// Says that it is over, also when a check has failed: else whoever writes would go on for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn open(config: LocalConfig) -> LocalCluster {
    let cluster = LocalCluster::open(config).unwrap();
    cluster.wait_ready(PATIENCE).unwrap();
    cluster
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// How many regions a store knows, checked to tile the key space.
fn regions(engine: &Engine) -> usize {
    let regions = engine.regions();
    assert!(regions[0].start.is_empty() && regions.last().unwrap().end.is_none());
    assert!(regions.windows(2).all(|pair| pair[0].end.as_ref() == Some(&pair[1].start)), "{regions:?}");
    regions.len()
}

#[test]
fn a_region_is_split_through_any_store_and_stays_so() {
    let temp = TempDir::new().unwrap();
    let cluster = open(config(&temp));
    for number in 0..100 {
        cluster.engine(number).put(format!("key:{number:02}"), "v").wait().unwrap();
    }
    for (at, key) in ["key:50", "key:25", "key:75"].into_iter().enumerate() {
        let came = cluster.engine(at).split(key).wait().unwrap();
        assert!(came.iter().any(|region| region.start == key), "{came:?}");
    }
    assert_eq!(cluster.engine(0).split("key:50").wait().unwrap().len(), 1, "it is one already");
    for engine in cluster.engines() {
        until("every store has all four", || engine.region_infos().len() == 4 && regions(engine) == 4);
        assert_eq!(engine.count_keys().wait().unwrap(), 100);
        assert_eq!(engine.scan("", None, 1000).wait().unwrap().len(), 100);
    }
    cluster.close().unwrap();
    drop(cluster);

    let cluster = open(config(&temp));
    for engine in cluster.engines() {
        until("every store has all four", || engine.region_infos().len() == 4 && regions(engine) == 4);
        assert_eq!(engine.count_keys().wait().unwrap(), 100);
    }
    let info = &cluster.engine(0).region_infos()[1];
    assert_eq!((&info.descriptor.start[..], info.descriptor.epoch.version), (&b"key:25"[..], 3));
    assert_eq!(cluster.engine(1).put("key:30", vec![0; 10]).wait(), Ok(()));
}

#[test]
fn one_clients_commands_on_a_key_keep_their_order_while_regions_split() {
    let temp = TempDir::new().unwrap();
    let cluster = open(config(&temp));
    let is_over = AtomicBool::new(false);
    let appends = AtomicU64::new(0);
    thread::scope(|scope| {
        for client in 0..3 {
            let (engine, is_over, appends) = (cluster.engine(client), &is_over, &appends);
            scope.spawn(move || append_in_order(engine, client, is_over, appends));
        }
        let _over = Over(&is_over);
        for at in 0..40u32 {
            let before = appends.load(Ordering::Relaxed);
            // Between and at the keys that are written, now before and now behind what was split last.
            let key = format!("key:{:02}{}", at * 7 % 20, if at % 2 == 0 { "" } else { "x" });
            cluster.engine(at as usize).split(key).wait().unwrap();
            until("the clients go on", || appends.load(Ordering::Relaxed) > before + 50);
        }
    });
    assert!(regions(cluster.engine(0)) > 20);
}

/// Appends growing numbers to twenty keys, many at a time without waiting, and reads them back: each key has all of this
/// client's numbers, in order, and each length that was answered is greater than the one before.
fn append_in_order(engine: &Engine, client: usize, is_over: &AtomicBool, appends: &AtomicU64) {
    let key = |at: u64| format!("key:{at:02}:{client}");
    let mut written = 0;
    while !is_over.load(Ordering::Relaxed) {
        let tickets: Vec<_> =
            (written..written + 200).map(|at| engine.append(key(at % 20), format!("{at};"))).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
            appends.fetch_add(1, Ordering::Relaxed);
        }
        written += 200;
    }
    for at in 0..20 {
        let expected: String =
            (0..written).filter(|number| number % 20 == at).map(|n| format!("{n};")).collect();
        assert_eq!(engine.get(key(at)).wait().unwrap().unwrap(), expected, "{}", key(at));
    }
}

/// What is set in one go is cut where regions have come to meet, and keeps its place among what the client writes.
#[test]
fn what_is_set_together_keeps_its_place_while_regions_split() {
    let temp = TempDir::new().unwrap();
    let cluster = open(config(&temp));
    let is_over = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    thread::scope(|scope| {
        for client in 0..3 {
            let (engine, is_over, rounds) = (cluster.engine(client), &is_over, &rounds);
            scope.spawn(move || set_and_append(engine, client, is_over, rounds));
        }
        let _over = Over(&is_over);
        for at in 0..40u32 {
            let before = rounds.load(Ordering::Relaxed);
            let key = format!("key:{:02}{}", at * 7 % 20, if at % 2 == 0 { "" } else { "x" });
            cluster.engine(at as usize).split(key).wait().unwrap();
            until("the clients go on", || rounds.load(Ordering::Relaxed) > before + 10);
        }
    });
    assert!(regions(cluster.engine(0)) > 20);
}

/// Sets twenty keys in one go and appends to each, over and over, many at a time without waiting: whenever something was
/// appended, it was to the newest value.
fn set_and_append(engine: &Engine, client: usize, is_over: &AtomicBool, rounds: &AtomicU64) {
    let key = |at: u64| format!("key:{at:02}:{client}");
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) {
        let several: Vec<_> = (0..10)
            .map(|_| {
                round += 1;
                let value = format!("{round:08}");
                let put = |at| Write::Put { key: key(at).into(), value: value.clone().into() };
                let (done, was_set) = std::sync::mpsc::channel();
                engine.execute_divided((0..20).map(put).collect(), move |answer| done.send(answer).unwrap());
                let appended: Vec<_> = (0..20).map(|at| engine.append(key(at), "x")).collect();
                (was_set, appended)
            })
            .collect();
        for (was_set, appended) in several {
            assert_eq!(was_set.recv().unwrap(), Ok(Answer::Done));
            let lengths: Vec<u64> = appended.into_iter().map(|length| length.wait().unwrap()).collect();
            assert_eq!(lengths, [9; 20]);
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
    for at in 0..20 {
        assert_eq!(engine.get(key(at)).wait().unwrap().unwrap(), format!("{round:08}x"), "{}", key(at));
    }
}

#[test]
fn a_region_that_has_grown_is_cut_while_it_is_written() {
    let temp = TempDir::new().unwrap();
    let cluster = open(LocalConfig { split_bytes: 256 << 10, ..config(&temp) });
    let engine = cluster.engine(0);
    let mut counts = Vec::new();
    for round in 0..40u32 {
        let put = |at: u32| {
            engine.put(format!("key:{:08}", (round * 200 + at).wrapping_mul(2_654_435_761)), vec![7; 1000])
        };
        let puts: Vec<_> = (0..200).map(put).collect();
        puts.into_iter().for_each(|put| put.wait().unwrap());
        counts.push(engine.count_keys().wait().unwrap());
    }
    assert!(counts.iter().zip(1..).all(|(count, round)| *count == round * 200), "{counts:?}");
    until("eight MB are cut into 32 pieces or more", || regions(engine) >= 32);
    until("the others follow", || cluster.engines().iter().all(|other| regions(other) == regions(engine)));
    assert!(engine.region_infos().iter().all(|info| info.size <= 512 << 10));
}

#[test]
fn the_lead_of_a_region_moves_to_the_store_that_is_named() {
    let temp = TempDir::new().unwrap();
    let cluster = open(config(&temp));
    let region = cluster.engine(0).regions()[0].id;
    for engine in cluster.engines() {
        let to = engine.store_id();
        // Asked through any store, not only through the one that leads.
        cluster.engine(1).transfer_leader(region, to).wait().unwrap();
        until("it leads", || engine.region_infos()[0].leader == Some(to));
        engine.put("a", "b").wait().unwrap();
    }
    let nobody = skep_engine::StoreId(7);
    assert_eq!(cluster.engine(0).transfer_leader(region, nobody).wait(), Err(Error::NoRegion));
}

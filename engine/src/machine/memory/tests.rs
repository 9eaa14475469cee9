//! What the data is after any writes and splits, that a snapshot and a split cost the same at any size.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use skep_raftstore::machine::Stamp;

use super::*;

fn filled(keys: u32) -> MemoryMachine {
    let mut machine = MemoryMachine::default();
    for number in 0..keys {
        machine.put(format!("key:{number:012}").as_bytes(), held(b"sixteen bytes...", None)).unwrap();
    }
    machine
}

fn held(value: &[u8], expires: Option<Stamp>) -> Held {
    Held { value: value.into(), expires }
}

fn shortest(mut action: impl FnMut()) -> Duration {
    let times = (0..200).map(|_| {
        let begin = Instant::now();
        action();
        begin.elapsed()
    });
    times.min().unwrap()
}

/// Takes a snapshot, writes once beside it, drops it: what a checkpoint costs the writers.
fn snapshot_and_write(machine: &mut MemoryMachine) {
    let snapshot = machine.snapshot().unwrap();
    machine.put(b"key:000000005000", held(b"x", None)).unwrap();
    drop(snapshot);
}

#[test]
fn a_snapshot_costs_the_same_at_any_size() {
    let (mut small, mut large) = (filled(10_000), filled(1_000_000));
    let of_small = shortest(|| snapshot_and_write(&mut small));
    let of_large = shortest(|| snapshot_and_write(&mut large));
    // A hundred times the keys: one or two more levels of the tree, not a hundred times the work.
    assert!(of_large < of_small * 10, "{of_small:?} for 10,000 keys, {of_large:?} for 1,000,000");
}

#[test]
fn a_snapshot_does_not_feel_later_writes() {
    let mut machine = filled(1_000);
    let snapshot = machine.snapshot().unwrap();
    for number in 0..1_000 {
        machine.remove(format!("key:{number:012}").as_bytes()).unwrap();
    }
    let mut pairs = 0;
    snapshot
        .visit(&mut |_, _, _| {
            pairs += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!((pairs, machine.count(), machine.size()), (1_000, 0, 0));
}

#[test]
fn a_scan_of_an_empty_or_a_reversed_range_sees_nothing() {
    let machine = filled(10);
    for (start, end) in [(&b"key:1"[..], &b"key:0"[..]), (b"key:", b"key:"), (b"z", b"zz")] {
        let mut visited = 0;
        let mut visit = |_: &[u8], _: &[u8], _: Option<Stamp>| {
            visited += 1;
            ControlFlow::Continue(())
        };
        machine.scan((start, Some(end)), Order::Rising, &mut visit).unwrap();
        assert_eq!(visited, 0);
    }
}

#[test]
fn a_split_costs_little_at_any_size() {
    let split = |keys: u32| {
        let mut machine = filled(keys);
        let begin = Instant::now();
        let upper = machine.split_off(format!("key:{:012}", keys / 2).as_bytes()).unwrap();
        let took = begin.elapsed();
        assert_eq!(machine.count() + upper.count(), u64::from(keys));
        assert_eq!(machine.size() + upper.size(), u64::from(keys) * 32);
        took
    };
    let of = |keys| (0..5).map(|_| split(keys)).min().unwrap();
    let (small, large) = (of(20_000), of(1_000_000));
    println!("{small:?} of 20,000 keys, {large:?} of 1,000,000");
    assert!(large < small * 10, "{small:?} of 20,000 keys, {large:?} of 1,000,000");
}

#[test]
fn cuts_make_pieces_of_about_as_many_bytes() {
    let machine = filled(100_000);
    let cuts = machine.cuts(4).unwrap();
    assert_eq!(cuts.len(), 3);
    let mut rest = machine;
    for cut in cuts.iter().rev() {
        let piece = rest.split_off(cut).unwrap();
        assert!((24_900..25_100).contains(&piece.count()), "{cut:?}: {}", piece.count());
    }
    assert_eq!(filled(1).cuts(2).unwrap(), []);
    assert_eq!(MemoryMachine::default().cuts(2).unwrap(), []);
}

#[test]
fn a_cut_is_no_longer_than_it_must_be() {
    assert_eq!(&*between(b"user:1999", b"user:2000"), b"user:2");
    assert_eq!(&*between(b"a", b"ab"), b"ab");
}

/// Many more keys than a chunk has: they come in any order, and go again.
#[test]
fn chunks_hold_what_one_map_would() {
    let mut machine = MemoryMachine::default();
    let mut twin = BTreeMap::new();
    let mut number: u64 = 1;
    for step in 0..60_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = (number >> 45).to_be_bytes();
        if step % 5 == 4 {
            assert_eq!(machine.remove(&key).unwrap().is_some(), twin.remove(&key).is_some());
        } else {
            machine.put(&key, held(&key[4..], None)).unwrap();
            twin.insert(key, key[4..].to_vec());
        }
    }
    assert!(machine.chunks.len() > 4);
    assert_eq!(all(&machine), twin.iter().map(|(k, v)| (k.to_vec(), v.clone())).collect::<Vec<_>>());
    twin.keys().for_each(|key| assert!(machine.remove(key).unwrap().is_some()));
    assert_eq!((machine.count(), machine.size(), machine.chunks.len()), (0, 0, 1));
}

fn all(machine: &MemoryMachine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut visit = |key: &[u8], value: &[u8], _: Option<Stamp>| {
        all.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    machine.scan((b"", None), Order::Rising, &mut visit).unwrap();
    all
}

fn in_time(machine: &MemoryMachine) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut visit = |at: Stamp, key: &[u8]| {
        all.push((at.0, key.to_vec()));
        ControlFlow::Continue(())
    };
    machine.expiring(&mut visit).unwrap();
    all
}

#[test]
fn times_follow_their_values() {
    let mut machine = MemoryMachine::default();
    for (key, at) in [(b"a", 30), (b"b", 10), (b"c", 20)] {
        machine.put(key, held(b"v", Some(Stamp(at)))).unwrap();
    }
    let snapshot = machine.snapshot().unwrap();
    assert_eq!(in_time(&machine), [(10, b"b".to_vec()), (20, b"c".to_vec()), (30, b"a".to_vec())]);
    machine.put(b"a", held(b"v", Some(Stamp(5)))).unwrap();
    machine.put(b"b", held(b"v", None)).unwrap();
    assert_eq!(machine.remove(b"c").unwrap(), Some(held(b"v", Some(Stamp(20)))));
    assert_eq!(in_time(&machine), [(5, b"a".to_vec())]);
    assert_eq!(machine.count_expiring(), 1);
    let mut kept = Vec::new();
    snapshot
        .visit(&mut |_, _, expires| {
            kept.push(expires);
            Ok(())
        })
        .unwrap();
    assert_eq!(kept, [Some(Stamp(30)), Some(Stamp(10)), Some(Stamp(20))], "a snapshot keeps its own");
    machine.clear().unwrap();
    assert_eq!((machine.count(), machine.count_expiring(), machine.size()), (0, 0, 0));
}

#[test]
fn a_falling_scan_shows_the_same_pairs_backwards() {
    let machine = filled(10);
    let scan = |order| {
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], _: &[u8], _: Option<Stamp>| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        };
        machine.scan((b"key:000000000002", Some(b"key:000000000007")), order, &mut visit).unwrap();
        keys
    };
    let mut falling = scan(Order::Falling);
    assert_eq!(falling.len(), 5);
    falling.reverse();
    assert_eq!(falling, scan(Order::Rising));
}

/// Times are in one order however the data is cut into chunks, and go with their values when it is split.
#[test]
fn times_are_in_order_over_many_chunks_and_both_sides_of_a_split() {
    let mut machine = MemoryMachine::default();
    let keys = 3 * CHUNK_PAIRS_MAX as u64;
    for number in 0..keys {
        // Every third key; neighbours expire far apart.
        let expires = (number % 3 == 0).then_some(Stamp(number * 7_919 % 10_007));
        machine.put(&number.to_be_bytes(), held(b"", expires)).unwrap();
    }
    assert!(machine.chunks.len() > 2);
    let times = in_time(&machine);
    assert_eq!(times.len() as u64, machine.count_expiring());
    assert!(times.is_sorted());
    let upper = machine.split_off(&(keys / 2).to_be_bytes()).unwrap();
    assert_eq!(machine.count_expiring() + upper.count_expiring(), keys / 3);
    let mut both = [in_time(&machine), in_time(&upper)].concat();
    both.sort();
    assert_eq!(both, times);
    assert!(in_time(&upper).iter().all(|(_, key)| **key >= (keys / 2).to_be_bytes()[..]));
}

proptest! {
    /// Both sides of a split hold what was on their side, and go on independently.
    #[test]
    fn a_split_is_exact(keys in proptest::collection::btree_set("[a-d]{1,4}", 0..40), at in "[a-e]{1,3}") {
        let mut machine = MemoryMachine::default();
        keys.iter().for_each(|key| machine.put(key.as_bytes(), held(b"v", None)).unwrap());
        let upper = machine.split_off(at.as_bytes()).unwrap();
        let is_below = |key: &&String| key.as_bytes() < at.as_bytes();
        let named = |machine: &MemoryMachine| all(machine).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let bytes = |key: &String| key.clone().into_bytes();
        prop_assert_eq!(named(&machine), keys.iter().filter(is_below).map(bytes).collect::<Vec<_>>());
        let above = keys.iter().filter(|key| !is_below(key)).map(bytes).collect::<Vec<_>>();
        prop_assert_eq!(upper.count(), above.len() as u64);
        prop_assert_eq!(named(&upper), above);
    }
}

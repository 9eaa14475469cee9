//! What the data is after any writes and splits, that a snapshot and a split cost the same at any size.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn filled(keys: u32) -> MemoryMachine {
    let mut machine = MemoryMachine::default();
    for number in 0..keys {
        machine.put(format!("key:{number:012}").as_bytes(), Octets::from(&b"sixteen bytes..."[..])).unwrap();
    }
    machine
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
    machine.put(b"key:000000005000", Octets::from(&b"x"[..])).unwrap();
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
        .visit(&mut |_, _| {
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
        let mut visit = |_: &[u8], _: &[u8]| {
            visited += 1;
            ControlFlow::Continue(())
        };
        machine.scan(start, Some(end), &mut visit).unwrap();
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
            assert_eq!(machine.remove(&key).unwrap(), twin.remove(&key).is_some());
        } else {
            machine.put(&key, Octets::from(&key[4..])).unwrap();
            twin.insert(key, key[4..].to_vec());
        }
    }
    assert!(machine.chunks.len() > 4);
    assert_eq!(all(&machine), twin.iter().map(|(k, v)| (k.to_vec(), v.clone())).collect::<Vec<_>>());
    twin.keys().for_each(|key| assert!(machine.remove(key).unwrap()));
    assert_eq!((machine.count(), machine.size(), machine.chunks.len()), (0, 0, 1));
}

fn all(machine: &MemoryMachine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        all.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    machine.scan(b"", None, &mut visit).unwrap();
    all
}

proptest! {
    /// Both sides of a split hold what was on their side, and go on independently.
    #[test]
    fn a_split_is_exact(keys in proptest::collection::btree_set("[a-d]{1,4}", 0..40), at in "[a-e]{1,3}") {
        let mut machine = MemoryMachine::default();
        keys.iter().for_each(|key| machine.put(key.as_bytes(), Octets::from(&b"v"[..])).unwrap());
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

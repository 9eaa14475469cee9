//! That a snapshot costs the same at any size, and what a write costs while one is held.

use std::time::{Duration, Instant};

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

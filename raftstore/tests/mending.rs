//! A store finds that bytes of its log are not what it wrote: the replica that is hit is removed and comes back whole, under
//! another name, and the others go on.

use skep_raftstore::ids::StoreId;
use words::places;
use words::stores::{REGION, World};

mod words;

/// Three stores that hold some words; the power of the third is gone.
fn world() -> World {
    let mut world = World::with(|config| config.log_tail_entries = u64::MAX);
    for word in ["bee", "wasp", "moth"] {
        world.write(1, word);
    }
    world.settle(300);
    world.crash(3);
    world
}

/// The third store is up again; what was damaged becomes whole by itself.
fn heals(mut world: World) {
    let before = world.status(2).expect("a replica").membership.voters;
    world.start(3);
    world.write(2, "hornet");
    world.settle(2000);
    let status = world.status(3).expect("a replica again");
    assert_eq!(status.stopped, None);
    let old = before.iter().find(|voter| voter.store() == StoreId(3)).expect("it had a vote");
    assert!(status.replica > *old, "it has another name");
    assert_eq!(world.voters(3), [1, 2, 3]);
    // It counts: with it, another may be lost.
    world.crash(1);
    world.write(3, "gnat");
    assert_eq!(world.words(2), "bee wasp moth hornet gnat");
    // And the damage is gone.
    world.crash(3);
    world.start(3);
    world.settle(500);
    let again = world.status(3).expect("a replica");
    assert_eq!((again.stopped, again.replica), (None, status.replica));
}

#[test]
fn a_replica_whose_entries_are_damaged_is_replaced() {
    let world = world();
    let log = &world.stores[&3].log;
    let (name, at) = places(log, b"wasp").pop().expect("it is in the log");
    assert!(log.flip_bit(&name, at, 3));
    heals(world);
}

/// The frames that hold the birth, the first votes and the first entries of the replica.
#[test]
fn a_replica_whose_birth_is_lost_knows_its_name_from_its_vote() {
    let world = world();
    let log = &world.stores[&3].log;
    // A birth record begins with its version and the replica: number 1, on store 3.
    let (name, at) = places(log, b"\x01\x03\0\0\0\x01\0\0\0").pop().expect("it is in the log");
    assert!(log.flip_bit(&name, at, 3));
    heals(world);
}

/// A replica moves away, and what damage hits is what is left of it. The region is not here, so that nobody misses anything, until a
/// replica of it is wanted here again: it comes, for it is known who was here before.
#[test]
fn what_is_left_of_a_removed_replica_may_be_damaged() {
    let moved_away = || {
        let mut world = World::with(|config| config.log_tail_entries = u64::MAX);
        world.add(4);
        world.write(1, "bee");
        world.replace(1, 3, 4);
        world.settle(300);
        assert_eq!(world.status(3), None);
        world.crash(3);
        world
    };
    let name = b"\x03\0\0\0\x01\0\0\0";
    let count = places(&moved_away().stores[&3].log, name).len();
    for at in count.saturating_sub(4)..count {
        let mut world = moved_away();
        let log = &world.stores[&3].log;
        let (file, offset) = places(log, name).swap_remove(at);
        assert!(log.flip_bit(&file, offset, 4));
        world.start(3);
        world.settle(500);
        world.replace(1, 4, 3);
        world.settle(500);
        assert_eq!(world.voters(3), [1, 2, 3], "after damage at {offset} of {file}");
        assert_eq!(world.words(3), "bee");
    }
}

/// Nobody knows any more who was here, and so for whom it may have voted: no message makes a replica of the old name, nor does
/// the birth that is said again when the store is opened.
#[test]
fn one_that_knows_no_name_at_all_stays_away() {
    let mut world = world();
    let log = &world.stores[&3].log;
    for (name, at) in places(log, b"\x03\0\0\0\x01\0\0\0") {
        assert!(log.flip_bit(&name, at, 5));
    }
    world.start(3);
    world.settle(2000);
    assert_eq!(world.status(3), None);
    world.write(3, "hornet");
    assert_eq!(world.words(2), "bee wasp moth hornet", "clients are served");
}

#[test]
fn without_a_quorum_of_others_it_stays_stopped_and_keeps_what_it_has() {
    let mut world = world();
    world.crash(2);
    let log = &world.stores[&3].log;
    let (name, at) = places(log, b"wasp").pop().expect("it is in the log");
    assert!(log.flip_bit(&name, at, 3));
    world.start(3);
    world.settle(2000);
    let status = world.status(3).expect("it is still there");
    assert!(
        status.stopped.as_ref().is_some_and(|why| why.contains("damaged in segment")),
        "{:?}",
        status.stopped
    );
    let membership = world.status(1).expect("a replica").membership;
    assert!(membership.is_voter(status.replica), "it may be asked for, but nobody can decide it");
    // When the others are back it is replaced.
    world.start(2);
    world.settle(3000);
    let whole = world.status(3).expect("a replica again");
    assert!(whole.stopped.is_none() && whole.replica > status.replica, "{whole:?}");
    assert_eq!(world.words(3), "bee wasp moth");
}

/// Power goes again and again while a replica is replaced: it is whole in the end.
#[test]
fn what_is_interrupted_goes_on() {
    for ticks in (20..900).step_by(60) {
        let mut world = world();
        let log = &world.stores[&3].log;
        let (name, at) = places(log, b"wasp").pop().expect("it is in the log");
        assert!(log.flip_bit(&name, at, 3));
        world.start(3);
        world.settle(ticks);
        world.crash(3);
        world.start(3);
        world.settle(ticks);
        let leader = world.leader();
        world.crash(leader);
        world.start(leader);
        world.settle(3000);
        let whole = world.status(3).unwrap_or_else(|| panic!("no replica of {REGION} after {ticks}"));
        assert_eq!(whole.stopped, None, "after {ticks}");
        assert_eq!(world.voters(3), [1, 2, 3], "after {ticks}");
        assert_eq!(world.words(3), "bee wasp moth");
    }
}

//! Replicas move between stores while a region is in use: a lost store is replaced, who was removed stays away, and every
//! store serves the region, whether it has a replica or not.

use skep_raftstore::ids::StoreId;
use skep_raftstore::store::{Move, RegionStatus};
use words::stores::World;

mod words;

#[test]
fn a_store_that_is_away_holds_the_log_for_so_many_bytes_and_then_gets_a_snapshot() {
    let mut world = World::with(|config| {
        (config.log_tail_entries, config.log_tail_bytes) = (u64::MAX, 1024);
    });
    world.crash(3);
    // Whoever leads now has never heard from the third store.
    let leader = world.leader();
    world.crash(leader);
    world.start(leader);
    world.settle(1000);
    for number in 0..100 {
        world.write(1, &format!("{number:050}"));
    }
    let leader = world.leader();
    let status = world.status(leader).expect("it has a replica");
    let kept = status.last.0 + 1 - status.first.0;
    assert!((8..40).contains(&kept), "about 90 bytes each: {kept} of {} are kept", status.last);
    world.start(3);
    world.settle(1000);
    let newest = world.status(3).expect("it has a replica");
    assert_eq!((newest.applied, newest.stopped), (status.last.max(newest.last), None), "it has caught up");
}

#[test]
fn a_store_whose_directory_is_lost_is_replaced_by_a_new_one() {
    let mut world = World::new();
    world.write(1, "bee");
    world.crash(3);
    world.write(2, "wasp");
    world.add(4);
    // Asked of the store that has no replica: it knows where the region is.
    world.replace(4, 3, 4);
    for store in [1, 2, 4] {
        assert_eq!(world.voters(store), [1, 2, 4]);
    }
    // The new one counts: with it, another may be lost.
    world.crash(1);
    world.write(4, "moth");
    assert_eq!(world.words(2), "bee wasp moth");
}

#[test]
fn who_was_removed_is_gone_for_good_and_still_serves() {
    let mut world = World::new();
    world.write(3, "bee");
    world.add(4);
    world.replace(1, 3, 4);
    assert_eq!(world.status(3), None, "its replica is gone");
    world.write(3, "wasp");
    assert_eq!(world.words(3), "bee wasp");
    // Nor does a restart bring it back.
    world.crash(3);
    world.start(3);
    world.settle(200);
    assert_eq!(world.status(3), None);
    world.write(3, "moth");
    assert_eq!(world.words(4), "bee wasp moth");
}

#[test]
fn who_was_away_when_it_was_removed_hears_of_it() {
    let mut world = World::new();
    world.write(1, "bee");
    world.crash(3);
    world.add(4);
    world.replace(1, 3, 4);
    // The log forgets that 3 was ever a member.
    (0..40).for_each(|_| world.write(1, "a rather long word to fill the log with"));
    world.crash(1);
    world.start(1);
    world.start(3);
    world.settle(400);
    assert_eq!(world.status(3), None, "it asked for votes, and was told");
    assert_eq!(world.voters(4), [1, 2, 4]);
}

/// One without a vote, or without a state, asks for no votes. So it asks whether it was removed, as long as it wants one.
#[test]
fn a_learner_that_was_away_when_it_was_removed_hears_of_it() {
    for has_state in [false, true] {
        let mut world = World::new();
        world.write(1, "bee");
        world.add(4);
        world.step_move(1, Move { from: None, to: Some(StoreId(4)) });
        let is_there = |status: &RegionStatus| status.membership.learners.is_empty() != has_state;
        let learner = loop {
            world.settle(1);
            if let Some(status) = world.status(4).filter(is_there) {
                break status.replica;
            }
        };
        world.crash(4);
        world.step_move(1, Move { from: Some(StoreId(4)), to: None });
        // The log forgets that it was ever a member.
        (0..40).for_each(|_| world.write(1, "a rather long word to fill the log with"));
        world.crash(1);
        world.start(1);
        world.start(4);
        assert_eq!(world.status(4).expect("it is still there").replica, learner);
        world.settle(400);
        assert!(world.status(4).is_none_or(|status| status.replica > learner), "it asked, and was told");
        world.replace(1, 3, 4);
        assert_eq!(world.voters(4), [1, 2, 4]);
    }
}

#[test]
fn a_replica_that_comes_back_has_a_new_name_and_an_empty_past() {
    let mut world = World::new();
    let before = world.status(3).expect("a replica").replica;
    world.add(4);
    world.replace(1, 3, 4);
    world.replace(2, 4, 3);
    let after = world.status(3).expect("a replica again");
    assert!(after.replica > before && after.replica.store() == StoreId(3));
    assert_eq!(world.voters(3), [1, 2, 3]);
    assert_eq!(world.status(4), None);
    world.crash(1);
    world.crash(3);
    world.start(3);
    world.write(3, "bee");
    assert_eq!(world.words(2), "bee");
}

#[test]
fn a_leader_that_is_removed_hands_over() {
    let mut world = World::new();
    world.add(4);
    let leader = world.leader();
    let asked = if leader == 1 { 2 } else { 1 };
    world.replace(asked, leader, 4);
    assert_eq!(world.status(leader), None);
    world.write(leader, "bee");
    assert_eq!(world.words(4), "bee");
}

#[test]
fn whoever_leads_next_goes_on_with_a_move() {
    for steps in 1..6 {
        let mut world = World::new();
        world.add(4);
        let wanted = Move { from: Some(StoreId(3)), to: Some(StoreId(4)) };
        for _ in 0..steps {
            world.step_move(2, wanted);
        }
        let leader = world.leader();
        world.crash(leader);
        world.start(leader);
        world.settle(300);
        world.replace(2, 3, 4);
        world.write(4, "bee");
        assert_eq!(world.voters(2), [1, 2, 4], "after {steps} steps");
    }
}

/// The snapshot is durable, and the birth of the replica that it was for is not. The next one knows nothing of it, and says so.
#[test]
fn a_state_that_came_before_a_birth_that_was_lost_comes_again() {
    let mut world = World::new();
    world.write(1, "bee");
    world.add(4);
    world.machine(4).syncs_nothing = true;
    world.step_move(1, Move { from: None, to: Some(StoreId(4)) });
    world.settle(200);
    let status = world.status(4).expect("a replica");
    assert_eq!(status.membership.learners, [status.replica], "it has its state");
    world.crash(4);
    world.machine(4).syncs_nothing = false;
    world.start(4);
    assert_eq!(world.status(4), None, "its birth is lost");
    world.replace(1, 3, 4);
    assert_eq!(world.voters(4), [1, 2, 4]);
    assert_eq!(world.words(4), "bee");
}

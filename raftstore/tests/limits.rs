//! What a store may have under way is limited in bytes: nothing grows without end, nothing that was taken is lost, and all goes on
//! when there is room.

use bytes::Bytes;
use skep_raftstore::ids::{ReplicaId, StoreId};
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::StoreConfig;
use words::stores::{Said, World};

mod words;

/// A command of a hundred bytes.
fn word(number: usize) -> String {
    format!("{number:0100}")
}

fn submit(world: &World, store: u32, number: usize) -> Said {
    world.submit(store, RequestKind::Write, Bytes::from(word(number)))
}

#[test]
fn a_leader_that_cannot_commit_takes_so_much_and_then_says_that_it_is_busy() {
    let mut world = World::with(|config| {
        config.uncommitted_bytes_max = 2_000;
        config.proposals_bytes_max = 3_000;
        config.unanswered_bytes_max = 8_000;
    });
    world.write(1, "first");
    let before = world.status(1).expect("a replica").last.0;
    world.cut_off(1);
    let answers: Vec<Said> = (0..200)
        .map(|number| {
            let said = submit(&world, 1, number);
            if number % 10 == 9 {
                world.settle(1);
            }
            said
        })
        .collect();
    let taken = world.status(1).expect("a replica").last.0 - before;
    assert!((10..=40).contains(&taken), "{taken} entries of about 130 bytes");
    assert!(world.waits(1).0 > 0);
    let is_refused = |said: &Said| said.lock().as_ref().is_some_and(|said| *said == Err("Busy".into()));
    let refused = answers.iter().filter(|said| is_refused(said)).count();
    assert!(refused > 100, "{refused} of 200 are refused: what is taken is bounded");
    // Whatever was not refused is done, in its order and once.
    world.heal();
    world.settle(2_000);
    let done: Vec<String> = (0..200).filter(|number| !is_refused(&answers[*number])).map(word).collect();
    assert_eq!(world.words(2), ["first".to_owned()].into_iter().chain(done).collect::<Vec<_>>().join(" "));
}

#[test]
fn a_follower_that_does_not_answer_is_sent_so_much_and_holds_up_nobody() {
    // The window of the follower alone, and that of its store.
    let worlds = [
        (World::with(|config| config.inflight_bytes_max = 1_000), false),
        (World::with(|config| config.peer_bytes_max = 1_000), true),
    ];
    for (mut world, waits_for_the_store) in worlds {
        world.cut_off(3);
        (0..100).for_each(|number| world.write(1, &word(number)));
        world.heal();
        world.settle(500);
        let (leader, follower) = (world.status(1).expect("it leads"), world.status(3).expect("it follows"));
        assert_eq!(leader.applied, follower.applied);
        // And what is written at once comes through as well, a window at a time.
        let answers: Vec<Said> = (100..200).map(|number| submit(&world, 1, number)).collect();
        world.settle(300);
        assert!(answers.iter().all(|said| *said.lock() == Some(Ok(Bytes::from_static(b"done")))));
        let all: Vec<String> = (0..200).map(word).collect();
        assert_eq!(world.words(3), all.join(" "));
        assert_eq!(world.waits(1).1 > 0, waits_for_the_store);
    }
}

/// The disks of both followers are stuck: they hear their leader and acknowledge nothing.
fn held_up() -> World {
    let mut world = World::with(few_uncommitted);
    (2..=3).for_each(|store| world.machine(store).syncs_nothing = true);
    let large = Bytes::from("x".repeat(600));
    world.submit(1, RequestKind::Write, large);
    world.settle(2);
    world
}

fn few_uncommitted(config: &mut StoreConfig) {
    config.uncommitted_bytes_max = 500;
}

fn hand_over(world: &World, to: u32) -> Said {
    let to = ReplicaId::new(1, StoreId(to));
    world.submit(1, RequestKind::Lead, Bytes::copy_from_slice(&to.0.to_le_bytes()))
}

#[test]
fn what_adds_nothing_goes_on_while_proposals_are_held_up() {
    let mut world = held_up();
    let read = world.submit(2, RequestKind::Read, Bytes::new());
    world.settle(5);
    assert_eq!(*read.lock(), Some(Ok(Bytes::new())), "it came before any write that waits");
    // A write waits, and a read behind it; that the lead is handed over waits for neither.
    let write = submit(&world, 1, 0);
    let behind = world.submit(1, RequestKind::Read, Bytes::new());
    world.settle(2);
    let handed_over = hand_over(&world, 2);
    world.settle(5);
    assert!(world.waits(1).0 > 0 && handed_over.lock().is_some());
    assert_eq!((&*write.lock(), &*behind.lock()), (&None, &None));
}

/// The reason to wait is gone while another one is there: nobody looks again and again whether it is gone, too.
#[test]
fn a_leader_that_was_held_up_and_hands_over_comes_to_rest() {
    let mut world = held_up();
    let write = submit(&world, 1, 0);
    world.settle(2);
    assert!(world.waits(1).0 > 0);
    // The third store never catches up, so the transfer is under way for a while, and nothing is proposed meanwhile.
    world.cut_off(3);
    hand_over(&world, 3);
    world.settle(2);
    world.machine(2).syncs_nothing = false;
    world.settle(5);
    assert!(world.status(1).expect("it leads").commit.0 > 1 && write.lock().is_none());
    world.settle(1_000);
    assert_eq!(*write.lock(), Some(Ok(Bytes::from_static(b"done"))));
}

/// Its machine is stuck, so nothing but the commit says that there is room.
#[test]
fn what_was_held_up_is_proposed_as_soon_as_there_is_room() {
    let mut world = World::with(few_uncommitted);
    world.cut_off(3);
    world.machine(1).applies_nothing = true;
    let before = world.status(1).expect("it leads").last.0;
    (0..100).for_each(|number| drop(submit(&world, 1, number)));
    world.settle(40);
    assert_eq!(world.status(1).expect("it leads").last.0 - before, 100);
    assert!(world.waits(1).0 > 10);
}

/// What a reign had on its way to a store is nobody's any more when the reign is over, however it ends.
#[test]
fn what_was_on_its_way_takes_up_no_room_when_nobody_leads_any_more() {
    let ends: [fn(&World); 2] = [
        |world| drop(hand_over(world, 2)),
        |world| drop(world.submit(1, RequestKind::Write, Bytes::from_static(b"poison"))),
    ];
    for end in ends {
        // Entries that are compacted would be on their way no more.
        let limits = |config: &mut StoreConfig| {
            (config.peer_bytes_max, config.log_tail_entries) = (1_000, u64::MAX);
        };
        let mut world = World::with(limits);
        world.cut_off(3);
        for number in 0..20 {
            submit(&world, 1, number);
            world.settle(1);
        }
        assert!(world.on_their_way(1) >= 1_000, "the window of the third store is full");
        end(&world);
        world.settle(5);
        assert_eq!(world.on_their_way(1), 0);
    }
}

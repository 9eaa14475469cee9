//! What a store may have under way is limited in bytes: nothing grows without end, nothing that was taken is lost, and all goes on
//! when there is room.

use bytes::Bytes;
use skep_raftstore::message::RequestKind;
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

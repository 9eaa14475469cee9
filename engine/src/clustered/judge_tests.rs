//! Founding a cluster: who promises what, who acts on it, and everything that can go wrong in between.

use skep_raftstore::ids::{Life, StoreId};
use skep_raftstore::transport::Identity;

use super::*;

const ADDRESSES: [&str; 3] = ["a:1", "b:1", "c:1"];

fn uuid(store: u32) -> [u8; 16] {
    [store as u8; 16]
}

fn outside(store: u32) -> Introduction {
    let cluster = ClusterId(0);
    let mut own =
        Introduction::new(Identity { cluster, store: StoreId(store), uuid: uuid(store), life: Life(1) });
    own.listed = ADDRESSES.map(String::from).to_vec();
    own.regions = 4;
    own.plan = 1;
    own
}

fn founding(stores: [u32; 3]) -> Founding {
    Founding::new(1, 4, stores.map(|store| (StoreId(store), uuid(store))).to_vec())
}

fn promised(store: u32, founding: &Founding) -> Introduction {
    let mut own = outside(store);
    own.set_founders(founding.founders());
    own
}

fn member(store: u32, founding: &Founding) -> Introduction {
    let cluster = founding.cluster();
    let mut own =
        Introduction::new(Identity { cluster, store: StoreId(store), uuid: uuid(store), life: Life(1) });
    own.set_stage(Stage::Member);
    own.set_founders(founding.founders());
    own.listed = outside(1).listed;
    (own.regions, own.plan) = (founding.regions, founding.plan);
    own
}

/// Everyone but the store at `a:1`.
fn heard(others: [Option<Introduction>; 2]) -> Vec<Heard> {
    let others = ADDRESSES[1..].iter().zip(others);
    others
        .map(|(address, says)| Heard { address: (*address).into(), says: says.ok_or("silent".into()) })
        .collect()
}

fn waits(step: Step, words: &str) {
    match step {
        Step::Wait(why) => assert!(why.contains(words), "{why}"),
        step => panic!("it does not wait: {step:?}"),
    }
}

#[test]
fn three_stores_promise_and_then_found() {
    let all = founding([1, 2, 3]);
    waits(step(&outside(1), None, &heard([None, Some(outside(3))])), "waiting for b:1 (silent)");
    let everyone = heard([Some(outside(2)), Some(outside(3))]);
    assert_eq!(step(&outside(1), None, &everyone), Step::Promise(all.clone()));
    let half = heard([Some(promised(2, &all)), Some(outside(3))]);
    assert_eq!(step(&outside(1), None, &half), Step::Promise(all.clone()));
    waits(step(&outside(1), Some(&all), &half), "agreeing");
    let whole = heard([Some(promised(2, &all)), Some(promised(3, &all))]);
    assert_eq!(step(&outside(1), Some(&all), &whole), Step::Found(all.clone()));
    // Without an own promise nobody acts, whatever the others say.
    assert_eq!(step(&outside(1), None, &whole), Step::Promise(all));
}

#[test]
fn one_store_is_enough_for_a_list_of_one() {
    let alone = Founding::new(1, 4, vec![(StoreId(1), uuid(1))]);
    assert_eq!(step(&outside(1), None, &[]), Step::Promise(alone.clone()));
    assert_eq!(step(&outside(1), Some(&alone), &[]), Step::Found(alone));
}

#[test]
fn a_founder_follows_those_who_have_begun() {
    let all = founding([1, 2, 3]);
    let begun = heard([Some(member(2, &all)), None]);
    assert_eq!(step(&outside(1), Some(&all), &begun), Step::Found(all.clone()));
    // It crashed before its promise, or nobody told it.
    assert_eq!(step(&outside(1), None, &begun), Step::Found(all));
}

#[test]
fn one_who_is_not_among_the_founders_joins_and_never_founds() {
    let all = founding([7, 2, 3]);
    let begun = heard([Some(member(2, &all)), Some(outside(3))]);
    assert_eq!(step(&outside(1), None, &begun), Step::Join(all.cluster(), all.clone()));
    let promise = founding([1, 2, 3]);
    assert_eq!(step(&outside(1), Some(&promise), &begun), Step::Join(all.cluster(), all));
}

#[test]
fn a_founder_that_is_wiped_before_anyone_began_is_replaced_in_the_promise() {
    let (first, second) = (founding([1, 2, 7]), founding([1, 2, 8]));
    let wiped = heard([Some(promised(2, &first)), Some(outside(8))]);
    assert_eq!(step(&outside(1), Some(&first), &wiped), Step::Promise(second.clone()));
    // The old promise of another does not count for the new one.
    waits(
        step(&outside(1), Some(&second), &heard([Some(promised(2, &first)), Some(promised(8, &second))])),
        "agreeing",
    );
    // One who begins with those whom we gave up is not followed: we may be counted on elsewhere.
    waits(step(&outside(1), Some(&second), &heard([Some(member(2, &first)), None])), "given up since");
}

#[test]
fn nobody_founds_with_one_who_was_told_something_else() {
    let mut other = outside(2);
    other.listed = vec!["a:1".into(), "b:1".into(), "d:1".into()];
    let words = "b:1 was given another list of stores; it does not have c:1; only it has d:1: give every store the same list";
    let round = heard([Some(other), Some(outside(3))]);
    waits(step(&outside(1), None, &round), words);
    assert_eq!(refusal(&outside(1), &round).as_deref(), Some(words));
    let mut other = outside(2);
    other.regions = 5;
    let round = heard([Some(other), Some(outside(3))]);
    waits(step(&outside(1), None, &round), "b:1 was told to make 5 regions, this store 4");
    waits(
        step(&outside(1), None, &heard([Some(outside(2)), Some(outside(2))])),
        "lead to a store with the id",
    );
    waits(step(&outside(1), None, &heard([Some(outside(2)), Some(outside(0))])), "that is starting");
}

#[test]
fn a_store_with_our_id_is_somebody_else() {
    let round = heard([Some(outside(1)), None]);
    assert!(
        refusal(&outside(1), &round)
            .is_some_and(|why| why.contains("is a copy of the one that b:1 runs from"))
    );
    let mut all = vec![(StoreId(1), uuid(9)), (StoreId(2), uuid(2))];
    let other = Founding::new(1, 4, std::mem::take(&mut all));
    waits(step(&outside(1), None, &heard([Some(member(2, &other)), None])), "another store with our id");
    let mut same_id = outside(1);
    same_id.speaker = member(1, &founding([1, 2, 3])).speaker;
    assert!(refusal(&outside(1), &[]).is_none());
    assert!(refusal(&same_id, &heard([Some(outside(1)), None])).is_some());
}

#[test]
fn a_member_of_another_cluster_is_refused_and_a_changed_list_is_not() {
    let (ours, theirs) = (founding([1, 2, 3]), founding([4, 5, 6]));
    let why = refusal(&member(1, &ours), &heard([Some(member(5, &theirs)), None]));
    assert!(why.is_some_and(|why| why.contains("but b:1 to cluster")));
    let mut moved = member(2, &ours);
    moved.listed.push("d:1".into());
    assert_eq!(refusal(&member(1, &ours), &heard([Some(moved.clone()), None])), None);
    // A new store, on the other hand, does not join on the word of a list that is wrong.
    assert!(refusal(&outside(9), &heard([Some(moved), None])).is_some());
    waits(
        step(&outside(9), None, &heard([Some(member(2, &ours)), Some(member(5, &theirs))])),
        "correct the list",
    );
}

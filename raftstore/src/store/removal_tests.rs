//! Graves, one by one: who waits for them, and what they may not say.

use bytes::Bytes;

use super::*;
use crate::ids::Term;
use crate::raft::LogPos;
use crate::store::one_store::{NOW, OWN, REGION, World};

const LEADERS: StoreId = StoreId(2);
const CHILD: RegionId = RegionId::new(OWN, 2);

const fn name(number: u32) -> ReplicaId {
    ReplicaId::new(number, OWN)
}

/// A store with a replica of a region that another store leads.
fn world() -> World {
    World::new(name(1), Membership::of_voters(vec![name(1), ReplicaId::new(1, LEADERS)]), false)
}

impl World {
    fn is_told(&mut self, replica: ReplicaId) {
        self.worker().take_removal(LEADERS, Removal { region: REGION, replica }, NOW);
    }

    fn is_here(&mut self) -> bool {
        self.worker().here().next().is_some()
    }

    fn confirmed(&self) -> Vec<ReplicaId> {
        let removed = |message: &StoreMessage| match message {
            StoreMessage::Removed(removal) => Some(removal.replica),
            _ => None,
        };
        self.sent.0.lock().iter().filter_map(removed).collect()
    }
}

#[test]
fn a_removal_is_confirmed_when_its_grave_is_durable() {
    let mut world = world();
    world.is_told(name(1));
    for _ in 0..3 {
        world.worker().turn(NOW);
    }
    assert!(!world.is_here() && world.confirmed().is_empty(), "it may come back with the next start");
    world.settle();
    assert_eq!(world.confirmed(), [name(1)]);
}

/// Who hears that it is gone says so no more, and the replica would stay.
#[test]
fn a_removal_that_has_to_wait_for_children_is_not_confirmed() {
    let mut world = world();
    let slot = world.worker().slot(REGION).unwrap();
    world.worker().replica(slot).children.push(CHILD);
    world.is_told(name(1));
    world.settle();
    assert!(world.is_here() && world.confirmed().is_empty());
    world.worker().child_is_durable(REGION, CHILD);
    world.is_told(name(1));
    world.settle();
    assert!(!world.is_here());
    assert_eq!(world.confirmed(), [name(1)]);
}

/// The keeper speaks of one that was here just when the next one is about to be born. The next one may have a checkpoint of its
/// own before the log is durable, which is not to be dropped.
#[test]
fn late_news_of_one_that_is_gone_drop_nothing_of_the_next() {
    let mut world = world();
    world.is_told(name(1));
    world.settle();
    let birth = Birth {
        region: REGION,
        replica: name(2),
        membership: Membership::default(),
        genesis: Bytes::new(),
        descent: Descent::Message,
        campaign: false,
    };
    let newborn = Newborn { birth, hard_state: HardState::default(), machine: None, leads: false };
    let at = LogPos { index: Index(5), term: Term(1) };
    world.worker().take_kept(KeeperOutcome::Checkpointed { region: REGION, at }, NOW);
    world.worker().bear(newborn, NOW);
    let told = world.worker().shared.keeper.len();
    world.settle();
    assert!(world.is_here());
    assert_eq!(
        world.worker().shared.keeper.len(),
        told,
        "its birth has told the keeper to forget what was there"
    );
}

/// A late message for one that is gone may find its tombstone before that is durable.
#[test]
fn who_speaks_to_one_that_is_gone_hears_so_when_its_grave_is_durable() {
    let mut world = world();
    world.is_told(name(1));
    let body = Body::Heartbeat { commit: Index(0), round: 0 };
    let message = Message { from: ReplicaId::new(1, LEADERS), to: name(1), term: Term(1), body };
    for _ in 0..3 {
        world.worker().turn(NOW);
        world.worker().bear_by_message(REGION, LEADERS, &message);
    }
    world.worker().turn(NOW);
    assert!(world.confirmed().is_empty(), "it may come back with the next start");
    world.settle();
    assert_eq!(world.confirmed(), [name(1)], "once, however often it was asked");
}

/// A damaged replica that listens for its name hears, in one turn, that it was removed and then the next name of its store. Under
/// that name it is not removed: a grave for it would keep out the learner that is to come.
#[test]
fn who_hears_of_a_later_name_is_not_buried_under_it() {
    let mut world = world();
    let slot = world.worker().slot(REGION).unwrap();
    world.worker().stop_replica(slot, "it is damaged".into());
    world.worker().mend(slot, Mending::Listens, NOW);
    world.is_told(name(1));
    world.worker().learn_own_name(slot, name(3), NOW);
    world.settle();
    assert_eq!(world.worker().here().map(Replica::id).collect::<Vec<_>>(), [name(3)]);
    assert_eq!(world.worker().tombstone(REGION), None);
}

//! A region is split on three stores that do not go on at the same pace: one is slow, one is away, the lead moves meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::{Life, RegionId, StoreId, Tick};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::Role;
use skep_raftstore::store::{
    Birth, Descent, Disks, Inboxes, Move, Moved, NoWatcher, RegionStatus, Request, StoreConfig, StoreParts,
    Surroundings,
};
use skep_raftstore::transport::Receiver;
use skep_raftstore::transport::memory::MemoryNetwork;
use skep_wal::{MemDisk, WalConfig};

use words::{CHILD, Makes, PARENT, STORE, Ticking, members, places, replica_on};

mod words;

struct Node {
    log: MemDisk,
    snapshots: MemDisk,
    parts: Option<StoreParts>,
    life: u64,
    /// Its process gets no time.
    is_frozen: bool,
    /// Its apply threads are stuck.
    is_stuck: bool,
    /// Its snapshots wait.
    keeps_nothing: bool,
}

struct World {
    nodes: Vec<Node>,
    /// Of each store.
    workers: usize,
    clock: Arc<Ticking>,
    network: MemoryNetwork,
}

/// The number of a store: 1 to 3.
type Number = u8;

impl World {
    /// Three stores, the first of which leads.
    fn new() -> World {
        World::with_workers(1)
    }

    fn with_workers(workers: usize) -> World {
        let node = |seed| Node {
            log: MemDisk::new(seed),
            snapshots: MemDisk::new(seed + 10),
            parts: None,
            life: 0,
            is_frozen: false,
            is_stuck: false,
            keeps_nothing: false,
        };
        let clock = Arc::new(Ticking(AtomicU64::new(1)));
        let mut world =
            World { nodes: (1..=3).map(node).collect(), workers, clock, network: MemoryNetwork::new(7) };
        (1..=3).for_each(|number| world.open(number));
        world.settle(50);
        assert_eq!(world.leader(PARENT), Some(1));
        world
    }

    fn open(&mut self, number: Number) {
        let node = &mut self.nodes[usize::from(number) - 1];
        node.life += 1;
        let id = StoreId(number.into());
        let mut config = StoreConfig::new(id, Life(node.life), node.life);
        (config.checkpoint_log_bytes, config.log_tail_entries) = (2048, 0);
        config.workers = self.workers;
        let inboxes = Inboxes::new(&config);
        let disks = Disks {
            log: Arc::new(node.log.clone()),
            snapshots: Arc::new(node.snapshots.clone()),
            log_config: WalConfig::small(),
        };
        let around = Surroundings {
            clock: self.clock.clone(),
            transport: self.network.endpoint(id),
            factory: Arc::new(Makes),
            inboxes: inboxes.clone(),
            watcher: Arc::new(NoWatcher),
        };
        let birth = Birth {
            region: PARENT,
            replica: replica_on(number),
            membership: members(&[1, 2, 3]),
            genesis: Bytes::from_static(&[1, 2, 3]),
            descent: Descent::Genesis,
            campaign: number == 1,
        };
        node.parts = Some(StoreParts::open(config, disks, around, vec![birth]).expect("it opens"));
        self.network.attach(id, inboxes as Arc<dyn Receiver>);
    }

    fn crash(&mut self, number: Number) {
        let node = &mut self.nodes[usize::from(number) - 1];
        node.parts = None;
        node.log.crash(node.life);
        node.snapshots.crash(node.life);
        self.network.detach(StoreId(number.into()));
        self.open(number);
    }

    fn running(&self, number: Number) -> &StoreParts {
        self.nodes[usize::from(number) - 1].parts.as_ref().expect("it runs")
    }

    /// Bytes that a store's log holds are not what they were.
    fn damage(&self, number: Number, bytes: &[u8]) {
        let log = &self.nodes[usize::from(number) - 1].log;
        let (name, at) = places(log, bytes).pop().expect("it is in the log");
        assert!(log.flip_bit(&name, at, 2));
    }

    fn cut_off(&mut self, number: Number) {
        for other in (1..=3).filter(|other| *other != number) {
            self.network.partition(StoreId(number.into()), StoreId(other.into()));
        }
    }

    fn settle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let now = Tick(1 + self.clock.0.fetch_add(1, Ordering::Relaxed));
            self.network.step(now);
            for node in self.nodes.iter_mut().filter(|node| !node.is_frozen) {
                let Some(parts) = &mut node.parts else { continue };
                for _ in 0..4 {
                    for worker in &mut parts.workers {
                        worker.turn(now);
                    }
                    parts.syncer.step();
                    while !node.is_stuck && parts.pool.step() {}
                    if !node.keeps_nothing {
                        parts.keeper.step(now);
                    }
                }
            }
        }
    }

    fn ask(
        &mut self,
        number: Number,
        region: RegionId,
        kind: RequestKind,
        body: impl AsRef<[u8]>,
    ) -> Arc<Mutex<Option<String>>> {
        let answer = Arc::new(Mutex::new(None));
        let said = answer.clone();
        let reply = Box::new(move |result: Result<Bytes, _>| {
            let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
            *said.lock() = Some(result.map_or_else(|error| format!("{error:?}"), text));
        });
        let request = Request { kind, body: Bytes::copy_from_slice(body.as_ref()), timeout: None, reply };
        self.running(number).submit(region, request);
        answer
    }

    fn now(&mut self, number: Number, region: RegionId, kind: RequestKind, body: &str) -> String {
        let answer = self.ask(number, region, kind, body);
        self.settle(300);
        let said = answer.lock().clone();
        said.expect("an answer")
    }

    fn write(&mut self, number: Number, region: RegionId, word: &str) {
        assert_eq!(self.now(number, region, RequestKind::Write, word), "done");
    }

    /// What a store is made of, to be stepped by hand, and the time.
    fn parts(&mut self, number: Number) -> (&mut StoreParts, Tick) {
        let parts = &mut self.nodes[usize::from(number) - 1].parts;
        (parts.as_mut().expect("it runs"), Tick(self.clock.0.load(Ordering::Relaxed)))
    }

    /// Takes a region's replica from a store, as its leader does it.
    fn remove(&mut self, region: RegionId, from: Number) {
        let wanted = Move { from: Some(StoreId(from.into())), to: None }.encode();
        let is_done = (0..20).any(|_| {
            let answer = self.ask(2, region, RequestKind::Move, &wanted);
            self.settle(20);
            let said = answer.lock().clone();
            said.is_some_and(|said| Moved::decode(said.as_bytes()) == Some(Moved::Done))
        });
        assert!(is_done, "{region} is removed from {from}");
    }

    fn words(&mut self, number: Number, region: RegionId) -> String {
        self.now(number, region, RequestKind::Read, "")
    }

    fn status(&self, number: Number) -> BTreeMap<RegionId, RegionStatus> {
        self.running(number).region_status().into_iter().map(|status| (status.region, status)).collect()
    }

    fn leader(&self, region: RegionId) -> Option<Number> {
        (1..=3).find(|number| {
            self.status(*number).get(&region).is_some_and(|status| status.role == Role::Leader)
        })
    }

    /// All replicas of a region have applied the same.
    fn agree(&self, region: RegionId) -> bool {
        let applied: Vec<_> =
            (1..=3).map(|number| self.status(number).get(&region).map(|s| s.applied)).collect();
        applied[0].is_some() && applied.iter().all(|other| *other == applied[0])
    }
}

#[test]
fn messages_that_come_before_the_split_is_applied_make_nothing_and_lose_nothing() {
    let mut world = World::new();
    world.write(1, PARENT, "bee");
    world.write(1, PARENT, "wasp");
    world.nodes[2].is_stuck = true;
    assert_eq!(world.ask(1, PARENT, RequestKind::Change, "split 2 m").lock().clone(), None);
    world.settle(10);
    let moth = world.ask(1, CHILD, RequestKind::Write, "moth");
    world.settle(30);
    assert_eq!(moth.lock().clone().as_deref(), Some("done"), "two of three are enough");
    assert!(!world.status(3).contains_key(&CHILD), "the split will make it");
    world.nodes[2].is_stuck = false;
    world.settle(100);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    let child = &world.status(3)[&CHILD];
    assert!(child.first < child.last, "it has its log from the beginning on: no snapshot was needed");
    assert_eq!(world.words(3, CHILD), "wasp moth");
}

#[test]
fn a_split_that_is_applied_very_late_finds_a_replica_that_a_message_made() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    world.nodes[2].is_stuck = true;
    world.ask(1, PARENT, RequestKind::Change, "split 2 m");
    world.settle(1000);
    assert!(world.status(3).contains_key(&CHILD), "its leader has gone on for long enough");
    world.nodes[2].is_stuck = false;
    world.settle(500);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    world.crash(3);
    world.settle(500);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!((world.words(3, PARENT), world.words(3, CHILD)), ("".into(), "wasp".into()));
}

/// A child leads from its birth, and the others know it by its messages alone: it will send them its state. When that comes they
/// have been born with the same, which is no news. Its leader has to learn that, for it has nothing to send from before.
#[test]
fn who_has_all_of_a_snapshot_says_so_and_is_not_sent_it_for_ever() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    (world.nodes[1].is_stuck, world.nodes[2].is_stuck, world.nodes[0].keeps_nothing) = (true, true, true);
    world.ask(1, PARENT, RequestKind::Change, "split 2 m");
    world.settle(1000);
    assert!(world.status(2).contains_key(&CHILD) && world.status(3).contains_key(&CHILD), "as blanks");
    (world.nodes[1].is_stuck, world.nodes[2].is_stuck) = (false, false);
    world.settle(100);
    world.nodes[0].keeps_nothing = false;
    world.settle(500);
    world.write(1, CHILD, "moth");
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!(world.words(3, CHILD), "wasp moth");
}

/// Only the store that proposed the split has applied it when it crashes: its child does not lead by birth any more, and nobody
/// else has one. The others give their votes all the same, for theirs never were here, and keep them when they are born.
#[test]
fn a_child_that_only_one_store_has_gets_the_votes_of_those_who_were_never_here() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    (world.nodes[1].is_stuck, world.nodes[2].is_stuck) = (true, true);
    world.ask(1, PARENT, RequestKind::Change, "split 2 m");
    world.settle(30);
    assert!(world.status(1).contains_key(&CHILD));
    assert!(!world.status(2).contains_key(&CHILD) && !world.status(3).contains_key(&CHILD));
    world.crash(1);
    let leads = (0..1000).any(|_| {
        world.settle(1);
        world.leader(CHILD) == Some(1)
    });
    assert!(leads, "two of three vote for it");
    (world.nodes[1].is_stuck, world.nodes[2].is_stuck) = (false, false);
    world.settle(1000);
    world.write(1, CHILD, "moth");
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!(world.words(3, CHILD), "wasp moth");
}

/// The grave is dug and not yet in the log when the split comes that would make the replica.
#[test]
fn a_split_that_is_applied_after_its_child_was_removed_does_not_bring_it_back() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    world.nodes[2].is_stuck = true;
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    assert!(world.status(3).contains_key(&CHILD), "a message made it");
    world.nodes[2].is_frozen = true;
    world.remove(CHILD, 3);
    let (parts, now) = world.parts(3);
    parts.workers[0].turn(now);
    parts.pool.step();
    parts.workers[0].turn(now);
    assert_eq!(world.status(3).into_keys().collect::<Vec<_>>(), [PARENT]);
    (world.nodes[2].is_frozen, world.nodes[2].is_stuck) = (false, false);
    world.settle(100);
    world.crash(3);
    world.settle(300);
    let is_another = world.status(3).get(&CHILD).is_none_or(|child| child.replica > replica_on(3));
    assert!(is_another, "it is applied again, too");
}

/// Its parent wants the child to have a checkpoint just when a snapshot has brought its state. The replica does not know yet who
/// takes part and what the region was born with, so a checkpoint would say that there is nothing of either.
#[test]
fn no_checkpoint_is_made_of_a_state_whose_snapshot_is_not_in_force() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    world.nodes[2].is_stuck = true;
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    (0..8).for_each(|_| world.write(1, PARENT, &"b".repeat(300)));
    assert!(world.status(3).contains_key(&CHILD), "as a blank, which has received a snapshot");
    let (parts, now) = world.parts(3);
    // The parent splits and hands out its state, which may not be written before there is a checkpoint of the child.
    parts.pool.step();
    parts.workers[0].turn(now);
    // The child has its state, and is asked for it before it learns so.
    parts.pool.step();
    parts.keeper.step(now);
    parts.pool.step();
    parts.workers[0].turn(now);
    parts.keeper.step(now);
    parts.workers[0].turn(now);
    parts.workers[0].turn(now);
    parts.syncer.step();
    world.nodes[2].is_stuck = false;
    world.crash(3);
    let child = world.status(3)[&CHILD].clone();
    assert_eq!(child.membership, members(&[1, 2, 3]));
    world.settle(100);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!(world.words(3, CHILD), "wasp");
}

/// A region is split twice, nothing is checkpointed, and then the first one's log rots: the states of all three are lost on that
/// store, for each would come from the one before.
#[test]
fn what_a_damaged_region_would_hand_out_is_lost_for_all_that_come_from_it() {
    const GRANDCHILD: RegionId = RegionId::new(STORE, 3);
    let mut world = World::new();
    world.nodes[2].keeps_nothing = true;
    ["bee", "moth", "wasp"].iter().for_each(|word| world.write(1, PARENT, word));
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    assert_eq!(world.now(1, CHILD, RequestKind::Change, "split 3 t"), "done");
    assert!(world.agree(GRANDCHILD));
    world.damage(3, b"bee");
    world.crash(3);
    world.nodes[2].keeps_nothing = false;
    world.settle(3000);
    for (region, words) in [(PARENT, "bee"), (CHILD, "moth"), (GRANDCHILD, "wasp")] {
        let status = &world.status(3)[&region];
        assert_eq!(status.stopped, None);
        assert!(
            status.replica > replica_on(3) && status.membership.voters.contains(&status.replica),
            "{status:?}"
        );
        assert!(world.agree(region), "{region}");
        assert_eq!(world.words(3, region), words);
    }
}

/// The parent's replica was damaged and removed, and the power goes before another one is there: the log remembers the parent by a
/// tombstone alone. Its child must not wait for a machine from there; and the child cannot be replaced before, for it hears nothing
/// from its leader.
#[test]
fn a_child_whose_parent_is_gone_from_its_store_does_not_wait_for_it() {
    let mut world = World::new();
    world.nodes[2].keeps_nothing = true;
    ["bee", "wasp"].iter().for_each(|word| world.write(1, PARENT, word));
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    assert_eq!((world.leader(PARENT), world.leader(CHILD)), (Some(1), Some(1)));
    world.running(1).transfer_leadership(PARENT, replica_on(2));
    world.settle(100);
    assert_eq!((world.leader(PARENT), world.leader(CHILD)), (Some(2), Some(1)));
    world.network.partition(StoreId(1), StoreId(3));
    world.damage(3, b"bee");
    world.crash(3);
    let is_gone = (0..2000).any(|_| {
        world.settle(1);
        !world.status(3).contains_key(&PARENT)
    });
    assert!(is_gone, "it is removed first, and comes back later");
    world.settle(2); // its tombstone is durable
    assert!(!world.status(3).contains_key(&PARENT) && world.status(3)[&CHILD].stopped.is_some());
    world.crash(3);
    assert!(world.status(3)[&CHILD].stopped.is_some(), "nobody will hand out its machine");
    world.nodes[2].keeps_nothing = false;
    world.network.heal();
    world.settle(3000);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!((world.words(3, PARENT), world.words(3, CHILD)), ("bee".into(), "wasp".into()));
}

#[test]
fn a_store_that_was_away_gets_the_parent_by_snapshot_and_the_child_from_its_leader() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    world.cut_off(3);
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    let long = "b".repeat(300);
    (0..20).for_each(|_| world.write(1, PARENT, &long));
    world.write(2, CHILD, "moth");
    world.network.heal();
    world.settle(2500);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    world.crash(3);
    world.settle(500);
    assert!(world.status(3).values().all(|status| status.stopped.is_none()));
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!(world.words(3, CHILD), "wasp moth");
}

#[test]
fn the_lead_moves_while_a_split_is_under_way_and_the_child_gets_a_leader_all_the_same() {
    let mut world = World::new();
    world.write(1, PARENT, "bee");
    world.write(1, PARENT, "wasp");
    let last = world.status(2)[&PARENT].last;
    world.ask(1, PARENT, RequestKind::Change, "split 2 m");
    // The others have the entry and do not know that it is committed; then the proposer is gone.
    while world.status(2)[&PARENT].last == last {
        world.settle(1);
    }
    world.cut_off(1);
    world.settle(1000);
    let leader = world.leader(CHILD).expect("it is led");
    assert!(leader != 1 || !world.status(1).contains_key(&CHILD));
    world.write(2, CHILD, "moth");
    world.network.heal();
    world.settle(500);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!((world.words(1, PARENT), world.words(1, CHILD)), ("bee".into(), "wasp moth".into()));
}

#[test]
fn all_three_lose_their_power_right_after_the_split() {
    let mut world = World::new();
    world.write(1, PARENT, "wasp");
    assert_eq!(world.now(2, PARENT, RequestKind::Change, "split 2 m"), "done");
    world.write(3, CHILD, "moth");
    (1..=3).for_each(|number| world.crash(number));
    world.settle(1000);
    assert!(world.agree(CHILD) && world.agree(PARENT));
    assert_eq!((world.words(2, PARENT), world.words(1, CHILD)), ("".into(), "wasp moth".into()));
}

/// Who led until it was removed knows it by itself, and nobody speaks to it any more. What was split off it gets its state from it
/// alone.
#[test]
fn a_leader_that_was_removed_goes_when_what_was_split_off_it_is_durable() {
    let mut world = World::new();
    world.nodes[0].keeps_nothing = true;
    world.write(1, PARENT, "wasp");
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    world.remove(PARENT, 1);
    world.cut_off(1);
    world.settle(100);
    assert!(world.status(1).contains_key(&PARENT), "its child is not durable");
    world.nodes[0].keeps_nothing = false;
    world.settle(20);
    assert!(!world.status(1).contains_key(&PARENT), "nobody has to tell it");
    world.crash(1);
    world.settle(20);
    assert_eq!(world.status(1).into_keys().collect::<Vec<_>>(), [CHILD]);
    world.network.heal();
    assert_eq!(world.words(1, CHILD), "wasp");
}

/// A checkpoint of it is being written while it is buried, and then the power goes: the log knows no grave, and the checkpoint
/// who was a member at the end.
#[test]
fn a_store_that_is_opened_with_a_replica_that_was_removed_buries_it() {
    let mut world = World::with_workers(2);
    world.nodes[0].keeps_nothing = true;
    (0..8).for_each(|_| world.write(1, PARENT, &"b".repeat(300)));
    world.write(1, PARENT, "wasp");
    assert_eq!(world.now(1, PARENT, RequestKind::Change, "split 2 m"), "done");
    world.remove(PARENT, 1);
    // The child's machine has work, so that it gives its state before the parent, which the log wants to have a checkpoint.
    world.nodes[0].is_stuck = true;
    world.ask(1, CHILD, RequestKind::Write, "moth");
    world.settle(20);
    world.cut_off(1);
    let (parts, now) = world.parts(1);
    parts.keeper.step(now);
    parts.pool.step();
    parts.workers[1].turn(now);
    parts.keeper.step(now);
    parts.keeper.step(now.after(50));
    parts.workers[1].turn(now);
    parts.pool.step();
    parts.workers[0].turn(now);
    parts.keeper.step(now);
    assert_eq!(world.status(1).into_keys().collect::<Vec<_>>(), [CHILD], "it is buried, but not durably");
    world.nodes[0].is_stuck = false;
    world.crash(1);
    assert!(world.status(1).contains_key(&PARENT));
    world.settle(20);
    assert_eq!(world.status(1).into_keys().collect::<Vec<_>>(), [CHILD], "nobody has to tell it");
    world.network.heal();
    assert_eq!(world.words(1, CHILD), "wasp moth");
}

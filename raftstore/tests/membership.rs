//! Replicas move between stores while a region is in use: a lost store is replaced, who was removed stays away, and every
//! store serves the region, whether it has a replica or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::{Life, RegionId, ReplicaId, StoreId, Tick};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::{Membership, Role};
use skep_raftstore::store::{
    Birth, Descent, Disks, Inboxes, Move, Moved, NoWatcher, RegionStatus, Request, StoreConfig, StoreParts,
    Surroundings,
};
use skep_raftstore::transport::memory::MemoryNetwork;
use skep_wal::{MemDisk, WalConfig};
use words::{Makes, Ticking};

mod words;

const REGION: RegionId = RegionId(0x1_0000_0001);

/// A store's disks, and the store while it runs.
struct Machine {
    log: MemDisk,
    snapshots: MemDisk,
    parts: Option<StoreParts>,
    life: u64,
}

struct World {
    clock: Arc<Ticking>,
    network: MemoryNetwork,
    stores: BTreeMap<u32, Machine>,
    /// Entries and bytes of a log that are left for followers.
    tail: (u64, u64),
}

fn founders() -> Membership {
    let voters = (1..=3).map(|store| ReplicaId::new(1, StoreId(store))).collect();
    Membership { number: 1, ..Membership::of_voters(voters) }
}

impl World {
    /// A region on stores 1, 2 and 3.
    fn new() -> World {
        World::with_tail(4, u64::MAX)
    }

    /// The same, where so many entries, and bytes, of a log are left for followers.
    fn with_tail(entries: u64, bytes: u64) -> World {
        let clock = Arc::new(Ticking(AtomicU64::new(1)));
        let mut world =
            World { clock, network: MemoryNetwork::new(1), stores: BTreeMap::new(), tail: (entries, bytes) };
        (1..=3).for_each(|store| world.add(store));
        world.settle(100);
        world
    }

    /// A store without anything, on new disks.
    fn add(&mut self, store: u32) {
        let seed = u64::from(store) * 2;
        let (log, snapshots) = (MemDisk::new(seed), MemDisk::new(seed + 1));
        self.stores.insert(store, Machine { log, snapshots, parts: None, life: 0 });
        self.start(store);
    }

    fn start(&mut self, store: u32) {
        let machine = self.stores.get_mut(&store).expect("it is there");
        machine.life += 1;
        let mut config = StoreConfig::new(StoreId(store), Life(machine.life), machine.life);
        config.checkpoint_log_bytes = 512;
        (config.log_tail_entries, config.log_tail_bytes) = self.tail;
        let inboxes = Inboxes::new(&config);
        self.network.attach(StoreId(store), inboxes.clone());
        let disks = Disks {
            log: Arc::new(machine.log.clone()),
            snapshots: Arc::new(machine.snapshots.clone()),
            log_config: WalConfig::small(),
        };
        let around = Surroundings {
            clock: self.clock.clone(),
            transport: self.network.endpoint(StoreId(store)),
            factory: Arc::new(Makes),
            inboxes,
            watcher: Arc::new(NoWatcher),
        };
        let birth = Birth {
            region: REGION,
            replica: ReplicaId::new(1, StoreId(store)),
            membership: founders(),
            genesis: Bytes::new(),
            descent: Descent::Genesis,
            campaign: store == 1,
        };
        // Whoever opens a store says again what it was born with: what is there, or was, is left alone.
        let births = if store <= 3 { vec![birth] } else { Vec::new() };
        let parts = StoreParts::open(config, disks, around, births).expect("it opens");
        parts.learn(REGION, founders());
        machine.parts = Some(parts);
    }

    /// The power of a store goes.
    fn crash(&mut self, store: u32) {
        self.network.detach(StoreId(store));
        let machine = self.stores.get_mut(&store).expect("it is there");
        machine.parts = None;
        machine.log.crash(machine.life);
        machine.snapshots.crash(machine.life);
    }

    fn settle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let now = Tick(1 + self.clock.0.fetch_add(1, Ordering::Relaxed));
            loop {
                let mut more = self.network.step(now) > 0;
                for parts in self.stores.values_mut().filter_map(|machine| machine.parts.as_mut()) {
                    more |= parts.workers[0].turn(now) | parts.syncer.step() | parts.pool.step();
                    more |= parts.keeper.step(now);
                }
                if !more {
                    break;
                }
            }
        }
    }

    fn ask(&mut self, store: u32, kind: RequestKind, body: Bytes) -> Option<Result<Bytes, String>> {
        let answer = Arc::new(Mutex::new(None));
        let said = answer.clone();
        let reply = Box::new(move |result: Result<Bytes, _>| {
            *said.lock() = Some(result.map_err(|error| format!("{error:?}")));
        });
        let request = Request { kind, body, timeout: None, reply };
        self.stores[&store].parts.as_ref().expect("it runs").submit(REGION, request);
        for _ in 0..100 {
            self.settle(10);
            if answer.lock().is_some() {
                break;
            }
        }
        answer.lock().take()
    }

    fn write(&mut self, store: u32, word: &str) {
        let answer = self.ask(store, RequestKind::Write, Bytes::copy_from_slice(word.as_bytes()));
        assert_eq!(answer, Some(Ok(Bytes::from_static(b"done"))), "{word}, at {store}");
    }

    fn words(&mut self, store: u32) -> String {
        let answer = self.ask(store, RequestKind::Read, Bytes::new());
        String::from_utf8_lossy(&answer.expect("an answer").expect("words")).into_owned()
    }

    fn step_move(&mut self, store: u32, wanted: Move) -> Option<Moved> {
        let answer = self.ask(store, RequestKind::Move, wanted.encode())?.ok()?;
        Moved::decode(&answer)
    }

    /// Asks `store` for it until it is done.
    fn replace(&mut self, store: u32, from: u32, to: u32) {
        let wanted = Move { from: Some(StoreId(from)), to: Some(StoreId(to)) };
        let done = (0..200).any(|_| self.step_move(store, wanted) == Some(Moved::Done));
        assert!(done, "{from} is replaced by {to}");
        self.settle(100);
    }

    fn status(&self, store: u32) -> Option<RegionStatus> {
        self.stores[&store].parts.as_ref()?.region_status().pop()
    }

    fn leader(&self) -> u32 {
        let leads = |store: &&u32| self.status(**store).is_some_and(|status| status.role == Role::Leader);
        *self.stores.keys().find(leads).expect("a leader")
    }

    fn voters(&self, store: u32) -> Vec<u32> {
        let membership = self.status(store).expect("it has a replica").membership;
        assert!(!membership.is_joint() && membership.learners.is_empty(), "{membership:?}");
        membership.voters.iter().map(|voter| voter.store().0).collect()
    }
}

#[test]
fn a_store_that_is_away_holds_the_log_for_so_many_bytes_and_then_gets_a_snapshot() {
    let mut world = World::with_tail(u64::MAX, 1024);
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

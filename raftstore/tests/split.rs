//! A region is split on one store, which is stopped at every point that matters: nothing is lost, and the child is what it
//! was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::{Life, RegionId, Tick};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::{Index, Role};
use skep_raftstore::store::{
    Birth, Clock, Descent, Disks, Inboxes, NoWatcher, RegionStatus, Request, StoreConfig, StoreParts,
    Surroundings,
};
use skep_wal::{MemDisk, WalConfig};

use words::{CHILD, Makes, Nowhere, PARENT, STORE, Ticking, members, replica_on};

mod words;

/// The disks of a store, and the store while it runs.
struct World {
    log: MemDisk,
    snapshots: MemDisk,
    clock: Arc<Ticking>,
    parts: Option<StoreParts>,
    life: u64,
    workers: usize,
}

impl World {
    fn new(workers: usize) -> World {
        let clock = Arc::new(Ticking(AtomicU64::new(1)));
        let mut world =
            World { log: MemDisk::new(1), snapshots: MemDisk::new(2), clock, parts: None, life: 0, workers };
        world.open();
        world.settle(50);
        world
    }

    fn open(&mut self) {
        self.life += 1;
        let mut config = StoreConfig::new(STORE, Life(self.life), self.life);
        (config.checkpoint_log_bytes, config.log_tail_entries) = (2048, 0);
        config.workers = self.workers;
        let inboxes = Inboxes::new(&config);
        let disks = Disks {
            log: Arc::new(self.log.clone()),
            snapshots: Arc::new(self.snapshots.clone()),
            log_config: WalConfig::small(),
        };
        let (transport, factory) = (Arc::new(Nowhere), Arc::new(Makes));
        let watcher = Arc::new(NoWatcher);
        let around = Surroundings { clock: self.clock.clone(), transport, factory, inboxes, watcher };
        let birth = Birth {
            region: PARENT,
            replica: replica_on(1),
            membership: members(&[1]),
            genesis: Bytes::from_static(&[1]),
            descent: Descent::Genesis,
            campaign: true,
        };
        self.parts = Some(StoreParts::open(config, disks, around, vec![birth]).expect("it opens"));
    }

    /// The power goes; what was not synced is gone.
    fn crash(&mut self) {
        self.parts = None;
        self.log.crash(self.life);
        self.snapshots.crash(self.life);
        self.open();
    }

    fn parts(&mut self) -> &mut StoreParts {
        self.parts.as_mut().expect("it runs")
    }

    fn settle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let now = Tick(1 + self.clock.0.fetch_add(1, Ordering::Relaxed));
            let parts = self.parts();
            while (0..parts.workers.len()).fold(false, |more, at| parts.workers[at].turn(now) | more)
                | parts.syncer.step()
                | parts.pool.step()
                | parts.keeper.step(now)
            {}
        }
    }

    fn ask(&mut self, region: RegionId, kind: RequestKind, body: &str) -> Arc<Mutex<Option<String>>> {
        let answer = Arc::new(Mutex::new(None));
        let said = answer.clone();
        let reply = Box::new(move |result: Result<Bytes, _>| {
            *said.lock() = Some(result.map_or_else(
                |error| format!("{error:?}"),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            ));
        });
        let request = Request { kind, body: Bytes::copy_from_slice(body.as_bytes()), timeout: None, reply };
        self.parts().submit(region, request);
        answer
    }

    fn now(&mut self, region: RegionId, kind: RequestKind, body: &str) -> String {
        let answer = self.ask(region, kind, body);
        self.settle(300);
        let said = answer.lock().clone();
        said.expect("an answer")
    }

    fn write(&mut self, region: RegionId, word: &str) {
        assert_eq!(self.now(region, RequestKind::Write, word), "done");
    }

    fn words(&mut self, region: RegionId) -> String {
        self.now(region, RequestKind::Read, "")
    }

    fn split(&mut self) {
        assert_eq!(self.now(PARENT, RequestKind::Change, "split 2 m"), "done");
    }

    fn status(&mut self) -> BTreeMap<RegionId, RegionStatus> {
        self.parts().region_status().into_iter().map(|status| (status.region, status)).collect()
    }
}

#[test]
fn the_child_is_led_at_once_in_the_term_of_its_parent() {
    for workers in [1, 3] {
        let mut world = World::new(workers);
        world.write(PARENT, "bee");
        world.write(PARENT, "wasp");
        world.ask(PARENT, RequestKind::Change, "split 2 m");
        world.settle(1);
        let status = world.status();
        assert_eq!(status[&CHILD].role, Role::Leader, "no election was waited for");
        assert_eq!(status[&CHILD].term, status[&PARENT].term);
        world.write(CHILD, "moth");
        assert_eq!((world.words(PARENT), world.words(CHILD)), ("bee".into(), "wasp moth".into()));
    }
}

#[test]
fn what_arrives_while_a_split_is_under_way_waits_for_it_and_is_answered() {
    let mut world = World::new(1);
    let bee = world.ask(PARENT, RequestKind::Write, "bee");
    let wasp = world.ask(PARENT, RequestKind::Write, "wasp");
    let split = world.ask(PARENT, RequestKind::Change, "split 2 m");
    let read = world.ask(PARENT, RequestKind::Read, "");
    let ant = world.ask(PARENT, RequestKind::Write, "ant");
    let again = world.ask(PARENT, RequestKind::Change, "split 3 b");
    world.settle(20);
    let said = [bee, wasp, split, read, ant, again].map(|answer| answer.lock().clone().expect("an answer"));
    assert_eq!(said, ["done", "done", "done", "bee", "done", "done"]);
    let third = RegionId::new(STORE, 3);
    assert_eq!([PARENT, CHILD, third].map(|region| world.words(region)), ["ant", "wasp", "bee"]);
}

#[test]
fn a_replayed_split_hands_the_child_its_machine_again_and_the_child_keeps_its_log() {
    let mut world = World::new(1);
    world.write(PARENT, "bee");
    world.write(PARENT, "wasp");
    world.split();
    world.write(CHILD, "moth");
    let before = world.status()[&CHILD].clone();
    for _ in 0..2 {
        world.crash();
        assert!(world.status()[&CHILD].applied < before.applied, "its machine is gone with the power");
        assert_eq!(world.words(CHILD), "wasp moth");
        assert_eq!(world.words(PARENT), "bee");
        assert!(world.status()[&CHILD].term > before.term, "no reign of before goes on");
    }
}

#[test]
fn a_parent_is_not_checkpointed_before_its_children_are() {
    let mut world = World::new(1);
    world.write(PARENT, "wasp");
    world.split();
    // Its log grows until it wants a checkpoint; the child has done nothing.
    let long = "b".repeat(300);
    (0..20).for_each(|_| world.write(PARENT, &long));
    assert!(world.status()[&PARENT].first > Index(10), "its log was let go");
    world.crash();
    assert_eq!(world.words(CHILD), "wasp");
    assert_eq!(world.status()[&CHILD].stopped, None);
}

#[test]
fn a_split_that_was_not_durable_is_made_anew() {
    let mut world = World::new(1);
    world.write(PARENT, "bee");
    world.write(PARENT, "wasp");
    // The entry is durable and applied; the child's birth is appended, and the power goes before the next sync.
    world.ask(PARENT, RequestKind::Change, "split 2 m");
    let now = world.clock.now();
    let parts = world.parts();
    while !parts.region_status().iter().any(|status| status.region == CHILD) {
        parts.workers[0].turn(now);
        if parts.region_status().len() == 1 {
            parts.syncer.step();
        }
        parts.pool.step();
    }
    world.crash();
    assert_eq!((world.words(PARENT), world.words(CHILD)), ("bee".into(), "wasp".into()));
    world.write(CHILD, "moth");
    assert_eq!(world.words(CHILD), "wasp moth");
}

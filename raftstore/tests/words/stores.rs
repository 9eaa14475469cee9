//! A region of words on three stores, and a fourth if it is wanted, all of them stepped by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use skep_raftstore::ids::{Life, RegionId, ReplicaId, StoreId, Tick};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::{Membership, Role};
use skep_raftstore::store::{
    Birth, Descent, Disks, Inboxes, Move, Moved, NoWatcher, OpenError, RegionStatus, Request, StoreConfig,
    StoreParts, Surroundings,
};
use skep_raftstore::transport::memory::MemoryNetwork;
use skep_wal::{MemDisk, WalConfig};

use super::{Makes, Ticking};

pub(crate) const REGION: RegionId = RegionId(0x1_0000_0001);

/// Far more turns than anything takes that is done within a tick.
const ROUNDS_MAX: u32 = 10_000;

/// A store's disks, and the store while it runs.
pub(crate) struct Machine {
    pub(crate) log: MemDisk,
    snapshots: MemDisk,
    parts: Option<StoreParts>,
    life: u64,
    /// Its log waits for its disk.
    pub(crate) syncs_nothing: bool,
    /// Its state machines are stuck.
    pub(crate) applies_nothing: bool,
}

/// What was answered, once it was.
pub(crate) type Said = Arc<Mutex<Option<Result<Bytes, String>>>>;

pub(crate) struct World {
    clock: Arc<Ticking>,
    network: MemoryNetwork,
    pub(crate) stores: BTreeMap<u32, Machine>,
    /// What is different in their configuration.
    limits: fn(&mut StoreConfig),
}

fn founders() -> Membership {
    let voters = (1..=3).map(|store| ReplicaId::new(1, StoreId(store))).collect();
    Membership { number: 1, ..Membership::of_voters(voters) }
}

/// What comes of opening store 1 with a region of which the replica on store 3 is a witness.
pub(crate) fn open_with_witness() -> Result<(), OpenError> {
    let config = StoreConfig::new(StoreId(1), Life(1), 1);
    let disks = Disks {
        log: Arc::new(MemDisk::new(1)),
        snapshots: Arc::new(MemDisk::new(2)),
        log_config: WalConfig::small(),
    };
    let around = Surroundings {
        clock: Arc::new(Ticking(AtomicU64::new(1))),
        transport: MemoryNetwork::new(1).endpoint(StoreId(1)),
        factory: Arc::new(Makes),
        inboxes: Inboxes::new(&config),
        watcher: Arc::new(NoWatcher),
    };
    let birth = Birth {
        region: REGION,
        replica: ReplicaId::new(1, StoreId(1)),
        membership: Membership { witnesses: vec![ReplicaId::new(1, StoreId(3))], ..founders() },
        genesis: Bytes::new(),
        descent: Descent::Genesis,
        campaign: true,
    };
    StoreParts::open(config, disks, around, vec![birth]).map(drop)
}

impl World {
    /// A region on stores 1, 2 and 3.
    pub(crate) fn new() -> World {
        World::with(|_| ())
    }

    /// The same, with other limits.
    pub(crate) fn with(limits: fn(&mut StoreConfig)) -> World {
        let clock = Arc::new(Ticking(AtomicU64::new(1)));
        let mut world = World { clock, network: MemoryNetwork::new(1), stores: BTreeMap::new(), limits };
        (1..=3).for_each(|store| world.add(store));
        world.settle(100);
        world
    }

    /// A store without anything, on new disks.
    pub(crate) fn add(&mut self, store: u32) {
        let seed = u64::from(store) * 2;
        let (log, snapshots) = (MemDisk::new(seed), MemDisk::new(seed + 1));
        let (syncs_nothing, applies_nothing) = (false, false);
        let machine = Machine { log, snapshots, parts: None, life: 0, syncs_nothing, applies_nothing };
        self.stores.insert(store, machine);
        self.start(store);
    }

    pub(crate) fn machine(&mut self, store: u32) -> &mut Machine {
        self.stores.get_mut(&store).expect("it is there")
    }

    pub(crate) fn start(&mut self, store: u32) {
        let machine = self.stores.get_mut(&store).expect("it is there");
        machine.life += 1;
        let mut config = StoreConfig::new(StoreId(store), Life(machine.life), machine.life);
        (config.checkpoint_log_bytes, config.log_tail_entries, config.log_tail_bytes) = (512, 4, u64::MAX);
        (self.limits)(&mut config);
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
    pub(crate) fn crash(&mut self, store: u32) {
        self.network.detach(StoreId(store));
        let machine = self.stores.get_mut(&store).expect("it is there");
        machine.parts = None;
        machine.log.crash(machine.life);
        machine.snapshots.crash(machine.life);
    }

    /// Nothing reaches a store, and it reaches nobody, without anybody noticing.
    pub(crate) fn cut_off(&mut self, store: u32) {
        let others: Vec<u32> = self.stores.keys().copied().filter(|other| *other != store).collect();
        others.into_iter().for_each(|other| self.network.partition(StoreId(store), StoreId(other)));
    }

    pub(crate) fn heal(&mut self) {
        self.network.heal();
    }

    /// In each tick, all stores have turns until nobody has anything to do.
    pub(crate) fn settle(&mut self, ticks: u64) {
        for _ in 0..ticks {
            let now = Tick(1 + self.clock.0.fetch_add(1, Ordering::Relaxed));
            let comes_to_rest = (0..ROUNDS_MAX).any(|_| !self.have_turns(now));
            assert!(comes_to_rest, "a store has something to do for ever");
        }
    }

    /// A turn of each. True if there is more to do.
    fn have_turns(&mut self, now: Tick) -> bool {
        let mut more = self.network.step(now) > 0;
        for machine in self.stores.values_mut() {
            let Some(parts) = &mut machine.parts else { continue };
            more |= parts.workers[0].turn(now) | parts.keeper.step(now);
            more |= !machine.applies_nothing && parts.pool.step();
            more |= !machine.syncs_nothing && parts.syncer.step();
        }
        more
    }

    /// Gives a command and waits for nothing.
    pub(crate) fn submit(&self, store: u32, kind: RequestKind, body: Bytes) -> Said {
        let answer = Arc::new(Mutex::new(None));
        let said = answer.clone();
        let reply = Box::new(move |result: Result<Bytes, _>| {
            *said.lock() = Some(result.map_err(|error| format!("{error:?}")));
        });
        let request = Request { kind, body, timeout: None, reply };
        self.stores[&store].parts.as_ref().expect("it runs").submit(REGION, request);
        answer
    }

    pub(crate) fn ask(
        &mut self,
        store: u32,
        kind: RequestKind,
        body: Bytes,
    ) -> Option<Result<Bytes, String>> {
        let answer = self.submit(store, kind, body);
        for _ in 0..100 {
            self.settle(10);
            if answer.lock().is_some() {
                break;
            }
        }
        answer.lock().take()
    }

    pub(crate) fn write(&mut self, store: u32, word: &str) {
        let answer = self.ask(store, RequestKind::Write, Bytes::copy_from_slice(word.as_bytes()));
        assert_eq!(answer, Some(Ok(Bytes::from_static(b"done"))), "{word}, at {store}");
    }

    pub(crate) fn words(&mut self, store: u32) -> String {
        let answer = self.ask(store, RequestKind::Read, Bytes::new());
        String::from_utf8_lossy(&answer.expect("an answer").expect("words")).into_owned()
    }

    pub(crate) fn step_move(&mut self, store: u32, wanted: Move) -> Option<Moved> {
        let answer = self.ask(store, RequestKind::Move, wanted.encode())?.ok()?;
        Moved::decode(&answer)
    }

    /// Asks `store` for it until it is done.
    pub(crate) fn replace(&mut self, store: u32, from: u32, to: u32) {
        let wanted = Move { from: Some(StoreId(from)), to: Some(StoreId(to)) };
        let done = (0..200).any(|_| self.step_move(store, wanted) == Some(Moved::Done));
        assert!(done, "{from} is replaced by {to}");
        self.settle(100);
    }

    pub(crate) fn status(&self, store: u32) -> Option<RegionStatus> {
        self.stores[&store].parts.as_ref()?.region_status().pop()
    }

    /// How often proposals waited because too much was not committed, and entries because too many were on their way.
    pub(crate) fn waits(&self, store: u32) -> (u64, u64) {
        let counters = self.stores[&store].parts.as_ref().expect("it runs").counters();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&counters.proposals_held_up), count(&counters.windows_full))
    }

    /// The most bytes of entries that a store has on their way to another.
    pub(crate) fn on_their_way(&self, store: u32) -> usize {
        self.stores[&store].parts.as_ref().expect("it runs").footprint().peer_bytes
    }

    pub(crate) fn leader(&self) -> u32 {
        let leads = |store: &&u32| self.status(**store).is_some_and(|status| status.role == Role::Leader);
        *self.stores.keys().find(leads).expect("a leader")
    }

    pub(crate) fn voters(&self, store: u32) -> Vec<u32> {
        let membership = self.status(store).expect("it has a replica").membership;
        assert!(!membership.is_joint() && membership.learners.is_empty(), "{membership:?}");
        membership.voters.iter().map(|voter| voter.store().0).collect()
    }
}

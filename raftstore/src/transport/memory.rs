//! A network within one process that goes forward only when told to, and errs only as its seed says.
//!
//! No thread and no clock: [`MemoryNetwork::send`](Transport::send) files a frame under the tick at which it
//! is due, and [`MemoryNetwork::step`] hands over what is due. The same seed, knobs and calls give the same
//! deliveries in the same order, of which [`MemoryNetwork::trace_hash`] is a witness.
//!
//! Frames of one link and lane arrive in the order in which they were sent, unless the link reorders. A frame
//! that is sent while frames are being delivered arrives at the next step at the earliest.
//!
//! ```
//! use skep_raftstore::ids::{StoreId, Tick};
//! use skep_raftstore::transport::{Lane, memory::{Link, MemoryNetwork}};
//!
//! let network = MemoryNetwork::new(42);
//! network.set_every_link(Link { loss_per_million: 10_000, delay_ticks: 0..=3, ..Link::default() });
//! let endpoint = network.endpoint(StoreId(1));
//! assert!(!endpoint.send(StoreId(2), Lane::Bulk, Default::default()), "nobody is attached");
//! assert_eq!(network.step(Tick(1)), 0);
//! ```

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::chance::{Chance, mixed};
use super::{Lane, Receiver, Transport};
use crate::ids::{StoreId, Tick};
use crate::wire::FRAME_BYTES_MAX;

/// The network. A cheap handle: clones share it.
#[derive(Clone)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

/// How the way from one store to another errs. The default does not, and takes no time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// How many frames in a million are lost.
    pub loss_per_million: u32,
    /// How many in a million arrive twice.
    pub duplicate_per_million: u32,
    /// How long a frame is under way.
    pub delay_ticks: RangeInclusive<u64>,
    /// Whether one frame may overtake another.
    pub reorder: bool,
    /// Whether nothing gets through, without the sender noticing.
    pub blocked: bool,
    /// More than this under way, and a frame is dropped as by a full queue.
    pub queue_bytes_max: usize,
}

/// What becomes of the frames that are under way to and from a store that crashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crash {
    /// How many in a million survive, and reach whoever is attached when they arrive.
    pub survive_per_million: u32,
    /// How much later the survivors arrive.
    pub delay_ticks: RangeInclusive<u64>,
}

/// What the network did so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemoryCounters {
    /// Frames that senders offered.
    pub sent: u64,
    /// Frames that receivers got, copies included.
    pub delivered: u64,
    /// Frames that came to nothing, for whatever reason.
    pub lost: u64,
    /// Second copies made.
    pub duplicated: u64,
}

type Ends = (StoreId, StoreId);

struct State {
    chance: Chance,
    now: Tick,
    receivers: BTreeMap<StoreId, Arc<dyn Receiver>>,
    every_link: Link,
    links: BTreeMap<Ends, Link>,
    /// In the order of delivery: due, then sent.
    under_way: BTreeMap<(Tick, u64), Flight>,
    frames_filed: u64,
    /// When the last frame of a link and lane is due: the next one may not be due earlier.
    last_due: BTreeMap<(Ends, u8), Tick>,
    queued_bytes: BTreeMap<Ends, usize>,
    counters: MemoryCounters,
    trace: u64,
}

struct Flight {
    from: StoreId,
    to: StoreId,
    frame: Bytes,
}

struct Endpoint {
    store: StoreId,
    state: Arc<Mutex<State>>,
}

impl MemoryNetwork {
    /// A network without stores and without faults.
    pub fn new(seed: u64) -> MemoryNetwork {
        let state = State {
            chance: Chance::new(seed),
            now: Tick(0),
            receivers: BTreeMap::new(),
            every_link: Link::default(),
            links: BTreeMap::new(),
            under_way: BTreeMap::new(),
            frames_filed: 0,
            last_due: BTreeMap::new(),
            queued_bytes: BTreeMap::new(),
            counters: MemoryCounters::default(),
            trace: mixed(seed),
        };
        MemoryNetwork { state: Arc::new(Mutex::new(state)) }
    }

    /// The sending half of `store`. Good for all its lives; while the store is detached it drops what it is
    /// given.
    pub fn endpoint(&self, store: StoreId) -> Arc<dyn Transport> {
        Arc::new(Endpoint { store, state: Arc::clone(&self.state) })
    }

    /// Connects `store`: it gets frames, it and the others are told that they can reach each other.
    pub fn attach(&self, store: StoreId, receiver: Arc<dyn Receiver>) {
        let others = {
            let mut state = self.state.lock();
            state.note(&[1, u64::from(store.0)]);
            state.receivers.insert(store, Arc::clone(&receiver));
            state.others(store)
        };
        for (other, its_receiver) in others {
            its_receiver.peer(store, true);
            receiver.peer(other, true);
        }
    }

    /// Crashes `store`: all that is under way to and from it is lost.
    pub fn detach(&self, store: StoreId) {
        self.crash(store, &Crash { survive_per_million: 0, delay_ticks: 0..=0 });
    }

    /// Crashes `store`; what is under way to and from it fares as `crash` says.
    pub fn crash(&self, store: StoreId, crash: &Crash) {
        let others = {
            let mut state = self.state.lock();
            state.note(&[2, u64::from(store.0)]);
            state.scatter(store, crash);
            if state.receivers.remove(&store).is_none() { Vec::new() } else { state.others(store) }
        };
        others.iter().for_each(|(_, receiver)| receiver.peer(store, false));
    }

    /// Sets how every link errs, those set one by one included.
    pub fn set_every_link(&self, link: Link) {
        let mut state = self.state.lock();
        state.links.clear();
        state.every_link = link;
    }

    /// Sets how the way `from` one store `to` another errs.
    pub fn set_link(&self, from: StoreId, to: StoreId, link: Link) {
        self.state.lock().links.insert((from, to), link);
    }

    /// How the way `from` one store `to` another errs.
    pub fn link(&self, from: StoreId, to: StoreId) -> Link {
        self.state.lock().link((from, to)).clone()
    }

    /// Lets nothing more through from `from` to `to`; what is under way arrives.
    pub fn block(&self, from: StoreId, to: StoreId) {
        self.set_blocked((from, to), true);
    }

    /// Lets nothing more through between `one` and `other`.
    pub fn partition(&self, one: StoreId, other: StoreId) {
        self.block(one, other);
        self.block(other, one);
    }

    /// Unblocks every link. Other faults stay.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.every_link.blocked = false;
        state.links.values_mut().for_each(|link| link.blocked = false);
    }

    /// Goes on to `now` and hands over what is due, in order. How many frames that was.
    pub fn step(&self, now: Tick) -> usize {
        let filed_before = {
            let mut state = self.state.lock();
            state.now = state.now.max(now);
            state.frames_filed
        };
        let mut delivered = 0;
        // One at a time and unlocked: a receiver may send, and may be slow.
        loop {
            let next = self.state.lock().next_due(filed_before);
            let Some((flight, receiver)) = next else { return delivered };
            receiver.received(flight.from, flight.frame);
            delivered += 1;
        }
    }

    /// When the next frame is due, if one is under way.
    pub fn next_due(&self) -> Option<Tick> {
        self.state.lock().under_way.first_key_value().map(|((due, _), _)| *due)
    }

    /// The way on which most bytes are: from where, to where, how many, and how many may be there.
    pub fn fullest_queue(&self) -> Option<(StoreId, StoreId, usize, usize)> {
        let state = self.state.lock();
        let (ends, bytes) = state.queued_bytes.iter().max_by_key(|(_, bytes)| **bytes)?;
        Some((ends.0, ends.1, *bytes, state.link(*ends).queue_bytes_max))
    }

    /// What it did so far.
    pub fn counters(&self) -> MemoryCounters {
        self.state.lock().counters
    }

    /// A number that stands for all that happened so far: who came and went, and each frame with its fate.
    pub fn trace_hash(&self) -> u64 {
        self.state.lock().trace
    }

    fn set_blocked(&self, ends: Ends, blocked: bool) {
        let mut state = self.state.lock();
        let link = Link { blocked, ..state.link(ends).clone() };
        state.links.insert(ends, link);
    }
}

impl Transport for Endpoint {
    fn send(&self, to: StoreId, lane: Lane, frame: Bytes) -> bool {
        self.state.lock().file((self.store, to), lane, frame)
    }
}

impl State {
    fn link(&self, ends: Ends) -> &Link {
        self.links.get(&ends).unwrap_or(&self.every_link)
    }

    fn others(&self, store: StoreId) -> Vec<(StoreId, Arc<dyn Receiver>)> {
        let others = self.receivers.iter().filter(|(other, _)| **other != store);
        others.map(|(other, receiver)| (*other, Arc::clone(receiver))).collect()
    }

    /// Decides the fate of a frame. The sender learns only what a real one would.
    fn file(&mut self, ends: Ends, lane: Lane, frame: Bytes) -> bool {
        self.counters.sent += 1;
        self.note(&[3, pair(ends), lane as u64, frame.len() as u64, u64::from(crc32fast::hash(&frame))]);
        let link = self.link(ends).clone();
        let queued_bytes = self.queued_bytes.get(&ends).copied().unwrap_or(0);
        let connected = self.receivers.contains_key(&ends.0) && self.receivers.contains_key(&ends.1);
        let fits = queued_bytes + frame.len() <= link.queue_bytes_max && frame.len() <= FRAME_BYTES_MAX;
        if !connected || !fits {
            self.counters.lost += 1;
            return false;
        }
        let lost = self.chance.happens(link.loss_per_million);
        let twice = self.chance.happens(link.duplicate_per_million);
        if lost || link.blocked {
            self.counters.lost += 1;
            return true;
        }
        if twice {
            self.counters.duplicated += 1;
            self.launch(ends, lane, frame.clone(), &link);
        }
        self.launch(ends, lane, frame, &link);
        true
    }

    fn launch(&mut self, ends: Ends, lane: Lane, frame: Bytes, link: &Link) {
        let mut due = self.now.after(self.chance.within(&link.delay_ticks));
        let last_due = self.last_due.entry((ends, lane as u8)).or_default();
        if !link.reorder {
            due = due.max(*last_due);
        }
        *last_due = due.max(*last_due);
        *self.queued_bytes.entry(ends).or_default() += frame.len();
        self.frames_filed += 1;
        self.under_way.insert((due, self.frames_filed), Flight { from: ends.0, to: ends.1, frame });
    }

    /// The next frame that is due, was filed no later than `filed_before`, and has someone to go to.
    fn next_due(&mut self, filed_before: u64) -> Option<(Flight, Arc<dyn Receiver>)> {
        loop {
            let key = self.under_way.range(..=(self.now, u64::MAX)).map(|(key, _)| *key);
            let key = key.into_iter().find(|(_, filed)| *filed <= filed_before)?;
            let flight = self.land(key)?;
            if let Some(receiver) = self.receivers.get(&flight.to).map(Arc::clone) {
                self.counters.delivered += 1;
                self.note(&[4, pair((flight.from, flight.to)), key.1]);
                return Some((flight, receiver));
            }
            self.counters.lost += 1;
        }
    }

    fn land(&mut self, key: (Tick, u64)) -> Option<Flight> {
        let flight = self.under_way.remove(&key)?;
        if let Some(queued_bytes) = self.queued_bytes.get_mut(&(flight.from, flight.to)) {
            *queued_bytes -= flight.frame.len();
        }
        Some(flight)
    }

    /// Loses or delays what is under way to and from `store`.
    fn scatter(&mut self, store: StoreId, crash: &Crash) {
        let touched = self.under_way.iter().filter(|(_, flight)| flight.from == store || flight.to == store);
        let keys: Vec<_> = touched.map(|(key, _)| *key).collect();
        for key in keys {
            let survives = self.chance.happens(crash.survive_per_million);
            let due = key.0.max(self.now).after(self.chance.within(&crash.delay_ticks));
            if !survives {
                self.counters.lost += 1;
                self.land(key);
            } else if let Some(flight) = self.under_way.remove(&key) {
                self.under_way.insert((due, key.1), flight);
            }
        }
        // The next life's connections are new ones: they owe no order to the old.
        self.last_due.retain(|((from, to), _), _| *from != store && *to != store);
    }

    fn note(&mut self, what: &[u64]) {
        self.trace = what.iter().fold(mixed(self.trace ^ self.now.0), |trace, word| mixed(trace ^ word));
    }
}

impl Default for Link {
    fn default() -> Link {
        Link {
            loss_per_million: 0,
            duplicate_per_million: 0,
            delay_ticks: 0..=0,
            reorder: false,
            blocked: false,
            queue_bytes_max: 64 << 20,
        }
    }
}

fn pair(ends: Ends) -> u64 {
    u64::from(ends.0.0) << 32 | u64::from(ends.1.0)
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

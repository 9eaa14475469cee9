//! The in-memory network does what its knobs say, and the same again for the same seed.

use super::*;

#[derive(Default)]
struct Seen {
    frames: Mutex<Vec<(StoreId, Bytes)>>,
    peers: Mutex<Vec<(StoreId, bool)>>,
}

impl Receiver for Seen {
    fn received(&self, from: StoreId, frame: Bytes) {
        self.frames.lock().push((from, frame));
    }

    fn peer(&self, store: StoreId, up: bool) {
        self.peers.lock().push((store, up));
    }
}

const ONE: StoreId = StoreId(1);
const TWO: StoreId = StoreId(2);

struct Pair {
    network: MemoryNetwork,
    from_one: Arc<dyn Transport>,
    one: Arc<Seen>,
    two: Arc<Seen>,
}

fn connected(seed: u64) -> Pair {
    let network = MemoryNetwork::new(seed);
    let (one, two) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    network.attach(ONE, one.clone());
    network.attach(TWO, two.clone());
    Pair { from_one: network.endpoint(ONE), network, one, two }
}

impl Pair {
    fn send(&self, number: u64) -> bool {
        self.from_one.send(TWO, Lane::Bulk, Bytes::copy_from_slice(&number.to_le_bytes()))
    }

    fn arrived(&self) -> Vec<u64> {
        let number = |frame: &Bytes| u64::from_le_bytes(*frame.first_chunk().unwrap());
        self.two.frames.lock().iter().map(|(_, frame)| number(frame)).collect()
    }

    fn run_to(&self, tick: u64) {
        (0..=tick).for_each(|tick| {
            self.network.step(Tick(tick));
        });
    }
}

#[test]
fn frames_arrive_in_order_even_though_each_takes_its_own_time() {
    let pair = connected(1);
    pair.network.set_every_link(Link { delay_ticks: 0..=9, ..Link::default() });
    (0..100).for_each(|number| assert!(pair.send(number)));
    pair.run_to(10);
    assert_eq!(pair.arrived(), (0..100).collect::<Vec<_>>());
    assert_eq!(pair.network.next_due(), None);
}

#[test]
fn a_reordering_link_loses_nothing_and_keeps_no_order() {
    let pair = connected(2);
    pair.network.set_link(ONE, TWO, Link { delay_ticks: 0..=9, reorder: true, ..Link::default() });
    (0..100).for_each(|number| assert!(pair.send(number)));
    pair.run_to(10);
    let mut arrived = pair.arrived();
    assert!(!arrived.is_sorted());
    arrived.sort_unstable();
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
}

#[test]
fn loss_and_duplication_come_as_often_as_asked_for() {
    let pair = connected(3);
    let link = Link { loss_per_million: 100_000, duplicate_per_million: 200_000, ..Link::default() };
    pair.network.set_every_link(link);
    (0..10_000).for_each(|number| assert!(pair.send(number)));
    pair.run_to(1);
    let counters = pair.network.counters();
    assert!((800..1_200).contains(&counters.lost), "{counters:?}");
    assert!((1_500..2_100).contains(&counters.duplicated), "{counters:?}");
    assert_eq!(counters.delivered, counters.sent - counters.lost + counters.duplicated);
}

#[test]
fn a_one_way_partition_stops_one_way_only_and_heals() {
    let pair = connected(4);
    pair.network.block(ONE, TWO);
    assert!(pair.send(1), "the sender does not notice");
    assert!(pair.network.endpoint(TWO).send(ONE, Lane::Urgent, Bytes::new()));
    pair.run_to(1);
    assert_eq!((pair.arrived().len(), pair.one.frames.lock().len()), (0, 1));
    pair.network.partition(ONE, TWO);
    pair.network.heal();
    pair.send(2);
    pair.run_to(2);
    assert_eq!(pair.arrived(), [2]);
}

#[test]
fn a_crash_loses_what_is_under_way_and_tells_the_others() {
    let pair = connected(5);
    pair.network.set_every_link(Link { delay_ticks: 5..=5, ..Link::default() });
    pair.send(1);
    pair.network.detach(TWO);
    assert!(!pair.send(2), "nobody there");
    pair.network.attach(TWO, pair.two.clone());
    pair.send(3);
    pair.run_to(10);
    assert_eq!(pair.arrived(), [3]);
    assert_eq!(*pair.one.peers.lock(), [(TWO, true), (TWO, false), (TWO, true)]);
}

#[test]
fn by_knob_the_next_life_gets_what_was_sent_to_the_one_before() {
    let pair = connected(6);
    pair.network.set_every_link(Link { delay_ticks: 5..=5, ..Link::default() });
    pair.send(1);
    pair.network.crash(TWO, &Crash { survive_per_million: 1_000_000, delay_ticks: 10..=10 });
    pair.network.attach(TWO, pair.two.clone());
    pair.send(2);
    pair.run_to(20);
    assert_eq!(pair.arrived(), [2, 1]);
}

#[test]
fn a_full_queue_says_so() {
    let pair = connected(7);
    pair.network.set_every_link(Link { queue_bytes_max: 16, ..Link::default() });
    assert_eq!([pair.send(1), pair.send(2), pair.send(3)], [true, true, false]);
    pair.run_to(1);
    assert!(pair.send(4));
}

#[test]
fn what_is_sent_from_within_a_delivery_waits_for_the_next_step() {
    struct Echo(Arc<dyn Transport>);
    impl Receiver for Echo {
        fn received(&self, from: StoreId, frame: Bytes) {
            self.0.send(from, Lane::Bulk, frame);
        }
        fn peer(&self, _: StoreId, _: bool) {}
    }
    let network = MemoryNetwork::new(8);
    for store in [ONE, TWO] {
        network.attach(store, Arc::new(Echo(network.endpoint(store))));
    }
    network.endpoint(ONE).send(TWO, Lane::Bulk, Bytes::from_static(b"ball"));
    assert_eq!([network.step(Tick(1)), network.step(Tick(1)), network.step(Tick(2))], [1, 1, 1]);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let traced = |seed| {
        let pair = connected(seed);
        let (loss_per_million, duplicate_per_million) = (200_000, 200_000);
        let link = Link { loss_per_million, duplicate_per_million, delay_ticks: 0..=7, ..Link::default() };
        pair.network.set_every_link(Link { reorder: true, ..link });
        for tick in 0..200 {
            pair.send(tick);
            pair.network.step(Tick(tick));
        }
        (pair.network.trace_hash(), pair.arrived())
    };
    assert_eq!(traced(9), traced(9));
    assert_ne!(traced(9).0, traced(10).0);
}

//! Snapshots from store to store: in all weathers, over restarts, in bounded memory; and checkpoints through the keeper.

use std::sync::Arc;

use skep_wal::{Disk, MemDisk};

use super::network::{Network, Node, Weather};
use super::*;
use crate::ids::Tick;
use crate::snapshot::format::CHUNK_BYTES;
use crate::snapshot::{Checkpoints, KeeperLimits, KeeperTask};

const ONE: StoreId = StoreId(1);
const TWO: StoreId = StoreId(2);

struct Pair {
    network: Arc<Network>,
    one: Node,
    two: Node,
    now: Tick,
}

impl Pair {
    fn new(seed: u64, limits: KeeperLimits) -> Pair {
        let network = Network::new(seed);
        let one = Node::new(ONE, 1, MemDisk::new(1), &network, limits);
        let two = Node::new(TWO, 1, MemDisk::new(2), &network, limits);
        Pair { network, one, two, now: Tick(1) }
    }

    fn round(&mut self, weather: Weather) {
        self.now = self.now.after(1);
        for (from, to, frame) in self.network.deliver(weather) {
            let node = if to == ONE { &self.one } else { &self.two };
            node.arrived(from, frame);
        }
        self.one.step(self.now);
        self.two.step(self.now);
    }

    fn run_until(&mut self, weather: Weather, is_done: impl Fn(&Pair) -> bool) {
        for _ in 0..60_000 {
            if is_done(self) {
                return;
            }
            self.round(weather);
        }
        panic!("one: {:?}, two: {:?}", self.one.events, self.two.events);
    }

    fn restart_two(&mut self, limits: KeeperLimits) {
        let disk = self.two.disk.clone();
        disk.crash(9);
        self.two = Node::new(TWO, 2, disk, &self.network, limits);
        self.two.host(A, 1, 0);
    }
}

fn checkpoint_of(disk: &MemDisk, store: StoreId) -> Vec<(RegionId, u64)> {
    let (_, found) = Checkpoints::open(Arc::new(disk.clone()), store).unwrap();
    found.into_iter().map(|(region, info)| (region, info.at.index.0)).collect()
}

#[test]
fn a_snapshot_arrives_in_any_weather_and_is_the_receivers_checkpoint() {
    for seed in 0..12 {
        let mut pair = Pair::new(seed, KeeperLimits::default());
        let bytes = 3_000_000 + seed * 100_001;
        pair.one.host(A, 40, bytes);
        pair.two.host(A, 1, 0);
        pair.one.send_snapshot(A, TWO, 5);
        let weather = Weather { lost: seed * 3, repeated: 20, delayed: 30 };
        pair.run_until(weather, |pair| !pair.one.events.is_empty());
        assert_eq!(pair.one.events, ["sent Some(40@3)"], "seed {seed}");
        assert_eq!(pair.two.events, ["adopted 40@3"]);
        assert!(pair.one.disk.list().unwrap().is_empty(), "the spool is gone");
        pair.two.disk.crash(seed);
        assert_eq!(checkpoint_of(&pair.two.disk, TWO), [(A, 40)]);
    }
}

#[test]
fn an_empty_state_and_one_of_whole_chunks_arrive_too() {
    for bytes in [0, CHUNK_BYTES as u64 - 8, CHUNK_BYTES as u64 * 3 - 8] {
        let mut pair = Pair::new(1, KeeperLimits::default());
        pair.one.host(A, 40, bytes);
        pair.two.host(A, 1, 7);
        pair.one.send_snapshot(A, TWO, 5);
        pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
        assert_eq!(pair.two.events, ["adopted 40@3"]);
    }
}

#[test]
fn sixty_four_mebibytes_pass_through_a_window() {
    let limits = KeeperLimits { window_bytes: 1 << 20, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    pair.one.host(A, 40, 64 << 20);
    pair.two.host(A, 1, 0);
    pair.one.send_snapshot(A, TWO, 5);
    let bytes_max = (1 << 20) + 16 * 1024;
    pair.run_until(Weather::default(), |pair| {
        assert!(pair.network.bytes() <= bytes_max, "{} bytes under way", pair.network.bytes());
        !pair.one.events.is_empty()
    });
    assert_eq!(pair.two.events, ["adopted 40@3"]);
}

#[test]
fn a_receiver_that_crashes_in_the_middle_gets_it_from_the_start() {
    let limits = KeeperLimits { window_bytes: 512 << 10, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    pair.one.host(A, 40, 4_000_000);
    pair.two.host(A, 1, 0);
    pair.one.send_snapshot(A, TWO, 5);
    (0..10).for_each(|_| pair.round(Weather::default()));
    assert!(pair.two.disk.list().unwrap().iter().any(|name| name.ends_with(".tmp")));
    pair.restart_two(limits);
    assert!(pair.two.disk.list().unwrap().is_empty());
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!(pair.one.events, ["sent Some(40@3)"]);
}

#[test]
fn a_receiver_that_crashes_after_adopting_says_so_when_asked_again() {
    let mut pair = Pair::new(1, KeeperLimits::default());
    pair.one.host(A, 40, 1000);
    pair.two.host(A, 1, 0);
    pair.one.send_snapshot(A, TWO, 5);
    pair.run_until(Weather::default(), |pair| !pair.two.events.is_empty());
    pair.restart_two(KeeperLimits::default());
    let lost = Weather { lost: 100, ..Weather::default() };
    pair.round(lost);
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!(pair.one.events, ["sent Some(40@3)"]);
}

#[test]
fn one_that_is_not_wanted_or_is_older_than_the_state_leaves_nothing_behind() {
    let mut pair = Pair::new(1, KeeperLimits::default());
    pair.one.host(A, 40, 1000);
    pair.two.host(A, 1, 0);
    pair.two.wants = false;
    pair.one.send_snapshot(A, TWO, 5);
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!((&pair.one.events[..], &pair.two.events[..]), (&["sent None".to_owned()][..], &[][..]));
    let mut pair = Pair::new(1, KeeperLimits::default());
    pair.one.host(A, 40, 1000);
    pair.two.host(A, 41, 5);
    pair.one.send_snapshot(A, TWO, 5);
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!(pair.two.events, ["a snapshot of 40@3 is older than the state, which goes through 41@3"]);
    assert!(pair.two.disk.list().unwrap().is_empty());
}

/// The region goes between the restoring of its machine and the adoption, which may have failed once: what was to be adopted is
/// nobody's checkpoint, not even later.
#[test]
fn what_waits_for_adoption_goes_with_its_region() {
    for is_tried_again in [false, true] {
        let mut pair = Pair::new(1, KeeperLimits::default());
        pair.one.host(A, 40, 1000);
        pair.two.host(A, 1, 0);
        pair.one.send_snapshot(A, TWO, 5);
        pair.run_until(Weather::default(), |pair| !pair.two.tasks.is_empty());
        if is_tried_again {
            pair.two.disk.fail_sync(0, false);
            pair.round(Weather::default());
            assert!(pair.two.keeper.counters().trouble().is_some());
        }
        pair.two.tell(KeeperTask::Forget(A));
        let retried_at = pair.now.0 + KeeperLimits::default().retry_ticks;
        pair.run_until(Weather::default(), |pair| pair.now.0 > retried_at);
        assert_eq!(pair.one.events, ["sent None"]);
        assert!(pair.two.events.is_empty(), "{:?}", pair.two.events);
        assert!(pair.two.disk.list().unwrap().is_empty());
    }
}

#[test]
fn nobody_at_the_other_end_is_given_up_after_a_while() {
    let limits = KeeperLimits { abandon_ticks: 300, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    pair.one.host(A, 40, 1000);
    pair.one.send_snapshot(A, TWO, 5);
    let lost = Weather { lost: 100, ..Weather::default() };
    pair.run_until(lost, |pair| !pair.one.events.is_empty());
    assert_eq!(pair.one.events, ["sent None"]);
    assert!(pair.now.0 > 300);
    assert!(pair.one.disk.list().unwrap().is_empty());
}

#[test]
fn a_silent_sender_is_given_up_and_its_file_removed() {
    let limits = KeeperLimits { abandon_ticks: 300, window_bytes: 256 << 10, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    pair.one.host(A, 40, 4_000_000);
    pair.two.host(A, 1, 0);
    pair.one.send_snapshot(A, TWO, 5);
    (0..10).for_each(|_| pair.round(Weather::default()));
    assert_eq!(pair.two.disk.list().unwrap().len(), 1);
    let lost = Weather { lost: 100, ..Weather::default() };
    (0..400).for_each(|_| pair.round(lost));
    assert!(pair.two.disk.list().unwrap().is_empty());
}

#[test]
fn a_later_leaders_snapshot_replaces_the_one_that_is_arriving() {
    let limits = KeeperLimits { window_bytes: 256 << 10, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    pair.one.host(A, 40, 4_000_000);
    pair.two.host(A, 1, 0);
    pair.one.send_snapshot(A, TWO, 5);
    (0..10).for_each(|_| pair.round(Weather::default()));
    pair.one.host(A, 50, 2_000_000);
    pair.one.send_snapshot(A, TWO, 6);
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!(pair.one.events, ["sent Some(50@3)"]);
    assert_eq!(pair.two.events, ["adopted 50@3"]);
    assert_eq!(pair.two.disk.list().unwrap().len(), 1);
}

#[test]
fn more_snapshots_than_may_leave_or_arrive_at_a_time_all_arrive() {
    let limits = KeeperLimits { sends_max: 5, receives_max: 2, ..KeeperLimits::default() };
    let mut pair = Pair::new(1, limits);
    for region in 1..=20 {
        pair.one.host(RegionId(region), 40, 600_000);
        pair.two.host(RegionId(region), 1, 0);
        pair.one.send_snapshot(RegionId(region), TWO, 5);
    }
    pair.run_until(Weather::default(), |pair| pair.one.events.len() == 20);
    assert!(pair.one.events.iter().all(|event| event == "sent Some(40@3)"), "{:?}", pair.one.events);
    assert_eq!(checkpoint_of(&pair.two.disk, TWO).len(), 20);
}

#[test]
fn a_receiver_without_room_refuses_and_takes_it_when_there_is_some() {
    let mut pair = Pair::new(1, KeeperLimits::default());
    pair.one.host(A, 40, 3_000_000);
    pair.two.host(A, 1, 0);
    pair.two.disk.set_capacity(Some(1 << 20));
    pair.one.send_snapshot(A, TWO, 5);
    pair.run_until(Weather::default(), |pair| !pair.one.events.is_empty());
    assert_eq!(pair.one.events, ["sent None"]);
    assert!(pair.two.keeper.counters().trouble().unwrap().starts_with("writing received-"));
    assert!(pair.two.disk.list().unwrap().is_empty());
    pair.two.disk.set_capacity(None);
    pair.one.send_snapshot(A, TWO, 5);
    pair.run_until(Weather::default(), |pair| pair.one.events.len() == 2);
    assert_eq!(pair.one.events[1], "sent Some(40@3)");
}

#[test]
fn checkpoints_of_many_regions_are_one_file_and_a_full_disk_is_tried_again() {
    let mut pair = Pair::new(1, KeeperLimits::default());
    let regions: Vec<RegionId> = (1..=30).map(RegionId).collect();
    regions.iter().for_each(|region| pair.one.host(*region, 8, 50_000));
    pair.one.disk.set_capacity(Some(100_000));
    pair.one.tell(KeeperTask::Checkpoint(regions.clone()));
    (0..20).for_each(|_| pair.round(Weather::default()));
    assert!(pair.one.events.is_empty());
    assert!(pair.one.keeper.counters().trouble().is_some());
    pair.one.disk.set_capacity(None);
    pair.run_until(Weather::default(), |pair| pair.one.events.len() == 30);
    assert_eq!(pair.one.events[0], "checkpointed r1 8@3");
    assert_eq!(pair.one.disk.list().unwrap().len(), 1);
    assert_eq!(checkpoint_of(&pair.one.disk, ONE).len(), 30);
    assert_eq!(pair.one.keeper.counters().trouble(), None);
}

//! Leases where they are in danger: a follower that does not hear its leader and one that both hear, which starts anew; leaders
//! that hand over and are cut off. The ledger judges every read.

use super::group::{Found, Group, Packet};
use super::random::Dice;
use crate::raft::{Event, ReplicaId, Role};

const SEEDS: u64 = 1500;
const TICKS: u64 = 300;
const SIZE: u64 = 3;
const LEASE_TICKS: u64 = 9;

struct Schedule {
    dice: Dice,
    group: Group,
    /// Between whom nothing gets through.
    cut: (u64, u64),
    names: u64,
    /// Reads that were answered in the turn in which they came.
    at_once: u64,
}

#[test]
fn no_read_under_a_lease_is_stale() {
    let (mut at_once, mut terms) = (0, 0);
    for seed in 1..=SEEDS {
        let mut group = Group::new(vec![Some(Found::default()); SIZE as usize]);
        group.lease_ticks = LEASE_TICKS;
        (1..=SIZE).for_each(|id| group.restart(id));
        let mut schedule = Schedule { dice: Dice::new(seed), group, cut: (0, 0), names: 0, at_once: 0 };
        let run = std::panic::AssertUnwindSafe(|| (0..TICKS).for_each(|_| schedule.tick()));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
        at_once += schedule.at_once;
        terms += (1..=SIZE).map(|id| schedule.group.raft(id).term().0).max().unwrap_or(0);
    }
    assert!(at_once > 50 * SEEDS && terms > 5 * SEEDS, "too little happens: {at_once}, {terms}");
}

/// What nobody reads under does not use up what is remembered of rounds.
#[test]
fn the_first_read_after_a_long_rest_is_answered_at_once() {
    let mut group = Group::new(vec![Some(Found::default()); SIZE as usize]);
    group.lease_ticks = LEASE_TICKS;
    (1..=SIZE).for_each(|id| group.restart(id));
    group.now = group.now.after(30);
    group.step(1, Event::Campaign);
    for _ in 0..200 {
        while !group.network.is_empty() || (1..=SIZE).any(|id| group.persist(id).is_some()) {
            if !group.network.is_empty() {
                let packet = group.network.remove(0);
                group.deliver(packet);
            }
        }
        group.now = group.now.after(3);
        group.step(1, Event::Timeout);
    }
    group.read(1, 1).1.unwrap();
    assert_eq!(group.ledger.reads_answered, 1);
}

impl Schedule {
    fn tick(&mut self) {
        self.group.now = self.group.now.after(1);
        for id in 1..=SIZE {
            if self.group.raft(id).deadline() <= self.group.now {
                self.group.step(id, Event::Timeout);
            }
        }
        if self.dice.roll(20) == 0 {
            self.cut = (1 + self.dice.roll(SIZE), 1 + self.dice.roll(SIZE));
        }
        let any = 1 + self.dice.roll(SIZE);
        match self.dice.roll(30) {
            0 => {
                self.group.crash(any);
                self.group.restart(any);
            }
            1 => self.leaders().into_iter().for_each(|id| {
                self.group.step(id, Event::TransferLeadership(ReplicaId(any)));
            }),
            _ => {}
        }
        for _ in 0..12 {
            let id = 1 + self.dice.roll(SIZE);
            drop(self.group.persist(id));
            self.deliver();
        }
        self.leaders().into_iter().for_each(|id| self.use_leader(id));
    }

    fn deliver(&mut self) {
        if self.group.network.is_empty() {
            return;
        }
        let packet = self.group.network.remove(0);
        let (from, to) = packet.route();
        if self.cut == (from, to) || self.cut == (to, from) {
            if let Packet::Snapshot { from, to, .. } = packet {
                self.group.step(from.0, Event::SnapshotDone { to, at: None });
            }
        } else {
            self.group.deliver(packet);
        }
    }

    fn leaders(&self) -> Vec<u64> {
        (1..=SIZE).filter(|id| self.group.raft(*id).role() == Role::Leader).collect()
    }

    fn use_leader(&mut self, id: u64) {
        self.names += 1;
        // Who is cut off for long must not lack what is committed, or it cannot win.
        if self.dice.roll(40) == 0 {
            let _refused_is_fine = self.group.propose(id, &[format!("{}", self.names)]);
        }
        let before = self.group.ledger.reads_answered;
        let _refused_is_fine = self.group.read(id, self.names);
        self.at_once += self.group.ledger.reads_answered - before;
    }
}

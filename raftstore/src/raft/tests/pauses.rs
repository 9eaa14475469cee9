//! How long nobody leads after a leader has died, over many seeds: replicas with the times of stores, a tick being a millisecond.

use std::collections::BTreeMap;

use super::group::{Found, Group, Packet, Seen};
use super::random::Dice;
use crate::raft::{Event, Role};

const SEEDS: u64 = 20_000;
/// Of stores by default: election timeouts from one second to two, four heartbeats a second.
const PACE: (u64, u64, u64) = (1000, 2000, 250);

/// What happens to a group: so many replicas die at once, the leader among them.
#[derive(Clone, Copy)]
struct Loss {
    size: u64,
    dead: u64,
    around: Surroundings,
}

/// How long at most a message is on its way, and a write until it is durable.
#[derive(Clone, Copy)]
struct Surroundings {
    name: &'static str,
    latency_max: u64,
    sync_max: u64,
    /// Whether messages arrive in the order in which they left. Then they all take equally long.
    in_order: bool,
}

const ONE_ROOM: Surroundings =
    Surroundings { name: "in one room", latency_max: 5, sync_max: 20, in_order: true };
const FAR_APART: Surroundings =
    Surroundings { name: "far apart", latency_max: 100, sync_max: 100, in_order: false };

/// Such a group, in which everything takes its time.
struct Timed {
    loss: Loss,
    group: Group,
    dice: Dice,
    latency: u64,
    /// What comes, by when it does and in which order it began.
    coming: BTreeMap<(u64, u64), Coming>,
    begun: u64,
}

enum Coming {
    Packet(Packet),
    /// A write of this replica is durable.
    Durable(u64),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pause {
    ticks: u64,
    terms: u64,
}

/// The pauses of all seeds, in order.
fn pauses(loss: Loss) -> Vec<Pause> {
    let mut pauses: Vec<Pause> = (1..=SEEDS).map(|seed| Timed::new(loss, seed).pause()).collect();
    pauses.sort();
    let again = pauses.iter().filter(|pause| pause.terms > 1).count();
    let [half, most, nearly, all] = [5000, 9900, 9990, 10_000].map(|share| within(&pauses, share));
    let Loss { size, dead, around: Surroundings { name, .. } } = loss;
    println!(
        "{name}, {dead} of {size} die: half {half}, 99% {most}, 99.9% {nearly}, all {all}; {again} take another term"
    );
    pauses
}

/// How long the pause is at most in so many of ten thousand.
fn within(pauses: &[Pause], share: usize) -> u64 {
    pauses[(pauses.len() * share).div_ceil(10_000) - 1].ticks
}

#[test]
fn in_one_room_two_seconds_see_a_new_leader() {
    for (size, dead) in [(3, 1), (5, 1), (5, 2)] {
        let pauses = pauses(Loss { size, dead, around: ONE_ROOM });
        assert!(within(&pauses, 9990) < 2000, "{}", within(&pauses, 9990));
    }
}

#[test]
fn where_candidates_do_collide_they_make_up_for_it() {
    for (size, dead) in [(3, 1), (5, 1), (5, 2)] {
        let pauses = pauses(Loss { size, dead, around: FAR_APART });
        assert!(pauses.iter().filter(|pause| pause.terms > 1).count() > 200, "too little happens");
        assert!(within(&pauses, 9900) < 2850, "{}", within(&pauses, 9900));
    }
}

impl Timed {
    fn new(loss: Loss, seed: u64) -> Timed {
        let mut group = Group::new(vec![Some(Found::default()); loss.size as usize]);
        (group.pace, group.seed) = (PACE, seed << 32);
        (1..=loss.size).for_each(|id| group.restart(id));
        let mut dice = Dice::new(seed);
        let latency = 1 + dice.roll(loss.around.latency_max);
        Timed { loss, group, dice, latency, coming: BTreeMap::new(), begun: 0 }
    }

    /// Kills the first leader at some time between two of its heartbeats. How long there is none, and how many terms it takes.
    fn pause(mut self) -> Pause {
        let seen = self.group.step(1, Event::Campaign);
        self.follow_up(1, &seen);
        let killed_at = self.group.now.0 + 500 + self.dice.roll(PACE.2);
        while self.next_at() <= killed_at {
            self.go_on();
        }
        assert_eq!(self.leader(), Some(1));
        self.group.now.0 = killed_at;
        (1..=self.loss.dead).for_each(|id| self.group.crash(id));
        let before = self.group.raft(self.loss.size).term().0;
        loop {
            self.go_on();
            if let Some(leader) = self.leader() {
                let (ticks, term) = (self.group.now.0 - killed_at, self.group.raft(leader).term().0);
                return Pause { ticks, terms: term - before };
            }
        }
    }

    fn leader(&self) -> Option<u64> {
        self.up().find(|id| self.group.raft(*id).role() == Role::Leader)
    }

    fn up(&self) -> impl Iterator<Item = u64> {
        (1..=self.loss.size).filter(|id| self.group.is_up(*id))
    }

    fn next_at(&self) -> u64 {
        let deadlines = self.up().map(|id| self.group.raft(id).deadline().0);
        deadlines.chain(self.coming.keys().map(|key| key.0)).min().expect("somebody waits")
    }

    /// Time passes until something comes or somebody has waited long enough.
    fn go_on(&mut self) {
        self.group.now.0 = self.next_at();
        let now = self.group.now;
        while let Some(next) = self.coming.first_entry()
            && next.key().0 <= now.0
        {
            let coming = next.remove();
            self.comes_about(coming);
        }
        for id in self.up().collect::<Vec<_>>() {
            if self.group.raft(id).deadline() <= now {
                let seen = self.group.step(id, Event::Timeout);
                self.follow_up(id, &seen);
            }
        }
    }

    fn comes_about(&mut self, coming: Coming) {
        let id = match &coming {
            Coming::Packet(packet) => packet.route().1,
            Coming::Durable(id) => *id,
        };
        if !self.group.is_up(id) {
            return;
        }
        let seen = match coming {
            Coming::Packet(packet) => Some(self.group.deliver(packet)),
            Coming::Durable(id) => self.group.persist(id),
        };
        seen.into_iter().for_each(|seen| self.follow_up(id, &seen));
    }

    /// What a turn wrote and sent will come.
    fn follow_up(&mut self, id: u64, seen: &Seen) {
        let Surroundings { latency_max, sync_max, in_order, .. } = self.loss.around;
        if seen.fx.write.is_some() {
            let ticks = 1 + self.dice.roll(sync_max);
            self.begin(ticks, Coming::Durable(id));
        }
        for packet in std::mem::take(&mut self.group.network) {
            let ticks = if in_order { self.latency } else { 1 + self.dice.roll(latency_max) };
            self.begin(ticks, Coming::Packet(packet));
        }
    }

    fn begin(&mut self, ticks: u64, what: Coming) {
        self.begun += 1;
        self.coming.insert((self.group.now.0 + ticks, self.begun), what);
    }
}

//! Random schedules: loss, repetition, reordering, partitions, crashes, writes that complete late, compaction, and changes of
//! who takes part, witnesses among them. The ledger judges every step; at the end the faults stop and everything must heal.

use super::disk::membership_of;
use super::group::{Found, Group, Packet};
use crate::raft::{Event, Membership, ReplicaId, Role};

const SEEDS: u64 = 400;
const STEPS: u64 = 2000;
/// Replicas of one run, those that are gone included.
const REPLICAS_MAX: u64 = 12;

/// xorshift64*.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

pub(super) struct Schedule {
    dice: Dice,
    group: Group,
    size: u64,
    /// Whom nobody hears and who hears nobody; zero for nobody.
    cut_off: u64,
    names: u64,
    changes: bool,
    witnesses: bool,
}

#[test]
fn nothing_is_lost_under_random_schedules() {
    let (mut committed, mut reads, mut changed, mut witnesses) = (0, 0, 0, 0);
    for seed in 1..=SEEDS {
        let mut schedule = Schedule::new(seed);
        let run = std::panic::AssertUnwindSafe(|| schedule.run());
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
        committed += schedule.group.ledger.committed.len();
        reads += schedule.group.ledger.reads_answered;
        changed += schedule.changed();
        witnesses +=
            usize::from(schedule.committed_membership().witnesses != schedule.group.bootstrap.witnesses);
    }
    let is_much = committed > 20 * SEEDS as usize && reads > 3 * SEEDS && 2 * changed > SEEDS as usize;
    assert!(is_much, "too little happens: {committed}, {reads}, {changed}");
    assert!(witnesses > SEEDS as usize / 20, "witnesses come and go in {witnesses} schedules only");
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Schedule {
        let mut dice = Dice::new(seed);
        let size = [1, 2, 3, 3, 3, 4, 5][dice.roll(7) as usize];
        let mut group = Group::new(vec![Some(Found::default()); size as usize]);
        group.entries_per_message_max = 1 + dice.roll(4);
        group.inflight_messages_max = 1 + dice.roll(4) as usize;
        group.inflight_bytes_max = [1, 10, 30, u64::MAX][dice.roll(4) as usize];
        group.uncommitted_bytes_max = [1, 20, 60, u64::MAX][dice.roll(4) as usize];
        group.entries_per_frame_max = [1, 2, usize::MAX][dice.roll(3) as usize];
        group.lease_ticks = [0, 0, 6, 9][dice.roll(4) as usize];
        group.commit_news_ticks = [0, 0, 1, 2][dice.roll(4) as usize];
        (1..=size).for_each(|id| group.restart(id));
        // A group whose members stay the same is the simpler case, and must be seen, too.
        let changes = dice.roll(4) > 0;
        let witnesses = size > 1 && dice.roll(2) == 0;
        if witnesses {
            let first = size + 1 - dice.roll(size);
            group.bootstrap.witnesses = (first.max(2)..=size).map(ReplicaId).collect();
            (1..=size).for_each(|id| group.be_born(id));
        }
        Schedule { dice, group, size, cut_off: 0, names: 0, changes, witnesses }
    }

    pub(super) fn run(&mut self) {
        for step in 0..STEPS {
            self.act();
            if step % 100 == 0 {
                self.logs_match();
            }
        }
        self.heal();
        if self.witnesses {
            self.lose_one_at_a_time();
        }
        self.logs_match();
    }

    fn act(&mut self) {
        let here: Vec<u64> = (1..=self.size).filter(|id| !self.group.node(*id).is_gone).collect();
        let id = here[self.dice.roll(here.len() as u64) as usize];
        match self.dice.roll(if self.changes { 107 } else { 101 }) {
            0..45 => self.deliver(),
            45..63 if self.group.is_up(id) => drop(self.group.persist(id)),
            63..75 => self.pass_time(),
            75..86 => self.propose(),
            86..92 => self.read(),
            92..94 if self.group.is_up(id) => self.group.compact(id),
            94 if self.dice.roll(2) == 0 => self.cut_off = self.dice.roll(self.size + 1),
            95 if self.group.is_up(id) => self.group.crash(id),
            96 if self.group.is_up(id) => {
                let lost = self.any();
                self.group.step(id, Event::Unreachable(lost));
            }
            97 => self.transfer(),
            98 | 99 if !self.group.is_up(id) && !self.group.node(id).is_gone => self.group.restart(id),
            100 => self.withhold(),
            101..106 => self.change(),
            106 => self.destroy(id),
            _ => {}
        }
    }

    /// The way to a replica fills up, or has room again.
    fn withhold(&mut self) {
        let to = self.any();
        if !self.group.withheld.remove(&to) {
            self.group.withheld.insert(to);
        }
    }

    fn any(&mut self) -> ReplicaId {
        ReplicaId(1 + self.dice.roll(self.size))
    }

    /// Who takes part by what is committed.
    fn committed_membership(&self) -> Membership {
        membership_of(&self.group.ledger.committed, &self.group.bootstrap)
    }

    /// How many changes were committed.
    fn changed(&self) -> usize {
        let committed = &self.group.ledger.committed;
        committed.iter().filter(|(_, payload)| payload.membership().is_some()).count()
    }

    /// A leader is asked for any change: votes given and taken, learners, itself, a replica that has nothing yet, witnesses.
    fn change(&mut self) {
        for id in self.leaders() {
            let now = self.group.raft(id).membership().clone();
            let mut target = Membership { number: now.number + 1, outgoing: Vec::new(), ..now };
            if self.size < REPLICAS_MAX && self.dice.roll(3) == 0 {
                target.learners.push(self.group.add_blank());
                self.size += 1;
            }
            if self.witnesses && self.size < REPLICAS_MAX && self.dice.roll(2) == 0 {
                let witness = self.group.add_blank();
                target.learners.push(witness);
                target.witnesses.push(witness);
                self.size += 1;
            }
            for learner in target.learners.clone() {
                if self.dice.roll(2) == 0 && self.group.raft(id).is_caught_up(learner) {
                    target.learners.retain(|id| *id != learner);
                    target.voters.push(learner);
                }
            }
            // Nobody to be taken away, or a replica loses its vote, or everything.
            let chosen = target.all()[self.dice.roll(target.all().len() as u64) as usize];
            let fate = self.dice.roll(4);
            if fate < 2 {
                target.voters.retain(|id| *id != chosen);
                target.learners.retain(|id| *id != chosen);
            }
            if fate == 0 {
                target.learners.push(chosen);
            }
            let all = target.all();
            target.witnesses.retain(|witness| all.contains(witness));
            target.voters.sort_unstable();
            target.learners.sort_unstable();
            let _refused_is_fine = self.group.change(id, target);
        }
    }

    /// A replica that was removed for good hears of it.
    fn destroy(&mut self, id: u64) {
        let replica = ReplicaId(id);
        let was_member = self.group.bootstrap.contains(replica)
            || self.group.ledger.committed.iter().any(|(_, payload)| {
                payload.membership().is_some_and(|membership| membership.contains(replica))
            });
        let is_gone = self.group.node(id).is_gone;
        if was_member && !is_gone && !self.committed_membership().contains(replica) {
            self.group.destroy(id);
        }
    }

    fn deliver(&mut self) {
        let waiting = self.group.network.len() as u64;
        if waiting == 0 {
            return;
        }
        // Mostly in order, sometimes not; of a flood the newest are lost.
        let at = if self.dice.roll(4) == 0 { self.dice.roll(waiting) } else { 0 };
        let packet = match self.dice.roll(20) {
            0 => self.group.network[at as usize].clone(),
            _ => self.group.network.remove(at as usize),
        };
        let flood = self.group.network.len().min(200);
        self.group.network.split_off(flood).into_iter().for_each(|packet| self.lose(packet));
        let (from, to) = packet.route();
        let cut = from == self.cut_off || to == self.cut_off;
        let lost = self.dice.roll(30) == 0 || cut || !self.group.is_up(to);
        let up = self.group.is_up(from) || matches!(packet, Packet::Raft(_));
        if !lost && up {
            self.group.deliver(packet);
        } else {
            self.lose(packet);
        }
    }

    /// Whoever sends a snapshot hears that it failed.
    fn lose(&mut self, packet: Packet) {
        if let Packet::Snapshot { from, to, .. } = packet
            && self.group.is_up(from.0)
        {
            self.group.step(from.0, Event::SnapshotDone { to, at: None });
        }
    }

    fn pass_time(&mut self) {
        self.group.now = self.group.now.after(1 + self.dice.roll(2));
        self.timeouts();
    }

    fn timeouts(&mut self) {
        for id in 1..=self.size {
            if self.group.is_up(id) && self.group.raft(id).deadline() <= self.group.now {
                self.group.step(id, Event::Timeout);
            }
        }
    }

    fn leaders(&self) -> Vec<u64> {
        let leads = |&id: &u64| self.group.is_up(id) && self.group.raft(id).role() == Role::Leader;
        (1..=self.size).filter(leads).collect()
    }

    fn propose(&mut self) {
        for id in self.leaders() {
            self.names += 1;
            let commands: Vec<String> =
                (0..1 + self.dice.roll(5)).map(|n| format!("{}.{n}", self.names)).collect();
            let _refused_is_fine = self.group.propose(id, &commands);
        }
    }

    fn read(&mut self) {
        for id in self.leaders() {
            self.names += 1;
            let _refused_is_fine = self.group.read(id, self.names);
        }
    }

    fn transfer(&mut self) {
        for id in self.leaders() {
            let to = self.any();
            self.group.step(id, Event::TransferLeadership(to));
        }
    }

    /// In all pairs of logs: what has the same index and term is the same, and so is all before it.
    fn logs_match(&self) {
        for a in &self.group.nodes {
            for b in &self.group.nodes {
                let mut agreed = false;
                for entry in a.disk.written.entries.iter().rev() {
                    let Some(other) = b.disk.written.get(entry.index.0) else { continue };
                    agreed |= other.term == entry.term;
                    let is_same = match a.disk.written.witness == b.disk.written.witness {
                        true => other == entry,
                        false => other.payload.stripped() == entry.payload.stripped(),
                    };
                    assert!(!agreed || is_same, "{entry:?} and {other:?}");
                }
            }
        }
    }

    /// Faults stop: within a few election timeouts there is one leader, no change is half done, and everybody who takes part
    /// applies what the leader proposes. Who was removed and has not heard of it disturbs nobody.
    fn heal(&mut self) {
        self.cut_off = 0;
        self.group.withheld.clear();
        self.leaders().into_iter().for_each(|id| drop(self.group.step(id, Event::Timeout)));
        let is_down = |id: &u64| !self.group.is_up(*id) && !self.group.node(*id).is_gone;
        let down: Vec<u64> = (1..=self.size).filter(is_down).collect();
        down.into_iter().for_each(|id| self.group.restart(id));
        assert!(self.goes_on(400), "no leader");
        let membership = self.committed_membership();
        assert!(!membership.is_joint(), "half changed: {membership:?}");
        let leaders = self.leaders();
        assert!(
            leaders.iter().all(|id| membership.is_voter(ReplicaId(*id))),
            "{leaders:?} lead {membership:?}"
        );
        for replica in membership.all() {
            let node = self.group.node(replica.0);
            let (is, end) = (node.disk.machine.len(), self.group.ledger.committed.len());
            let has_all = node.disk.machine == self.group.ledger.committed;
            let is_there = is == end && node.disk.written.witness;
            assert!(has_all || is_there, "{replica} applied {is} of {end}");
            assert_eq!(node.disk.written.witness, membership.is_witness(replica));
            assert_eq!(*self.group.raft(replica.0).membership(), membership);
        }
    }

    /// Time passes without faults. Whether a leader took a proposal, and it was committed.
    fn goes_on(&mut self, ticks: u64) -> bool {
        let mut before = None;
        for _ in 0..ticks {
            self.group.now = self.group.now.after(1);
            self.timeouts();
            self.settle();
            if let [leader] = self.leaders()[..]
                && before.is_none()
            {
                let committed = self.group.ledger.committed.len();
                before = self.group.propose(leader, &["the end".into()]).1.ok().map(|_| committed);
                self.settle();
            }
        }
        before.is_some_and(|before| before < self.group.ledger.committed.len())
    }

    /// While all are in step, any one may die, at any moment: a majority with a copy in it goes on.
    fn lose_one_at_a_time(&mut self) {
        let membership = self.committed_membership();
        for lost in membership.voters.clone() {
            let left: Vec<ReplicaId> = membership.voters.iter().copied().filter(|id| *id != lost).collect();
            let has_copy = left.iter().any(|id| !membership.is_witness(*id));
            if !has_copy || !membership.has_quorum(|voter| voter != lost) {
                continue;
            }
            self.propose();
            for _ in 0..self.dice.roll(30) {
                self.advance();
            }
            self.group.crash(lost.0);
            assert!(self.goes_on(100), "nobody leads {membership:?} without {lost}");
            self.group.restart(lost.0);
            assert!(self.goes_on(50), "nobody leads {membership:?} again");
        }
    }

    /// A write completes, or a message arrives.
    fn advance(&mut self) {
        let id = 1 + self.dice.roll(self.size);
        if self.dice.roll(2) == 0 && self.group.is_up(id) {
            drop(self.group.persist(id));
        } else if !self.group.network.is_empty() {
            let packet = self.group.network.remove(0);
            if self.group.is_up(packet.route().1) {
                self.group.deliver(packet);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            for id in (1..=self.size).filter(|id| self.group.is_up(*id)).collect::<Vec<_>>() {
                while self.group.persist(id).is_some() {}
            }
            if self.group.network.is_empty() {
                return;
            }
            let packet = self.group.network.remove(0);
            let (from, to) = packet.route();
            if self.group.is_up(to) && self.group.is_up(from) {
                self.group.deliver(packet);
            } else {
                self.lose(packet);
            }
        }
        panic!("the group talks without end");
    }
}

//! Three nodes over disks that lose what was not synced: nothing that was promised is lost, under any schedule.

use std::collections::{BTreeMap, VecDeque};

use skep_wal::MemDisk;

use super::cluster::{Machine, config};
use super::logs_agree::open_small;
use crate::node::{Action, Content, Event, Index, Message, NodeId, RaftLog, RaftNode, Term, WalLog};
use crate::raft::Body;

struct World {
    nodes: Vec<RaftNode<WalLog>>,
    disks: Vec<MemDisk>,
    machines: Vec<Machine>,
    network: VecDeque<Message>,
    /// What was applied anywhere.
    committed: BTreeMap<Index, (Term, String)>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    random: u64,
    crashes: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let disks: Vec<MemDisk> = (0..3).map(|n| MemDisk::new(seed + n)).collect();
        let node = |id: u64| RaftNode::with_log(config(id, 3), open_small(&disks[id as usize - 1]));
        World {
            nodes: (1..=3).map(node).collect(),
            machines: vec![Machine::default(); 3],
            network: VecDeque::new(),
            committed: BTreeMap::new(),
            votes: BTreeMap::new(),
            random: seed,
            crashes: 0,
            disks,
        }
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % of
    }

    fn step(&mut self, id: NodeId, event: Event) {
        let Ok(actions) = self.nodes[id as usize - 1].step(event) else { return };
        for action in actions {
            match action {
                Action::Send { message, .. } => {
                    self.note_vote(&message);
                    self.network.push_back(message);
                }
                Action::Apply { index, term, command } => self.apply(id, (index, term), &command),
                Action::RestoreSnapshot { index, data, .. } => {
                    self.machines[id as usize - 1].restore(index, &data);
                }
                _ => {}
            }
        }
    }

    fn note_vote(&mut self, message: &Message) {
        let Content::Raft(content) = &message.content else { return };
        let vote = match content.body {
            Body::VoteReply { granted: true } => message.to(),
            Body::Vote { .. } => message.from(),
            _ => return,
        };
        let given = *self.votes.entry((message.from(), message.term())).or_insert(vote);
        assert_eq!(given, vote, "node {} votes twice in term {}", message.from(), message.term());
    }

    fn apply(&mut self, id: NodeId, (index, term): (Index, Term), command: &[u8]) {
        let machine = &mut self.machines[id as usize - 1];
        assert!(index > machine.through);
        machine.through = index;
        let command = String::from_utf8(command.to_vec()).unwrap();
        machine.commands.push(command.clone());
        let known = self.committed.entry(index).or_insert_with(|| (term, command.clone()));
        assert_eq!(*known, (term, command), "what was applied at {index} was lost");
    }

    /// The power goes: what was not synced may be lost, and the machine is what the snapshot says.
    fn crash(&mut self, id: NodeId) {
        let at = id as usize - 1;
        self.crashes += 1;
        self.disks[at].crash(self.random);
        let log = open_small(&self.disks[at]);
        self.machines[at] = Machine::default();
        if let Some(snapshot) = log.snapshot().unwrap() {
            self.machines[at].restore(snapshot.index, &snapshot.data);
        }
        let lives = self.crashes;
        self.nodes[at] = RaftNode::with_log(config(id, 3).with_log_tail(5).with_seed(lives * 10 + id), log);
    }

    fn act(&mut self, n: u64) {
        let id = 1 + self.chance(3);
        match self.chance(60) {
            0 => self.crash(id),
            1 => {
                let machine = &self.machines[id as usize - 1];
                let (index, data) = (machine.through, machine.snapshot());
                self.step(id, Event::Snapshot { index, data });
            }
            2..20 => self.step(id, Event::Propose(format!("{n}").into())),
            20..40 => self.step(id, Event::Tick),
            _ => {
                let at = self.chance(self.network.len() as u64 + 1) as usize;
                let Some(message) = self.network.remove(at) else { return };
                if self.chance(10) == 0 {
                    self.network.push_back(message.clone());
                }
                let to = message.to();
                if self.chance(12) > 0 {
                    self.step(to, Event::Message(message));
                }
            }
        }
    }

    fn heal(&mut self) {
        for _ in 0..300 {
            (1..=3).for_each(|id| self.step(id, Event::Tick));
            while let Some(message) = self.network.pop_front() {
                self.step(message.to(), Event::Message(message));
            }
        }
    }
}

#[test]
fn nothing_promised_is_lost() {
    let (mut crashes, mut committed) = (0, 0);
    for seed in 1..=25 {
        let mut world = World::new(seed * 1000);
        (0..1500).for_each(|n| world.act(n));
        world.heal();
        let last = *world.committed.keys().last().unwrap();
        for machine in &world.machines {
            assert_eq!(machine.through, last, "seed {seed}");
            assert!(
                machine.commands.iter().eq(world.committed.values().map(|(_, command)| command)),
                "seed {seed}"
            );
        }
        crashes += world.crashes;
        committed += world.committed.len();
    }
    assert!(crashes > 300 && committed > 1000, "{crashes} crashes, {committed} commands");
}

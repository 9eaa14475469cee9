//! Nodes with state machines and a network, driven by hand.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::node::{
    Action, Content, Event, Index, LogEntry, MemoryLog, Message, NodeId, RaftConfig, RaftLog, RaftNode,
    Result, Term,
};
use crate::raft::{self, Body, LogPos, ReplicaId};

/// What a node applied: a machine whose snapshot is all of it, one command a line.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Machine {
    pub(super) commands: Vec<String>,
    pub(super) through: Index,
    pub(super) restored: usize,
}

pub(super) struct Cluster<L: RaftLog> {
    pub(super) nodes: Vec<Option<RaftNode<L>>>,
    pub(super) machines: Vec<Machine>,
    pub(super) network: VecDeque<Message>,
    /// Nobody hears them, and they hear nobody.
    pub(super) cut: Vec<NodeId>,
    pub(super) asked_for_snapshot: Vec<(NodeId, Index)>,
    pub(super) reads: Vec<(NodeId, u64, Index)>,
    pub(super) trace: Vec<String>,
}

impl Machine {
    fn apply(&mut self, index: Index, command: &Bytes) {
        assert!(index > self.through, "{index} after {}", self.through);
        self.through = index;
        self.commands.push(String::from_utf8(command.to_vec()).unwrap());
    }

    pub(super) fn snapshot(&self) -> Bytes {
        self.commands.join("\n").into()
    }

    pub(super) fn restore(&mut self, index: Index, data: &Bytes) {
        assert!(index > self.through, "a snapshot at {index} undoes {}", self.through);
        let text = std::str::from_utf8(data).unwrap();
        self.commands = text.split('\n').filter(|line| !line.is_empty()).map(String::from).collect();
        self.through = index;
        self.restored += 1;
    }
}

impl Cluster<MemoryLog> {
    pub(super) fn of(count: u64) -> Cluster<MemoryLog> {
        Cluster::new((1..=count).map(|id| RaftNode::new(config(id, count))).collect())
    }
}

pub(super) fn config(id: NodeId, count: u64) -> RaftConfig {
    RaftConfig::new(id, 1..=count).with_seed(40 + id)
}

impl<L: RaftLog> Cluster<L> {
    pub(super) fn new(nodes: Vec<RaftNode<L>>) -> Cluster<L> {
        let machines = nodes.iter().map(|_| Machine::default()).collect();
        Cluster {
            nodes: nodes.into_iter().map(Some).collect(),
            machines,
            network: VecDeque::new(),
            cut: Vec::new(),
            asked_for_snapshot: Vec::new(),
            reads: Vec::new(),
            trace: Vec::new(),
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &RaftNode<L> {
        self.nodes[id as usize - 1].as_ref().unwrap()
    }

    pub(super) fn machine(&self, id: NodeId) -> &Machine {
        &self.machines[id as usize - 1]
    }

    /// One step, and its actions carried out in order.
    pub(super) fn step(&mut self, id: NodeId, event: Event) -> Result<Vec<Action>> {
        let actions = self.nodes[id as usize - 1].as_mut().unwrap().step(event)?;
        for action in &actions {
            self.trace.push(format!("{id}: {action:?}"));
            let machine = &mut self.machines[id as usize - 1];
            match action {
                Action::Send { message, .. } => self.network.push_back(message.clone()),
                Action::Apply { index, command, .. } => machine.apply(*index, command),
                Action::RestoreSnapshot { index, data, .. } => machine.restore(*index, data),
                Action::Snapshot { index, .. } => self.asked_for_snapshot.push((id, *index)),
                Action::ReadReady { id: read, index } => self.reads.push((id, *read, *index)),
                Action::Proposed { .. } | Action::MembershipChanged { .. } | Action::LeaderChanged { .. } => {
                }
            }
        }
        Ok(actions)
    }

    /// Everything on its way arrives, and what it causes, until all is said.
    pub(super) fn settle(&mut self) {
        while let Some(message) = self.network.pop_front() {
            self.deliver(message);
        }
    }

    pub(super) fn deliver(&mut self, message: Message) {
        let (from, to) = (message.from(), message.to());
        let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
        if !is_cut && self.nodes.get(to as usize - 1).is_some_and(Option::is_some) {
            self.step(to, Event::Message(message)).unwrap();
        }
    }

    pub(super) fn tick(&mut self, ticks: u64) {
        for _ in 0..ticks {
            for id in 1..=self.nodes.len() as u64 {
                if self.nodes[id as usize - 1].is_some() {
                    self.step(id, Event::Tick).unwrap();
                }
            }
            self.settle();
        }
    }

    /// Ticks until one of those that are not cut leads.
    pub(super) fn elect(&mut self) -> NodeId {
        for _ in 0..1000 {
            self.tick(1);
            if let Some(leader) = self.leader() {
                return leader;
            }
        }
        panic!("nobody leads");
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        let leads = |node: &&RaftNode<L>| node.is_leader() && !self.cut.contains(&node.id());
        self.nodes.iter().flatten().filter(leads).max_by_key(|node| node.term()).map(RaftNode::id)
    }

    pub(super) fn propose(&mut self, id: NodeId, command: &str) -> (Index, Term) {
        let actions = self.step(id, Event::Propose(Bytes::copy_from_slice(command.as_bytes()))).unwrap();
        proposed(&actions)
    }

    pub(super) fn others(&self, id: NodeId) -> Vec<NodeId> {
        (1..=self.nodes.len() as u64).filter(|&other| other != id).collect()
    }

    /// The machine's state becomes the log's snapshot.
    pub(super) fn snapshot(&mut self, id: NodeId) {
        let (index, data) = (self.machine(id).through, self.machine(id).snapshot());
        self.step(id, Event::Snapshot { index, data }).unwrap();
    }
}

pub(super) fn proposed(actions: &[Action]) -> (Index, Term) {
    let place = actions.iter().find_map(|action| match action {
        Action::Proposed { index, term } => Some((*index, *term)),
        _ => None,
    });
    place.expect("proposed")
}

pub(super) fn applied(actions: &[Action]) -> Vec<Index> {
    let index = |action: &Action| match action {
        Action::Apply { index, .. } => Some(*index),
        _ => None,
    };
    actions.iter().filter_map(index).collect()
}

/// What the protocol says in these actions, and to whom.
pub(super) fn said(actions: &[Action]) -> Vec<(NodeId, &Body)> {
    let body = |action| match action {
        &Action::Send { to, message: Message { content: Content::Raft(ref message), .. } } => {
            Some((to, &message.body))
        }
        _ => None,
    };
    actions.iter().filter_map(body).collect()
}

/// A message as a peer would say it.
pub(super) fn say(from: NodeId, to: NodeId, term: Term, body: Body) -> Event {
    let message = raft::Message { from: ReplicaId(from), to: ReplicaId(to), term: raft::Term(term), body };
    Event::Message(Message { group: 0, content: Content::Raft(message) })
}

pub(super) fn at(index: Index, term: Term) -> LogPos {
    LogPos { index: raft::Index(index), term: raft::Term(term) }
}

/// An append of commands of `term` after `prev`.
pub(super) fn append(prev: LogPos, term: Term, count: u64, commit: Index) -> Body {
    let entry = |n| LogEntry::new(term, prev.index.0 + n, format!("{}@{term}", prev.index.0 + n));
    let entries = (1..=count).map(|n| entry(n).into()).collect();
    Body::Append { prev, commit: raft::Index(commit), entries }
}

/// Node 2 of three, that follows node 1 in term 1 and applied `count` entries.
pub(super) fn follower<L: RaftLog>(log: L, count: u64) -> RaftNode<L> {
    let mut node = RaftNode::with_log(config(2, 3), log);
    let actions = node.step(say(1, 2, 1, append(at(0, 0), 1, count, count))).unwrap();
    assert_eq!(applied(&actions).len() as u64, count);
    node
}

/// Node 1 of `count`, elected by the votes of the others, its own first entry acknowledged by all.
pub(super) fn leader<L: RaftLog>(config: RaftConfig, log: L) -> RaftNode<L> {
    let (id, others) = (config.id(), config.peers().to_vec());
    let mut node = RaftNode::with_log(config, log);
    let pre = node.term() + 1;
    node.step(Event::Ticks(20)).unwrap();
    for &other in &others {
        node.step(say(other, id, pre, Body::PreVoteReply { granted: true })).unwrap();
    }
    for &other in &others {
        node.step(say(other, id, pre, Body::VoteReply { granted: true })).unwrap();
    }
    let matched = raft::Index(node.log().last_index());
    for &other in &others {
        node.step(say(other, id, pre, Body::AppendAccepted { matched })).unwrap();
    }
    assert!(node.is_leader());
    node
}

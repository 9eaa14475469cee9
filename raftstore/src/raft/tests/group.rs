//! A group of replicas with disks and a network, moved by hand, one step at a time, under the eyes of the ledger.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::disk::{Disk, Machine, membership_of};
use super::ledger::Ledger;
use super::mutants::built;
use crate::raft::{
    Body, ChangeRefusal, Config, Effects, Entries, Entry, EntryKind, Event, HardState, Index, LogPos,
    Membership, Message, Pace, Payload, ProposeRefusal, Raft, ReadId, ReplicaId, Replicate, Term, Tick,
};

/// One replica, or where it was before it crashed.
pub(super) struct Node {
    pub(super) raft: Option<Raft>,
    pub(super) disk: Disk,
    /// It was removed, and what it had is gone.
    pub(super) is_gone: bool,
    lives: u64,
}

/// Something on the network.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Raft(Message),
    Snapshot { from: ReplicaId, to: ReplicaId, term: Term, at: LogPos, machine: Machine },
}

/// What a replica starts with: the term of each entry, and the hard state.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) terms: Vec<u64>,
    pub(super) hard: HardState,
}

/// What happened in one turn, for those who print it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) fx: Effects,
    pub(super) packets: Vec<Packet>,
}

/// Replicas 1 to n.
pub(super) struct Group {
    pub(super) now: Tick,
    pub(super) nodes: Vec<Node>,
    pub(super) bootstrap: Membership,
    pub(super) network: Vec<Packet>,
    pub(super) ledger: Ledger,
    pub(super) entries_per_message_max: u64,
    /// The shortest and the longest election timeout, and the time between heartbeats.
    pub(super) pace: (u64, u64, u64),
    pub(super) lease_ticks: u64,
    pub(super) commit_news_ticks: u64,
    /// The only one of rank zero, if there is one.
    pub(super) preferred: Option<u64>,
    pub(super) inflight_messages_max: usize,
    pub(super) inflight_bytes_max: u64,
    pub(super) uncommitted_bytes_max: u64,
    /// What the shell sends of what it is asked to send in one message.
    pub(super) entries_per_frame_max: usize,
    /// The ways to these have no room: their shells send them no entries.
    pub(super) withheld: BTreeSet<ReplicaId>,
    pub(super) seed: u64,
}

impl Packet {
    pub(super) fn route(&self) -> (u64, u64) {
        match self {
            Packet::Raft(message) => (message.from.0, message.to.0),
            Packet::Snapshot { from, to, .. } => (from.0, to.0),
        }
    }
}

/// A witness has memberships and stripped entries, a copy everything else.
fn is_of_kind(entry: &Entry, is_witness: bool) -> bool {
    let kind = entry.payload.kind();
    kind == EntryKind::Membership || is_witness == (kind == EntryKind::Stripped)
}

pub(super) fn command(text: &str) -> Payload {
    Payload::parse(Bytes::from([&[2], text.as_bytes()].concat())).unwrap()
}

impl Group {
    /// A group with these logs and hard states; those with `None` are blank.
    pub(super) fn new(logs: Vec<Option<Found>>) -> Group {
        let membership = Membership::of_voters((1..=logs.len() as u64).map(ReplicaId).collect());
        let nodes = logs.into_iter().map(Node::new).collect();
        let mut group = Group {
            now: Tick(1000),
            nodes,
            bootstrap: membership,
            network: Vec::new(),
            ledger: Ledger::default(),
            entries_per_message_max: 4,
            pace: (10, 20, 3),
            lease_ticks: 0,
            commit_news_ticks: 0,
            preferred: None,
            inflight_messages_max: 3,
            inflight_bytes_max: u64::MAX,
            uncommitted_bytes_max: u64::MAX,
            entries_per_frame_max: usize::MAX,
            withheld: BTreeSet::new(),
            seed: 7,
        };
        (1..=group.nodes.len() as u64).for_each(|id| group.restart(id));
        group
    }

    pub(super) fn node(&self, id: u64) -> &Node {
        &self.nodes[id as usize - 1]
    }

    fn node_mut(&mut self, id: u64) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    pub(super) fn raft(&self, id: u64) -> &Raft {
        self.node(id).raft.as_ref().unwrap_or_else(|| panic!("{id} is down"))
    }

    pub(super) fn is_up(&self, id: u64) -> bool {
        self.node(id).raft.is_some()
    }

    pub(super) fn crash(&mut self, id: u64) {
        self.node_mut(id).raft = None;
        self.node_mut(id).disk.crash();
    }

    pub(super) fn restart(&mut self, id: u64) {
        let (election_ticks_min, election_ticks_max, heartbeat_ticks) = self.pace;
        let config = Config {
            id: ReplicaId(id),
            election_ticks_min,
            election_ticks_max,
            heartbeat_ticks,
            commit_news_ticks: self.commit_news_ticks,
            inflight_messages_max: self.inflight_messages_max,
            entries_per_message_max: self.entries_per_message_max,
            inflight_bytes_max: self.inflight_bytes_max,
            uncommitted_bytes_max: self.uncommitted_bytes_max,
            rank: u8::from(self.preferred.is_some_and(|preferred| preferred != id)),
            lease_ticks: self.lease_ticks,
            seed: self.seed + 1000 * self.node(id).lives,
        };
        let (now, bootstrap) = (self.now, self.bootstrap.clone());
        let node = self.node_mut(id);
        assert!(!node.is_gone, "{id} comes back");
        node.lives += 1;
        node.raft = Some(built(Raft::new(config, node.disk.open(&bootstrap), now)));
    }

    /// A replica of the bootstrap, before anything has happened: its shell knows whether it is a witness.
    pub(super) fn be_born(&mut self, id: u64) {
        let is_witness = self.bootstrap.is_witness(ReplicaId(id));
        let disk = &mut self.node_mut(id).disk;
        disk.durable.witness = is_witness;
        if is_witness {
            disk.durable.entries.iter_mut().for_each(|entry| entry.payload = entry.payload.stripped());
        }
        disk.written = disk.durable.clone();
        self.restart(id);
    }

    /// A replica without state, on a store that has none of this group. Its name is new.
    pub(super) fn add_blank(&mut self) -> ReplicaId {
        self.nodes.push(Node::new(None));
        let id = self.nodes.len() as u64;
        self.restart(id);
        ReplicaId(id)
    }

    /// It was removed, and its store has heard of it.
    pub(super) fn destroy(&mut self, id: u64) {
        self.crash(id);
        let node = self.node_mut(id);
        node.is_gone = true;
        node.disk = Disk::default();
    }

    pub(super) fn change(&mut self, id: u64, target: Membership) -> (Seen, Result<Index, ChangeRefusal>) {
        self.turn(id, |raft, now, fx| raft.change_membership(now, target, fx))
    }

    /// One turn with one event.
    pub(super) fn step(&mut self, id: u64, event: Event) -> Seen {
        self.turn(id, |raft, now, fx| raft.step(now, event, fx)).0
    }

    pub(super) fn propose(&mut self, id: u64, commands: &[String]) -> (Seen, Result<Index, ProposeRefusal>) {
        let mut payloads = commands.iter().map(|text| command(text)).collect();
        self.turn(id, |raft, now, fx| raft.propose(now, &mut payloads, fx))
    }

    pub(super) fn read(&mut self, id: u64, read: u64) -> (Seen, Result<(), ProposeRefusal>) {
        self.ledger.read_arrives(read);
        self.turn(id, |raft, now, fx| raft.read(now, ReadId(read), fx))
    }

    /// The oldest write of a replica completes.
    pub(super) fn persist(&mut self, id: u64) -> Option<Seen> {
        self.raft(id);
        let (proof, released) = self.node_mut(id).disk.complete_write()?;
        let mut seen = self.step(id, Event::Persisted(proof));
        let mut packets = Vec::new();
        released.into_iter().for_each(|message| self.leave(message, &mut packets));
        self.network.extend(packets.iter().cloned());
        packets.append(&mut seen.packets);
        seen.packets = packets;
        Some(seen)
    }

    /// A packet arrives.
    pub(super) fn deliver(&mut self, packet: Packet) -> Seen {
        match packet {
            Packet::Raft(message) => self.step(message.to.0, Event::Message(message)),
            Packet::Snapshot { from, to, term, at, machine } => {
                if !self.raft(to.0).would_install(at) {
                    // Who needs no snapshot at `at` is as good as who installed it.
                    let at = Some(at).filter(|at| self.raft(to.0).has_committed(*at));
                    return self.step(from.0, Event::SnapshotDone { to, at });
                }
                let membership = membership_of(&machine, &self.bootstrap);
                let disk = &mut self.node_mut(to.0).disk;
                disk.machine = machine.clone();
                disk.durable_machine = machine;
                let seen = self.step(to.0, Event::Installed { at, membership, from, term });
                self.node_mut(to.0).disk.written.blank = false;
                if self.is_up(from.0) {
                    self.step(from.0, Event::SnapshotDone { to, at: Some(at) });
                }
                seen
            }
        }
    }

    /// The machine is made durable and the log compacted.
    pub(super) fn compact(&mut self, id: u64) {
        if let Some(at) = self.node_mut(id).disk.compact() {
            self.step(id, Event::Compacted(at));
        }
    }

    fn turn<T>(&mut self, id: u64, act: impl FnOnce(&mut Raft, Tick, &mut Effects) -> T) -> (Seen, T) {
        let now = self.now;
        let node = self.node_mut(id);
        let raft = node.raft.as_mut().expect("up");
        let (commit, mut fx) = (raft.commit().0, Effects::default());
        let before = raft.membership().clone();
        let result = act(raft, now, &mut fx);
        raft.flush(now, &mut fx);
        assert!(raft.commit().0 >= commit, "commit went back");
        assert!(fx.append.iter().all(|entry| is_of_kind(entry, raft.is_witness())), "{:?}", fx.append);
        assert!(!fx.snapshot_for.iter().any(|to| raft.membership().is_witness(*to)), "data for a witness");
        node.disk.begin_write(raft, &mut fx);
        assert_eq!(node.disk.written.last().index, raft.last_index(), "the shape is that of the log");
        assert_eq!(node.disk.written.last().term, raft.last_term());
        let mut packets = Vec::new();
        std::mem::take(&mut fx.send).into_iter().for_each(|message| self.leave(message, &mut packets));
        let (mut full, mut is_short) = (Vec::new(), false);
        for replicate in &fx.replicate {
            if full.contains(&replicate.to) {
                continue;
            }
            let is_withheld = self.withheld.contains(&replicate.to) && replicate.last > replicate.prev.index;
            let mut message = self.message(id, replicate);
            is_short |= self.shorten(&mut message) && !is_withheld;
            let (through, bytes) = match (is_withheld, &message.body) {
                (false, Body::Append { entries, .. }) => {
                    (entries.last().map_or(replicate.last, |last| last.index), bytes_of(&message))
                }
                _ => (replicate.prev.index, 0),
            };
            let raft = self.node_mut(id).raft.as_mut().expect("up");
            if !raft.sent(replicate, through, bytes) {
                full.push(replicate.to);
            }
            if !is_withheld {
                self.leave(message, &mut packets);
            }
        }
        self.bounds_hold(id);
        let mut impossible = Vec::new();
        for &to in &fx.snapshot_for {
            match self.snapshot(id, to) {
                Some(packet) => packets.push(packet),
                None => impossible.push(to),
            }
        }
        self.network.extend(packets.iter().cloned());
        self.observe(id, commit, &before);
        self.carry_out(id, &fx);
        for to in impossible {
            self.step(id, Event::SnapshotDone { to, at: None });
        }
        if is_short {
            packets.append(&mut self.step(id, Event::Timeout).packets);
        }
        (Seen { fx, packets }, result)
    }

    /// A message has room for so many entries only.
    fn shorten(&self, message: &mut Message) -> bool {
        let Body::Append { entries, .. } = &mut message.body else { return false };
        let is_short = entries.len() > self.entries_per_frame_max;
        entries.truncate(self.entries_per_frame_max);
        is_short
    }

    /// Nothing is beyond its limit by more than one message, or one turn's proposals.
    fn bounds_hold(&self, id: u64) {
        const ENTRY_BYTES_MAX: u64 = 200;
        let raft = self.raft(id);
        for follower in raft.followers() {
            let beyond = follower.inflight_bytes().saturating_sub(self.inflight_bytes_max);
            assert!(beyond <= self.entries_per_message_max * ENTRY_BYTES_MAX, "{follower:?}");
            let is_idle = follower.pace() == Pace::Snapshot || follower.inflight() == 0;
            assert!(!is_idle || follower.inflight_bytes() == 0, "{follower:?}");
        }
        let beyond = raft.uncommitted_bytes().saturating_sub(self.uncommitted_bytes_max);
        assert!(beyond <= 10 * ENTRY_BYTES_MAX, "{beyond}");
    }

    fn observe(&mut self, id: u64, commit: u64, before: &Membership) {
        let disks: Vec<&Disk> = self.nodes.iter().map(|node| &node.disk).collect();
        let own = id as usize - 1;
        let raft = self.nodes[own].raft.as_ref().expect("up");
        if !raft.is_blank() {
            let expected = disks[own].written.membership(&disks[own].machine, &self.bootstrap);
            assert_eq!(*raft.membership(), expected, "{id} is not in the membership of its log");
        }
        // A joint configuration may have been entered before the commit, or left after it, in the same turn.
        let counted = if raft.membership().is_joint() { raft.membership() } else { before };
        self.ledger.commits(raft, commit, (&disks, own), counted);
        self.ledger.leads(raft, disks[own]);
    }

    /// Applies and answers what a turn says may be applied and answered.
    fn carry_out(&mut self, id: u64, fx: &Effects) {
        fx.reads.iter().for_each(|&ready| self.ledger.read_answered(ready));
        let Some(through) = fx.apply else { return };
        let now = self.now;
        let node = self.node_mut(id);
        assert!(through <= node.disk.durable.last().index, "applied before it is durable");
        while (node.disk.machine.len() as u64) < through.0 {
            let entry = node
                .disk
                .written
                .get(node.disk.machine.len() as u64 + 1)
                .expect("committed entries are here");
            node.disk.machine.push((entry.term, entry.payload.clone()));
        }
        let raft = node.raft.as_mut().expect("up");
        raft.step(now, Event::Applied(through), &mut Effects::default());
    }

    fn leave(&mut self, message: Message, packets: &mut Vec<Packet>) {
        let own = message.from.0 as usize - 1;
        self.ledger.leaves(&message, &self.nodes[own].disk);
        packets.push(Packet::Raft(message));
    }

    fn message(&self, id: u64, replicate: &Replicate) -> Message {
        let Replicate { to, term, prev, last, commit, stripped } = *replicate;
        let log = &self.node(id).disk.written;
        let mut entries: Entries =
            (prev.index.0 + 1..=last.0).map(|at| log.get(at).expect("named entries exist").clone()).collect();
        if stripped {
            entries.iter_mut().for_each(|entry| entry.payload = entry.payload.stripped());
        }
        Message { from: ReplicaId(id), to, term, body: Body::Append { prev, commit, entries } }
    }

    /// Nothing if nothing is applied.
    fn snapshot(&self, id: u64, to: ReplicaId) -> Option<Packet> {
        let machine = self.node(id).disk.machine.clone();
        let at = LogPos { index: Index(machine.len() as u64), term: machine.last()?.0 };
        Some(Packet::Snapshot { from: ReplicaId(id), to, term: self.raft(id).term(), at, machine })
    }
}

/// Bytes of the entries in it.
fn bytes_of(message: &Message) -> u64 {
    let Body::Append { entries, .. } = &message.body else { return 0 };
    entries.iter().map(|entry| entry.payload.bytes().len() as u64).sum()
}

impl Node {
    fn new(found: Option<Found>) -> Node {
        let mut disk = Disk::default();
        disk.durable.blank = found.is_none();
        let Found { terms, hard } = found.unwrap_or_default();
        let entry = |(at, &term): (usize, &u64)| Entry {
            index: Index(at as u64 + 1),
            term: Term(term),
            payload: command(&format!("{}@{term}", at + 1)),
        };
        disk.durable.entries = terms.iter().enumerate().map(entry).collect();
        disk.durable.hard = hard;
        disk.written = disk.durable.clone();
        Node { raft: None, disk, is_gone: false, lives: 0 }
    }
}

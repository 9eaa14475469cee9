//! A replicated key-value store over three nodes that are driven by hand, in the words of the `raft-io` crate.
//!
//! ```text
//! cargo run -p skep-raftstore --example by_hand
//! ```
//!
//! Each node has a durable log, a map as its state machine, and a transport that is a queue. One node is away for a while
//! and catches up by a snapshot; then its process ends, and it goes on where its log ended.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use skep_raftstore::node::prelude::*;
use skep_raftstore::node::{MemoryTransport, Message};

type Failure = Box<dyn std::error::Error>;

/// The application: a map, whose commands and snapshots are lines of `key value`.
#[derive(Default)]
struct Store {
    map: BTreeMap<String, String>,
}

impl Store {
    fn apply(&mut self, command: &[u8]) {
        let text = String::from_utf8_lossy(command);
        if let Some((key, value)) = text.split_once(' ') {
            self.map.insert(key.to_owned(), value.to_owned());
        }
    }

    fn snapshot(&self) -> Bytes {
        self.map.iter().map(|(key, value)| format!("{key} {value}\n")).collect::<String>().into()
    }

    fn restore(&mut self, data: &[u8]) {
        self.map.clear();
        String::from_utf8_lossy(data).lines().for_each(|line| self.apply(line.as_bytes()));
    }
}

struct Member {
    node: RaftNode<WalLog>,
    store: Store,
    transport: MemoryTransport,
}

impl Member {
    /// The state machine is not durable by itself: it is what the log's snapshot holds, and the log brings the rest.
    fn open(id: NodeId, directory: &Path) -> Result<Member> {
        let log = WalLog::open(directory.join(id.to_string()))?;
        let mut store = Store::default();
        if let Some(snapshot) = log.snapshot()? {
            store.restore(&snapshot.data);
        }
        let config = RaftConfig::new(id, [1, 2, 3]).with_snapshot_threshold(10).with_log_tail(5);
        Ok(Member { node: RaftNode::with_log(config, log), store, transport: MemoryTransport::new() })
    }

    /// Takes one event and does what it asks for, in order. The answer is the reads that may be served now.
    fn step(&mut self, event: Event) -> Result<Vec<u64>> {
        let mut ready = Vec::new();
        for action in self.node.step(event)? {
            match action {
                Action::Send { to, message } => self.transport.send(to, message)?,
                Action::Apply { command, .. } => self.store.apply(&command),
                Action::RestoreSnapshot { data, .. } => self.store.restore(&data),
                Action::Snapshot { index, .. } => {
                    let data = self.store.snapshot();
                    self.step(Event::Snapshot { index, data })?;
                }
                Action::ReadReady { id, .. } => ready.push(id),
                // Where a proposal stands, who leads, who votes: for those who want to know.
                _ => {}
            }
        }
        Ok(ready)
    }
}

struct Cluster {
    members: Vec<Member>,
    away: Option<NodeId>,
    ready: Vec<u64>,
}

impl Cluster {
    /// Time passes for everybody, and everything that is said arrives.
    fn tick(&mut self) -> Result<()> {
        for at in 0..self.members.len() {
            self.step(at, Event::Tick)?;
        }
        loop {
            let sent: Vec<(NodeId, Message)> =
                self.members.iter_mut().flat_map(|member| member.transport.take()).collect();
            if sent.is_empty() {
                return Ok(());
            }
            for (to, message) in sent {
                if self.away != Some(to) && self.away != Some(message.from()) {
                    self.step(to as usize - 1, Event::Message(message))?;
                }
            }
        }
    }

    fn step(&mut self, at: usize, event: Event) -> Result<()> {
        let ready = self.members[at].step(event)?;
        self.ready.extend(ready);
        Ok(())
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(|member| member.node.is_leader() && self.away != Some(member.node.id()))
    }

    /// Finds the leader, and asks it; again if it has just changed.
    fn ask(&mut self, event: Event) -> Result<usize> {
        loop {
            if let Some(leader) = self.leader() {
                match self.step(leader, event.clone()) {
                    Ok(()) => return Ok(leader),
                    Err(error) if error.is_retryable() => {}
                    Err(error) => return Err(error),
                }
            }
            self.tick()?;
        }
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        self.ask(Event::Propose(format!("{key} {value}").into()))?;
        self.tick()
    }

    /// What was acknowledged before this call is in the answer.
    fn get(&mut self, key: &str) -> Result<Option<String>> {
        let leader = self.ask(Event::Read { id: 1 })?;
        while self.ready.pop().is_none() {
            self.tick()?;
        }
        Ok(self.members[leader].store.map.get(key).cloned())
    }
}

fn main() -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("skep-by-hand-{}", std::process::id()));
    let told = run(&directory);
    std::fs::remove_dir_all(&directory)?;
    told
}

fn run(directory: &Path) -> Result<(), Failure> {
    let members = (1..=3).map(|id| Member::open(id, directory)).collect::<Result<Vec<_>>>()?;
    let mut cluster = Cluster { members, away: None, ready: Vec::new() };
    cluster.put("bees", "20000")?;
    say(format!("node {} leads; bees = {:?}", cluster.leader().map_or(0, |at| at + 1), cluster.get("bees")?));

    let late = cluster.members.iter().position(|member| !member.node.is_leader()).unwrap_or(0);
    cluster.away = Some(late as NodeId + 1);
    for n in 0..30 {
        cluster.put(&format!("comb{n}"), "full")?;
    }
    cluster.away = None;
    while cluster.members[late].store.map.len() < 31 {
        cluster.tick()?;
    }
    let log = cluster.members[late].node.log();
    say(format!(
        "node {} was away and got a snapshot of everything through {}",
        late + 1,
        log.snapshot_index()
    ));

    // Its process ends. What it promised is in its log.
    cluster.members.remove(late);
    let reopened = Member::open(late as NodeId + 1, directory)?;
    say(format!("node {} is back with a log that ends at {}", late + 1, reopened.node.log().last_index()));
    cluster.members.insert(late, reopened);
    cluster.put("bees", "20001")?;
    while cluster.members[late].store.map.get("bees").is_none_or(|bees| bees != "20001") {
        cluster.tick()?;
    }
    let same = cluster.members.iter().all(|member| member.store.map == cluster.members[0].store.map);
    say(format!("all three hold the same {} keys: {same}", cluster.members[0].store.map.len()));
    if same { Ok(()) } else { Err("the nodes differ".into()) }
}

#[allow(clippy::print_stdout, reason = "an example speaks to who runs it")]
fn say(line: String) {
    println!("{line}");
}

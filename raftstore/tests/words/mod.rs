//! Machines that know no keys: they hold words, and the command `split N W` hands all words from W on to region N of store 1.

#![allow(dead_code)] // each test uses its part

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use skep_raftstore::ids::{RegionId, ReplicaId, StoreId, Tick};
use skep_raftstore::machine::{Child, Committed, Fatal, MachineFactory, SnapshotSource, Stamp, StateMachine};
use skep_raftstore::raft::{Index, LogPos, Membership, Term};
use skep_raftstore::store::Clock;
use skep_raftstore::transport::{Lane, Transport};
use skep_wal::{Disk, MemDisk};

pub(crate) mod stores;

pub(crate) const STORE: StoreId = StoreId(1);
pub(crate) const PARENT: RegionId = RegionId::new(STORE, 1);
pub(crate) const CHILD: RegionId = RegionId::new(STORE, 2);

/// The replica of a region on a store.
pub(crate) const fn replica_on(store: u8) -> ReplicaId {
    ReplicaId::new(1, StoreId(store as u32))
}

/// A genesis names the stores that have replicas.
pub(crate) fn members(genesis: &[u8]) -> Membership {
    Membership::of_voters(genesis.iter().map(|store| replica_on(*store)).collect())
}

/// Where some bytes stand in a log: file and offset.
pub(crate) fn places(disk: &MemDisk, bytes: &[u8]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for name in disk.list().expect("names") {
        let file = disk.open(&name).expect("a file");
        let mut all = vec![0; file.len().expect("a length") as usize];
        file.read_at(0, &mut all).expect("its bytes");
        let at = all.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes);
        found.extend(at.map(|(at, _)| (name.clone(), at as u64)));
    }
    found
}

#[derive(Default)]
pub(crate) struct Words {
    at: LogPos,
    words: Vec<String>,
    genesis: Bytes,
    children: Vec<Child>,
}

struct Page(LogPos, String);

impl SnapshotSource for Page {
    fn at(&self) -> LogPos {
        self.0
    }

    fn write_to(self: Box<Self>, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        write!(out, "{} {} {}", self.0.index.0, self.0.term.0, self.1)
    }
}

impl Words {
    fn split(&mut self, number: &str, from: &str) {
        let (stay, go) = self.words.drain(..).partition(|word| word.as_str() < from);
        self.words = stay;
        let machine =
            Box::new(Words { at: self.at, words: go, genesis: self.genesis.clone(), children: Vec::new() });
        let region = RegionId::new(STORE, number.parse().expect("a number"));
        let (genesis, membership) = (self.genesis.clone(), members(&self.genesis));
        self.children.push(Child { region, genesis, membership, at: self.at, machine });
    }
}

impl StateMachine for Words {
    fn applied(&self) -> LogPos {
        self.at
    }

    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal> {
        for entry in batch {
            self.at = LogPos { index: entry.index, term: entry.term };
            let body = String::from_utf8_lossy(&entry.body).into_owned();
            match body.split(' ').collect::<Vec<_>>()[..] {
                ["poison"] => return Err(Fatal("it was poisoned".to_owned())),
                ["split", number, from] => self.split(number, from),
                [""] => {}
                _ => self.words.push(body),
            }
            replies.push(Bytes::from_static(b"done"));
        }
        Ok(())
    }

    fn take_children(&mut self) -> Vec<Child> {
        std::mem::take(&mut self.children)
    }

    fn read(&mut self, _: &Bytes) -> Bytes {
        Bytes::from(self.words.join(" "))
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(Page(self.at, self.words.join(" "))))
    }

    fn restore(&mut self, from: &mut dyn std::io::Read) -> Result<(), Fatal> {
        let mut text = String::new();
        from.read_to_string(&mut text).map_err(|error| Fatal(error.to_string()))?;
        let mut parts = text.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("a number");
        self.at = LogPos { index: Index(number()), term: Term(number()) };
        self.words = parts.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Ok(())
    }

    fn size(&self) -> u64 {
        self.words.iter().map(|word| word.len() as u64).sum()
    }

    fn digest(&self) -> u64 {
        self.size()
    }
}

pub(crate) struct Makes;

impl MachineFactory for Makes {
    fn create(&self, _: RegionId, genesis: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        Ok(Box::new(Words { genesis: Bytes::copy_from_slice(genesis), ..Words::default() }))
    }
}

#[derive(Default)]
pub(crate) struct Ticking(pub(crate) AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Tick {
        Tick(self.0.load(Ordering::Relaxed))
    }

    fn stamp(&self) -> Stamp {
        Stamp(1)
    }
}

pub(crate) struct Nowhere;

impl Transport for Nowhere {
    fn send(&self, _: StoreId, _: Lane, _: Bytes) -> bool {
        false
    }
}

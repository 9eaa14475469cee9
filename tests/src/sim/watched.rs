//! The engine's machines, with an observer between them and the store.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_engine::by_hand;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::machine::{Child, Committed, Fatal, MachineFactory, SnapshotSource, StateMachine};
use skep_raftstore::raft::LogPos;

use super::ledger::Ledger;

/// Makes the machines of one store, and tells the ledger what they do.
pub(super) struct WatchedMachines {
    store: StoreId,
    machines: Arc<dyn MachineFactory>,
    ledger: Arc<Mutex<Ledger>>,
}

impl WatchedMachines {
    pub(super) fn new(store: StoreId, ledger: Arc<Mutex<Ledger>>) -> WatchedMachines {
        WatchedMachines { store, machines: by_hand::machines(), ledger }
    }
}

impl MachineFactory for WatchedMachines {
    fn create(&self, region: RegionId, genesis: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        let machine = self.machines.create(region, genesis)?;
        Ok(Box::new(Watched { store: self.store, region, machine, ledger: self.ledger.clone() }))
    }
}

struct Watched {
    store: StoreId,
    region: RegionId,
    machine: Box<dyn StateMachine>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Watched {
    fn answers(&self, body: &Bytes, reply: &Bytes) {
        if let Some((key, version)) = by_hand::carried_out(body, reply) {
            self.ledger.lock().invariants.answers(self.region, key, version);
        }
    }

    fn tell(&self) {
        let (at, digest) = (self.machine.applied(), self.machine.digest());
        self.ledger.lock().invariants.stands(self.store, self.region, at, digest);
    }
}

impl StateMachine for Watched {
    fn applied(&self) -> LogPos {
        self.machine.applied()
    }

    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal> {
        self.ledger.lock().applies(self.store, self.region, self.machine.applied(), batch);
        let before = replies.len();
        self.machine.apply(batch, replies)?;
        for (entry, reply) in batch.iter().zip(&replies[before..]) {
            self.answers(&entry.body, reply);
            self.ledger.lock().applied(self.region, entry, reply);
        }
        self.tell();
        Ok(())
    }

    /// What is split off is watched from its first moment on: it has to be the same everywhere.
    fn take_children(&mut self) -> Vec<Child> {
        let watch = |child: Child| {
            let (region, at, digest) = (child.region, child.machine.applied(), child.machine.digest());
            self.ledger.lock().split_off(self.store, (region, at, digest), &child.genesis);
            let ledger = self.ledger.clone();
            let machine = Watched { store: self.store, region, machine: child.machine, ledger };
            Child { machine: Box::new(machine), ..child }
        };
        self.machine.take_children().into_iter().map(watch).collect()
    }

    fn take_description(&mut self) -> Option<Bytes> {
        let description = self.machine.take_description();
        if let Some(description) = &description {
            self.ledger.lock().invariants.described(description);
        }
        description
    }

    fn read(&mut self, query: &Bytes) -> Bytes {
        let reply = self.machine.read(query);
        self.answers(query, &reply);
        reply
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        self.machine.snapshot()
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> Result<(), Fatal> {
        self.machine.restore(from)?;
        self.ledger.lock().restored(self.store, self.region, self.machine.applied().index);
        self.tell();
        Ok(())
    }

    fn size(&self) -> u64 {
        self.machine.size()
    }

    fn digest(&self) -> u64 {
        self.machine.digest()
    }
}

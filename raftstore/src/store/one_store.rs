//! One store whose worker is stepped by hand, for tests of a single piece of it. What it sends is kept.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_wal::{MemDisk, WalConfig};

use super::absent::Absent;
use super::birth::{Birth, Descent};
use super::worker::Worker;
use super::{Disks, Inboxes, NoWatcher, StoreConfig, StoreParts, Surroundings, SystemClock};
use crate::ids::{Life, RegionId, ReplicaId, StoreId, Tick};
use crate::machine::{Fatal, MachineFactory, StateMachine};
use crate::message::StoreMessage;
use crate::raft::Membership;
use crate::transport::{Lane, Transport};
use crate::wire;

pub(super) const OWN: StoreId = StoreId(1);
pub(super) const REGION: RegionId = RegionId::new(OWN, 1);
/// No time passes.
pub(super) const NOW: Tick = Tick(1);

/// Keeps what was sent.
#[derive(Default)]
pub(super) struct Sent(pub(super) Mutex<Vec<StoreMessage>>);

impl Transport for Sent {
    fn send(&self, _: StoreId, _: Lane, frame: Bytes) -> bool {
        self.0.lock().extend(wire::decode(frame).unwrap());
        true
    }
}

struct Nothing;

impl MachineFactory for Nothing {
    fn create(&self, _: RegionId, _: &[u8]) -> Result<Box<dyn StateMachine>, Fatal> {
        Ok(Box::new(Absent))
    }
}

/// A store with a replica of one region.
pub(super) struct World {
    pub(super) parts: StoreParts,
    pub(super) sent: Arc<Sent>,
}

impl World {
    /// The replica is called so, and these take part. If `campaign`, it tries to lead.
    pub(super) fn new(replica: ReplicaId, membership: Membership, campaign: bool) -> World {
        let sent = Arc::new(Sent::default());
        let config = StoreConfig::new(OWN, Life(1), 1);
        let log_config = WalConfig::small();
        let disks =
            Disks { log: Arc::new(MemDisk::new(1)), snapshots: Arc::new(MemDisk::new(2)), log_config };
        let around = Surroundings {
            clock: Arc::new(SystemClock::new()),
            transport: sent.clone(),
            factory: Arc::new(Nothing),
            inboxes: Inboxes::new(&config),
            watcher: Arc::new(NoWatcher),
        };
        let (genesis, descent) = (Bytes::new(), Descent::Genesis);
        let birth = Birth { region: REGION, replica, membership, genesis, descent, campaign };
        World { parts: StoreParts::open(config, disks, around, vec![birth]).unwrap(), sent }
    }

    pub(super) fn worker(&mut self) -> &mut Worker {
        &mut self.parts.workers[0]
    }

    /// Turns, with a sync after each.
    pub(super) fn settle(&mut self) {
        for _ in 0..3 {
            self.worker().turn(NOW);
            self.parts.syncer.step();
        }
    }
}

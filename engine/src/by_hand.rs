//! The engine's pieces, for who drives a store's parts by hand (the simulator): what regions there are, how a command
//! is told to one, what its reply means.

use std::sync::Arc;

use bytes::Bytes;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::machine::MachineFactory;
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Birth, StoreParts, Watcher};

use crate::assemble::MemoryMachines;
use crate::change_bytes::Split;
use crate::limits::COMMAND_BYTES_MAX;
use crate::router::Router;
use crate::{Answer, Command, Error, RegionDescriptor, command_bytes, plan, reply_bytes};

/// `count` regions that tile the key space, in the order of their keys, each with a replica on each of `stores`.
pub fn regions(count: u32, stores: &[StoreId]) -> Vec<RegionDescriptor> {
    plan::regions(count, stores)
}

/// What `stores[at]` has to make of `regions`.
pub fn births(regions: &[RegionDescriptor], stores: &[StoreId], at: usize) -> Vec<Birth> {
    plan::births(regions, stores, at)
}

/// What makes the machines of a store whose data is in memory.
pub fn machines() -> Arc<dyn MachineFactory> {
    Arc::new(MemoryMachines::default())
}

/// One store's way to the regions, as its engine has it: routes that follow what the store says, and the order of commands kept
/// while regions change. Without time: nothing here is given up, and a query is judged by its region's time alone.
#[derive(Clone)]
pub struct Front(Arc<Router>);

impl Default for Front {
    fn default() -> Front {
        Front(Router::new(None, COMMAND_BYTES_MAX))
    }
}

impl Front {
    /// The store that commands go to. What its replicas are is known from here on.
    pub fn open(&self, parts: &StoreParts) {
        self.0.set_store(parts.submitter());
        let regions =
            parts.hosted().iter().filter_map(|hosted| RegionDescriptor::decode(&hosted.description).ok());
        self.0.learn(&regions.collect::<Vec<_>>());
    }

    /// As [`Engine::execute`](crate::Engine::execute).
    pub fn execute(&self, command: &Command, reply: impl FnOnce(Result<Answer, Error>) + Send + 'static) {
        self.0.execute(command, reply);
    }

    /// All regions that are known, in the order of their keys.
    pub fn regions(&self) -> Vec<RegionDescriptor> {
        self.0.table().regions()
    }
}

impl Watcher for Front {
    fn region_is(&self, _: RegionId, description: &Bytes) {
        if let Ok(region) = RegionDescriptor::decode(description) {
            self.0.learn(&[region]);
        }
    }

    fn is_large(&self, _: RegionId, _: u64) {}
}

/// What `region` is to be told so that it is split: each piece is the name of a new region and its first key.
pub fn split(region: &RegionDescriptor, pieces: Vec<(RegionId, Bytes)>) -> (RegionId, RequestKind, Bytes) {
    (region.id, RequestKind::Change, Split { epoch: region.epoch, pieces }.encode())
}

/// The key that a machine has carried out a command for, and the version of the region that the command was meant for; `None`
/// if the reply says that it was not carried out.
pub fn carried_out(body: &[u8], reply: &Bytes) -> Option<(Vec<u8>, u64)> {
    let Ok(reply_bytes::Reply::Answer(_)) = reply_bytes::decode(reply) else { return None };
    let routed = command_bytes::decode(body).ok()?;
    Some((routed.command.first_key().to_vec(), routed.version))
}

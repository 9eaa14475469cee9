//! The engine's pieces, for who drives a store's parts by hand (the simulator): what regions there are, how a command
//! is told to one, what its reply means.

use std::sync::Arc;

use bytes::Bytes;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::machine::{MachineFactory, Stamp};
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Birth, SubmitError};

use crate::assemble::MemoryMachines;
use crate::engine::route;
use crate::{Answer, Command, Error, RegionDescriptor, command_bytes, plan};

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

/// What `region` is to be told, if it has the command's keys. A query is judged by the region's time alone.
pub fn request(region: &RegionDescriptor, command: &Command) -> (RegionId, RequestKind, Bytes) {
    let kind = if command.is_write() { RequestKind::Write } else { RequestKind::Read };
    (region.id, kind, command_bytes::encode(region.epoch.version, Stamp(0), command))
}

/// What the store's reply to a command means.
pub fn answer(reply: Result<Bytes, SubmitError>) -> Result<Answer, Error> {
    route::answer(reply)
}

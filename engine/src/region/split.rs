//! A split, as the region's machine applies it: keys, sessions and the stamp go to the new regions, all at once.
//!
//! Each result has the version of the region before plus the number of new regions. The sessions are copied, so that a
//! command that was applied before the split is known wherever it comes again; a new region goes on counting entries where
//! the old one stands.

use std::sync::Arc;

use bytes::Bytes;
use skep_raftstore::ids::{Epoch, RegionId};
use skep_raftstore::machine::{Child, Fatal};

use super::RegionMachine;
use super::state::RegionState;
use crate::change_bytes::Split;
use crate::descriptor::RegionDescriptor;
use crate::machine::KeyMachine;
use crate::reply_bytes;

impl<M: KeyMachine> RegionMachine<M> {
    /// Does it, if the region still is what it was meant for; else the answer is what it is now.
    pub(super) fn split(&mut self, split: &Split) -> Result<Bytes, Fatal> {
        let region = &self.state.descriptor;
        let is_meant = split.epoch == region.epoch && region.membership.outgoing.is_empty();
        let lies_inside = |key: &Bytes| *key > region.start && region.contains(key);
        if !is_meant || !split.pieces.iter().all(|(_, key)| lies_inside(key)) {
            return Ok(reply_bytes::stale(&[region]));
        }
        let descriptors = results(region, split);
        let mut children = Vec::with_capacity(split.pieces.len());
        // From the last to the first: each takes what is left behind its key.
        for descriptor in descriptors[1..].iter().rev() {
            children.push(self.child(descriptor)?);
        }
        children.reverse();
        self.children.extend(children);
        self.state.descriptor = descriptors[0].clone();
        self.is_news = true;
        Ok(reply_bytes::regions(&descriptors))
    }

    fn child(&mut self, descriptor: &RegionDescriptor) -> Result<Child, Fatal> {
        let data = self.data.split_off(&descriptor.start)?;
        let state = RegionState { descriptor: descriptor.clone(), ..self.state.clone() };
        let mut machine = RegionMachine::with(state, data).with_agenda(Arc::clone(&self.agenda));
        machine.memory = self.memory.sibling(machine.data.memory());
        machine.note_expiry()?;
        Ok(Child {
            region: descriptor.id,
            genesis: descriptor.encode().into(),
            membership: descriptor.membership.clone(),
            at: self.state.applied,
            machine: Box::new(machine),
        })
    }
}

/// What comes of `region`: itself, made smaller, and the new ones.
fn results(region: &RegionDescriptor, split: &Split) -> Vec<RegionDescriptor> {
    let version = region.epoch.version + split.pieces.len() as u64;
    let starts = std::iter::once((region.id, &region.start));
    let starts: Vec<(RegionId, &Bytes)> =
        starts.chain(split.pieces.iter().map(|(id, key)| (*id, key))).collect();
    let ends = starts[1..].iter().map(|(_, key)| Some((*key).clone())).chain([region.end.clone()]);
    let result = |((id, start), end): (&(RegionId, &Bytes), Option<Bytes>)| RegionDescriptor {
        id: *id,
        start: (*start).clone(),
        end,
        epoch: Epoch { version, ..region.epoch },
        membership: region.membership.clone(),
    };
    starts.iter().zip(ends).map(result).collect()
}

//! The machine that keeps its data in memory, in a B+tree whose nodes are shared with its snapshots.
//!
//! A snapshot is a clone of the root, whatever the size; a write after it copies the nodes on its path that a snapshot
//! still shares, three to six of them. Nothing survives a restart: the store brings it back from its last checkpoint
//! and its log.

use std::io;
use std::ops::{Bound, ControlFlow};

use imbl::OrdMap;
use skep_raftstore::machine::Fatal;

use super::{Export, KeyMachine, KeySnapshot, Octets, Pairs, System, Visit};

/// An ordered map in memory.
#[derive(Default)]
pub struct MemoryMachine {
    pairs: OrdMap<Octets, Octets>,
    /// Bytes of all keys and values.
    bytes: u64,
}

/// What it held at one point in time.
pub struct MemorySnapshot(OrdMap<Octets, Octets>);

impl KeyMachine for MemoryMachine {
    type Snapshot = MemorySnapshot;

    fn get(&self, key: &[u8]) -> Result<Option<Octets>, Fatal> {
        Ok(match Octets::in_place(key) {
            Some(key) => self.pairs.get(&key).cloned(),
            None => self.pairs.get(key).cloned(),
        })
    }

    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), Fatal> {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        if matches!(end, Bound::Excluded(end) if end <= start) {
            return Ok(());
        }
        for (key, value) in self.pairs.range::<_, [u8]>((Bound::Included(start), end)) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: Octets) -> Result<(), Fatal> {
        self.bytes += (key.len() + value.len()) as u64;
        if let Some(old) = self.pairs.insert(key.into(), value) {
            self.bytes -= (key.len() + old.len()) as u64;
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Fatal> {
        let old = match Octets::in_place(key) {
            Some(key) => self.pairs.remove(&key),
            None => self.pairs.remove(key),
        };
        let Some(old) = old else { return Ok(false) };
        self.bytes -= (key.len() + old.len()) as u64;
        Ok(true)
    }

    fn commit(&mut self, _system: &dyn System) -> Result<(), Fatal> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<MemorySnapshot, Fatal> {
        Ok(MemorySnapshot(self.pairs.clone()))
    }

    fn replace(&mut self, pairs: &mut Pairs<'_>, _system: &[u8]) -> Result<(), Fatal> {
        let mut fresh = MemoryMachine::default();
        for pair in pairs {
            let (key, value) = pair?;
            fresh.put(&key, value)?;
        }
        *self = fresh;
        Ok(())
    }

    fn count(&self) -> u64 {
        self.pairs.len() as u64
    }

    fn size(&self) -> u64 {
        self.bytes
    }
}

impl KeySnapshot for MemorySnapshot {
    fn visit(&self, visit: &mut Export<'_>) -> io::Result<()> {
        self.0.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

#[cfg(test)]
mod tests;

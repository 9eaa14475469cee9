//! The machine that keeps its data in memory: B+trees, each of some thousand pairs, whose nodes are shared with its snapshots.
//!
//! A snapshot is a clone of the roots; a write after it copies the nodes on its path that a snapshot still shares. The
//! trees cut the data into *chunks*, so that a split hands whole trees over and cuts one: it takes a millisecond, however
//! large the region is. Nothing survives a restart: the store brings it back from its last checkpoint and its log.

use std::io;
use std::ops::{Bound, ControlFlow};

use imbl::OrdMap;
use skep_raftstore::machine::Fatal;

use super::{Export, KeyMachine, KeySnapshot, Octets, Pairs, System, Visit};

/// A chunk with more pairs is cut in two. Few enough that cutting takes a millisecond, so many that there are few chunks.
const CHUNK_PAIRS_MAX: usize = 8192;

type Tree = OrdMap<Octets, Octets>;

/// An ordered map in memory.
///
/// Invariants: there is a chunk; the first starts at the empty key, starts grow, and each chunk's keys lie between its
/// start and the next one's.
pub struct MemoryMachine {
    chunks: Vec<Chunk>,
    /// How many pairs there are.
    count: u64,
    /// Bytes of all keys and values.
    bytes: u64,
}

#[derive(Clone, Default)]
struct Chunk {
    start: Octets,
    pairs: Tree,
    bytes: u64,
}

/// What it held at one point in time.
pub struct MemorySnapshot(Vec<Tree>);

impl Default for MemoryMachine {
    fn default() -> MemoryMachine {
        MemoryMachine { chunks: vec![Chunk::default()], count: 0, bytes: 0 }
    }
}

impl MemoryMachine {
    fn of(chunks: Vec<Chunk>) -> MemoryMachine {
        let count = chunks.iter().map(|chunk| chunk.pairs.len() as u64).sum();
        let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        let mut machine = MemoryMachine { chunks, count, bytes };
        match machine.chunks.first_mut() {
            Some(first) => first.start = Octets::default(),
            None => machine.chunks.push(Chunk::default()),
        }
        machine
    }

    /// The chunk that has, or would have, `key`.
    fn at(&self, key: &[u8]) -> usize {
        // The first chunk starts at the empty key.
        self.chunks.partition_point(|chunk| *chunk.start <= *key) - 1
    }

    /// Cuts a chunk that has become too large. Keys that only grow leave full chunks behind.
    fn divide(&mut self, at: usize, is_growing: bool) {
        let chunk = &self.chunks[at];
        let stays = if is_growing { chunk.pairs.len() - 1 } else { chunk.pairs.len() / 2 };
        let Some(middle) = chunk.pairs.keys().nth(stays).cloned() else { return };
        let upper = self.chunks[at].cut(&middle);
        self.chunks.insert(at + 1, upper);
    }

    fn drop_if_empty(&mut self, at: usize) {
        if self.chunks[at].pairs.is_empty() && self.chunks.len() > 1 {
            self.chunks.remove(at);
            self.chunks[0].start = Octets::default();
        }
    }
}

impl Chunk {
    /// Takes off everything from `key` on, and makes a chunk of it that starts there.
    fn cut(&mut self, key: &Octets) -> Chunk {
        let mut upper = Chunk { start: key.clone(), ..Chunk::default() };
        for (key, value) in self.pairs.range::<_, Octets>((Bound::Included(key), Bound::Unbounded)) {
            upper.bytes += pair_bytes(key, value);
            upper.pairs.insert(key.clone(), value.clone());
        }
        self.bytes -= upper.bytes;
        if upper.pairs.len() * 2 < self.pairs.len() {
            upper.pairs.keys().for_each(|key| drop(self.pairs.remove(key)));
        } else {
            let lower = self.pairs.range::<_, Octets>((Bound::Unbounded, Bound::Excluded(key)));
            self.pairs = lower.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        upper
    }
}

fn pair_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

impl KeyMachine for MemoryMachine {
    type Snapshot = MemorySnapshot;

    fn get(&self, key: &[u8]) -> Result<Option<Octets>, Fatal> {
        let pairs = &self.chunks[self.at(key)].pairs;
        Ok(match Octets::in_place(key) {
            Some(key) => pairs.get(&key).cloned(),
            None => pairs.get(key).cloned(),
        })
    }

    fn scan(&self, start: &[u8], end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), Fatal> {
        let bound = end.map_or(Bound::Unbounded, Bound::Excluded);
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        for chunk in &self.chunks[self.at(start)..] {
            if end.is_some_and(|end| *chunk.start >= *end) {
                break;
            }
            for (key, value) in chunk.pairs.range::<_, [u8]>((Bound::Included(start), bound)) {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: Octets) -> Result<(), Fatal> {
        let at = self.at(key);
        let chunk = &mut self.chunks[at];
        let bytes = pair_bytes(key, &value);
        let replaced = chunk.pairs.insert(key.into(), value).map(|old| pair_bytes(key, &old));
        chunk.bytes = chunk.bytes + bytes - replaced.unwrap_or(0);
        self.bytes = self.bytes + bytes - replaced.unwrap_or(0);
        self.count += u64::from(replaced.is_none());
        if chunk.pairs.len() > CHUNK_PAIRS_MAX {
            let is_growing = chunk.pairs.get_max().is_some_and(|(last, _)| **last == *key);
            self.divide(at, is_growing);
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<bool, Fatal> {
        let at = self.at(key);
        let chunk = &mut self.chunks[at];
        let old = match Octets::in_place(key) {
            Some(key) => chunk.pairs.remove(&key),
            None => chunk.pairs.remove(key),
        };
        let Some(old) = old else { return Ok(false) };
        let bytes = pair_bytes(key, &old);
        chunk.bytes -= bytes;
        self.bytes -= bytes;
        self.count -= 1;
        self.drop_if_empty(at);
        Ok(true)
    }

    fn commit(&mut self, _system: &dyn System) -> Result<(), Fatal> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<MemorySnapshot, Fatal> {
        Ok(MemorySnapshot(self.chunks.iter().map(|chunk| chunk.pairs.clone()).collect()))
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

    fn split_off(&mut self, key: &[u8]) -> Result<MemoryMachine, Fatal> {
        let at = self.at(key);
        let mut upper = self.chunks.split_off(at + 1);
        upper.insert(0, self.chunks[at].cut(&key.into()));
        if upper[0].pairs.is_empty() {
            upper.remove(0);
        }
        let lower = std::mem::take(&mut self.chunks);
        *self = MemoryMachine::of(lower);
        self.drop_if_empty(at);
        Ok(MemoryMachine::of(upper))
    }

    fn cuts(&self, pieces: u32) -> Result<Vec<Octets>, Fatal> {
        let piece = self.bytes / u64::from(pieces.max(1)) + 1;
        let (mut cuts, mut before, mut next): (Vec<Octets>, u64, u64) = (Vec::new(), 0, piece);
        let mut last: Option<&Octets> = None;
        for chunk in &self.chunks {
            if before + chunk.bytes < next {
                before += chunk.bytes;
                last = chunk.pairs.get_max().map(|(key, _)| key).or(last);
                continue;
            }
            for (key, value) in &chunk.pairs {
                if let Some(last) = last.filter(|_| before >= next) {
                    cuts.push(between(last, key));
                    next += piece;
                }
                before += pair_bytes(key, value);
                last = Some(key);
            }
        }
        Ok(cuts)
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn size(&self) -> u64 {
        self.bytes
    }
}

/// The shortest key that is above `low` and not above `high`.
fn between(low: &[u8], high: &[u8]) -> Octets {
    let common = low.iter().zip(high).take_while(|(low, high)| low == high).count();
    Octets::from(&high[..high.len().min(common + 1)])
}

impl KeySnapshot for MemorySnapshot {
    fn visit(&self, visit: &mut Export<'_>) -> io::Result<()> {
        self.0.iter().flatten().try_for_each(|(key, value)| visit(key, value))
    }
}

#[cfg(test)]
mod tests;

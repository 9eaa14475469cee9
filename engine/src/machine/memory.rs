//! The machine that keeps its data in memory: B+trees, each of some thousand pairs, whose nodes are shared with its snapshots.
//!
//! A snapshot is a clone of the roots; a write after it copies the nodes on its path that a snapshot still shares. The
//! trees cut the data into *chunks*, so that a split hands whole trees over and cuts one: it takes a millisecond, however
//! large the region is. Nothing survives a restart: the store brings it back from its last checkpoint and its log.
//!
//! Times to expire stand beside the pairs of each chunk: data without any pays nothing for them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::{Bound, ControlFlow};

use imbl::OrdMap;
use skep_raftstore::machine::Fatal;

use crate::growth::PAIR_BYTES;

use super::{Export, Held, KeyMachine, KeySnapshot, Octets, Order, Pairs, System, Visit, VisitExpiring};
use expiries::Expiries;

mod expiries;

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
    /// How many of them expire.
    expiring: u64,
    /// Bytes of all keys and values.
    bytes: u64,
}

#[derive(Clone, Default)]
struct Chunk {
    start: Octets,
    pairs: Tree,
    expiries: Expiries,
    bytes: u64,
}

/// What it held at one point in time.
pub struct MemorySnapshot(Vec<(Tree, Expiries)>);

impl Default for MemoryMachine {
    fn default() -> MemoryMachine {
        MemoryMachine { chunks: vec![Chunk::default()], count: 0, expiring: 0, bytes: 0 }
    }
}

impl MemoryMachine {
    fn of(chunks: Vec<Chunk>) -> MemoryMachine {
        let count = chunks.iter().map(|chunk| chunk.pairs.len() as u64).sum();
        let expiring = chunks.iter().map(|chunk| chunk.expiries.count()).sum();
        let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        let mut machine = MemoryMachine { chunks, count, expiring, bytes };
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
            if let Some(at) = self.expiries.set(key, None) {
                upper.expiries.set(key, Some(at));
            }
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

    fn get(&self, key: &[u8]) -> Result<Option<Held>, Fatal> {
        let Chunk { pairs, expiries, .. } = &self.chunks[self.at(key)];
        let value = match Octets::in_place(key) {
            Some(key) => pairs.get(&key).cloned(),
            None => pairs.get(key).cloned(),
        };
        Ok(value.map(|value| Held { value, expires: expiries.of(key) }))
    }

    fn scan(
        &self,
        (start, end): (&[u8], Option<&[u8]>),
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fatal> {
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        let first = self.at(start);
        let beyond = self.chunks.partition_point(|chunk| end.is_none_or(|end| *chunk.start < *end));
        let range = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        let mut show = |chunk: &Chunk| {
            let pairs = chunk.pairs.range::<_, [u8]>(range);
            let mut show = |(key, value): (&Octets, &Octets)| visit(key, value, chunk.expiries.of(key));
            match order {
                Order::Rising => { pairs }.try_for_each(&mut show),
                Order::Falling => pairs.rev().try_for_each(&mut show),
            }
        };
        // Whether it was broken off makes no difference here.
        let _ = match order {
            Order::Rising => self.chunks[first..beyond].iter().try_for_each(&mut show),
            Order::Falling => self.chunks[first..beyond].iter().rev().try_for_each(&mut show),
        };
        Ok(())
    }

    fn put(&mut self, key: &[u8], held: Held) -> Result<(), Fatal> {
        let at = self.at(key);
        let chunk = &mut self.chunks[at];
        let Held { value, expires } = held;
        let expired = chunk.expiries.set(key, expires);
        self.expiring = self.expiring + u64::from(expires.is_some()) - u64::from(expired.is_some());
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

    fn remove(&mut self, key: &[u8]) -> Result<Option<Held>, Fatal> {
        let at = self.at(key);
        let chunk = &mut self.chunks[at];
        let old = match Octets::in_place(key) {
            Some(key) => chunk.pairs.remove(&key),
            None => chunk.pairs.remove(key),
        };
        let Some(value) = old else { return Ok(None) };
        let expires = chunk.expiries.set(key, None);
        let bytes = pair_bytes(key, &value);
        chunk.bytes -= bytes;
        self.bytes -= bytes;
        self.count -= 1;
        self.expiring -= u64::from(expires.is_some());
        self.drop_if_empty(at);
        Ok(Some(Held { value, expires }))
    }

    fn clear(&mut self) -> Result<(), Fatal> {
        *self = MemoryMachine::default();
        Ok(())
    }

    /// Each chunk has its own order; here they are merged, as far as they are looked at.
    fn expiring(&self, visit: &mut VisitExpiring<'_>) -> Result<(), Fatal> {
        if self.expiring == 0 {
            return Ok(());
        }
        let mut chunks: Vec<_> = self.chunks.iter().map(|chunk| chunk.expiries.in_order()).collect();
        let firsts =
            chunks.iter_mut().enumerate().filter_map(|(at, chunk)| Some(Reverse((chunk.next()?, at))));
        let mut heads: BinaryHeap<_> = firsts.collect();
        while let Some(Reverse(((expires, key), at))) = heads.pop() {
            if let ControlFlow::Break(()) = visit(*expires, key) {
                break;
            }
            heads.extend(chunks[at].next().map(|next| Reverse((next, at))));
        }
        Ok(())
    }

    fn count_expiring(&self) -> u64 {
        self.expiring
    }

    fn commit(&mut self, _system: &dyn System) -> Result<(), Fatal> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<MemorySnapshot, Fatal> {
        let parts = self.chunks.iter().map(|chunk| (chunk.pairs.clone(), chunk.expiries.clone()));
        Ok(MemorySnapshot(parts.collect()))
    }

    fn replace(&mut self, pairs: &mut Pairs<'_>, _system: &[u8]) -> Result<(), Fatal> {
        let mut fresh = MemoryMachine::default();
        for pair in pairs {
            let (key, held) = pair?;
            fresh.put(&key, held)?;
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

    fn memory(&self) -> u64 {
        self.bytes + self.count() * PAIR_BYTES
    }
}

/// The shortest key that is above `low` and not above `high`.
fn between(low: &[u8], high: &[u8]) -> Octets {
    let common = low.iter().zip(high).take_while(|(low, high)| low == high).count();
    Octets::from(&high[..high.len().min(common + 1)])
}

impl KeySnapshot for MemorySnapshot {
    fn visit(&self, visit: &mut Export<'_>) -> io::Result<()> {
        self.0.iter().try_for_each(|(pairs, expiries)| {
            pairs.iter().try_for_each(|(key, value)| visit(key, value, expiries.of(key)))
        })
    }
}

#[cfg(test)]
mod tests;

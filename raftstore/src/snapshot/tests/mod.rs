//! Checkpoint files under damage and crashes, and snapshots on a network that loses, repeats and reorders.

mod checkpoints;
mod network;
mod stop_disk;
mod transfer;

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::checkpoints::Taken;
use crate::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use crate::machine::SnapshotSource;
use crate::message::SnapshotMeta;
use crate::raft::{LogPos, Membership};

const STORE: StoreId = StoreId(0xabc);
const A: RegionId = RegionId(0xa);
const B: RegionId = RegionId(0xb);

/// A state whose bytes follow from its region, its index and their place, however many there are.
struct Pattern {
    region: RegionId,
    at: LogPos,
    bytes: u64,
}

impl SnapshotSource for Pattern {
    fn at(&self) -> LogPos {
        self.at
    }
    fn write_to(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let mut block = Vec::with_capacity(8 << 10);
        for start in (0..self.bytes).step_by(8 << 10) {
            block.clear();
            let end = self.bytes.min(start + (8 << 10));
            block.extend((start..end).map(|place| pattern(self.region, self.at.index, place)));
            out.write_all(&block)?;
        }
        Ok(())
    }
}

fn pattern(region: RegionId, index: Index, place: u64) -> u8 {
    (place.wrapping_mul(31).wrapping_add(place >> 8) ^ region.0 ^ index.0 << 3) as u8
}

fn at(index: u64) -> LogPos {
    LogPos { index: Index(index), term: Term(3) }
}

fn meta(index: u64) -> SnapshotMeta {
    let membership = Membership::of_voters(vec![ReplicaId::new(1, STORE), ReplicaId::new(1, StoreId(2))]);
    SnapshotMeta { at: at(index), membership, genesis: Bytes::from_static(b"born") }
}

fn taken(region: RegionId, index: u64, bytes: u64) -> Taken {
    let source = Box::new(Pattern { region, at: at(index), bytes });
    Taken { region, meta: meta(index), source }
}

/// How many bytes a reader gave, all of which were the pattern's.
fn check_pattern(region: RegionId, index: u64, reader: &mut dyn Read) -> io::Result<u64> {
    let mut block = vec![0; 60_000];
    let mut place = 0;
    loop {
        let count = reader.read(&mut block)?;
        if count == 0 {
            return Ok(place);
        }
        for byte in &block[..count] {
            assert_eq!(*byte, pattern(region, Index(index), place), "byte {place}");
            place += 1;
        }
    }
}

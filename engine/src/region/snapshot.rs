//! A region's snapshot on its way out, and back in.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use crc32fast::Hasher;
use skep_raftstore::ids::RegionId;
use skep_raftstore::machine::{Fatal, SnapshotSource};
use skep_raftstore::raft::LogPos;

use super::snapshot_bytes::{self as bytes, BlockHeader, Pair};
use super::state::RegionState;
use crate::layout::Reader;
use crate::machine::{Held, KeyMachine, KeySnapshot, Octets, Order, System};

/// A region at one point in time.
pub(super) struct RegionSnapshot<S> {
    at: LogPos,
    state: Vec<u8>,
    pairs: S,
}

impl<S: KeySnapshot> RegionSnapshot<S> {
    pub(super) fn new(state: &RegionState, pairs: S) -> RegionSnapshot<S> {
        RegionSnapshot { at: state.applied, state: state.encode(), pairs }
    }
}

impl<S: KeySnapshot> SnapshotSource for RegionSnapshot<S> {
    fn at(&self) -> LogPos {
        self.at
    }

    fn write_to(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&bytes::header(&self.state))?;
        out.write_all(&self.state)?;
        let mut blocks = Blocks { out, block: Vec::new(), count: 0, written: 0 };
        self.pairs.visit(&mut |key, value, expires| blocks.push((key, value, expires)))?;
        blocks.finish()
    }
}

/// Gathers pairs and writes them in blocks.
struct Blocks<'a> {
    out: &'a mut dyn Write,
    block: Vec<u8>,
    /// Pairs in `block`.
    count: u32,
    /// Pairs before it.
    written: u64,
}

impl Blocks<'_> {
    fn push(&mut self, pair: Pair<'_>) -> io::Result<()> {
        bytes::put_pair(&mut self.block, pair);
        self.count += 1;
        if self.block.len() >= bytes::BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        self.out.write_all(&bytes::block_header(&self.block, self.count))?;
        self.out.write_all(&self.block)?;
        self.written += u64::from(self.count);
        self.count = 0;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(&bytes::end(self.written))
    }
}

/// Replaces `data` by what a snapshot of `region` holds, and returns the state in it. On an `Err`, `data` is untouched.
pub(super) fn restore<M: KeyMachine>(
    region: RegionId,
    data: &mut M,
    from: &mut dyn Read,
) -> Result<RegionState, Fatal> {
    let encoded = read_state(from)?;
    let state = RegionState::decode(&encoded).map_err(|error| refused(&error))?;
    if state.descriptor.id != region {
        return Err(Fatal(format!("a snapshot of {} was given to {region}", state.descriptor.id)));
    }
    data.replace(&mut PairsIn::new(from), &encoded)?;
    Ok(state)
}

fn read_state(from: &mut dyn Read) -> Result<Vec<u8>, Fatal> {
    let header = bytes::decode_header(&read_array(from)?).map_err(|error| refused(&error))?;
    let mut state = Vec::new();
    // Grows with what really comes, whatever the header says.
    from.take(header.state_bytes.into()).read_to_end(&mut state).map_err(|error| refused(&error))?;
    if crc32fast::hash(&state) != header.state_crc || state.len() != header.state_bytes as usize {
        return Err(refused(&"damaged: the checksum of its state does not hold"));
    }
    Ok(state)
}

fn read_array<const N: usize>(from: &mut dyn Read) -> Result<[u8; N], Fatal> {
    let mut array = [0; N];
    from.read_exact(&mut array).map_err(|error| refused(&error))?;
    Ok(array)
}

fn refused(why: &dyn std::fmt::Display) -> Fatal {
    Fatal(format!("a snapshot cannot be restored, it is {why}"))
}

/// The pairs of a snapshot, in order, checked.
struct PairsIn<'a> {
    from: &'a mut dyn Read,
    block: Vec<u8>,
    /// Where the next pair stands in `block`.
    at: usize,
    /// Pairs left in `block`.
    left: u32,
    total: u64,
    last: Option<Octets>,
    ended: bool,
}

impl<'a> PairsIn<'a> {
    fn new(from: &'a mut dyn Read) -> PairsIn<'a> {
        PairsIn { from, block: Vec::new(), at: 0, left: 0, total: 0, last: None, ended: false }
    }

    fn next_pair(&mut self) -> Result<Option<(Octets, Held)>, Fatal> {
        if self.left == 0 && !self.next_block()? {
            return Ok(None);
        }
        let mut rest = Reader::new(&self.block[self.at..]);
        let (key, value, expires) = bytes::take_pair(&mut rest).map_err(|error| refused(&error))?;
        let pair = (Octets::from(key), Held { value: value.into(), expires });
        self.at = self.block.len() - rest.left();
        self.left -= 1;
        self.total += 1;
        if self.last.as_ref().is_some_and(|last| *last >= pair.0) {
            return Err(refused(&"damaged: its keys do not grow"));
        }
        self.last = Some(pair.0.clone());
        Ok(Some(pair))
    }

    /// Reads a block. False at the end, whose count must hold.
    fn next_block(&mut self) -> Result<bool, Fatal> {
        if self.at != self.block.len() {
            return Err(refused(&"damaged: a block goes on too long"));
        }
        let header = read_array(self.from)?;
        match bytes::decode_block_header(&header).map_err(|error| refused(&error))? {
            BlockHeader::End { pairs_low } => self.end(pairs_low),
            BlockHeader::Pairs { bytes, count, crc } => {
                self.block.resize(bytes, 0);
                self.from.read_exact(&mut self.block).map_err(|error| refused(&error))?;
                if bytes::block_crc(&self.block, count) != crc {
                    return Err(refused(&"damaged: the checksum of a block does not hold"));
                }
                (self.at, self.left) = (0, count);
                Ok(true)
            }
        }
    }

    fn end(&mut self, pairs_low: u32) -> Result<bool, Fatal> {
        let rest: [u8; bytes::END_REST_BYTES] = read_array(self.from)?;
        let expected = bytes::end(self.total);
        let low = pairs_low.to_le_bytes();
        if expected[bytes::BLOCK_HEADER_BYTES - low.len()..bytes::BLOCK_HEADER_BYTES] != low
            || expected[bytes::BLOCK_HEADER_BYTES..] != rest
        {
            return Err(refused(&"damaged: its end does not fit it"));
        }
        Ok(false)
    }
}

impl Iterator for PairsIn<'_> {
    type Item = Result<(Octets, Held), Fatal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let pair = self.next_pair().transpose();
        self.ended = !matches!(pair, Some(Ok(_)));
        pair
    }
}

/// A number that is equal where state and data are equal: the CRC of the data above the CRC of the state.
/// Zero if the data cannot be read.
pub(super) fn digest<M: KeyMachine>(state: &RegionState, data: &M) -> u64 {
    let mut hasher = Hasher::new();
    let read = data.scan((&[], None), Order::Rising, &mut |key, value, expires| {
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(&(value.len() as u64).to_le_bytes());
        hasher.update(value);
        hasher.update(&expires.map_or([0; 8], |at| at.0.to_le_bytes()));
        ControlFlow::Continue(())
    });
    let digest = u64::from(hasher.finalize()) << 32 | u64::from(crc32fast::hash(&state.encode()));
    read.map_or(0, |()| digest)
}

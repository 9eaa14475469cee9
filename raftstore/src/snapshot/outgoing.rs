//! One snapshot on its way to a follower: which chunk is due, and when to give up.

use std::sync::Arc;

use bytes::Bytes;
use skep_wal::DiskFile;

use super::error::SnapshotError;
use super::file::{SectionPlace, Written, read_exact};
use super::format::{CHUNK_BYTES, PREFIX_BYTES};
use super::limits::KeeperLimits;
use crate::ids::{RegionId, ReplicaId, Term, Tick};
use crate::message::{SnapshotChunk, SnapshotMeta};

/// A snapshot that lies in a file, ready to be sent.
pub(super) struct Spool {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) name: String,
    place: SectionPlace,
    bytes: u64,
    /// The checksum of everything up to the end of each chunk.
    crcs: Vec<u32>,
}

/// From whom, to whom, and what.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) region: RegionId,
    pub(super) from: ReplicaId,
    pub(super) to: ReplicaId,
    pub(super) term: Term,
    pub(super) transfer: u64,
    pub(super) meta: SnapshotMeta,
}

/// A transfer. Always: acknowledged <= next <= number of chunks, in chunks.
pub(super) struct Outgoing {
    pub(super) ticket: Ticket,
    pub(super) spool: Spool,
    /// Chunks that the receiver holds.
    acknowledged: u64,
    /// The next chunk to send.
    next: u64,
    /// What the receiver said last; less than `acknowledged` if it started over, or if the news is old.
    heard: u64,
    heard_at: Tick,
    /// When something was acknowledged or sent again.
    moved_at: Tick,
}

impl Spool {
    pub(super) fn new(file: Arc<dyn DiskFile>, name: String, written: Written) -> Spool {
        let Written { place, bytes, crcs } = written;
        Spool { file, name, place, bytes, crcs }
    }

    /// An empty snapshot is one empty chunk: somebody has to say that it ends.
    fn chunks(&self) -> u64 {
        self.crcs.len().max(1) as u64
    }

    /// Reads a chunk. Its bytes are checked by the receiver, which has the checksum of what was written.
    fn read(&self, chunk: u64) -> Result<(u64, u32, Bytes), SnapshotError> {
        let offset = chunk * CHUNK_BYTES as u64;
        let Some(&crc) = self.crcs.get(chunk as usize) else { return Ok((0, 0, Bytes::new())) };
        let length = (self.bytes - offset).min(CHUNK_BYTES as u64) as usize;
        let mut data = vec![0; length];
        let at = self.place.data + chunk * (CHUNK_BYTES + PREFIX_BYTES) as u64 + PREFIX_BYTES as u64;
        read_exact(&*self.file, &self.name, at, &mut data)?;
        Ok((offset, crc, Bytes::from(data)))
    }
}

impl Outgoing {
    pub(super) fn new(ticket: Ticket, spool: Spool, now: Tick) -> Outgoing {
        Outgoing { ticket, spool, acknowledged: 0, next: 0, heard: 0, heard_at: now, moved_at: now }
    }

    /// The receiver holds this many bytes, which are whole chunks or all there are.
    pub(super) fn acknowledged(&mut self, received: u64, now: Tick) {
        self.heard = received.div_ceil(CHUNK_BYTES as u64).min(self.spool.chunks());
        self.heard_at = now;
        if self.heard > self.acknowledged {
            self.acknowledged = self.heard;
            self.next = self.next.max(self.heard);
            self.moved_at = now;
        }
    }

    /// Goes back to what the receiver holds if it has been silent, or at a standstill, for too long. When it holds all,
    /// the last chunk is sent again: it asks what has become of it.
    pub(super) fn retransmit(&mut self, now: Tick, limits: &KeeperLimits) {
        if now.since(self.moved_at) < limits.retransmit_ticks {
            return;
        }
        self.moved_at = now;
        self.acknowledged = self.heard;
        self.next = self.heard.min(self.spool.chunks() - 1);
    }

    pub(super) fn is_abandoned(&self, now: Tick, limits: &KeeperLimits) -> bool {
        now.since(self.heard_at) >= limits.abandon_ticks
    }

    /// The next chunk, if the window has room for it.
    pub(super) fn due(&self, limits: &KeeperLimits) -> Result<Option<SnapshotChunk>, SnapshotError> {
        let window = (limits.window_bytes / CHUNK_BYTES as u64).max(1);
        if self.next == self.spool.chunks() || self.next >= self.acknowledged + window {
            return Ok(None);
        }
        let (offset, crc, data) = self.spool.read(self.next)?;
        let Ticket { region, from, to, term, transfer, meta } = self.ticket.clone();
        let last = self.next + 1 == self.spool.chunks();
        Ok(Some(SnapshotChunk { region, from, to, term, transfer, meta, offset, last, crc, data }))
    }

    /// The chunk that was due has left.
    pub(super) fn sent(&mut self) {
        self.next += 1;
    }
}

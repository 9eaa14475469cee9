//! Snapshots that arrive: one file each, chunks in order, checked as they come and once more at the end.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;

use crc32fast::Hasher;
use skep_wal::Disk;

use super::checkpoints::Checkpoints;
use super::counters::KeeperCounters;
use super::error::SnapshotError;
use super::file::{FileWriter, SectionReader};
use super::format::{CHUNK_BYTES, FileHeader};
use super::limits::KeeperLimits;
use super::received::ReceivedSnapshot;
use crate::ids::{RegionId, ReplicaId, StoreId, Term, Tick};
use crate::message::{SnapshotAck, SnapshotChunk, SnapshotMeta, StoreMessage, TransferState};
use crate::transport::{Lane, Transport};
use crate::wire::FrameWriter;

/// How many ended transfers are remembered, to answer a sender that missed the answer.
const ENDED_MAX: usize = 256;

/// Which transfer: the sender's store and its number for it.
type Key = (StoreId, u64);

/// See the page of this file.
pub(super) struct Incomings {
    store: StoreId,
    disk: Arc<dyn Disk>,
    transport: Arc<dyn Transport>,
    limits: KeeperLimits,
    /// What is arriving; one for each region.
    active: BTreeMap<RegionId, Incoming>,
    /// What has arrived whole and waits for the worker: the transfer, and its bytes.
    waiting: BTreeMap<RegionId, (Key, u64)>,
    ended: VecDeque<(RegionId, Key, TransferState)>,
    acks: BTreeMap<(StoreId, RegionId), SnapshotAck>,
    frame: FrameWriter,
}

struct Incoming {
    key: Key,
    from: ReplicaId,
    term: Term,
    meta: SnapshotMeta,
    number: u64,
    name: String,
    writer: FileWriter,
    received: u64,
    hasher: Hasher,
    heard_at: Tick,
}

/// Why a transfer ends early.
enum Broken {
    /// Its bytes are not the sender's, or not in the sender's order.
    Nonsense,
    Failed(SnapshotError),
}

impl From<SnapshotError> for Broken {
    fn from(error: SnapshotError) -> Broken {
        Broken::Failed(error)
    }
}

impl Incomings {
    pub(super) fn new(
        store: StoreId,
        disk: Arc<dyn Disk>,
        transport: Arc<dyn Transport>,
        limits: KeeperLimits,
    ) -> Incomings {
        Incomings {
            store,
            disk,
            transport,
            limits,
            active: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ended: VecDeque::new(),
            acks: BTreeMap::new(),
            frame: FrameWriter::new(),
        }
    }

    /// Takes a chunk; a snapshot that it completes is verified, durable, and waits for `discard` or `installed`.
    pub(super) fn take(
        &mut self,
        sender: StoreId,
        chunk: SnapshotChunk,
        checkpoints: &mut Checkpoints,
        now: Tick,
        counters: &KeeperCounters,
    ) -> Option<ReceivedSnapshot> {
        let (region, key) = (chunk.region, (sender, chunk.transfer));
        if chunk.from.store() != sender || chunk.to.store() != self.store {
            return None;
        }
        let newest = checkpoints.newest(region).map(|newest| newest.at.index);
        if newest.is_some_and(|newest| newest >= chunk.meta.at.index) {
            // What it brings is here and in force: the sender has missed that, or asks about an older state.
            self.ack(region, key, 0, TransferState::Installed);
            return None;
        }
        if let Some((received, state)) = self.answer_without_taking(region, key, &chunk) {
            self.ack(region, key, received, state);
            return None;
        }
        let taken = self.incoming(sender, &chunk, checkpoints, now).and_then(|()| self.append(&chunk, now));
        match taken {
            Ok(None) => {
                let received = self.active.get(&region).map_or(0, |incoming| incoming.received);
                self.ack(region, key, received, TransferState::Receiving);
                None
            }
            Ok(Some(received)) => {
                self.ack(region, key, chunk.offset + chunk.data.len() as u64, TransferState::Receiving);
                Some(received)
            }
            Err(broken) => {
                if let Broken::Failed(error) = broken {
                    counters.went_wrong(&error);
                }
                self.drop_active(region);
                self.end(region, key, TransferState::Refused);
                None
            }
        }
    }

    /// The machine and the checkpoint are in force.
    pub(super) fn installed(&mut self, received: &ReceivedSnapshot) {
        self.waiting.remove(&received.region);
        self.end(received.region, (received.sender, received.transfer), TransferState::Installed);
    }

    /// Nobody wants it, or the replica has all of it already: what its sender is told says which.
    pub(super) fn discard(&mut self, received: ReceivedSnapshot, state: TransferState) {
        // Best effort: the next start removes it.
        let _ = self.disk.remove(&received.name);
        self.waiting.remove(&received.region);
        self.end(received.region, (received.sender, received.transfer), state);
    }

    /// Gives up what has been silent for too long, and sends the acknowledgements.
    pub(super) fn step(&mut self, now: Tick) {
        let silent = |incoming: &Incoming| now.since(incoming.heard_at) >= self.limits.abandon_ticks;
        let silent: Vec<RegionId> =
            self.active.iter().filter(|(_, i)| silent(i)).map(|(region, _)| *region).collect();
        silent.into_iter().for_each(|region| self.drop_active(region));
        let mut acks = std::mem::take(&mut self.acks).into_iter().peekable();
        while let Some(((to, _), ack)) = acks.next() {
            self.frame.push(&StoreMessage::SnapshotAck(ack));
            if acks.peek().is_none_or(|((next, _), _)| *next != to) {
                // One that is lost is given again for the sender's next chunk.
                self.transport.send(to, Lane::Snapshot, self.frame.finish());
            }
        }
    }

    /// The answer to a chunk that is not the next of a transfer under way or of a new one.
    fn answer_without_taking(
        &self,
        region: RegionId,
        key: Key,
        chunk: &SnapshotChunk,
    ) -> Option<(u64, TransferState)> {
        let ended = self.ended.iter().find(|ended| (ended.0, ended.1) == (region, key));
        if let Some((_, _, state)) = ended {
            return Some((0, *state));
        }
        if let Some((waiting, bytes)) = self.waiting.get(&region) {
            let is_it = *waiting == key;
            return Some(if is_it {
                (*bytes, TransferState::Receiving)
            } else {
                (0, TransferState::Refused)
            });
        }
        match self.active.get(&region) {
            Some(active) if active.key == key => {
                let is_next = active.received == chunk.offset;
                (!is_next).then_some((active.received, TransferState::Receiving))
            }
            // Another transfer of the same region: the newer one stays.
            Some(active) if !is_newer(active, key, chunk.term) => Some((0, TransferState::Refused)),
            Some(_) => (chunk.offset != 0).then_some((0, TransferState::Receiving)),
            None => {
                let is_full = self.active.len() >= self.limits.receives_max;
                (chunk.offset != 0 || is_full).then_some((0, TransferState::Receiving))
            }
        }
    }

    /// Sees to it that the chunk's transfer is the active one of its region.
    fn incoming(
        &mut self,
        sender: StoreId,
        chunk: &SnapshotChunk,
        checkpoints: &mut Checkpoints,
        now: Tick,
    ) -> Result<(), Broken> {
        let (region, key) = (chunk.region, (sender, chunk.transfer));
        if self.active.get(&region).is_some_and(|active| active.key == key) {
            return Ok(());
        }
        self.drop_active(region);
        let number = checkpoints.take_number();
        let name = format!("received-{number:016x}.tmp");
        let header = FileHeader { store: self.store, number };
        let mut writer = FileWriter::create(&*self.disk, &name, header)?;
        writer.begin(region, &chunk.meta)?;
        let (from, term, meta) = (chunk.from, chunk.term, chunk.meta.clone());
        let (received, hasher, heard_at) = (0, Hasher::new(), now);
        self.active.insert(
            region,
            Incoming { key, from, term, meta, number, name, writer, received, hasher, heard_at },
        );
        Ok(())
    }

    /// Adds the next chunk; after the last, the file is complete.
    fn append(&mut self, chunk: &SnapshotChunk, now: Tick) -> Result<Option<ReceivedSnapshot>, Broken> {
        let others: u64 = self.waiting.values().map(|(_, bytes)| bytes).sum();
        let all: u64 = others + self.active.values().map(|incoming| incoming.received).sum::<u64>();
        let Some(incoming) = self.active.get_mut(&chunk.region) else { return Err(Broken::Nonsense) };
        let has_length = chunk.data.len() == CHUNK_BYTES || (chunk.last && chunk.data.len() < CHUNK_BYTES);
        if !has_length
            || incoming.meta != chunk.meta
            || all + chunk.data.len() as u64 > self.limits.receive_bytes_max
        {
            return Err(Broken::Nonsense);
        }
        incoming.hasher.update(&chunk.data);
        if incoming.hasher.clone().finalize() != chunk.crc {
            return Err(Broken::Nonsense);
        }
        incoming.writer.write_all(&chunk.data).map_err(SnapshotError::io("writing", &incoming.name))?;
        incoming.received += chunk.data.len() as u64;
        incoming.heard_at = now;
        if !chunk.last {
            return Ok(None);
        }
        self.complete(chunk.region).map(Some)
    }

    fn complete(&mut self, region: RegionId) -> Result<ReceivedSnapshot, Broken> {
        let Some(incoming) = self.active.remove(&region) else { return Err(Broken::Nonsense) };
        let Incoming { key, from, term, meta, number, name, mut writer, received, .. } = incoming;
        let finished = writer.end().and_then(|written| Ok((written.place, writer.finish()?)));
        let verified = finished.and_then(|(place, file)| {
            SectionReader::new(file.clone(), &name, region, place).verify()?;
            Ok((place, file))
        });
        match verified {
            Ok((place, file)) => {
                self.waiting.insert(region, (key, received));
                let (sender, transfer) = key;
                Ok(ReceivedSnapshot { region, from, term, meta, name, sender, transfer, number, file, place })
            }
            Err(error) => {
                let _ = self.disk.remove(&name);
                Err(Broken::Failed(error))
            }
        }
    }

    fn drop_active(&mut self, region: RegionId) {
        if let Some(incoming) = self.active.remove(&region) {
            // Best effort: the next start removes it.
            let _ = self.disk.remove(&incoming.name);
        }
    }

    fn end(&mut self, region: RegionId, key: Key, state: TransferState) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((region, key, state));
        self.ack(region, key, 0, state);
    }

    /// The newest acknowledgement of a transfer is the only one worth sending.
    fn ack(&mut self, region: RegionId, key: Key, received: u64, state: TransferState) {
        let (to, transfer) = key;
        self.acks.insert((to, region), SnapshotAck { region, transfer, received, state });
    }
}

/// Whether a transfer may replace `active`: a later leader's, or a later one of the same sender.
fn is_newer(active: &Incoming, (sender, transfer): Key, term: Term) -> bool {
    term > active.term || (sender == active.key.0 && transfer > active.key.1)
}

//! A durable log: one group's entries, term and vote, and snapshot in two streams of a `skep-wal` log.
//!
//! The entries are one stream, with term and vote as its hard state. The snapshot's bytes are the entries of the other, in
//! pieces, and a named state says which of them make up the newest: it is replaced in the same frame that lets go of the
//! older pieces, and of entries that the snapshot replaces, so that a crash leaves the old one or the new one.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use skep_wal::{Batch, Disk, RealDisk, StateName, StreamId, StreamInfo, Wal, WalConfig, WalError};

use super::error::{Error, Result};
use super::limits::COMMAND_BYTES_MAX;
use super::log::RaftLog;
use super::types::{HardState, Index, LogEntry, Snapshot, Term};
use super::wal_bytes::{self, HeldSnapshot};
use crate::raft::{self, LogPos, LogShape};

/// The named state of the second stream.
const NEWEST: StateName = StateName(1);
/// A piece of a snapshot, in bytes at most: small enough to be carried forward when the log is tidied.
const PIECE_BYTES_MAX: u64 = 64 << 10;
/// What goes into one frame, in bytes at most, unless a single entry is longer.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// What a frame with one entry needs besides it, in bytes at most, the header page of its segment included.
const FRAME_OVERHEAD_BYTES: u64 = 8 << 10;
/// Length of a segment of a log that belongs to one group, in bytes: two of the longest commands fit in.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A log that survives power loss.
///
/// ```
/// use skep_raftstore::node::{Event, RaftConfig, RaftLog, RaftNode, WalLog};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let mut node = RaftNode::with_log(RaftConfig::single(1), WalLog::open(directory)?);
/// while !node.is_leader() {
///     node.step(Event::Tick)?;
/// }
/// node.step(Event::Propose("kept".into()))?;
/// drop(node);
///
/// let log = WalLog::open(directory)?;
/// assert_eq!(log.entry(log.last_index()).map(|entry| entry.command()), Some("kept".into()));
/// # Ok(())
/// # }
/// ```
pub struct WalLog {
    wal: Arc<Wal>,
    entries: StreamId,
    pieces: StreamId,
    /// What the entries' stream holds, changes that are not synced included.
    shape: LogShape,
    /// Where the pieces' stream begins and ends.
    pieces_held: (u64, u64),
    hard_state: HardState,
    held: Option<HeldSnapshot>,
    batch: Batch,
    segment_bytes: u64,
    /// What was written since the log was tidied, in bytes; beyond the limit after a compaction.
    untidy: u64,
}

impl WalLog {
    /// The log in a directory of its own, which is made if there is none.
    pub fn open(directory: impl AsRef<Path>) -> Result<WalLog> {
        let disk = RealDisk::open(directory).map_err(|error| Error::storage("opening the log", error))?;
        WalLog::on_disk(Arc::new(disk))
    }

    /// The same on any disk: [`skep_wal::MemDisk`] loses in a crash what a real one may lose.
    pub fn on_disk(disk: Arc<dyn Disk>) -> Result<WalLog> {
        let (wal, _) =
            Wal::open(disk, WalLog::config()).map_err(|error| in_words("opening the log", error))?;
        WalLog::of_group(Arc::new(wal), 0)
    }

    /// One group's part of a log that many groups share: a sync by any of them serves all, and a failed one stops all.
    pub fn of_group(wal: Arc<Wal>, group: u32) -> Result<WalLog> {
        let (entries, pieces) = (StreamId(2 * u64::from(group) + 1), StreamId(2 * u64::from(group) + 2));
        let (info, pieces_info) = (whole(&wal, entries)?, whole(&wal, pieces)?);
        let unreadable = |error| Error::storage("opening the log", error);
        let hard_state = info.as_ref().map_or(&[][..], |info| &info.hard_state[..]);
        let hard_state = wal_bytes::decode_hard_state(hard_state).map_err(unreadable)?;
        let held = wal.state(pieces, NEWEST).map(wal_bytes::decode_held).transpose().map_err(unreadable)?;
        Ok(WalLog {
            segment_bytes: wal.usage().segment_bytes,
            wal,
            entries,
            pieces,
            shape: shape_of(info.as_ref()),
            pieces_held: pieces_info.map_or((0, 0), |info| (info.base_index, info.last_index)),
            hard_state,
            held,
            batch: Batch::new(),
            untidy: 0,
        })
    }

    /// How the log of a single group is shaped. A log that groups share should carry snapshots forward like this one.
    pub fn config() -> WalConfig {
        WalConfig { segment_bytes: SEGMENT_BYTES, carry_entry_bytes_max: u64::MAX, ..WalConfig::default() }
    }

    /// What goes into one frame: a quarter of a segment at most, so that little is left unused at its end.
    fn frame_bytes(&self) -> u64 {
        FRAME_BYTES_MAX.min(self.segment_bytes / 4)
    }

    fn write(&mut self, context: &'static str) -> Result<()> {
        self.untidy += self.batch.bytes();
        self.wal.append(&mut self.batch).map(|_| ()).map_err(|error| in_words(context, error))
    }

    /// Writes the pieces of a snapshot after those that are there; says which they are.
    fn write_pieces(&mut self, data: &Bytes) -> Result<(u64, u64)> {
        let first = self.pieces_held.1 + 1;
        for piece in data.chunks(self.frame_bytes().min(PIECE_BYTES_MAX) as usize) {
            self.batch.entries(self.pieces, self.pieces_held.1 + 1, 1, [piece]);
            self.pieces_held.1 += 1;
            if self.batch.bytes() >= self.frame_bytes() {
                self.write("writing a snapshot")?;
            }
        }
        Ok((first, self.pieces_held.1 + 1 - first))
    }

    fn read(&self, stream: StreamId, first: u64, last: u64) -> Result<Vec<skep_wal::LogEntry>> {
        let mut out = Vec::new();
        self.wal
            .read(stream, first, last, usize::MAX, &mut out)
            .map_err(|error| in_words("reading the log", error))?;
        Ok(out)
    }

    /// Prepares the next segment, and takes back those of which nothing is needed.
    fn tidy(&mut self) -> Result<()> {
        if self.untidy < self.segment_bytes / 2 {
            return Ok(());
        }
        self.untidy = 0;
        self.wal.maintain().map(|_| ()).map_err(|error| in_words("tidying the log", error))
    }
}

impl RaftLog for WalLog {
    fn last_index(&self) -> Index {
        self.shape.last().index.0
    }

    fn term_at(&self, index: Index) -> Option<Term> {
        self.shape.term_at(raft::Index(index)).map(|term| term.0)
    }

    fn command_bytes_max(&self) -> usize {
        COMMAND_BYTES_MAX.min((self.segment_bytes - FRAME_OVERHEAD_BYTES) as usize)
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        self.entries(index, index).ok()?.pop()
    }

    fn entries(&self, from: Index, to: Index) -> Result<Vec<LogEntry>> {
        let decode = |entry: skep_wal::LogEntry| {
            // A copy: whoever is given an entry may keep it, and must not keep a segment of the log with it.
            let payload = Bytes::copy_from_slice(&entry.payload);
            let unknown = || format!("entry {} is of an unknown kind", entry.index);
            LogEntry::from_bytes(entry.term, entry.index, payload)
                .ok_or_else(|| Error::storage("reading the log", unknown()))
        };
        self.read(self.entries, from, to)?.into_iter().map(decode).collect()
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        let frame_bytes = self.frame_bytes();
        for run in entries.chunk_by(|a, b| a.term == b.term) {
            let (mut from, term) = (0, run[0].term);
            while from < run.len() {
                let mut bytes = 0;
                let fits = |entry: &&LogEntry| {
                    bytes += entry.bytes().len() as u64;
                    bytes <= frame_bytes
                };
                let count = run[from..].iter().take_while(fits).count().max(1);
                let part = &run[from..from + count];
                if part[0].index != self.last_index() + 1 || term < self.last_term() {
                    let what = format!("entry {} cannot stand after {}", part[0].index, self.last_index());
                    return Err(Error::storage("appending", what));
                }
                self.batch.entries(
                    self.entries,
                    part[0].index,
                    term,
                    part.iter().map(|entry| &entry.bytes()[..]),
                );
                self.write("appending")?;
                self.shape.extend(raft::Term(term), count as u64);
                from += count;
            }
        }
        Ok(())
    }

    fn truncate(&mut self, from: Index) -> Result<()> {
        if from <= self.base_index() {
            return Err(Error::storage("truncating", format!("entry {from} is compacted")));
        }
        if from <= self.last_index() {
            self.batch.truncate(self.entries, from);
            self.write("truncating")?;
            self.shape.truncate(raft::Index(from));
        }
        Ok(())
    }

    fn hard_state(&self) -> HardState {
        self.hard_state
    }

    fn set_hard_state(&mut self, state: HardState) -> Result<()> {
        self.batch.hard_state(self.entries, &wal_bytes::encode_hard_state(state));
        self.write("writing term and vote")?;
        self.hard_state = state;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.wal.sync().map_err(|error| in_words("syncing the log", error))?;
        self.tidy()
    }

    fn snapshot_index(&self) -> Index {
        self.held.as_ref().map_or(0, |held| held.at.index.0)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>> {
        let Some(held) = &self.held else { return Ok(None) };
        let mut data = BytesMut::new();
        if held.count > 0 {
            let pieces = self.read(self.pieces, held.first, held.first + held.count - 1)?;
            pieces.iter().for_each(|piece| data.extend_from_slice(&piece.payload));
        }
        if data.len() as u64 != held.length {
            let what = format!("{} bytes are here and {} should be", data.len(), held.length);
            return Err(Error::storage("reading the snapshot", what));
        }
        let (index, term) = (held.at.index.0, held.at.term.0);
        Ok(Some(Snapshot { index, term, config: held.config.clone(), data: data.freeze() }))
    }

    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        if snapshot.index <= self.snapshot_index() {
            return Ok(());
        }
        let at = LogPos { index: raft::Index(snapshot.index), term: raft::Term(snapshot.term) };
        let (first, count) = self.write_pieces(&snapshot.data)?;
        let length = snapshot.data.len() as u64;
        let held = HeldSnapshot { at, config: snapshot.config.clone(), first, count, length };
        self.batch.state(self.pieces, NEWEST, &wal_bytes::encode_held(&held));
        if first - 1 > self.pieces_held.0 {
            self.batch.compact(self.pieces, first - 1, 1);
        }
        let restarts = !self.shape.contains(at);
        if restarts {
            self.batch.restart(self.entries, snapshot.index, snapshot.term);
        }
        self.write("writing a snapshot")?;
        self.pieces_held.0 = first - 1;
        self.held = Some(held);
        if restarts {
            self.shape.restart(at);
        }
        self.untidy += self.segment_bytes;
        Ok(())
    }

    fn base_index(&self) -> Index {
        self.shape.base().index.0
    }

    fn compact(&mut self, through: Index) -> Result<()> {
        let Some(term) = self.term_at(through).filter(|_| through <= self.snapshot_index()) else {
            return Err(Error::storage("compacting", format!("no snapshot contains entry {through}")));
        };
        if through > self.base_index() {
            self.batch.compact(self.entries, through, term);
            self.write("compacting")?;
            self.shape.compact(LogPos { index: raft::Index(through), term: raft::Term(term) });
            self.untidy += self.segment_bytes;
        }
        Ok(())
    }
}

/// What is known of a stream, if nothing of it is in doubt. A node that went on with a part of what it had promised would
/// give a vote twice, or lose what it acknowledged.
fn whole(wal: &Wal, stream: StreamId) -> Result<Option<StreamInfo>> {
    let info = wal.stream(stream);
    match info.as_ref().and_then(|info| info.damaged.as_ref()) {
        None => Ok(info),
        Some(damage) => Err(Error::storage(
            "opening the log",
            format!(
                "bytes that were durable are damaged (segment {}, {:?}); take the node out of its group, and in again \
                 under a new number with an empty log",
                damage.segment, damage.what
            ),
        )),
    }
}

fn shape_of(info: Option<&StreamInfo>) -> LogShape {
    let Some(info) = info else { return LogShape::new(LogPos::default(), &[], raft::Index(0)) };
    let base = LogPos { index: raft::Index(info.base_index), term: raft::Term(info.base_term) };
    let runs: Vec<_> =
        info.runs.iter().map(|&(first, term)| (raft::Index(first), raft::Term(term))).collect();
    LogShape::new(base, &runs, raft::Index(info.last_index))
}

fn in_words(context: &'static str, error: WalError) -> Error {
    Error::storage(context, error)
}

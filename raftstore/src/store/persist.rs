//! Persist: one batch to the log for all regions of the turn.
//!
//! `append` makes the batch readable and ordered, not durable. The sync thread is poked once; what needs durability
//! waits in `writes` for the log to say that it has it. (A turn with very much to write makes several batches of it:
//! one must fit into a segment.)

use std::sync::atomic::Ordering;

use skep_wal::{Lsn, WalError};

use super::brought::{self, BROUGHT};
use super::worker::{Worker, Write, WritePart};
use crate::raft::Entry;
use crate::wire::hard_state;

/// What the log needs for an entry besides its payload, about.
const ENTRY_OVERHEAD_BYTES: u64 = 8;

impl Worker {
    /// False if the disk is full: what was not taken is kept and tried again, and nothing that depends on it goes on.
    pub(super) fn persist(&mut self) -> bool {
        loop {
            if self.parts.is_empty() && self.batch.is_empty() && !self.fill_batch() {
                self.filled = 0;
                return true;
            }
            match self.append() {
                Ok(lsn) => {
                    self.is_disk_full = false;
                    self.writes.push_back(Write { lsn, parts: std::mem::take(&mut self.parts) });
                }
                Err(error) => {
                    self.is_disk_full = !self.is_hopeless(&error);
                    if !self.is_disk_full {
                        self.shared.inboxes.stop(&error.to_string());
                        self.stop();
                    }
                    return false;
                }
            }
        }
    }

    /// Whether trying again cannot help. A log that is not poisoned has refused and lost nothing, but if its directory is
    /// gone or cannot be written to it will refuse for ever: then others should serve.
    fn is_hopeless(&self, error: &WalError) -> bool {
        !error.may_pass() || self.shared.wal.poisoned().is_some()
    }

    fn append(&mut self) -> Result<Lsn, WalError> {
        if self.batch.is_empty() {
            // Something is held that only waits for earlier writes, perhaps for one that nobody has asked to be synced.
            let appended = self.shared.wal.appended_lsn();
            if appended > self.shared.wal.durable_lsn() {
                self.shared.sync.poke();
            }
            return Ok(appended);
        }
        let lsn = self.shared.wal.append(&mut self.batch)?;
        self.shared.sync.poke();
        Ok(lsn)
    }

    /// Puts what regions want written into the batch, as many as fit. False if there is nothing left.
    fn fill_batch(&mut self) -> bool {
        let bytes_max = self.shared.batch_bytes_max;
        while self.filled < self.ready.len() && self.batch.bytes() < bytes_max {
            if self.fill_from(self.filled, bytes_max) {
                self.filled += 1;
            }
        }
        !self.parts.is_empty() || !self.batch.is_empty()
    }

    /// Puts one region's writes into the batch. False if entries are left for the next one: then what waits for them
    /// waits on.
    fn fill_from(&mut self, at: usize, bytes_max: u64) -> bool {
        let slot = self.ready[at];
        let replica = &mut self.replicas[slot.0 as usize];
        let stream = replica.region.stream();
        let Some(effects) = &mut replica.effects else { return true };
        if let Some(compact) = replica.compact.take() {
            self.batch.compact(stream, compact.index.0, compact.term.0);
        }
        let Some(seq) = effects.write else { return true };
        if let Some(state) = effects.hard_state.take() {
            self.batch.hard_state(stream, &hard_state::encode(replica.raft.id(), state));
        }
        if let Some(restart) = effects.restart.take() {
            self.batch.restart(stream, restart.index.0, restart.term.0);
        }
        if let Some(brought) = effects.brought.take() {
            self.batch.state(stream, BROUGHT, &brought::encode(&brought));
        }
        let room = bytes_max.saturating_sub(self.batch.bytes());
        let (count, bytes) = fitting(&effects.append, room);
        for run in effects.append[..count].chunk_by(|a, b| a.term == b.term) {
            let payloads = run.iter().map(|entry| &entry.payload.bytes()[..]);
            self.batch.entries(stream, run[0].index.0, run[0].term.0, payloads);
        }
        replica.log_bytes += bytes;
        if let Some(last) = effects.append[..count].last() {
            replica.tail.grew(last.index, bytes, self.shared.config.log_tail_bytes);
        }
        self.shared.counters.entries_appended.fetch_add(count as u64, Ordering::Relaxed);
        effects.append.drain(..count);
        if !effects.append.is_empty() {
            return false;
        }
        effects.write = None;
        self.parts.push(WritePart { slot, seq, held: effects.held.take() });
        true
    }
}

/// How many of `entries` fit into `room` bytes (one at least), and how many bytes they are.
fn fitting(entries: &[Entry], room: u64) -> (usize, u64) {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        let is_in = bytes < room || bytes == 0;
        if is_in {
            bytes += entry.payload.bytes().len() as u64 + ENTRY_OVERHEAD_BYTES;
        }
        is_in
    };
    (entries.iter().take_while(fits).count(), bytes)
}

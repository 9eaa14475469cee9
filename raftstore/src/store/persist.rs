//! Persist: one batch to the log for all regions of the turn.
//!
//! `append` makes the batch readable and ordered, not durable. The sync thread is poked once; what needs durability
//! waits in `writes` for the log to say that it has it. (A turn with very much to write makes several batches of it:
//! one must fit into a segment.)

use std::sync::atomic::Ordering;

use skep_wal::{Lsn, WalError};

use super::worker::{Worker, Write, WritePart};
use crate::wire::hard_state;

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
                Err(WalError::Full { .. }) => {
                    self.is_disk_full = true;
                    return false;
                }
                Err(error) => {
                    self.shared.inboxes.stop(&error.to_string());
                    self.is_stopped = true;
                    return false;
                }
            }
        }
    }

    fn append(&mut self) -> Result<Lsn, WalError> {
        if self.batch.is_empty() {
            // Something is held that only waits for earlier writes.
            return Ok(self.shared.wal.appended_lsn());
        }
        let lsn = self.shared.wal.append(&mut self.batch)?;
        self.shared.sync.poke();
        Ok(lsn)
    }

    /// Puts what regions want written into the batch, as many as fit. False if there is nothing left.
    fn fill_batch(&mut self) -> bool {
        let bytes_max = self.shared.batch_bytes_max;
        while self.filled < self.ready.len() && self.batch.bytes() < bytes_max {
            self.fill_from(self.filled);
            self.filled += 1;
        }
        !self.parts.is_empty() || !self.batch.is_empty()
    }

    fn fill_from(&mut self, at: usize) {
        let slot = self.ready[at];
        let replica = &mut self.replicas[slot.0 as usize];
        let stream = replica.region.stream();
        let Some(effects) = &mut replica.effects else { return };
        if let Some(compact) = replica.compact.take() {
            self.batch.compact(stream, compact.index.0, compact.term.0);
        }
        let Some(seq) = effects.write.take() else { return };
        if let Some(state) = effects.hard_state.take() {
            self.batch.hard_state(stream, &hard_state::encode(state));
        }
        if let Some(restart) = effects.restart.take() {
            self.batch.restart(stream, restart.index.0, restart.term.0);
        }
        for run in effects.append.chunk_by(|a, b| a.term == b.term) {
            let payloads = run.iter().map(|entry| &entry.payload.bytes()[..]);
            self.batch.entries(stream, run[0].index.0, run[0].term.0, payloads);
        }
        replica.log_bytes +=
            effects.append.iter().map(|entry| entry.payload.bytes().len() as u64).sum::<u64>();
        self.shared.counters.entries_appended.fetch_add(effects.append.len() as u64, Ordering::Relaxed);
        effects.append.clear();
        self.parts.push(WritePart { slot, seq, held: effects.held.take() });
    }
}

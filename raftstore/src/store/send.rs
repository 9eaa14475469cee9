//! Send: what promises nothing that is not durable leaves in the turn that made it.

use super::committed_log::read_entries;
use super::config::APPEND_BYTES_MAX;
use super::replica::Slot;
use super::worker::Worker;
use crate::ids::ReplicaId;
use crate::message::StoreMessage;
use crate::raft::{Body, Entries, Message, Replicate};

impl Worker {
    pub(super) fn send(&mut self) {
        for at in 0..self.ready.len() {
            let slot = self.ready[at];
            let Some(mut effects) = self.replica(slot).effects.take() else { continue };
            self.send_messages(slot, effects.send.drain(..));
            self.replicate(slot, &effects.replicate);
            effects.replicate.clear();
            self.replica(slot).effects = Some(effects);
        }
    }

    pub(super) fn send_messages(&mut self, slot: Slot, messages: impl IntoIterator<Item = Message>) {
        let region = self.replica(slot).region;
        for message in messages {
            let to = message.to.store();
            self.outbox.push(to, &StoreMessage::Raft { region, message });
        }
    }

    /// Entries for followers, read from the log once for all who want the same.
    fn replicate(&mut self, slot: Slot, wanted: &[Replicate]) {
        let mut read: Option<(Replicate, Entries)> = None;
        let mut cut: Vec<ReplicaId> = Vec::new();
        for &want in wanted.iter() {
            if cut.contains(&want.to) {
                continue;
            }
            let store = want.to.store();
            if want.last > want.prev.index && !self.has_window(slot, store) {
                self.replica(slot).raft.sent(&want, want.prev.index, 0);
                cut.push(want.to);
                continue;
            }
            let reusable = read.take().filter(|(have, _)| {
                (have.prev, have.last, have.stripped) == (want.prev, want.last, want.stripped)
            });
            let entries = match reusable {
                Some((_, entries)) => entries,
                None => match self.entries_for(slot, want) {
                    Ok(entries) => entries,
                    Err(why) => return self.stop_replica(slot, why),
                },
            };
            if !self.send_append(slot, want, entries.clone()) {
                cut.push(want.to);
            }
            self.count_window_of(slot, want.to);
            read = Some((want, entries));
        }
    }

    fn entries_for(&self, slot: Slot, want: Replicate) -> Result<Entries, String> {
        if want.last == want.prev.index {
            return Ok(Entries::new());
        }
        let (first, last) = (want.prev.index.next().0, want.last.0);
        let region = self.replicas[slot.0 as usize].region;
        let mut entries = read_entries(&self.shared.wal, region, first, last, APPEND_BYTES_MAX)
            .map_err(|error| format!("its log cannot be read: {error}"))?;
        if want.stripped {
            entries.iter_mut().for_each(|entry| entry.payload = entry.payload.stripped());
        }
        Ok(entries)
    }

    /// False if nothing more may follow it now. If there were too many bytes the rest is named again in the next turn; if too
    /// many are on their way, when some of them have arrived.
    fn send_append(&mut self, slot: Slot, want: Replicate, entries: Entries) -> bool {
        let replica = self.replica(slot);
        let (region, from) = (replica.region, replica.id());
        let through = entries.last().map_or(want.prev.index, |entry| entry.index);
        let bytes = entries.iter().map(|entry| entry.payload.bytes().len() as u64).sum();
        let may_go_on = replica.raft.sent(&want, through, bytes);
        let body = Body::Append { prev: want.prev, commit: want.commit, entries };
        let message = Message { from, to: want.to, term: want.term, body };
        self.outbox.push(want.to.store(), &StoreMessage::Raft { region, message });
        if through != want.last {
            self.again.push(slot);
        }
        may_go_on
    }
}

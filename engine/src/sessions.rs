//! Whose commands were already applied, and what they were answered: what makes a command that is sent again safe.
//!
//! Each store numbers the commands that it takes from its clients, and says with each the lowest number that it may
//! still send again. From there on the replies are kept, so that a command that arrives twice is applied once and
//! answered the same twice. Every replica of a region keeps the same table, because it follows from the log alone.
//!
//! Invariants, per store:
//! - only its newest life is known; a command of an earlier one is refused
//! - numbers grow along the kept replies, and none lies below `lowest`
//! - at most [`REPLIES_MAX`] replies are kept, and [`REPLY_BYTES_MAX`] bytes of them or a single one
//!
//! Bytes (little-endian): count of stores (u32), and for each, in order: store u32, life u64, lowest u64,
//! forgotten u64, last used u64, count of replies u32, and for each: number u64, reply (length u32, bytes).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use skep_raftstore::ids::{Index, Life, StoreId};
use skep_raftstore::machine::Origin;

use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::COMMAND_BYTES_MAX;

/// Replies kept for one store. As many as it may have under way, all of them in one region: each of these may come
/// again after a change of leader. Beyond, the oldest is forgotten, and its command, should it come again, is answered
/// "unknown".
const REPLIES_MAX: usize = 1 << 18;

/// Bytes of replies kept for one store; beyond, likewise.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// Stores remembered. Only stores that hold a replica send commands, so this is far more than take part at one time;
/// beyond, the one whose last command is oldest is forgotten.
const STORES_MAX: usize = 64;

/// Bytes of a kept reply beside its own: its number and its place.
const REPLY_OVERHEAD_BYTES: usize = 40;

const _: () = assert!(
    REPLIES_MAX * (REPLY_OVERHEAD_BYTES + 9) <= REPLY_BYTES_MAX,
    "so many replies without a value are kept whole"
);

/// The table of one region.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sessions {
    stores: BTreeMap<StoreId, Session>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Session {
    life: Life,
    /// What lies below is answered and will not be asked again.
    lowest: u64,
    /// What lies below may have been applied, and its reply is no longer kept.
    forgotten: u64,
    /// The entry that used it last.
    last_used: Index,
    replies: VecDeque<(u64, Bytes)>,
    /// Bytes of the replies, with overhead.
    bytes: usize,
}

/// What to do with a command.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Apply it, then [`record`](Sessions::record) the reply.
    Fresh,
    /// It was applied; this was the reply.
    Repeated(Bytes),
    /// Its store has its answer.
    Answered,
    /// Its store has been started again since.
    EarlierLife,
    /// Whether it was applied is no longer known.
    Forgotten,
}

impl Sessions {
    /// Judges the command of the entry at `at`.
    pub(crate) fn judge(&mut self, origin: &Origin, at: Index) -> Verdict {
        let session = self.stores.entry(origin.store).or_insert_with(|| Session::new(origin.life));
        if origin.life < session.life {
            return Verdict::EarlierLife;
        }
        if origin.life > session.life {
            *session = Session::new(origin.life);
        }
        session.last_used = at;
        session.raise_lowest(origin.lowest);
        let verdict = session.judge(origin.seq);
        if self.stores.len() > STORES_MAX {
            self.forget_oldest_store();
        }
        verdict
    }

    /// Keeps the reply to a command that was judged fresh.
    pub(crate) fn record(&mut self, origin: &Origin, reply: Bytes) {
        if let Some(session) = self.stores.get_mut(&origin.store) {
            session.record(origin.seq, reply);
        }
    }

    fn forget_oldest_store(&mut self) {
        let oldest = self.stores.iter().min_by_key(|(_, session)| session.last_used).map(|(store, _)| *store);
        if let Some(oldest) = oldest {
            self.stores.remove(&oldest);
        }
    }

    /// Appends the table's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.stores.len() as u32).to_le_bytes());
        for (store, session) in &self.stores {
            out.extend_from_slice(&store.0.to_le_bytes());
            for number in [session.life.0, session.lowest, session.forgotten, session.last_used.0] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&(session.replies.len() as u32).to_le_bytes());
            for (seq, reply) in &session.replies {
                out.extend_from_slice(&seq.to_le_bytes());
                put_string(out, reply);
            }
        }
    }

    /// Reads what [`encode`](Sessions::encode) wrote.
    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Sessions, Unreadable> {
        let mut sessions = Sessions::default();
        for _ in 0..from.u32()? {
            let store = StoreId(from.u32()?);
            let mut session = Session::new(Life(from.u64()?));
            session.lowest = from.u64()?;
            session.forgotten = from.u64()?;
            session.last_used = Index(from.u64()?);
            for _ in 0..from.u32()? {
                let seq = from.u64()?;
                if session.replies.back().is_some_and(|(last, _)| *last >= seq) {
                    return Err(Unreadable::Damaged("replies out of order"));
                }
                session.record(seq, Bytes::copy_from_slice(from.string(COMMAND_BYTES_MAX)?));
            }
            sessions.stores.insert(store, session);
        }
        Ok(sessions)
    }
}

impl Session {
    fn new(life: Life) -> Session {
        Session { life, lowest: 0, forgotten: 0, last_used: Index(0), replies: VecDeque::new(), bytes: 0 }
    }

    fn raise_lowest(&mut self, lowest: u64) {
        if lowest <= self.lowest {
            return;
        }
        self.lowest = lowest;
        while self.replies.front().is_some_and(|(seq, _)| *seq < lowest) {
            self.drop_oldest();
        }
        if self.replies.is_empty() {
            // An idle region keeps bytes, not buffers.
            self.replies.shrink_to(4);
        }
    }

    fn judge(&self, seq: u64) -> Verdict {
        if seq < self.lowest {
            return Verdict::Answered;
        }
        match self.position(seq) {
            Ok(place) => Verdict::Repeated(self.replies[place].1.clone()),
            Err(_) if seq < self.forgotten => Verdict::Forgotten,
            Err(_) => Verdict::Fresh,
        }
    }

    fn record(&mut self, seq: u64, reply: Bytes) {
        self.bytes += REPLY_OVERHEAD_BYTES + reply.len();
        match self.position(seq) {
            Ok(place) => debug_assert!(false, "number {seq} was judged fresh and stands at {place}"),
            Err(place) => self.replies.insert(place, (seq, reply)),
        }
        while self.replies.len() > REPLIES_MAX || (self.bytes > REPLY_BYTES_MAX && self.replies.len() > 1) {
            self.forgotten = self.forgotten.max(self.replies[0].0 + 1);
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, reply)) = self.replies.pop_front() {
            self.bytes -= REPLY_OVERHEAD_BYTES + reply.len();
        }
    }

    /// Where `seq` stands, or belongs. Numbers mostly come in order.
    fn position(&self, seq: u64) -> Result<usize, usize> {
        match self.replies.back() {
            Some((last, _)) if *last >= seq => self.replies.binary_search_by_key(&seq, |(seq, _)| *seq),
            Some(_) | None => Err(self.replies.len()),
        }
    }
}

#[cfg(test)]
mod tests;

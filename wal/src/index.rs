//! Where everything is: the streams by number, and the one place that turns a record into a change of a
//! stream.

use bytes::Bytes;

use crate::error::{Damage, DamagedPart, Misuse, WalError};
use crate::format::{Kind, RecordHead};
use crate::id_table::IdTable;
use crate::log::StreamInfo;
use crate::paged::Paged;
use crate::runs::Run;
use crate::stream::{Held, Shared, Stream};
use crate::{StateName, StreamId};

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// Where its body begins in the segment file.
    pub(crate) offset: u32,
}

/// All streams of a log.
#[derive(Default)]
pub(crate) struct Index {
    by_id: IdTable,
    slots: Paged<Stream>,
    free: Vec<u32>,
    pub(crate) shared: Shared,
    /// The streams of the batch that is being checked.
    pending: Vec<Pending>,
    /// During recovery: a hole that could not say whom it hit. Every stream may have lost something in it.
    doubt: Option<Damage>,
}

/// Where the stream of a slot will begin and end once the batch that is being checked has taken effect.
#[derive(Clone, Copy, Debug)]
struct Pending {
    slot: u32,
    base: u64,
    last: u64,
}

impl Index {
    /// The stream of this number, unless nothing is known about it.
    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        let slot = self.by_id.get(id.0)?;
        Some(&self.slots[slot]).filter(|stream| !stream.is_blank())
    }

    /// The stream of this number, to be changed.
    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<(&mut Stream, &mut Shared)> {
        let slot = self.by_id.get(id.0)?;
        Some((&mut self.slots[slot], &mut self.shared))
    }

    /// The numbers of all streams, sorted.
    pub(crate) fn ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<_> =
            self.slots.iter().filter(|stream| !stream.is_blank()).map(|stream| stream.id).collect();
        ids.sort();
        ids
    }

    /// The numbers of the streams that were hit by damage, sorted.
    pub(crate) fn damaged(&self) -> Vec<StreamId> {
        let hit = |id: &StreamId| self.get(*id).is_some_and(|stream| stream.damaged().is_some());
        self.ids().into_iter().filter(hit).collect()
    }

    /// What is known about a stream, for somebody else.
    pub(crate) fn info(&self, id: StreamId) -> Option<StreamInfo> {
        let (stream, pool) = (self.get(id)?, &self.shared.pool);
        let (last_index, last_term) = stream.last(pool);
        Some(StreamInfo {
            base_index: stream.base.0,
            base_term: stream.base.1,
            last_index,
            last_term,
            hard_state: stream.hard_state.as_ref().map_or_else(Bytes::new, Held::copy),
            runs: stream.terms(pool),
            damaged: stream.damaged().cloned(),
        })
    }

    /// A named state of a stream, for somebody else.
    pub(crate) fn state(&self, id: StreamId, name: StateName) -> Option<Bytes> {
        let states = self.get(id)?.states();
        states.iter().find(|(other, _)| *other == name.0).map(|(_, held)| held.copy())
    }

    /// A stretch of the streams from a slot on, for passes that must not hold the lock for long; empty behind the last.
    pub(crate) fn stretch(&mut self, from: usize) -> (&mut [Stream], &mut Shared) {
        (self.slots.rest_of_page(from), &mut self.shared)
    }

    /// Does something with every stream.
    pub(crate) fn each(&mut self, mut work: impl FnMut(&mut Stream, &mut Shared)) {
        let mut from = 0;
        while let (stretch @ [_, ..], shared) = self.stretch(from) {
            from += stretch.len();
            stretch.iter_mut().for_each(|stream| work(stream, shared));
        }
    }

    /// Checks a batch against what stands, and finds the slot of each of its records. Changes nothing that
    /// counts.
    pub(crate) fn check(&mut self, heads: &[RecordHead], slots: &mut Vec<u32>) -> Result<(), WalError> {
        slots.clear();
        self.pending.clear();
        self.by_id.warm(heads.iter().map(|head| head.stream));
        for head in heads {
            let slot = self.slot(head.stream);
            slots.push(slot);
            foresee(head, self.pending(slot))
                .map_err(|what| WalError::Misuse { stream: StreamId(head.stream), what })?;
        }
        Ok(())
    }

    /// The entry of a slot in the list of the batch. A stream remembers its place there; that it is of this batch shows by
    /// what stands in it.
    fn pending(&mut self, slot: u32) -> &mut Pending {
        let stream = &mut self.slots[slot];
        let known = self.pending.get(stream.pending as usize).is_some_and(|pending| pending.slot == slot);
        if !known {
            stream.pending = self.pending.len() as u32;
            let last = stream.last(&self.shared.pool).0;
            self.pending.push(Pending { slot, base: stream.base.0, last });
        }
        &mut self.pending[stream.pending as usize]
    }

    /// The slot of a stream; a new one if it has none.
    pub(crate) fn slot(&mut self, id: u64) -> u32 {
        if let Some(slot) = self.by_id.get(id) {
            return slot;
        }
        let mut stream = Stream::new(StreamId(id));
        if let Some(damage) = &self.doubt {
            stream.set_damaged(damage, &mut self.shared);
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = stream;
                slot
            }
            None => self.slots.push(stream),
        };
        self.by_id.insert(id, slot);
        slot
    }

    /// A record takes effect.
    pub(crate) fn apply(&mut self, slot: u32, head: &RecordHead, place: Place, body: &[u8]) {
        let (stream, shared) = (&mut self.slots[slot], &mut self.shared);
        match head.kind {
            Kind::Entries => stream.put_run(run_of(head, place), shared),
            Kind::Carried => stream.put_carried(run_of(head, place), shared),
            Kind::HardState => stream.set_hard_state(place.segment, body, shared),
            Kind::State => stream.set_state(head.name, Held::new(place.segment, body), shared),
            Kind::Truncate => stream.truncate(head.index, shared),
            Kind::Compact => stream.compact((head.index, head.term), place.segment, shared),
            Kind::Restart => stream.restart((head.index, head.term), place.segment, shared),
            Kind::Remove => stream.clear(shared),
        }
    }

    /// A hard state was written a second time, in the frame after its own.
    pub(crate) fn repeat(&mut self, slot: u32, place: Place, body: &[u8]) {
        self.slots[slot].set_hard_state(place.segment, body, &mut self.shared);
    }

    /// Gives back the slot of a stream about which nothing is known any more.
    pub(crate) fn forget_if_blank(&mut self, slot: u32) {
        let stream = &self.slots[slot];
        if stream.is_blank() && self.by_id.get(stream.id.0) == Some(slot) {
            self.by_id.remove(stream.id.0);
            self.free.push(slot);
        }
    }

    /// Recovery: these streams, or all of them, were hit.
    pub(crate) fn damage(&mut self, streams: Option<&[u64]>, damage: &Damage) {
        match streams {
            Some(streams) => {
                for id in streams {
                    let slot = self.slot(*id);
                    self.slots[slot].set_damaged(damage, &mut self.shared);
                }
            }
            None => {
                self.each(|stream, shared| stream.set_damaged(damage, shared));
                self.doubt = Some(damage.clone());
            }
        }
    }

    /// Recovery is through: every stream is made whole or marked.
    pub(crate) fn settle(&mut self, damage: &Damage) {
        self.each(|stream, shared| {
            if stream.cut_at_hole(shared).is_some() {
                let lost = Damage { what: DamagedPart::Entries, ..damage.clone() };
                stream.set_damaged(&lost, shared);
            }
        });
        self.doubt = None;
        for slot in 0..self.slots.len() as u32 {
            self.forget_if_blank(slot);
        }
    }
}

/// Whether a record makes sense, and where the stream will stand after it.
fn foresee(head: &RecordHead, at: &mut Pending) -> Result<(), Misuse> {
    match head.kind {
        Kind::Entries => {
            if head.index > at.last + 1 {
                return Err(Misuse::Gap { last: at.last, first: head.index });
            }
            above_base(head.index, at.base)?;
            at.last = head.index + u64::from(head.count) - 1;
        }
        Kind::Truncate => {
            above_base(head.index, at.base)?;
            at.last = at.last.min(head.index - 1);
        }
        Kind::Compact => {
            if head.index > at.last {
                return Err(Misuse::BeyondEnd { last: at.last, index: head.index });
            }
            at.base = at.base.max(head.index);
        }
        Kind::Restart => (at.base, at.last) = (head.index, head.index),
        Kind::Remove => (at.base, at.last) = (0, 0),
        Kind::Carried | Kind::HardState | Kind::State => {}
    }
    Ok(())
}

fn above_base(index: u64, base: u64) -> Result<(), Misuse> {
    if index <= base { Err(Misuse::BelowBase { base, index }) } else { Ok(()) }
}

fn run_of(head: &RecordHead, place: Place) -> Run {
    Run {
        first: head.index,
        term: head.term,
        segment: place.segment,
        offset: place.offset,
        bytes: head.body_bytes,
        count: head.count,
        skip: 0,
    }
}

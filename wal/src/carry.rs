//! Carrying forward: what idle streams still need is written again at the head, so that old segments come
//! free.
//!
//! What is carried is looked up again under the append lock and written only if it still stands where it
//! stood: a carried record can neither overwrite something newer nor bring back something forgotten, and it
//! never truncates.

use bytes::Bytes;
use parking_lot::MutexGuard;

use crate::StreamId;
use crate::batch::Batch;
use crate::error::{Damage, DamagedPart, WalError};
use crate::index::Index;
use crate::log::Wal;
use crate::mutant::{Build, Mutant};
use crate::read;
use crate::runs::{Run, RunPool};
use crate::stream::Stream;
use crate::{Lsn, StateName};

/// How many segments one call may free at most.
const SEGMENTS_MAX: u64 = 8;

/// How many segments are on their way out of the log while the next are being freed.
const RECYCLING_SEGMENTS: usize = 2;

/// One thing that keeps an old segment.
enum Pin {
    HardState,
    /// A named state, and how long it was.
    State(u8, u64),
    Base,
    Run(Run, Vec<Bytes>),
}

impl Wal {
    /// Carries forward what pins the oldest segments, if the log is longer than it should be; says how many
    /// things.
    pub(crate) fn carry_forward(&self) -> Result<usize, WalError> {
        let Some(through) = self.segments_to_free() else { return Ok(0) };
        let mut pins = Vec::new();
        let mut from = 0;
        loop {
            let mut catalog = self.catalog.write();
            let (stretch, shared) = catalog.index.stretch(from);
            if stretch.is_empty() {
                break;
            }
            from += stretch.len();
            for stream in stretch.iter_mut().filter(|stream| stream.damaged().is_none()) {
                collect((stream, &shared.pool), through, self.config.carry_entry_bytes_max, &mut pins);
            }
        }
        self.load_runs(&mut pins);
        self.write_pins(&pins)
    }

    /// The newest segment that should come free: `None` when the log is short enough.
    fn segments_to_free(&self) -> Option<u32> {
        let active = self.head.lock().active.number;
        let catalog = self.catalog.read();
        let live = &catalog.index.shared.live;
        // Carrying begins early: what it frees is recycled two rounds of chores later.
        let slack = self.config.slack_segments.saturating_sub(RECYCLING_SEGMENTS) as u64;
        let allowed = live.bytes() * 2 + slack * self.config.segment_bytes;
        let excess = (live.len() as u64 * self.config.segment_bytes).checked_sub(allowed)?;
        // On a full disk one at a time: what is carried must fit into the reserve.
        let most = if self.is_short_of_space() { 1 } else { SEGMENTS_MAX };
        let count = (excess / self.config.segment_bytes).clamp(1, most) as usize;
        live.iter().take(count).map(|segment| segment.number).filter(|number| *number < active).last()
    }

    /// Reads the entries to be carried. A stream whose entries cannot be read is marked and left where it is.
    fn load_runs(&self, pins: &mut Vec<(StreamId, Pin)>) {
        pins.retain_mut(|(stream, pin)| {
            let Pin::Run(run, payloads) = pin else { return true };
            let Some(part) = read::read_run(&self.catalog.read(), *stream, run) else { return false };
            match part.payloads(*stream) {
                Ok(read) => {
                    *payloads = read;
                    true
                }
                Err(_) => {
                    self.mark_damaged(*stream, run);
                    false
                }
            }
        });
    }

    fn mark_damaged(&self, stream: StreamId, run: &Run) {
        let mut catalog = self.catalog.write();
        let at = catalog.table.get(run.segment).map_or(Lsn(0), |row| Lsn(row.segment.start));
        if let Some((stream, shared)) = catalog.index.get_mut(stream) {
            let damage = Damage { at, segment: u64::from(run.segment), what: DamagedPart::Entries };
            stream.set_damaged(&damage, shared);
        }
    }

    fn write_pins(&self, pins: &[(StreamId, Pin)]) -> Result<usize, WalError> {
        let frame_bytes = self.config.carry_frame_bytes.min(self.config.frame_bytes_max());
        let mut carried = 0;
        let mut left = pins;
        let mut batch = Batch::new();
        while !left.is_empty() {
            let mut head = self.head.lock();
            batch.clear();
            let mut taken = 0;
            for (stream, pin) in left {
                if !batch.is_empty() && batch.bytes() + pin.bytes_max() > frame_bytes {
                    break;
                }
                compose(&self.catalog.read().index, (*stream, pin), &mut batch, self.build);
                taken += 1;
            }
            if !batch.is_empty() {
                carried += batch.heads.len();
                self.append_frame(&mut head, &batch)?;
            }
            // Whoever waits to append comes next: taking the lock again at once would keep it from them.
            MutexGuard::unlock_fair(head);
            left = &left[taken..];
        }
        Ok(carried)
    }
}

impl Pin {
    fn bytes_max(&self) -> u64 {
        let head = crate::format::RECORD_OVERHEAD_BYTES;
        match self {
            Pin::HardState => head + crate::config::HARD_STATE_BYTES_MAX as u64,
            Pin::State(_, bytes) => head + bytes,
            Pin::Base => head,
            Pin::Run(run, _) => head + u64::from(run.bytes),
        }
    }
}

/// Notes what keeps segments through `through` because of this stream.
fn collect(
    (stream, pool): (&mut Stream, &RunPool),
    through: u32,
    entry_bytes_max: u64,
    pins: &mut Vec<(StreamId, Pin)>,
) {
    let id = stream.id;
    if stream.base_segment != 0 && stream.base_segment <= through {
        pins.push((id, Pin::Base));
    }
    if stream.hard_state.as_ref().is_some_and(|held| held.segment <= through) {
        pins.push((id, Pin::HardState));
    }
    for (name, held) in stream.states() {
        if held.segment <= through {
            pins.push((id, Pin::State(*name, held.bytes.len() as u64)));
        }
    }
    let pinned = !stream.runs.is_empty()
        && stream.runs_oldest <= through
        && stream.oldest_run(pool).is_some_and(|oldest| oldest <= through);
    if pinned {
        let old = stream.runs.iter(pool).filter(|run| run.segment <= through);
        if old.clone().map(|run| u64::from(run.bytes)).sum::<u64>() <= entry_bytes_max {
            pins.extend(old.map(|run| (id, Pin::Run(*run, Vec::new()))));
        }
    }
}

/// Adds to the batch what still stands as it stood when it was collected; states are taken as they are now.
fn compose(index: &Index, (id, pin): (StreamId, &Pin), batch: &mut Batch, build: Build) {
    let Some(stream) = index.get(id) else { return };
    match pin {
        Pin::Base if stream.base_segment != 0 => batch.compact(id, stream.base.0, stream.base.1),
        Pin::Base => {}
        Pin::HardState => {
            if let Some(held) = &stream.hard_state {
                batch.hard_state(id, &held.bytes);
            }
        }
        Pin::State(name, _) => {
            if let Some((_, held)) = stream.states().iter().find(|(other, _)| other == name) {
                batch.state(id, StateName(*name), &held.bytes);
            }
        }
        Pin::Run(run, payloads) => {
            let payloads = payloads.iter().map(|payload| &payload[..]);
            if build.is(Mutant::CarriedReplaces) {
                batch.entries(id, run.first, run.term, payloads);
            } else if stream.holds(run, &index.shared.pool) || build.is(Mutant::CarriedStale) {
                batch.carried(id, run.first, run.term, payloads);
            }
        }
    }
}

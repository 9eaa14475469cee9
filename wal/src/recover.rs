//! From files to a log: which segments belong to it, what they hold, where it ends, and what was hit.
//!
//! The steps have the numbers they have in `docs/WAL_FORMAT.md`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::ahead::{self, Ahead, Checked, Work};
use crate::batch::Batch;
use crate::config::{PAGE_BYTES, WalConfig};
use crate::disk::{Disk, Reached};
use crate::error::{Damage, DamagedPart, WalError};
use crate::find::{self, Files, Found, Loaded};
use crate::format::{Before, Fault, Kind};
use crate::index::Place;
use crate::log::{Catalog, Wal};
use crate::mutant::{Build, Mutant};
use crate::repeats::Repeats;
use crate::rewrite::{self, Kept};
use crate::scan::{Bodies, FoundFrame, FoundRecord, SegmentBytes};
use crate::segments::{Segment, Spares};
use crate::{Lsn, StreamId};

/// What opening the log found.
#[derive(Clone, Debug)]
pub struct OpenReport {
    /// Where the log was cut, if a frame was torn there. Nothing behind it was ever reported durable.
    pub torn_tail: Option<Lsn>,
    /// Streams that were hit by damage to durable bytes; `Wal::stream` says more about each.
    pub damaged: Vec<StreamId>,
    /// Where durable bytes are gone that name nobody, if anywhere. Every stream is marked then, and one that stood nowhere
    /// else is missing altogether.
    pub nameless: Option<Lsn>,
    /// Where bytes of the log were not what was written although nothing was lost with them: padding, a list of
    /// streams, the second copy of a hard state or of a segment's header. They are a sign of a disk that goes bad.
    pub blemishes: Vec<Lsn>,
    /// Files whose header page cannot be read. They are left alone, and every stream is in doubt while they
    /// are there.
    pub unreadable: Vec<String>,
    /// Segments that were read.
    pub segments: usize,
    /// Bytes of the log that were read and checked.
    pub bytes: u64,
    /// Bytes at the end that were not proven to be durable, and were made so.
    pub rewritten_bytes: u64,
    /// Whether these were read from the medium itself. `Cache` means that the file system has no direct
    /// reads: after a failed sync, reboot before opening such a log.
    pub reached: Reached,
}

/// A log being recovered.
pub(crate) struct Recovery {
    pub(crate) catalog: Catalog,
    pub(crate) report: OpenReport,
    /// What is proven to be durable.
    pub(crate) proven: u64,
    /// What lies above that, frame by frame.
    pub(crate) tail: Vec<Kept>,
    /// What the first frame written from now on will repeat.
    pub(crate) last: Repeats,
    /// A hole that was found, and not judged yet: the next whole frame says more about it.
    hole: Option<Hole>,
    /// The position after the last frame that counts.
    at: u64,
    build: Build,
    /// The first segment of the log, as its frames say: nothing older is needed.
    said_start: u32,
    /// Segments in which something is missing.
    lost: Vec<u32>,
}

/// The number of the segment that a frame stands in, and where the bodies of its records are.
type Origin<'a> = (u32, Bodies<'a>);

/// Durable bytes that are no frame.
struct Hole {
    lsns: Range<u64>,
    /// Where a frame that left out the rest of a page would begin in it.
    page: u64,
    segment: u32,
    /// Whom it was about, if the trailers in it tell.
    streams: Option<Vec<u64>>,
}

/// Opens or begins the log in a directory.
pub(crate) fn open(disk: Arc<dyn Disk>, config: WalConfig) -> Result<(Wal, OpenReport), WalError> {
    let (mut files, mut recovery) = read(&*disk, &config)?;
    let build = config.build();
    for name in &files.stale {
        disk.remove(name).map_err(|error| WalError::io("removing", name, error))?;
    }
    let kept = files.chain.partition_point(|found| found.header.start < recovery.proven);
    let cut_off = files.chain.split_off(kept);
    if !build.is(Mutant::GroundNotSynced) {
        make_durable(&*disk, &files.chain)?;
    }
    let mut spares = Spares::new(std::mem::take(&mut files.free), &files.names, build);
    let log_start = recovery.log_start(&files);
    let fresh = rewrite::tail(&*disk, &config, &mut recovery, &mut spares, &files, log_start)?;
    // Only now, with the fresh segment durable, does nobody need what it was written from.
    let whole = |found: &Found| found.bytes == config.segment_bytes;
    spares.ready.extend(cut_off.into_iter().filter(whole).map(|found| found.file));
    let report = recovery.report.clone();
    let wal = Wal {
        disk,
        log: fresh.log,
        maintaining: Default::default(),
        syncing: Default::default(),
        appended: AtomicU64::new(fresh.head.end),
        durable: AtomicU64::new(fresh.head.end),
        head: parking_lot::Mutex::new(fresh.head),
        catalog: parking_lot::RwLock::new(recovery.catalog),
        spares: parking_lot::Mutex::new(spares),
        syncs: AtomicU64::new(0),
        poison: Default::default(),
        is_short: Default::default(),
        build,
        config,
    };
    Ok((wal, report))
}

/// Steps 1 to 5: what the files say, and nothing changed in them.
pub(crate) fn read(disk: &dyn Disk, config: &WalConfig) -> Result<(Files, Recovery), WalError> {
    let mut files = find::files(disk, config)?;
    let mut recovery = Recovery::of(&files, config)?;
    if let Some(last) = recovery.overwritten() {
        // It, and all before it, were recycled already, and in part written over: they are no part of the log.
        let gone = files.chain.partition_point(|found| found.header.number <= last);
        let gone = files.chain.drain(..gone).filter(|found| found.bytes == config.segment_bytes);
        files.free.extend(gone.map(|found| found.file));
        recovery = Recovery::of(&files, config)?;
    }
    Ok((files, recovery))
}

/// Names and headers that were found may be known to the page cache alone, if a process ended between writing and
/// syncing them. The fresh segment builds on them, so they come first.
fn make_durable(disk: &dyn Disk, chain: &[Found]) -> Result<(), WalError> {
    for Found { file, .. } in chain {
        file.file.sync().map_err(|error| WalError::io("syncing", &file.name, error))?;
    }
    disk.sync_dir().map_err(|error| WalError::io("syncing", "the directory", error))
}

impl Recovery {
    /// Steps 3 to 5.
    fn of(files: &Files, config: &WalConfig) -> Result<Recovery, WalError> {
        let build = config.build();
        let mut recovery = Recovery::new(files, build);
        recovery.prove(files);
        let durable = recovery.durable_segments(files);
        match ahead::pool(config, durable.len()) {
            None => recovery.replay(files, None)?,
            Some(pool) => {
                let (work, window) = (Work::new(durable, build), pool.current_num_threads() + 1);
                pool.in_place_scope(|scope| {
                    recovery.replay(files, Some(Ahead::begin(scope, &work, window)))
                })?;
            }
        }
        recovery.settle(files);
        Ok(recovery)
    }

    /// The newest segment that is not whole although the log begins after it.
    fn overwritten(&self) -> Option<u32> {
        self.lost.iter().copied().filter(|number| *number < self.said_start).max()
    }

    fn new(files: &Files, build: Build) -> Recovery {
        let report = OpenReport {
            torn_tail: None,
            damaged: Vec::new(),
            nameless: None,
            blemishes: files
                .chain
                .iter()
                .filter(|found| found.is_half)
                .map(|found| Lsn(found.header.start))
                .collect(),
            unreadable: files.unreadable.clone(),
            segments: files.chain.len(),
            bytes: 0,
            rewritten_bytes: 0,
            reached: files.reached,
        };
        let at = files.chain.first().map_or(0, |found| found.header.start);
        Recovery {
            catalog: Catalog::default(),
            report,
            proven: 0,
            tail: Vec::new(),
            last: Repeats::default(),
            hole: None,
            at,
            build,
            said_start: 0,
            lost: Vec::new(),
        }
    }

    /// Step 3: the highest position that any whole frame or header calls durable. No segment says more than
    /// the newest: its header alone says all that older ones can.
    fn prove(&mut self, files: &Files) {
        let Some(newest) = files.chain.last() else { return };
        self.proven = newest.header.durable;
        for head in &files.newest {
            self.proven = self.proven.max(head.place.durable);
            if self.build.is(Mutant::LaterFrameProves) {
                self.proven = self.proven.max(head.place.lsn);
            }
        }
    }

    /// The oldest segments, as far as they are durable as a whole, and how much of each belongs to the log.
    fn durable_segments<'f>(&self, files: &'f Files) -> Vec<(&'f Found, u64)> {
        let pairs = files.chain.windows(2).map(|pair| (&pair[0], ahead::length(&pair[0], Some(&pair[1]))));
        pairs.take_while(|(found, length)| found.header.start + length - PAGE_BYTES <= self.proven).collect()
    }

    /// Step 4: every segment from the oldest on, until the log ends.
    fn replay(&mut self, files: &Files, mut ahead: Option<Ahead<'_, '_>>) -> Result<(), WalError> {
        if let Some(missing) = files.missing_start {
            self.catalog.index.shared.live.push(missing);
            self.lose_all(missing);
        }
        for (n, found) in files.chain.iter().enumerate() {
            if found.header.start > self.at {
                if self.at >= self.proven {
                    break;
                }
                // A segment between is gone, or the file of the last one is shorter than it was.
                self.judge_hole(None);
                let gone = found.header.number - 1;
                if self.catalog.index.shared.live.iter().last().is_none_or(|last| last.number < gone) {
                    self.catalog.index.shared.live.push(gone);
                }
                self.lose_all(gone);
                self.at = found.header.start;
            }
            let next = files.chain.get(n + 1);
            if found.header.start < self.proven {
                self.enlist(found);
            }
            if let Some(checked) = ahead.as_mut().and_then(|ahead| ahead.take(n))
                && self.replay_checked(found.header.number, &checked)
            {
                continue;
            }
            let newest = next.is_none().then_some(files);
            if !self.replay_segment(found, ahead::length(found, next), newest)? {
                break;
            }
        }
        Ok(())
    }

    fn enlist(&mut self, found: &Found) {
        let segment = Segment {
            number: found.header.number,
            start: found.header.start,
            salt: found.header.salt,
            file: found.file.clone(),
        };
        self.catalog.index.shared.live.push(segment.number);
        self.catalog.table.push(Arc::new(segment), None, 0);
    }

    /// Lets what was read ahead take effect; says whether that was all of the segment.
    fn replay_checked(&mut self, segment: u32, checked: &Checked) -> bool {
        for (after, frame) in &checked.frames {
            if self.at != *after {
                return false;
            }
            // What is durable is never torn.
            self.take(frame, (segment, Bodies::States(&checked.states)));
        }
        checked.is_all
    }

    /// Reads one segment, what is not proven past the page cache; says whether the log goes on in the next. If it is the
    /// newest, `newest` has what the page cache shows of it.
    fn replay_segment(
        &mut self,
        found: &Found,
        length: u64,
        newest: Option<&Files>,
    ) -> Result<bool, WalError> {
        let end = found.header.start + length - PAGE_BYTES;
        let direct = (end > self.proven && !self.build.is(Mutant::ReadFromCache))
            .then(|| PAGE_BYTES + self.proven.saturating_sub(found.header.start).min(length - PAGE_BYTES));
        let cached = newest.and_then(|files| files.newest_bytes.lock().take());
        let mut loaded = Loaded::new(found, length, direct, cached);
        while self.at < end {
            if loaded.reached == Reached::Cache {
                self.report.reached = Reached::Cache;
            }
            let view = SegmentBytes::of(found, loaded.bytes(), self.build);
            match view.follow_whole(self.at) {
                Ok(frame) => {
                    if !self.take(&frame, (view.number, view.bodies())) {
                        self.report.torn_tail = Some(Lsn(self.at));
                        return Ok(false);
                    }
                }
                Err(Fault::Newer(version)) => return Err(find::newer(&found.file.name, version)),
                Err(Fault::Invalid)
                    if !loaded.is_all() && (self.at < self.proven || view.may_follow(self.at)) =>
                {
                    loaded.read_more();
                }
                Err(Fault::Invalid) if self.at < self.proven && self.build.is(Mutant::DamageIsTorn) => {
                    self.proven = self.at;
                    return Ok(false);
                }
                Err(Fault::Invalid) if self.at < self.proven => self.skip_hole(&view, found),
                Err(Fault::Invalid) => {
                    let unread = newest.filter(|_| !loaded.is_all());
                    let torn = newest.is_none()
                        || view.has_remains(self.at)
                        || unread.is_some_and(|files| files.shows_beyond(self.at));
                    self.report.torn_tail = torn.then_some(Lsn(self.at));
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A frame with a whole head. `false` when it is torn and the log ends before it.
    fn take(&mut self, frame: &FoundFrame, from: Origin<'_>) -> bool {
        let proven = frame.head.place.lsn < self.proven;
        if !proven && !frame.whole && !self.build.is(Mutant::TornFrameKept) {
            return false;
        }
        self.judge_hole(Some(frame));
        if proven {
            // What begins before a durable position was durable as a whole.
            self.proven = self.proven.max(frame.head.place.lsn + u64::from(frame.head.length));
            self.apply(frame, from);
            self.note_last(frame, from);
        } else {
            self.keep_for_rewrite(frame, from);
        }
        if !frame.whole && frame.records.iter().all(|record| record.whole || record.is_repeat) {
            self.report.blemishes.push(Lsn(frame.head.place.lsn));
        }
        self.said_start = self.said_start.max(frame.head.place.log_start);
        let next = frame.head.place.lsn + u64::from(frame.head.length);
        self.report.bytes += next - self.at;
        self.at = next;
        true
    }

    fn apply(&mut self, frame: &FoundFrame, (segment, bodies): Origin<'_>) {
        for record in &frame.records {
            if record.is_repeat {
                self.apply_repeat(record, (segment, bodies));
                continue;
            }
            if !record.whole {
                let what =
                    if record.head.kind.is_run() { DamagedPart::Entries } else { DamagedPart::Anything };
                self.lost.push(segment);
                let damage = Damage { at: Lsn(frame.head.place.lsn), segment: u64::from(segment), what };
                self.catalog.index.damage(Some(&[record.head.stream]), &damage);
                // What these entries replaced is gone, whatever they were.
                if record.head.kind == Kind::Entries {
                    let slot = self.catalog.index.slot(record.head.stream);
                    let truncate = crate::format::RecordHead { kind: Kind::Truncate, ..record.head };
                    self.catalog.index.apply(slot, &truncate, Place { segment, offset: 0 }, &[]);
                }
                continue;
            }
            let slot = self.catalog.index.slot(record.head.stream);
            let place = Place { segment, offset: record.offset };
            self.catalog.index.apply(slot, &record.head, place, bodies.of(record));
        }
    }

    /// Notes what the next frame would repeat of this one, if it is the last.
    fn note_last(&mut self, frame: &FoundFrame, (_, bodies): Origin<'_>) {
        let own = frame.records.iter().filter(|record| record.whole && !record.is_repeat);
        self.last.follow_each(own.map(|record| (&record.head, bodies.of(record))), frame.head.length);
        if !frame.whole {
            self.last.before = Before::default();
        }
    }

    fn apply_repeat(&mut self, record: &FoundRecord, (segment, bodies): Origin<'_>) {
        if record.whole {
            let slot = self.catalog.index.slot(record.head.stream);
            let place = Place { segment, offset: record.offset };
            self.catalog.index.repeat(slot, place, bodies.of(record));
        }
    }

    fn keep_for_rewrite(&mut self, frame: &FoundFrame, (_, bodies): Origin<'_>) {
        if frame.records.is_empty() {
            self.last.before = Before::default();
            return;
        }
        let mut kept = Kept { repeats: Batch::new(), records: Batch::new(), before: self.last.before };
        for record in &frame.records {
            let batch = if record.is_repeat { &mut kept.repeats } else { &mut kept.records };
            batch.copy(frame.head.place.salt, &record.head, bodies.of(record));
        }
        self.last.follow(kept.records.records(), frame.head.length);
        self.tail.push(kept);
    }

    /// Bytes that were durable are no frame. What they were about is marked, and the log goes on behind them.
    fn skip_hole(&mut self, view: &SegmentBytes<'_>, found: &Found) {
        self.judge_hole(None);
        let known_end = view.end().min(self.proven);
        let next = view.search(self.at).map(|head| head.place.lsn - u64::from(head.place.gap));
        let end = next.filter(|next| (self.at + 1..=known_end).contains(next)).unwrap_or(known_end);
        let streams = view.streams_of_hole(self.at..end);
        self.hole = Some(Hole {
            lsns: self.at..end,
            page: view.page_after(self.at),
            segment: found.header.number,
            streams,
        });
        self.at = end;
    }

    /// Marks whom a hole hit. The frame that follows may say that it was one frame with nothing in it but entries and
    /// hard states, and has the hard states once more: then no more than entries are lost.
    fn judge_hole(&mut self, next: Option<&FoundFrame>) {
        let Some(hole) = self.hole.take() else { return };
        if self.build.is(Mutant::HoleMarksNobody) {
            return;
        }
        let is_plain = next.is_some_and(|next| {
            let place = &next.head.place;
            let before = hole.lsns.end.checked_sub(u64::from(place.before.length));
            let starts = [hole.lsns.start, hole.page];
            let follows = place.lsn - u64::from(place.gap) == hole.lsns.end;
            let mut repeats = next.records.iter().filter(|record| record.is_repeat);
            let is_one = before.is_some_and(|before| starts.contains(&before));
            follows && is_one && place.before.is_plain && repeats.all(|repeat| repeat.whole)
        });
        let what = if is_plain { DamagedPart::Entries } else { DamagedPart::Anything };
        let damage = Damage { at: Lsn(hole.lsns.start), segment: u64::from(hole.segment), what };
        self.mark(hole.streams.as_deref(), &damage);
    }

    /// Nobody knows what stood here.
    fn lose_all(&mut self, segment: u32) {
        let damage = Damage { at: Lsn(self.at), segment: u64::from(segment), what: DamagedPart::Anything };
        self.mark(None, &damage);
    }

    fn mark(&mut self, streams: Option<&[u64]>, damage: &Damage) {
        self.lost.push(damage.segment as u32);
        if streams.is_none() {
            self.report.nameless.get_or_insert(damage.at);
        }
        self.catalog.index.damage(streams, damage);
    }

    /// Step 5: the end of the log is known; streams that are not whole are marked.
    fn settle(&mut self, files: &Files) {
        self.judge_hole(None);
        let newest = files.chain.last().map_or(0, |found| found.header.number);
        if !files.unreadable.is_empty() || self.at < self.proven {
            self.lose_all(newest);
        }
        self.at = self.proven;
    }

    fn log_start(&self, files: &Files) -> u32 {
        let oldest = self.catalog.index.shared.live.iter().next().map(|segment| segment.number);
        oldest.unwrap_or(files.next_number)
    }

    /// After the tail was rewritten: whoever has a hole is marked, and the report is complete.
    pub(crate) fn finish(&mut self, newest: u32) {
        let damage = Damage { at: Lsn(self.proven), segment: u64::from(newest), what: DamagedPart::Entries };
        self.catalog.index.settle(&damage);
        self.report.damaged = self.catalog.index.damaged();
    }
}

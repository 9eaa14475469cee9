//! Reading and checking segments on all cores while recovery lets their records take effect in order.
//!
//! Only segments that are durable as a whole are read ahead: how the others are read depends on what those before them
//! say. What was checked here is what `SegmentBytes` says frame by frame; the twin is opening with one thread.

use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use crate::config::{PAGE_BYTES, WalConfig};
use crate::find::Found;
use crate::mutant::Build;
use crate::scan::{FoundFrame, SegmentBytes};

/// How much of a segment is read at a time, unless a frame is longer: it should stay in a core's cache. Of short segments,
/// less.
const PIECE_BYTES_MAX: u64 = 256 << 10;

/// More cores than this wait for the one that lets records take effect.
const THREADS_MAX: usize = 4;

/// The frames that follow each other from the start of a segment on, as far as they are whole.
#[derive(Default)]
pub(crate) struct Checked {
    /// Each with the position it follows on.
    pub(crate) frames: Vec<(u64, FoundFrame)>,
    /// The bodies of their states, one behind the other.
    pub(crate) states: Vec<u8>,
    /// Whether this is all that the segment holds.
    pub(crate) is_all: bool,
}

/// Where segments are read ahead; `None` when the caller's thread reads them one by one.
pub(crate) fn pool(config: &WalConfig, durable_segments: usize) -> Option<ThreadPool> {
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
    let threads = if config.open_threads == 0 { cores() } else { config.open_threads };
    if threads < 2 || durable_segments < 2 {
        return None;
    }
    // Without threads the log still opens, only slower.
    let named = |n| format!("skep-wal-open-{n}");
    ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build().ok()
}

/// Segments being read ahead of the one that takes them, a few at a time.
pub(crate) struct Ahead<'s, 'a> {
    scope: &'s Scope<'a>,
    work: &'a Work<'a>,
    /// The segments to be read, and what each of them is to become.
    waiting: Vec<Option<Receiver<Checked>>>,
    /// How many are read or wait to be taken at a time.
    window: usize,
}

/// What the threads share.
pub(crate) struct Work<'a> {
    /// Segments and how much of each belongs to the log.
    segments: Vec<(&'a Found, u64)>,
    build: Build,
}

impl<'a> Work<'a> {
    pub(crate) fn new(segments: Vec<(&'a Found, u64)>, build: Build) -> Work<'a> {
        Work { segments, build }
    }

    fn check(&self, n: usize) -> Checked {
        let (found, length) = self.segments[n];
        let mut pieces = Pieces { found, length, from: 0, bytes: Vec::new() };
        let mut checked = Checked::default();
        let mut at = found.header.start;
        let end = at + length - PAGE_BYTES;
        while at < end {
            match pieces.view(self.build).and_then(|view| view.follow_whole(at).ok()) {
                Some(frame) => {
                    let after = at;
                    at = frame.head.place.lsn + u64::from(frame.head.length);
                    checked.push(after, frame, &pieces);
                }
                // The frame may reach beyond the piece, or nothing was read yet.
                None if pieces.read(at) => {}
                None => return checked,
            }
        }
        checked.is_all = true;
        checked
    }
}

impl Checked {
    fn push(&mut self, after: u64, mut frame: FoundFrame, pieces: &Pieces<'_>) {
        for record in &mut frame.records {
            if !record.head.kind.is_run() {
                let start = record.offset as usize;
                let body = &pieces.bytes[start..start + record.head.body_bytes as usize];
                record.state = self.states.len() as u32;
                self.states.extend_from_slice(body);
            }
            record.offset += pieces.from as u32;
        }
        self.frames.push((after, frame));
    }
}

/// A segment, read piece by piece, so that what is checked is still in the processor's cache.
struct Pieces<'a> {
    found: &'a Found,
    /// How much of the segment belongs to the log.
    length: u64,
    /// Where in the file the piece begins: with a page.
    from: u64,
    bytes: Vec<u8>,
}

impl Pieces<'_> {
    /// The piece, as if the segment began with it; the first page of it counts as the header.
    fn view(&self, build: Build) -> Option<SegmentBytes<'_>> {
        let header = &self.found.header;
        let (number, salt, start) = (header.number, header.salt, header.start + self.from);
        let view = SegmentBytes { number, salt, start, bytes: &self.bytes, build };
        (!self.bytes.is_empty()).then_some(view)
    }

    fn piece_bytes(&self) -> u64 {
        (self.found.header.segment_bytes / 256).clamp(2 * PAGE_BYTES, PIECE_BYTES_MAX)
    }

    /// Reads the piece that begins with the page before position `at`, or more of it if it begins there already. `false`
    /// if that is all there is, or cannot be read.
    fn read(&mut self, at: u64) -> bool {
        let from = (at - self.found.header.start) / PAGE_BYTES * PAGE_BYTES;
        let (rest, had) = (self.length - from, self.bytes.len() as u64);
        let is_longer = had > 0 && from == self.from;
        if is_longer && had == rest {
            return false;
        }
        let bytes = if is_longer { had * 2 } else { self.piece_bytes() }.min(rest);
        self.from = from;
        self.bytes.resize(bytes as usize, 0);
        let read = self.found.file.file.read_at(from, &mut self.bytes);
        matches!(read, Ok(read) if read as u64 == bytes)
    }
}

impl<'s, 'a> Ahead<'s, 'a> {
    pub(crate) fn begin(scope: &'s Scope<'a>, work: &'a Work<'a>, window: usize) -> Ahead<'s, 'a> {
        let waiting = work.segments.iter().map(|_| None).collect();
        let mut ahead = Ahead { scope, work, waiting, window };
        (0..window).for_each(|n| ahead.ask(n));
        ahead
    }

    fn ask(&mut self, n: usize) {
        let Some(slot) = self.waiting.get_mut(n) else { return };
        let (give, take) = channel();
        *slot = Some(take);
        let work = self.work;
        // Nobody takes it any more when the log turned out to end before.
        self.scope.spawn(move |_| drop(give.send(work.check(n))));
    }

    /// The segment of this number in the chain, if it was read ahead.
    pub(crate) fn take(&mut self, n: usize) -> Option<Checked> {
        let checked = self.waiting.get_mut(n)?.take()?.recv().ok();
        self.ask(n + self.window);
        checked
    }
}

/// How much of a segment belongs to the log: all of it, or through where the next one begins.
pub(crate) fn length(found: &Found, next: Option<&Found>) -> u64 {
    next.map_or(found.bytes, |next| {
        (PAGE_BYTES + next.header.start.saturating_sub(found.header.start)).min(found.bytes)
    })
}

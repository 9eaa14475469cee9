//! Which files of the directory are the log: their headers, and the chain they form.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::buffer::Buffer;
use crate::config::{PAGE_BYTES, WalConfig};
use crate::disk::{Disk, Reached};
use crate::error::WalError;
use crate::format::{FORMAT_VERSION, Fault, FrameHead, SegmentHeader};
use crate::mem_file::SECTOR_BYTES;
use crate::mutant::Mutant;
use crate::scan::SegmentBytes;
use crate::segments::{SegmentFile, is_segment_name};

/// So much is read past the page cache at first, of short segments less: on most starts nothing follows on what is known to
/// be durable.
const DIRECT_BYTES_MAX: usize = 256 << 10;

/// A file with a whole header.
pub(crate) struct Found {
    pub(crate) header: SegmentHeader,
    pub(crate) file: SegmentFile,
    /// The length of the file.
    pub(crate) bytes: u64,
    /// Whether one copy of the header is damaged.
    pub(crate) is_half: bool,
}

/// The files of a directory, sorted by what they are.
pub(crate) struct Files {
    /// The segments of the log, oldest first.
    pub(crate) chain: Vec<Found>,
    /// Files that hold nothing and can be used.
    pub(crate) free: Vec<SegmentFile>,
    /// Files that hold nothing and are of no use: preparing them was interrupted, or segments had another length.
    pub(crate) stale: Vec<String>,
    /// Files that hold something nobody can read.
    pub(crate) unreadable: Vec<String>,
    /// The names of all of them.
    pub(crate) names: Vec<String>,
    /// The identity of the log, unless there is none yet.
    pub(crate) log: Option<u128>,
    /// A segment before the chain that should be there.
    pub(crate) missing_start: Option<u32>,
    /// All frames with whole heads in the newest segment, as the page cache has them.
    pub(crate) newest: Vec<FrameHead>,
    /// The bytes that these were found in, for whoever reads that segment first.
    pub(crate) newest_bytes: Mutex<Option<Buffer>>,
    /// The next number that was never used.
    pub(crate) next_number: u32,
    /// Whether headers were read from the medium.
    pub(crate) reached: Reached,
}

impl Files {
    /// Whether the page cache shows a frame of the newest segment that begins here or later.
    pub(crate) fn shows_beyond(&self, lsn: u64) -> bool {
        self.newest.iter().any(|head| head.place.lsn >= lsn)
    }
}

/// Steps 1 and 2: reads all headers and finds the chain.
pub(crate) fn files(disk: &dyn Disk, config: &WalConfig) -> Result<Files, WalError> {
    let names = disk.list().map_err(|error| WalError::io("listing", "the directory", error))?;
    let names: Vec<String> = names.into_iter().filter(|name| is_segment_name(name)).collect();
    let mut files = Files {
        chain: Vec::new(),
        free: Vec::new(),
        stale: Vec::new(),
        unreadable: Vec::new(),
        names,
        log: None,
        missing_start: None,
        newest: Vec::new(),
        newest_bytes: Mutex::default(),
        next_number: 1,
        reached: Reached::Medium,
    };
    let mut found = BTreeMap::new();
    for name in files.names.clone() {
        read_header(disk, name, config, &mut files, &mut found)?;
    }
    check_one_log(&found)?;
    files.log = found.last_key_value().map(|(_, newest)| newest.header.log);
    files.next_number = found.last_key_value().map_or(1, |(number, _)| number + 1);
    if found.is_empty() && !files.unreadable.is_empty() {
        return Err(WalError::Foreign { file: files.unreadable.remove(0) });
    }
    link(found, config, &mut files)?;
    Ok(files)
}

fn read_header(
    disk: &dyn Disk,
    name: String,
    config: &WalConfig,
    files: &mut Files,
    found: &mut BTreeMap<u32, Found>,
) -> Result<(), WalError> {
    let file = disk.open(&name).map_err(|error| WalError::io("opening", &name, error))?;
    let bytes = file.len().map_err(|error| WalError::io("measuring", &name, error))?;
    let mut page = vec![0; PAGE_BYTES as usize];
    let read = file.read_direct(0, &mut page);
    if matches!(read, Ok((_, Reached::Cache))) {
        files.reached = Reached::Cache;
    }
    let file = SegmentFile { name, file };
    match SegmentHeader::decode(&page) {
        Ok(header) => {
            let name = file.name.clone();
            let is_half = SegmentHeader::has_damaged_copy(&page);
            match found.insert(header.number, Found { header, file, bytes, is_half }) {
                Some(_) => Err(WalError::Foreign { file: name }),
                None => Ok(()),
            }
        }
        Err(Fault::Newer(version)) => Err(newer(&file.name, version)),
        Err(Fault::Invalid) if read.is_err() || page.iter().any(|byte| *byte != 0) => {
            files.unreadable.push(file.name);
            Ok(())
        }
        // Blank: a file that was prepared, or was about to be when the process ended.
        Err(Fault::Invalid) if bytes == config.segment_bytes => {
            files.free.push(file);
            Ok(())
        }
        Err(Fault::Invalid) => {
            files.stale.push(file.name);
            Ok(())
        }
    }
}

fn check_one_log(found: &BTreeMap<u32, Found>) -> Result<(), WalError> {
    let Some((_, newest)) = found.last_key_value() else { return Ok(()) };
    match found.values().find(|other| other.header.log != newest.header.log) {
        Some(other) => Err(WalError::Foreign { file: other.file.name.clone() }),
        None => Ok(()),
    }
}

/// Walks back from the newest segment. What is not reached is free.
fn link(mut found: BTreeMap<u32, Found>, config: &WalConfig, files: &mut Files) -> Result<(), WalError> {
    let is_partial_enough = config.build().is(Mutant::GroupNotWhole);
    let complete = |header: &SegmentHeader| {
        is_partial_enough || (header.group.0..=header.group.1).all(|number| found.contains_key(&number))
    };
    let newest =
        found.values().rev().find(|candidate| complete(&candidate.header)).map(|found| found.header.number);
    let mut next = newest.unwrap_or(0);
    let mut log_start = 0;
    while next != 0 {
        let Some(segment) = found.remove(&next) else {
            // Gone because it was recycled, or gone because it was lost: frames say where the log begins.
            if log_start > next {
                break;
            }
            match found.range(..next).next_back() {
                Some((number, _)) => {
                    next = *number;
                    continue;
                }
                None => {
                    files.missing_start = Some(next);
                    break;
                }
            }
        };
        if log_start == 0 {
            let mut bytes = Buffer::new(segment.bytes as usize);
            read_cached(&segment, &mut bytes);
            files.newest = SegmentBytes::of(&segment, &bytes, config.build()).heads();
            let said = files.newest.iter().map(|head| head.place.log_start).max().unwrap_or(0);
            log_start = said.max(segment.header.log_start);
            files.newest_bytes = Mutex::new(Some(bytes));
        }
        next = segment.header.previous;
        files.chain.push(segment);
    }
    files.chain.reverse();
    files.free.extend(
        found.into_values().filter(|spare| spare.bytes == config.segment_bytes).map(|spare| spare.file),
    );
    Ok(())
}

/// The bytes of a segment as far as they are needed: through a place from the page cache, then from the medium.
pub(crate) struct Loaded<'f> {
    found: &'f Found,
    bytes: Buffer,
    /// Where those from the medium begin.
    direct: usize,
    /// So many were read.
    known: usize,
    pub(crate) reached: Reached,
}

impl<'f> Loaded<'f> {
    /// The first `length` bytes; those from `direct` on past the page cache, and of them only the first for now. What the page
    /// cache has of the whole segment may be at hand already.
    pub(crate) fn new(
        found: &'f Found,
        length: u64,
        direct: Option<u64>,
        cached: Option<Buffer>,
    ) -> Loaded<'f> {
        let direct = direct.unwrap_or(length) as usize;
        let cached = cached.filter(|cached| cached.len() as u64 == length);
        let bytes = cached.unwrap_or_else(|| {
            let mut bytes = Buffer::new(length as usize);
            read_cached(found, &mut bytes[..direct]);
            bytes
        });
        let mut loaded = Loaded { found, bytes, direct, known: direct, reached: Reached::Medium };
        loaded.read_more();
        loaded
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.known]
    }

    pub(crate) fn is_all(&self) -> bool {
        self.known == self.bytes.len()
    }

    /// Reads as much again from the medium as was read of it before.
    pub(crate) fn read_more(&mut self) {
        let first = (self.bytes.len() / 256).clamp(2 * PAGE_BYTES as usize, DIRECT_BYTES_MAX);
        let step = (self.known - self.direct).max(first);
        let (from, to) = (self.known, (self.known + step).min(self.bytes.len()));
        if from == to {
            return;
        }
        let file = &self.found.file.file;
        match file.read_direct(from as u64, &mut self.bytes[from..to]) {
            Ok((read, reached)) => {
                self.bytes[from + read..to].fill(0);
                if reached == Reached::Cache {
                    self.reached = reached;
                }
            }
            Err(_) => {
                self.bytes[from..to].fill(0);
                pieces(&mut self.bytes[from..to], from as u64, |offset, piece| {
                    file.read_direct(offset, piece).is_ok()
                });
            }
        }
        self.known = to;
    }
}

/// The first bytes of a segment from the page cache. What cannot be read is blank.
fn read_cached(found: &Found, bytes: &mut [u8]) {
    let file = &found.file.file;
    if !matches!(file.read_at(0, bytes), Ok(read) if read == bytes.len()) {
        pieces(bytes, 0, |offset, piece| file.read_at(offset, piece).is_ok());
    }
}

/// Reads piece by piece, so that a bad sector costs no more than the system makes it cost: often its page.
fn pieces(bytes: &mut [u8], from: u64, read: impl Fn(u64, &mut [u8]) -> bool) {
    for (n, page) in bytes.chunks_mut(PAGE_BYTES as usize).enumerate() {
        let at = from + n as u64 * PAGE_BYTES;
        if read(at, page) {
            continue;
        }
        for (n, sector) in page.chunks_mut(SECTOR_BYTES).enumerate() {
            if !read(at + (n * SECTOR_BYTES) as u64, sector) {
                sector.fill(0);
            }
        }
    }
}

/// The refusal of a file that a newer build wrote.
pub(crate) fn newer(file: &str, found: u32) -> WalError {
    WalError::NewerFormat { file: file.to_owned(), found, supported: FORMAT_VERSION }
}

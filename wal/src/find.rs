//! Which files of the directory are the log: their headers, and the chain they form.

use std::collections::BTreeMap;

use crate::config::{PAGE_BYTES, WalConfig};
use crate::disk::{Disk, Reached};
use crate::error::WalError;
use crate::format::{FORMAT_VERSION, Fault, SegmentHeader};
use crate::segments::{SegmentFile, is_segment_name};

/// A file with a whole header.
pub(crate) struct Found {
    pub(crate) header: SegmentHeader,
    pub(crate) file: SegmentFile,
    /// The length of the file.
    pub(crate) bytes: u64,
}

/// The files of a directory, sorted by what they are.
pub(crate) struct Files {
    /// The segments of the log, oldest first.
    pub(crate) chain: Vec<Found>,
    /// Files that hold nothing and can be used.
    pub(crate) free: Vec<SegmentFile>,
    /// Files that hold something nobody can read.
    pub(crate) unreadable: Vec<String>,
    /// The names of all of them.
    pub(crate) names: Vec<String>,
    /// The identity of the log, unless there is none yet.
    pub(crate) log: Option<u128>,
    /// A segment before the chain that should be there.
    pub(crate) missing_start: Option<u32>,
    /// The next number that was never used.
    pub(crate) next_number: u32,
    /// Whether headers were read from the medium.
    pub(crate) reached: Reached,
}

/// Steps 1 and 2: reads all headers and finds the chain.
pub(crate) fn files(disk: &dyn Disk, config: &WalConfig) -> Result<Files, WalError> {
    let names = disk.list().map_err(|error| WalError::io("listing", "the directory", error))?;
    let names: Vec<String> = names.into_iter().filter(|name| is_segment_name(name)).collect();
    let mut files = Files {
        chain: Vec::new(),
        free: Vec::new(),
        unreadable: Vec::new(),
        names,
        log: None,
        missing_start: None,
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
            match found.insert(header.number, Found { header, file, bytes }) {
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
            disk.remove(&file.name).map_err(|error| WalError::io("removing", &file.name, error))
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
    let complete =
        |header: &SegmentHeader| (header.group.0..=header.group.1).all(|number| found.contains_key(&number));
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
            log_start = said_log_start(&segment)?;
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

/// The highest first segment that the newest segment names.
fn said_log_start(newest: &Found) -> Result<u32, WalError> {
    let bytes = load(newest, newest.bytes, None)?.0;
    let header = &newest.header;
    let view = crate::scan::SegmentBytes {
        number: header.number,
        salt: header.salt,
        start: header.start,
        bytes: &bytes,
    };
    let said = view.heads().iter().map(|head| head.place.log_start).max().unwrap_or(0);
    Ok(said.max(header.log_start))
}

/// The bytes of a segment: from `direct` on past the page cache. Pages that cannot be read are blank.
pub(crate) fn load(found: &Found, length: u64, direct: Option<u64>) -> Result<(Vec<u8>, Reached), WalError> {
    let mut bytes = vec![0; length as usize];
    let mut reached = Reached::Medium;
    let cached = direct.unwrap_or(length) as usize;
    if !matches!(found.file.file.read_at(0, &mut bytes[..cached]), Ok(read) if read == cached) {
        pages(&mut bytes[..cached], 0, |offset, page| drop(found.file.file.read_at(offset, page)));
    }
    if let Some(from) = direct {
        match found.file.file.read_direct(from, &mut bytes[cached..]) {
            Ok((_, how)) => reached = how,
            Err(_) => pages(&mut bytes[cached..], from, |offset, page| {
                drop(found.file.file.read_direct(offset, page));
            }),
        }
    }
    Ok((bytes, reached))
}

/// Reads page by page, so that one bad sector costs one page.
fn pages(bytes: &mut [u8], from: u64, read: impl Fn(u64, &mut [u8])) {
    for (n, page) in bytes.chunks_mut(PAGE_BYTES as usize).enumerate() {
        page.fill(0);
        read(from + n as u64 * PAGE_BYTES, page);
    }
}

/// The refusal of a file that a newer build wrote.
pub(crate) fn newer(file: &str, found: u32) -> WalError {
    WalError::NewerFormat { file: file.to_owned(), found, supported: FORMAT_VERSION }
}

//! What a disk in memory has of a log for certain, followed from sync to sync.
//!
//! The obvious way to know it is to open a copy of the medium (`MemDisk::medium`) after every sync; this is its quick twin: it reads on
//! behind the last frame it knows, as opening would, and costs what was synced since. It knows nothing of what the log believes.

use crate::config::{PAGE_BYTES, WalConfig};
use crate::error::{Damage, DamagedPart, WalError};
use crate::find::Found;
use crate::format::SegmentHeader;
use crate::index::{Index, Place};
use crate::log::StreamInfo;
use crate::mem_disk::MemDisk;
use crate::recover;
use crate::scan::{FoundFrame, SegmentBytes};
use crate::segments::is_segment_name;
use crate::{Lsn, StateName, StreamId};

/// The streams of a log as they would be found if the power went now and nothing survived of what was not synced.
///
/// Good for one life of the process that writes the log: whoever opens the log writes its end again.
pub struct MediumLog {
    disk: MemDisk,
    config: WalConfig,
    index: Index,
    damaged: Vec<StreamId>,
    /// The segment that is being read, and its file; `None` while there is no log.
    segment: Option<(SegmentHeader, String)>,
    /// The position after the last frame.
    at: u64,
    /// The syncs of the disk when it was last looked at.
    syncs: (u64, u64),
    bytes: Vec<u8>,
}

impl MediumLog {
    /// Reads all that there is.
    pub fn new(disk: MemDisk, config: WalConfig) -> Result<MediumLog, WalError> {
        let mut log = MediumLog {
            disk,
            config,
            index: Index::default(),
            damaged: Vec::new(),
            segment: None,
            at: 0,
            syncs: (0, 0),
            bytes: Vec::new(),
        };
        log.begin()?;
        Ok(log)
    }

    fn begin(&mut self) -> Result<(), WalError> {
        self.syncs = self.syncs_now();
        let (files, recovery) = recover::read(&self.disk.medium(), &self.config)?;
        let at = recovery.proven;
        let newest = files.chain.iter().rev().find(|found| found.header.start <= at);
        self.segment = newest.map(|Found { header, file, .. }| (header.clone(), file.name.clone()));
        self.index = recovery.catalog.index;
        self.at = at;
        self.read_on();
        let number = files.chain.last().map_or(0, |newest| newest.header.number);
        let what = DamagedPart::Entries;
        self.index.settle(&Damage { at: Lsn(at), segment: u64::from(number), what });
        self.damaged = self.index.damaged();
        Ok(())
    }

    /// Reads what was synced since the last time; says whether anything was.
    pub fn catch_up(&mut self) -> Result<bool, WalError> {
        let syncs = self.syncs_now();
        if self.syncs == syncs {
            return Ok(false);
        }
        if self.segment.is_none() {
            self.begin()?;
        } else {
            self.syncs = syncs;
            self.read_on();
        }
        Ok(true)
    }

    fn syncs_now(&self) -> (u64, u64) {
        let counters = self.disk.counters();
        (counters.syncs, counters.dir_syncs)
    }

    fn read_on(&mut self) {
        while let Some((header, name)) = self.segment.clone() {
            self.read_segment(&header, &name);
            self.segment = Some(match self.next(&header) {
                Some(next) => next,
                None => return,
            });
        }
    }

    /// The whole frames that follow in a segment take effect.
    fn read_segment(&mut self, header: &SegmentHeader, name: &str) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(header.segment_bytes as usize, 0);
        let from = (PAGE_BYTES + self.at - header.start) as usize;
        self.disk.read_medium(name, from as u64, &mut bytes[from..]);
        let view = SegmentBytes {
            number: header.number,
            salt: header.salt,
            start: header.start,
            bytes: &bytes,
            build: self.config.build(),
        };
        while self.at < view.end()
            && let Some(frame) = view.follow_whole(self.at).ok().filter(|frame| frame.whole)
        {
            self.take(&frame, &view);
        }
        self.bytes = bytes;
    }

    fn take(&mut self, frame: &FoundFrame, view: &SegmentBytes<'_>) {
        for record in &frame.records {
            let (slot, body) = (self.index.slot(record.head.stream), view.bodies().of(record));
            let place = Place { segment: view.number, offset: record.offset };
            match record.is_repeat {
                true => self.index.repeat(slot, place, body),
                false => self.index.apply(slot, &record.head, place, body),
            }
        }
        self.at = frame.head.place.lsn + u64::from(frame.head.length);
    }

    /// The segment that goes on where this one ends.
    fn next(&self, after: &SegmentHeader) -> Option<(SegmentHeader, String)> {
        let names = self.disk.medium_names().into_iter().filter(|name| is_segment_name(name));
        let mut page = vec![0; PAGE_BYTES as usize];
        for name in names {
            self.disk.read_medium(&name, 0, &mut page);
            if let Ok(header) = SegmentHeader::decode(&page)
                && (header.log, header.previous, header.start) == (after.log, after.number, self.at)
            {
                return Some((header, name));
            }
        }
        None
    }

    /// What is known about a stream; `None` if it was never written, or was removed.
    pub fn stream(&self, stream: StreamId) -> Option<StreamInfo> {
        self.index.info(stream)
    }

    /// A named state of a stream.
    pub fn state(&self, stream: StreamId, name: StateName) -> Option<bytes::Bytes> {
        self.index.state(stream, name)
    }

    /// All streams, sorted by number.
    pub fn streams(&self) -> Vec<StreamId> {
        self.index.ids()
    }

    /// Streams that were hit by damage when all of it was read.
    pub fn damaged(&self) -> &[StreamId] {
        &self.damaged
    }
}

//! Checkpoint files in use: sections written in a stream, and read back with every byte checked.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use crc32fast::Hasher;
use skep_wal::{Disk, DiskFile};

use super::error::SnapshotError;
use super::format::{
    self, CHUNK_BYTES, END_BYTES, End, FileHeader, HEADER_BYTES, IndexItem, PREFIX_BYTES, TRAILER_BYTES,
};
use crate::apply::panic_text;
use crate::ids::{RegionId, StoreId};
use crate::machine::SnapshotSource;
use crate::message::SnapshotMeta;
use crate::raft::LogPos;

/// Where a section lies in its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SectionPlace {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Where its first chunk starts.
    pub(super) data: u64,
}

/// A file that is being written under a name of its own, and is not a checkpoint before it is finished and renamed.
pub(super) struct FileWriter {
    file: Arc<dyn DiskFile>,
    name: String,
    position: u64,
    index: Vec<IndexItem>,
    section: Option<Section>,
    buffer: Vec<u8>,
    /// The first error of the disk: told apart from those of whoever writes.
    failed: Option<io::Error>,
}

/// The section that is being written.
struct Section {
    region: RegionId,
    at: LogPos,
    offset: u64,
    data: u64,
    bytes: u64,
    hasher: Hasher,
    /// The checksum of everything up to the end of each chunk.
    crcs: Vec<u32>,
}

/// A section that was written.
pub(super) struct Written {
    pub(super) place: SectionPlace,
    pub(super) bytes: u64,
    pub(super) crcs: Vec<u32>,
}

impl FileWriter {
    pub(super) fn create(
        disk: &dyn Disk,
        name: &str,
        header: FileHeader,
    ) -> Result<FileWriter, SnapshotError> {
        let file = disk.create(name).map_err(SnapshotError::io("creating", name))?;
        file.write_at(0, &format::encode_header(header)).map_err(SnapshotError::io("writing", name))?;
        Ok(FileWriter {
            file,
            name: name.to_owned(),
            position: HEADER_BYTES as u64,
            index: Vec::new(),
            section: None,
            buffer: Vec::new(),
            failed: None,
        })
    }

    /// How long the file is by now.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Writes a whole section. An error of the disk ends the file; one of the state, or a panic in it, only the section.
    pub(super) fn write_state(
        &mut self,
        region: RegionId,
        meta: &SnapshotMeta,
        source: Box<dyn SnapshotSource>,
    ) -> Result<Written, SnapshotError> {
        self.begin(region, meta)?;
        let outcome = catch_unwind(AssertUnwindSafe(|| source.write_to(&mut *self)))
            .map_err(|panic| format!("it panicked: {}", panic_text(&*panic)))
            .and_then(|written| written.map_err(|error| error.to_string()));
        if let Some(error) = self.failed.take() {
            return Err(SnapshotError::io("writing", &self.name)(error));
        }
        if let Err(why) = outcome {
            self.abandon();
            return Err(SnapshotError::Source { region, why });
        }
        self.end()
    }

    /// Starts a section; what is written from now on goes into its chunks.
    pub(super) fn begin(&mut self, region: RegionId, meta: &SnapshotMeta) -> Result<(), SnapshotError> {
        let mut head = BytesMut::new();
        format::encode_section(region, meta, &mut head);
        let offset = self.position;
        self.append(&head).map_err(SnapshotError::io("writing", &self.name))?;
        let (data, hasher) = (self.position, Hasher::new());
        self.section =
            Some(Section { region, at: meta.at, offset, data, bytes: 0, hasher, crcs: Vec::new() });
        self.buffer.clear();
        Ok(())
    }

    /// Ends the section and names it in the index.
    pub(super) fn end(&mut self) -> Result<Written, SnapshotError> {
        self.put_chunk().map_err(SnapshotError::io("writing", &self.name))?;
        let section = self.section.take().expect("a section is ended only after it was begun");
        let end = format::encode_end(End { bytes: section.bytes, crc: section.hasher.finalize() });
        self.append(&end).map_err(SnapshotError::io("writing", &self.name))?;
        let length = self.position - section.offset;
        let place = SectionPlace { offset: section.offset, length, data: section.data };
        self.index.push(IndexItem { region: section.region, offset: section.offset, length, at: section.at });
        Ok(Written { place, bytes: section.bytes, crcs: section.crcs })
    }

    /// Forgets a section that was begun: its bytes stay behind, and nothing points at them.
    pub(super) fn abandon(&mut self) {
        self.section = None;
        self.buffer.clear();
    }

    /// Writes index and trailer, and makes all of it durable under its present name.
    pub(super) fn finish(mut self) -> Result<Arc<dyn DiskFile>, SnapshotError> {
        let index = format::encode_index(&self.index, self.position);
        self.append(&index).map_err(SnapshotError::io("writing", &self.name))?;
        self.file.sync().map_err(SnapshotError::io("syncing", &self.name))?;
        Ok(self.file)
    }

    /// Gives up the index: for a file that nobody will look for after a restart.
    pub(super) fn into_spool(self) -> Arc<dyn DiskFile> {
        self.file
    }

    fn put_chunk(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.append(&format::encode_prefix(&buffer)).and_then(|()| self.append(&buffer));
        if let Some(section) = &mut self.section {
            section.bytes += buffer.len() as u64;
            section.hasher.update(&buffer);
            section.crcs.push(section.hasher.clone().finalize());
        }
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_at(self.position, bytes) {
            let again = io::Error::new(error.kind(), error.to_string());
            self.failed.get_or_insert(error);
            return Err(again);
        }
        self.position += bytes.len() as u64;
        Ok(())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK_BYTES {
            self.put_chunk()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A section's bytes, each chunk checked before any of it is given out, and the whole at the end.
pub struct SectionReader {
    file: Arc<dyn DiskFile>,
    name: String,
    region: RegionId,
    position: u64,
    /// Where the section ends.
    limit: u64,
    chunk: Vec<u8>,
    given: usize,
    bytes: u64,
    hasher: Hasher,
    is_ended: bool,
}

impl SectionReader {
    pub(super) fn new(
        file: Arc<dyn DiskFile>,
        name: &str,
        region: RegionId,
        place: SectionPlace,
    ) -> SectionReader {
        SectionReader {
            file,
            name: name.to_owned(),
            region,
            position: place.data,
            limit: place.offset + place.length,
            chunk: Vec::new(),
            given: 0,
            bytes: 0,
            hasher: Hasher::new(),
            is_ended: false,
        }
    }

    /// Reads everything that is left, for the sake of the checks.
    pub(super) fn verify(mut self) -> Result<(), SnapshotError> {
        while self.next_chunk()? {}
        Ok(())
    }

    /// Loads the next chunk. False at the end, which has then been checked.
    pub(super) fn next_chunk(&mut self) -> Result<bool, SnapshotError> {
        if self.is_ended {
            return Ok(false);
        }
        let prefix = format::decode_prefix(self.fixed()?);
        if prefix.length == 0 {
            let end = format::decode_end(prefix, self.fixed()?).map_err(|why| self.damaged(why))?;
            return self.check_end(end).map(|()| false);
        }
        let length = prefix.length as usize;
        if length > CHUNK_BYTES || self.position + prefix.length as u64 + END_BYTES as u64 > self.limit {
            return Err(self.damaged("a chunk has an impossible length"));
        }
        self.chunk.resize(length, 0);
        read_exact(&*self.file, &self.name, self.position, &mut self.chunk)?;
        if crc32fast::hash(&self.chunk) != prefix.crc {
            return Err(self.damaged("the checksum of a chunk does not hold"));
        }
        self.position += length as u64;
        self.bytes += length as u64;
        self.hasher.update(&self.chunk);
        self.given = 0;
        Ok(true)
    }

    /// The bytes of the chunk that was loaded last.
    pub(super) fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    fn check_end(&mut self, end: End) -> Result<(), SnapshotError> {
        if self.position != self.limit || end.bytes != self.bytes || end.crc != self.hasher.clone().finalize()
        {
            return Err(self.damaged("its chunks are not the ones that were written"));
        }
        self.chunk.clear();
        self.given = 0;
        self.is_ended = true;
        Ok(())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        if self.position + N as u64 > self.limit {
            return Err(self.damaged("it ends before its end mark"));
        }
        let mut bytes = [0; N];
        read_exact(&*self.file, &self.name, self.position, &mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn damaged(&self, why: &'static str) -> SnapshotError {
        SnapshotError::damaged(&self.name, Some(self.region), why)
    }
}

impl Read for SectionReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() && !self.next_chunk().map_err(io::Error::other)? {
            return Ok(0);
        }
        let count = out.len().min(self.chunk.len() - self.given);
        out[..count].copy_from_slice(&self.chunk[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// A section that a file's index names, its description checked.
pub(super) struct FoundSection {
    pub(super) region: RegionId,
    pub(super) meta: SnapshotMeta,
    pub(super) place: SectionPlace,
}

/// Reads header, trailer and index.
pub(super) fn read_index(
    file: &dyn DiskFile,
    name: &str,
    store: StoreId,
) -> Result<(FileHeader, Vec<IndexItem>), SnapshotError> {
    let damaged = |why| SnapshotError::damaged(name, None, why);
    let length = file.len().map_err(SnapshotError::io("measuring", name))?;
    if length < (HEADER_BYTES + TRAILER_BYTES) as u64 {
        return Err(damaged("it is shorter than a header and a trailer"));
    }
    let mut bytes = [0; HEADER_BYTES];
    read_exact(file, name, 0, &mut bytes)?;
    let header = format::decode_header(&bytes).map_err(|refused| match refused {
        format::HeaderRefused::Newer(found) => {
            SnapshotError::Newer { file: name.to_owned(), found, known: format::VERSION }
        }
        format::HeaderRefused::Damaged(why) => damaged(why),
    })?;
    if header.store != store {
        return Err(SnapshotError::Foreign { file: name.to_owned(), store: header.store });
    }
    let mut bytes = [0; TRAILER_BYTES];
    read_exact(file, name, length - TRAILER_BYTES as u64, &mut bytes)?;
    let trailer = format::decode_trailer(&bytes, length).map_err(damaged)?;
    let mut index = vec![0; trailer.length as usize];
    read_exact(file, name, trailer.offset, &mut index)?;
    Ok((header, format::decode_index(trailer, &index).map_err(damaged)?))
}

/// Reads and checks the description of the section that an index names.
pub(super) fn read_section(
    file: &dyn DiskFile,
    name: &str,
    item: IndexItem,
) -> Result<FoundSection, SnapshotError> {
    let damaged = |why| SnapshotError::damaged(name, Some(item.region), why);
    let mut bytes = [0; PREFIX_BYTES];
    read_exact(file, name, item.offset, &mut bytes)?;
    let prefix = format::decode_prefix(bytes);
    let data = item.offset + (PREFIX_BYTES as u64) + u64::from(prefix.length);
    if prefix.length as usize > format::META_BYTES_MAX || data + END_BYTES as u64 > item.offset + item.length
    {
        return Err(damaged("its description has an impossible length"));
    }
    let mut bytes = vec![0; prefix.length as usize];
    read_exact(file, name, item.offset + PREFIX_BYTES as u64, &mut bytes)?;
    let (region, meta) = format::decode_section(prefix, &bytes).map_err(damaged)?;
    if region != item.region || meta.at != item.at {
        return Err(damaged("its index names another state"));
    }
    Ok(FoundSection { region, meta, place: SectionPlace { offset: item.offset, length: item.length, data } })
}

/// Fills `buffer`, or says that the file is too short.
pub(super) fn read_exact(
    file: &dyn DiskFile,
    name: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), SnapshotError> {
    let count = file.read_at(offset, buffer).map_err(SnapshotError::io("reading", name))?;
    if count == buffer.len() { Ok(()) } else { Err(SnapshotError::damaged(name, None, "it ends too early")) }
}

//! The bytes of a checkpoint file: constants, encode and decode, free of any input or output.
//!
//! ```text
//! file    := header | section * | index | trailer
//! header  := "SKPC" | version u32 | store u32 | 0 u32 | file number u64 | crc u32 | 0 u32
//! section := length u32 | crc u32 | "SECT" | region u64 | index u64 | term u64 | membership | genesis | chunk * | end
//! chunk   := length u32 (1 to 262,144) | crc u32 | bytes           all but the last are full
//! end     := 0 u32 | crc u32 of the fields after it | bytes u64 | crc u32 of all bytes of the chunks
//! index   := "INDX" | count u32 | (region u64 | offset u64 | length u64 | index u64 | term u64) *
//! trailer := offset of the index u64 | its length u32 | its crc u32 | crc u32 of these three | "SKPE"
//! ```
//!
//! Little-endian; every crc is the IEEE CRC32. A section's `length` counts what stands between its crc and its first
//! chunk, and its crc covers that. A chunk's crc covers its bytes; that it stands where it belongs is proven by the crc
//! of all bytes at the end. `genesis` is a length u32 and the bytes, `membership` is laid out as it is on the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::ids::{Index, RegionId, StoreId, Term};
use crate::message::SnapshotMeta;
use crate::raft::LogPos;
use crate::wire::membership;

/// The version of everything in a file. It changes whenever any byte in it does.
pub const VERSION: u32 = 1;
/// Bytes in a full chunk: the unit of checking, of sending, and of memory.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Length of a file's header.
pub const HEADER_BYTES: usize = 32;
/// What stands before a section's description, and before a chunk's bytes.
pub const PREFIX_BYTES: usize = 8;
/// Length of the mark at the end of a section.
pub const END_BYTES: usize = 20;
/// Length of a file's trailer.
pub const TRAILER_BYTES: usize = 24;
/// The longest description of a section: a genesis and a few hundred replicas fit, and nobody can make us allocate more.
pub const META_BYTES_MAX: usize = 1 << 20;
/// The longest index: more regions than a store can host.
pub const INDEX_BYTES_MAX: usize = 256 << 20;

const MAGIC: &[u8; 4] = b"SKPC";
const SECTION_MAGIC: &[u8; 4] = b"SECT";
const INDEX_MAGIC: &[u8; 4] = b"INDX";
const TRAILER_MAGIC: &[u8; 4] = b"SKPE";
const INDEX_ITEM_BYTES: usize = 40;

/// Why bytes were refused, in words.
pub type Refused = &'static str;

/// What a file says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// Whose file it is.
    pub store: StoreId,
    /// Its number, which is in its name too.
    pub number: u64,
}

/// Why a header was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderRefused {
    /// A newer build wrote it, in this version.
    Newer(u32),
    /// It is not what was written.
    Damaged(Refused),
}

/// One line of a file's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexItem {
    /// Which region.
    pub region: RegionId,
    /// Where its section starts.
    pub offset: u64,
    /// How long the section is, end mark included.
    pub length: u64,
    /// What it contains.
    pub at: LogPos,
}

/// Where a file's index is, and its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Where the index starts.
    pub offset: u64,
    /// How long it is.
    pub length: u32,
    /// Its checksum.
    pub crc: u32,
}

/// The length and checksum before a section's description or a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Bytes that follow; zero marks the end of a section.
    pub length: u32,
    /// Their checksum.
    pub crc: u32,
}

/// What stands at the end of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// Bytes in all its chunks.
    pub bytes: u64,
    /// Their checksum.
    pub crc: u32,
}

/// The first bytes of a file.
pub fn encode_header(header: FileHeader) -> [u8; HEADER_BYTES] {
    let mut out = BytesMut::with_capacity(HEADER_BYTES);
    out.put_slice(MAGIC);
    out.put_u32_le(VERSION);
    out.put_u32_le(header.store.0);
    out.put_u32_le(0);
    out.put_u64_le(header.number);
    out.put_u32_le(crc32fast::hash(&out));
    out.put_u32_le(0);
    fixed(&out)
}

/// Reads them back. The version is looked at first: what a newer one means by the rest is not known here.
pub fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<FileHeader, HeaderRefused> {
    let mut cursor = &bytes[..];
    if cursor.copy_to_bytes(4) != MAGIC[..] {
        return Err(HeaderRefused::Damaged("it does not start like a checkpoint"));
    }
    let version = cursor.get_u32_le();
    if version > VERSION {
        return Err(HeaderRefused::Newer(version));
    }
    let store = StoreId(cursor.get_u32_le());
    let zero = cursor.get_u32_le();
    let number = cursor.get_u64_le();
    let crc = cursor.get_u32_le();
    if version == 0 || zero != 0 || cursor.get_u32_le() != 0 || crc != crc32fast::hash(&bytes[..24]) {
        return Err(HeaderRefused::Damaged("the checksum of its header does not hold"));
    }
    Ok(FileHeader { store, number })
}

/// A section's description, its prefix included.
pub fn encode_section(region: RegionId, meta: &SnapshotMeta, out: &mut BytesMut) {
    let start = out.len();
    out.put_bytes(0, PREFIX_BYTES);
    out.put_slice(SECTION_MAGIC);
    out.put_u64_le(region.0);
    out.put_u64_le(meta.at.index.0);
    out.put_u64_le(meta.at.term.0);
    membership::encode(&meta.membership, out);
    out.put_u32_le(meta.genesis.len() as u32);
    out.put_slice(&meta.genesis);
    let prefix = encode_prefix(&out[start + PREFIX_BYTES..]);
    out[start..start + PREFIX_BYTES].copy_from_slice(&prefix);
}

/// Reads what follows a section's prefix.
pub fn decode_section(prefix: Prefix, bytes: &[u8]) -> Result<(RegionId, SnapshotMeta), Refused> {
    const CUT: Refused = "its description is cut";
    if crc32fast::hash(bytes) != prefix.crc {
        return Err("the checksum of its description does not hold");
    }
    let mut rest = Bytes::copy_from_slice(bytes);
    let magic = rest.try_get_u32().map_err(|_| CUT)?;
    if magic.to_be_bytes() != *SECTION_MAGIC {
        return Err("no section stands there");
    }
    let region = RegionId(rest.try_get_u64_le().map_err(|_| CUT)?);
    let index = Index(rest.try_get_u64_le().map_err(|_| CUT)?);
    let term = Term(rest.try_get_u64_le().map_err(|_| CUT)?);
    let membership = membership::take(&mut rest).map_err(|_| "its membership makes no sense")?;
    let length = rest.try_get_u32_le().map_err(|_| CUT)?;
    if rest.len() != length as usize {
        return Err("its description has another length");
    }
    Ok((region, SnapshotMeta { at: LogPos { index, term }, membership, genesis: rest }))
}

/// What stands before `bytes`.
pub fn encode_prefix(bytes: &[u8]) -> [u8; PREFIX_BYTES] {
    let mut out = [0; PREFIX_BYTES];
    out[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    out[4..].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    out
}

/// Reads it back; the length is not checked here.
pub fn decode_prefix(bytes: [u8; PREFIX_BYTES]) -> Prefix {
    let mut cursor = &bytes[..];
    Prefix { length: cursor.get_u32_le(), crc: cursor.get_u32_le() }
}

/// The end of a section.
pub fn encode_end(end: End) -> [u8; END_BYTES] {
    let mut out = [0; END_BYTES];
    out[8..16].copy_from_slice(&end.bytes.to_le_bytes());
    out[16..].copy_from_slice(&end.crc.to_le_bytes());
    let crc = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads what follows the prefix of an end.
pub fn decode_end(prefix: Prefix, bytes: [u8; END_BYTES - PREFIX_BYTES]) -> Result<End, Refused> {
    if crc32fast::hash(&bytes) != prefix.crc {
        return Err("the checksum of its end does not hold");
    }
    let mut cursor = &bytes[..];
    Ok(End { bytes: cursor.get_u64_le(), crc: cursor.get_u32_le() })
}

/// A file's index and trailer, the index starting at `offset`.
pub fn encode_index(items: &[IndexItem], offset: u64) -> BytesMut {
    let mut out = BytesMut::with_capacity(8 + items.len() * INDEX_ITEM_BYTES + TRAILER_BYTES);
    out.put_slice(INDEX_MAGIC);
    out.put_u32_le(items.len() as u32);
    for item in items {
        let numbers = [item.region.0, item.offset, item.length, item.at.index.0, item.at.term.0];
        numbers.iter().for_each(|&number| out.put_u64_le(number));
    }
    let (length, crc) = (out.len() as u32, crc32fast::hash(&out));
    let start = out.len();
    out.put_u64_le(offset);
    out.put_u32_le(length);
    out.put_u32_le(crc);
    out.put_u32_le(crc32fast::hash(&out[start..]));
    out.put_slice(TRAILER_MAGIC);
    out
}

/// Reads the last bytes of a file of `file_bytes`, and checks that what they point at lies before them.
pub fn decode_trailer(bytes: &[u8; TRAILER_BYTES], file_bytes: u64) -> Result<Trailer, Refused> {
    let mut cursor = &bytes[..];
    let trailer =
        Trailer { offset: cursor.get_u64_le(), length: cursor.get_u32_le(), crc: cursor.get_u32_le() };
    if cursor.get_u32_le() != crc32fast::hash(&bytes[..16]) || cursor != TRAILER_MAGIC {
        return Err("the checksum of its trailer does not hold");
    }
    let end = trailer.offset.checked_add(u64::from(trailer.length) + TRAILER_BYTES as u64);
    if trailer.length as usize > INDEX_BYTES_MAX || end != Some(file_bytes) {
        return Err("its trailer points out of the file");
    }
    Ok(trailer)
}

/// Reads a file's index. Every section it names lies between the header and the index.
pub fn decode_index(trailer: Trailer, bytes: &[u8]) -> Result<Vec<IndexItem>, Refused> {
    if crc32fast::hash(bytes) != trailer.crc {
        return Err("the checksum of its index does not hold");
    }
    let mut cursor = bytes;
    if cursor.len() < 8 || cursor.copy_to_bytes(4) != INDEX_MAGIC[..] {
        return Err("it has no index");
    }
    let count = cursor.get_u32_le() as usize;
    if cursor.len() != count * INDEX_ITEM_BYTES {
        return Err("its index has another length");
    }
    (0..count).map(|_| index_item(&mut cursor, trailer.offset)).collect()
}

fn index_item(cursor: &mut &[u8], sections_end: u64) -> Result<IndexItem, Refused> {
    let region = RegionId(cursor.get_u64_le());
    let (offset, length) = (cursor.get_u64_le(), cursor.get_u64_le());
    let at = LogPos { index: Index(cursor.get_u64_le()), term: Term(cursor.get_u64_le()) };
    let is_inside =
        offset >= HEADER_BYTES as u64 && offset.checked_add(length).is_some_and(|end| end <= sections_end);
    if is_inside && length >= (PREFIX_BYTES + END_BYTES) as u64 {
        Ok(IndexItem { region, offset, length, at })
    } else {
        Err("its index points out of the sections")
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

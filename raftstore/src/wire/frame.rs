//! The frame: many messages under one length, one checksum and one version.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use super::message;
use crate::message::StoreMessage;

/// What a frame starts with: "SKPF".
pub const MAGIC: u32 = u32::from_le_bytes(*b"SKPF");
/// The version of all that is in a frame. It changes whenever any byte in it does.
pub const VERSION: u8 = 1;
/// Magic, length, checksum, version, three zeros, count.
pub const HEADER_BYTES: usize = 20;
/// The longest frame, header included. Several of the largest values fit in one; a peer cannot make us
/// allocate more.
pub const FRAME_BYTES_MAX: usize = 32 << 20;

/// Where the checksum starts: it covers everything after itself.
const CHECKED_FROM: usize = 12;
/// What a reused buffer starts with.
const BUFFER_BYTES: usize = 16 << 10;

const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize);

/// Puts messages into frames. Reused for frame after frame: the memory of one that was sent is taken again.
///
/// It does not stop at [`FRAME_BYTES_MAX`]: its owner looks at [`bytes`](FrameWriter::bytes) and finishes in
/// time. A transport drops a frame that is too long.
#[derive(Debug)]
pub struct FrameWriter {
    buffer: BytesMut,
    count: u32,
}

/// What the first bytes of a frame say, within bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the frame, header included; never above [`FRAME_BYTES_MAX`].
    pub length: usize,
    /// Checksum of what follows it.
    pub crc: u32,
    /// How many messages.
    pub count: u32,
}

impl FrameWriter {
    /// An empty frame.
    pub fn new() -> FrameWriter {
        FrameWriter { buffer: BytesMut::zeroed(HEADER_BYTES), count: 0 }
    }

    /// Adds one message.
    pub fn push(&mut self, message: &StoreMessage) {
        message::encode(message, &mut self.buffer);
        self.count += 1;
    }

    /// How long the frame is by now.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame; what is added next goes into another one.
    pub fn finish(&mut self) -> Bytes {
        let length = self.buffer.len() as u32;
        let mut header = &mut self.buffer[..HEADER_BYTES];
        header.put_u32_le(MAGIC);
        header.put_u32_le(length);
        header.put_u32_le(0);
        header.put_u8(VERSION);
        header.put_bytes(0, 3);
        header.put_u32_le(self.count);
        let crc = crc32fast::hash(&self.buffer[CHECKED_FROM..]);
        self.buffer[8..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
        let frame = self.buffer.split().freeze();
        self.count = 0;
        self.buffer.reserve(BUFFER_BYTES);
        self.buffer.put_bytes(0, HEADER_BYTES);
        frame
    }
}

impl Default for FrameWriter {
    fn default() -> FrameWriter {
        FrameWriter::new()
    }
}

/// Reads a header before the rest has arrived, and before anything is allocated for it.
pub fn parse_header(header: &[u8; HEADER_BYTES]) -> Result<Header, WireError> {
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(0) != MAGIC {
        return Err(WireError::Foreign { magic: number(0) });
    }
    // Before the length: what a newer version means by its other fields is not known here.
    if header[12] > VERSION {
        return Err(WireError::Newer { what: "a frame", found: header[12], known: VERSION });
    }
    if header[12] == 0 || header[13..16] != [0; 3] {
        return Err(WireError::Value { what: "a frame's version" });
    }
    let length = number(4) as usize;
    if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&length) {
        let (bytes, bytes_max) = (length as u64, FRAME_BYTES_MAX as u64);
        return Err(WireError::Length { what: "a frame", bytes, bytes_max });
    }
    Ok(Header { length, crc: number(8), count: number(16) })
}

/// Checks a whole frame: header, length, checksum. Its messages are not looked at.
pub fn verify(frame: &[u8]) -> Result<Header, WireError> {
    let first = frame.first_chunk().ok_or(WireError::Truncated { what: "a frame's header" })?;
    let header = parse_header(first)?;
    if frame.len() < header.length {
        return Err(WireError::Truncated { what: "a frame" });
    }
    if frame.len() > header.length {
        return Err(WireError::Trailing { what: "a frame", bytes: frame.len() - header.length });
    }
    let computed = crc32fast::hash(&frame[CHECKED_FROM..]);
    if computed != header.crc {
        return Err(WireError::Checksum { carried: header.crc, computed });
    }
    Ok(header)
}

/// Takes a frame apart. All of it is good, or none of it is used. Payloads are slices of `frame`.
pub fn decode(frame: Bytes) -> Result<Vec<StoreMessage>, WireError> {
    let header = verify(&frame)?;
    let mut cursor = Cursor::new(&frame, HEADER_BYTES);
    if header.count as usize > cursor.left() / message::BYTES_MIN {
        return Err(WireError::Truncated { what: "a frame's messages" });
    }
    let mut messages = Vec::with_capacity(header.count as usize);
    for _ in 0..header.count {
        messages.push(message::decode(&mut cursor)?);
    }
    cursor.end("the last message of a frame")?;
    Ok(messages)
}

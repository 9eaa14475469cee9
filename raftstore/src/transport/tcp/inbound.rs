//! Cuts a stream of bytes into whole, checked frames, without copying them.
//!
//! Bytes are read into a chunk; a frame that is complete is split off it and shares its memory. A frame that
//! does not fit into what is left of a chunk starts the next one. The header is checked before room is made
//! for the frame.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;

use super::counters::{Counters, add};
use crate::codec::Purpose;
use crate::ids::StoreId;
use crate::transport::Identity;
use crate::wire::{HEADER_BYTES, WireError, frame};

/// How much is read at once. A small frame that is kept keeps this much alive.
const CHUNK_BYTES: usize = 256 << 10;
/// With less room than this, a new chunk is begun rather than a short read made.
const ROOM_BYTES_MIN: usize = 8 << 10;

/// A connection that sends us frames.
pub(super) struct Inbound {
    pub(super) stream: TcpStream,
    pub(super) from: StoreId,
    pub(super) uuid: [u8; 16],
    pub(super) purpose: Purpose,
    reader: FrameReader,
}

/// The bytes of which no whole frame has been made yet.
pub(super) struct FrameReader {
    /// Its length is the room there is; only the first `filled` bytes of it have been received.
    chunk: BytesMut,
    filled: usize,
    /// The length of the frame that has begun, once its header is here.
    frame_bytes: Option<usize>,
}

impl Inbound {
    pub(super) fn new(stream: TcpStream, from: &Identity, purpose: Purpose) -> Inbound {
        Inbound { stream, from: from.store, uuid: from.uuid, purpose, reader: FrameReader::new() }
    }

    /// Reads once. Zero bytes are the end; whether it was `full`, so that there may be more, is the other
    /// answer.
    pub(super) fn read(&mut self, counters: &Counters) -> io::Result<(usize, bool)> {
        add(&counters.reads, 1);
        let room = self.reader.room();
        let bytes = self.stream.read(room)?;
        let full = bytes == room.len();
        self.reader.received(bytes);
        Ok((bytes, full))
    }

    /// The next frame that is complete.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        self.reader.next_frame()
    }
}

impl FrameReader {
    pub(super) fn new() -> FrameReader {
        FrameReader { chunk: BytesMut::new(), filled: 0, frame_bytes: None }
    }

    /// Where to read to. Never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let needed = self.frame_bytes.unwrap_or(self.filled + ROOM_BYTES_MIN);
        if self.chunk.len() < needed {
            let mut next = BytesMut::zeroed(needed.max(CHUNK_BYTES));
            next[..self.filled].copy_from_slice(&self.chunk[..self.filled]);
            self.chunk = next;
        }
        &mut self.chunk[self.filled..]
    }

    pub(super) fn received(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        let Some(header) = self.chunk[..self.filled].first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = match self.frame_bytes {
            Some(length) => length,
            None => frame::parse_header(header)?.length,
        };
        if self.filled < length {
            self.frame_bytes = Some(length);
            return Ok(None);
        }
        self.frame_bytes = None;
        self.filled -= length;
        let whole = self.chunk.split_to(length).freeze();
        frame::verify(&whole)?;
        Ok(Some(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RegionId;
    use crate::message::{Replies, StoreMessage};
    use crate::wire::{FrameWriter, decode};

    fn frame(bytes: usize) -> Bytes {
        let results = vec![(bytes as u64, Bytes::from(vec![7; bytes]))];
        let mut writer = FrameWriter::new();
        writer.push(&StoreMessage::Replies(Replies { region: RegionId(1), results }));
        writer.finish()
    }

    /// Feeds `stream` in pieces of at most `piece` bytes and returns the frames, decoded.
    fn read(stream: &[u8], piece: usize) -> Result<Vec<Bytes>, WireError> {
        let (mut reader, mut frames, mut at) = (FrameReader::new(), Vec::new(), 0);
        while at < stream.len() {
            let room = reader.room();
            let bytes = piece.min(room.len()).min(stream.len() - at);
            room[..bytes].copy_from_slice(&stream[at..at + bytes]);
            reader.received(bytes);
            at += bytes;
            while let Some(frame) = reader.next_frame()? {
                decode(frame.clone())?;
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let sizes = [0, 1, 100, 9_000, 300_000, 5, 262_000, 1_000_000, 20];
        let sent: Vec<Bytes> = sizes.into_iter().map(frame).collect();
        for piece in [997, 8 << 10, usize::MAX] {
            assert_eq!(read(&sent.concat(), piece).unwrap(), sent);
        }
        assert_eq!(read(&sent[..4].concat(), 1).unwrap(), sent[..4]);
    }

    #[test]
    fn an_absurd_length_is_refused_before_room_is_made_for_it() {
        let mut bytes = frame(10).to_vec();
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut reader = FrameReader::new();
        reader.room()[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
        reader.received(HEADER_BYTES);
        assert!(matches!(reader.next_frame(), Err(WireError::Length { .. })));
        assert_eq!(reader.chunk.len(), CHUNK_BYTES);
    }

    #[test]
    fn an_altered_frame_does_not_come_out() {
        let mut bytes = [frame(100), frame(100)].concat();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(matches!(read(&bytes, usize::MAX), Err(WireError::Checksum { .. })));
    }
}

//! Bytes that are to be written to one client, and how many of them have been.

use std::io;

use tokio::net::tcp::OwnedWriteHalf;

/// A larger buffer is given back once it is empty, so that one large reply does not cost memory for ever, in
/// bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// See the page of this file.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// How many bytes are to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To write behind what there is.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes what the socket takes: that many bytes.
    pub(super) fn write_to(&mut self, writer: &OwnedWriteHalf) -> io::Result<usize> {
        let bytes = writer.try_write(&self.bytes[self.written..])?;
        self.written += bytes;
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        Ok(bytes)
    }
}

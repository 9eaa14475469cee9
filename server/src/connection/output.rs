//! Bytes that are to be written to one client, and how many of them have been.

use std::io;

use tokio::net::tcp::OwnedWriteHalf;

/// A larger buffer is given back once it is empty, so that one large reply does not cost memory for ever, in
/// bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// See the page of this file.
///
/// Invariant: what was written takes no more memory than what was not, or than the bytes that are kept anyway.
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
        self.wrote(bytes);
        Ok(bytes)
    }

    /// A client that reads all the time and is never done may never leave the buffer empty, so what was written is
    /// dropped when it is half of it: each byte is moved once, on average.
    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.is_empty() || self.written >= KEPT_BYTES_MAX.max(self.len()) {
            self.bytes.drain(..self.written);
            self.written = 0;
            self.bytes.shrink_to(KEPT_BYTES_MAX.max(2 * self.bytes.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_given_back_although_the_client_is_never_done() {
        let mut output = Output::default();
        output.end().extend_from_slice(&[7; 1000]);
        for round in 0..100_000u32 {
            output.end().extend_from_slice(&round.to_le_bytes().repeat(250));
            output.wrote(1000);
            assert_eq!(output.len(), 1000);
        }
        assert!(output.bytes.capacity() < 4 * KEPT_BYTES_MAX, "{}", output.bytes.capacity());
        assert_eq!(output.bytes[output.written..], 99_999u32.to_le_bytes().repeat(250));
    }

    #[test]
    fn one_large_reply_does_not_cost_memory_for_ever() {
        let mut output = Output::default();
        output.end().resize(10 << 20, 7);
        output.wrote(1);
        output.wrote((10 << 20) - 1);
        assert!(output.is_empty() && output.bytes.capacity() <= KEPT_BYTES_MAX);
    }
}

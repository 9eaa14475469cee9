//! Reads numbers and slices from the front of shared bytes, and never past their end.

use bytes::Bytes;

use super::error::WireError;

/// A place in `bytes`. Every read says what it is for, so that a refusal can name it.
pub(super) struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a Bytes, at: usize) -> Cursor<'a> {
        Cursor { bytes, at: at.min(bytes.len()) }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(super) fn boolean(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Value { what }),
        }
    }

    /// A number of things of at least `each_bytes_min` bytes: no more of them than the bytes that are left
    /// can hold.
    pub(super) fn count(&mut self, what: &'static str, each_bytes_min: usize) -> Result<usize, WireError> {
        let count = self.u32(what)? as usize;
        if count > self.left() / each_bytes_min { Err(WireError::Truncated { what }) } else { Ok(count) }
    }

    /// A length, and a slice of the shared bytes that is as long.
    pub(super) fn sized(&mut self, what: &'static str) -> Result<Bytes, WireError> {
        let length = self.u32(what)? as usize;
        if length > self.left() {
            return Err(WireError::Truncated { what });
        }
        Ok(self.slice(length))
    }

    /// All that is left.
    pub(super) fn rest(mut self) -> Bytes {
        self.slice(self.left())
    }

    /// What is left, without taking it.
    pub(super) fn left_bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Passes over `length` bytes that were read already.
    pub(super) fn skip(&mut self, length: usize) {
        self.at = self.bytes.len().min(self.at + length);
    }

    /// Refuses to stop before the end.
    pub(super) fn end(self, what: &'static str) -> Result<(), WireError> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { what, bytes }),
        }
    }

    fn slice(&mut self, length: usize) -> Bytes {
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        slice
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let found = self.bytes[self.at..].first_chunk::<N>().ok_or(WireError::Truncated { what })?;
        self.at += N;
        Ok(*found)
    }
}

//! Reads and writes the pieces of hand-laid-out bytes: little-endian numbers and strings with their length.
//!
//! Whoever reads gives the most it accepts, and nothing is allocated on the word of a length that was read.

use std::fmt;

/// Why bytes cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// They end too early, go on too long, or say what cannot be.
    Damaged(&'static str),
    /// They say what only a newer version understands: which field, and what stands in it.
    Newer(&'static str, u32),
}

/// Bytes that are read from the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Unreadable> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Unreadable::Damaged("ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Unreadable::Damaged("ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Unreadable> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Unreadable> {
        self.array().map(i64::from_le_bytes)
    }

    /// A flag: 0 or 1.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Unreadable> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Unreadable::Newer(what, other.into())),
        }
    }

    /// A string with its length (32 bits) before it.
    pub(crate) fn string(&mut self, bytes_max: usize) -> Result<&'a [u8], Unreadable> {
        let len = self.u32()? as usize;
        if len > bytes_max {
            return Err(Unreadable::Damaged("a length beyond its limit"));
        }
        self.take(len)
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything must have been read.
    pub(crate) fn end(self) -> Result<(), Unreadable> {
        if self.rest.is_empty() { Ok(()) } else { Err(Unreadable::Damaged("goes on too long")) }
    }
}

/// Appends a string with its length before it.
pub(crate) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    out.extend_from_slice(&(string.len() as u32).to_le_bytes());
    out.extend_from_slice(string);
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Damaged(how) => write!(f, "damaged: {how}"),
            Unreadable::Newer(what, found) => {
                write!(f, "written by a newer version: {what} {found} is not known here")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_checked_before_it_is_believed() {
        let mut bytes = Vec::new();
        put_string(&mut bytes, b"abc");
        assert_eq!(Reader::new(&bytes).string(3), Ok(&b"abc"[..]));
        assert_eq!(Reader::new(&bytes).string(2), Err(Unreadable::Damaged("a length beyond its limit")));
        assert_eq!(Reader::new(&bytes[..6]).string(3), Err(Unreadable::Damaged("ends too early")));
        assert_eq!(Reader::new(&[2]).flag("end"), Err(Unreadable::Newer("end", 2)));
    }
}

//! Reads commands out of received bytes, however they were cut on their way.
//!
//! Nothing is allocated because of an announced length, nothing is looked at twice, and the arguments of a
//! command are slices of what was received. What is larger than anything that could be stored is read to its
//! end and thrown away, so that the commands behind it are still understood.

use std::fmt;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::inline;
use super::number::parse_integer;
use crate::limits::{
    ARGUMENTS_MAX, BULK_BYTES_ANNOUNCED_MAX, BULK_BYTES_MAX, COMMAND_BYTES_MAX, LINE_BYTES_MAX,
};

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A command: its name and its arguments. Never empty.
    Command(Vec<Bytes>),
    /// A command of which an argument, or all together, were too large; it was thrown away.
    TooLarge,
}

/// After this nothing that was received can be understood: answer it and close. The text is Redis' own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// An inline command without an end.
    InlineTooLong,
    /// An inline command whose quotes do not pair.
    UnbalancedQuotes,
    /// A number of arguments without an end.
    ArgumentsTooLong,
    /// A number of arguments that is none, or too large.
    Arguments,
    /// A length without an end.
    BulkTooLong,
    /// An argument that does not begin with its length.
    ExpectedBulk(u8),
    /// A length that is none, or too large.
    Bulk,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::InlineTooLong => write!(f, "Protocol error: too big inline request"),
            ProtocolError::UnbalancedQuotes => write!(f, "Protocol error: unbalanced quotes in request"),
            ProtocolError::ArgumentsTooLong => write!(f, "Protocol error: too big mbulk count string"),
            ProtocolError::Arguments => write!(f, "Protocol error: invalid multibulk length"),
            ProtocolError::BulkTooLong => write!(f, "Protocol error: too big bulk count string"),
            ProtocolError::ExpectedBulk(byte) => {
                write!(f, "Protocol error: expected '$', got '{}'", byte.escape_ascii())
            }
            ProtocolError::Bulk => write!(f, "Protocol error: invalid bulk length"),
        }
    }
}

/// The state between two pieces of a command. One for each connection, always given the same buffer.
#[derive(Default, Debug)]
pub struct Parser {
    /// Arguments still to come; zero between two commands.
    missing: usize,
    /// Of the argument that is being received: its length, with its line end.
    bulk: Option<usize>,
    /// Where in the buffer the arguments stand that have been received.
    arguments: Vec<Range<usize>>,
    /// Bytes of the buffer that have been understood.
    at: usize,
    /// Bytes after `at` that hold no line end.
    looked: usize,
    /// Whether this command is thrown away as it comes.
    is_too_large: bool,
}

impl Parser {
    /// Takes the next complete command off the front of the buffer; `None` until more is received.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        while self.missing == 0 {
            match buffer.first() {
                None => return Ok(None),
                Some(b'*') => {
                    if !self.begin(buffer)? {
                        return Ok(None);
                    }
                }
                Some(_) => match self.inline(buffer)? {
                    None => return Ok(None),
                    Some(words) if words.is_empty() => {}
                    Some(words) => return Ok(Some(Request::Command(words))),
                },
            }
        }
        while self.missing > 0 {
            if !self.argument(buffer)? {
                return Ok(None);
            }
        }
        Ok(Some(self.complete(buffer)))
    }

    /// The line `*3`. False until it is complete.
    fn begin(&mut self, buffer: &mut BytesMut) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(buffer, b'\r', ProtocolError::ArgumentsTooLong)? else { return Ok(false) };
        let count = parse_integer(&buffer[1..line.end]).ok_or(ProtocolError::Arguments)?;
        if count > ARGUMENTS_MAX {
            return Err(ProtocolError::Arguments);
        }
        buffer.advance(self.at);
        self.at = 0;
        self.missing = usize::try_from(count).unwrap_or(0);
        Ok(true)
    }

    /// A whole line of words. `None` until it is complete.
    fn inline(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        let Some(line) = self.line(buffer, b'\n', ProtocolError::InlineTooLong)? else { return Ok(None) };
        let text = &buffer[line];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let words = inline::words(text).map_err(|inline::Unbalanced| ProtocolError::UnbalancedQuotes)?;
        buffer.advance(self.at);
        self.at = 0;
        Ok(Some(words))
    }

    /// One argument, with the line `$5` before it. False until it is complete.
    fn argument(&mut self, buffer: &mut BytesMut) -> Result<bool, ProtocolError> {
        let length = match self.bulk {
            Some(length) => length,
            None => match self.announced(buffer)? {
                Some(length) => length,
                None => return Ok(false),
            },
        };
        if self.is_too_large {
            return Ok(self.throw_away(buffer, length));
        }
        if buffer.len() < self.at + length {
            self.bulk = Some(length);
            return Ok(false);
        }
        self.arguments.push(self.at..self.at + length - 2);
        self.at += length;
        self.bulk = None;
        self.missing -= 1;
        Ok(true)
    }

    /// The line `$5`: the length of the argument and its line end. `None` until it is complete.
    fn announced(&mut self, buffer: &mut BytesMut) -> Result<Option<usize>, ProtocolError> {
        let start = self.at;
        let Some(line) = self.line(buffer, b'\r', ProtocolError::BulkTooLong)? else { return Ok(None) };
        if buffer[start] != b'$' {
            return Err(ProtocolError::ExpectedBulk(buffer[start]));
        }
        let length = parse_integer(&buffer[start + 1..line.end]).ok_or(ProtocolError::Bulk)?;
        if !(0..=BULK_BYTES_ANNOUNCED_MAX).contains(&length) {
            return Err(ProtocolError::Bulk);
        }
        let length = length as usize;
        if length > BULK_BYTES_MAX || self.at + length > COMMAND_BYTES_MAX {
            self.is_too_large = true;
            self.arguments.clear();
        }
        Ok(Some(length + 2))
    }

    /// Drops what there is of an argument nobody will see. False while some of it is missing.
    fn throw_away(&mut self, buffer: &mut BytesMut, length: usize) -> bool {
        buffer.advance(self.at);
        self.at = 0;
        let here = length.min(buffer.len());
        buffer.advance(here);
        let is_complete = here == length;
        self.bulk = (!is_complete).then_some(length - here);
        self.missing -= usize::from(is_complete);
        is_complete
    }

    fn complete(&mut self, buffer: &mut BytesMut) -> Request {
        let bytes = buffer.split_to(self.at).freeze();
        self.at = 0;
        if std::mem::take(&mut self.is_too_large) {
            return Request::TooLarge;
        }
        Request::Command(self.arguments.drain(..).map(|range| bytes.slice(range)).collect())
    }

    /// The next line from `at` on, without its end; `at` moves behind it. `None` until it is complete.
    ///
    /// A line that ends with `\r` ends with one more byte, which nobody looks at; Redis does not either.
    fn line(
        &mut self,
        buffer: &BytesMut,
        end: u8,
        too_long: ProtocolError,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let rest = &buffer[self.at..];
        let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
        let Some(found) = window[self.looked..].iter().position(|byte| *byte == end) else {
            self.looked = window.len();
            return if rest.len() > LINE_BYTES_MAX { Err(too_long) } else { Ok(None) };
        };
        let length = self.looked + found;
        let end_bytes = if end == b'\r' { 2 } else { 1 };
        if rest.len() < length + end_bytes {
            self.looked = length;
            return Ok(None);
        }
        let start = self.at;
        self.looked = 0;
        self.at += length + end_bytes;
        Ok(Some(start..start + length))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

//! Some lines on their way to the server through one connection, laid out as commands.

use std::hash::{DefaultHasher, Hasher};

use super::super::redis_connection::lay_out;
use super::lines::Line;

/// A batch takes no further line once it has so many, or so many bytes: small enough that every connection has something
/// to do, large enough that handing it over costs nothing.
const LINES_FULL: usize = 64;
const BYTES_FULL: usize = 64 << 10;

/// What is done with each line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Its value is set.
    Write,
    /// What the server has is compared with it.
    Verify,
}

/// See the page of this file.
#[derive(Default)]
pub(super) struct Batch {
    commands: Vec<u8>,
    lines: Vec<Entry>,
    /// What the lines have in the file.
    pub(super) file_bytes: u64,
}

/// One line of a batch.
pub(super) struct Entry {
    pub(super) number: u64,
    /// Where its command ends.
    end: usize,
    /// What the answer is compared with, if it is.
    pub(super) expected: Option<Expected>,
}

/// A key by its hash, and the value that it should have.
pub(super) struct Expected {
    pub(super) key: KeyHash,
    pub(super) value: Vec<u8>,
}

/// A key, in as many bits as make two equal ones of different keys no concern.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct KeyHash(u128);

impl KeyHash {
    pub(super) fn of(key: &[u8]) -> KeyHash {
        KeyHash(u128::from(hash(0, key)) << 64 | u128::from(hash(1, key)))
    }

    /// Which of `count` parts the key belongs to.
    pub(super) fn part(self, count: u64) -> u64 {
        (self.0 >> 64) as u64 % count
    }

    /// Which of `count` connections has the key; independent of its part.
    pub(super) fn connection(self, count: usize) -> usize {
        self.0 as u64 as usize % count
    }
}

/// A value, as far as it is remembered.
pub(super) fn hash_of_value(value: &[u8]) -> u64 {
    hash(2, value)
}

fn hash(kind: u8, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(kind);
    hasher.write(bytes);
    hasher.finish()
}

impl Batch {
    pub(super) fn add(&mut self, line: &Line<'_>, key: KeyHash, purpose: Purpose) {
        let expected = match purpose {
            Purpose::Write => {
                lay_out(&mut self.commands, &[b"SET", line.key, line.value]);
                None
            }
            Purpose::Verify => {
                lay_out(&mut self.commands, &[b"GET", line.key]);
                Some(Expected { key, value: line.value.to_vec() })
            }
        };
        self.lines.push(Entry { number: line.number, end: self.commands.len(), expected });
        self.file_bytes += line.bytes;
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= LINES_FULL || self.file_bytes >= BYTES_FULL as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn lines(&self) -> &[Entry] {
        &self.lines
    }

    /// The commands of all lines but the first `skipped`.
    pub(super) fn commands_after(&self, skipped: usize) -> &[u8] {
        let begin = skipped.checked_sub(1).map_or(0, |last| self.lines[last].end);
        &self.commands[begin..]
    }

    /// The number of its first line, if there is one, when `skipped` of them do not count.
    pub(super) fn first_after(&self, skipped: usize) -> Option<u64> {
        self.lines.get(skipped).map(|entry| entry.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_begins_behind_what_was_acknowledged() {
        let mut batch = Batch::default();
        for (number, key) in [(7, b"a"), (9, b"b")] {
            let line = Line { number, key, value: b"v", bytes: 4 };
            batch.add(&line, KeyHash::of(key), Purpose::Write);
        }
        assert!(batch.commands_after(0).starts_with(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n"));
        assert_eq!(batch.commands_after(1), b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nv\r\n");
        assert_eq!(batch.commands_after(2), b"");
        assert_eq!(
            (batch.first_after(0), batch.first_after(1), batch.first_after(2)),
            (Some(7), Some(9), None)
        );
    }
}

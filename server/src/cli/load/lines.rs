//! The lines of a file to be loaded: a key, a TAB, a value.
//!
//! There are no escapes. The key is all before the first TAB, the value all behind it up to the line's end; so a value may
//! hold TABs and any other bytes but a newline (a carriage return belongs to it), a key any but a TAB and a newline. The
//! last line needs no newline.

use std::fmt;
use std::io::{self, BufRead, Read};

use skep_engine::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Bytes of a line whose key and value can be stored, with its newline.
const LINE_BYTES_MAX: u64 = (KEY_BYTES_MAX + 1 + VALUE_BYTES_MAX + 1) as u64;

/// See the page of this file.
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

/// One line.
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// What it has in the file.
    pub(super) bytes: u64,
}

/// Why the lines end early.
#[derive(Debug)]
pub(super) enum LineError {
    /// A line that cannot be loaded, and why.
    Malformed(u64, &'static str),
    /// The file cannot be read on after this line.
    Unreadable(u64, io::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Malformed(number, why) => write!(f, "line {number} {why}"),
            LineError::Unreadable(number, error) => {
                write!(f, "the input cannot be read after line {number}: {error}")
            }
        }
    }
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Lines<R> {
        Lines { input, buffer: Vec::new(), number: 0 }
    }

    /// How many were read.
    pub(super) fn read(&self) -> u64 {
        self.number
    }

    /// The next line, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, LineError> {
        self.buffer.clear();
        let read = (&mut self.input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.buffer);
        let bytes = read.map_err(|error| LineError::Unreadable(self.number, error))? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        let number = self.number + 1;
        let malformed = |why| Err(LineError::Malformed(number, why));
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let Some(tab) = text.iter().position(|byte| *byte == b'\t') else {
            return malformed("has no TAB between a key and a value: write it as key<TAB>value");
        };
        let (key, value) = (&text[..tab], &text[tab + 1..]);
        if key.len() > KEY_BYTES_MAX {
            return malformed("has a key of more than 64 KiB: that is the most a key may have");
        }
        if value.len() > VALUE_BYTES_MAX {
            return malformed("has a value of more than 8 MiB: that is the most a value may have");
        }
        self.number = number;
        Ok(Some(Line { number, key, value, bytes }))
    }
}

const _: () =
    assert!(KEY_BYTES_MAX == 64 << 10 && VALUE_BYTES_MAX == 8 << 20, "the sentences above name them");

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (Vec<u8>, Vec<u8>);

    fn pairs(text: &[u8]) -> Result<Vec<Pair>, String> {
        let mut lines = Lines::new(text);
        let mut pairs = Vec::new();
        while let Some(line) = lines.next().map_err(|error| error.to_string())? {
            pairs.push((line.key.to_vec(), line.value.to_vec()));
            assert_eq!(line.number, pairs.len() as u64);
        }
        Ok(pairs)
    }

    #[test]
    fn a_line_is_cut_at_its_first_tab_and_nothing_is_unescaped() {
        let text = b"a\tb\n\t\nk\tone\ttwo \\t\r\n\xff\0\t\xfe\nlast\tline";
        let wanted: [(&[u8], &[u8]); 5] =
            [(b"a", b"b"), (b"", b""), (b"k", b"one\ttwo \\t\r"), (b"\xff\0", b"\xfe"), (b"last", b"line")];
        let wanted: Vec<_> = wanted.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(pairs(text), Ok(wanted));
        assert_eq!(pairs(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_line_that_cannot_be_stored_is_named() {
        assert_eq!(
            pairs(b"a\tb\nno tab\nc\td\n"),
            Err("line 2 has no TAB between a key and a value: write it as key<TAB>value".into())
        );
        assert!(pairs(b"a\tb\n\n").is_err_and(|error| error.starts_with("line 2 has no TAB")));
        let of = |key: usize, value: usize| {
            [vec![b'k'; key], vec![b'\t'], vec![b'v'; value], vec![b'\n']].concat()
        };
        assert!(pairs(&of(KEY_BYTES_MAX, VALUE_BYTES_MAX)).is_ok());
        assert!(pairs(&of(KEY_BYTES_MAX + 1, 1)).is_err_and(|error| error.contains("a key of more than")));
        assert!(
            pairs(&of(1, VALUE_BYTES_MAX + 1)).is_err_and(|error| error.contains("a value of more than"))
        );
        assert!(
            pairs(&of(1, 3 * VALUE_BYTES_MAX)).is_err_and(|error| error.contains("a value of more than"))
        );
    }
}

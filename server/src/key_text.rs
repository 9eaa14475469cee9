//! Keys as text: printable ASCII as it is, every other byte as `\xNN` (or `\n`, `\r`, `\t`), a backslash and quotes behind a
//! backslash. What is read may hold any other characters, too: they stand for their bytes.

use std::fmt;

/// A text that is no key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadKeyText(String);

impl fmt::Display for BadKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a key: a backslash is followed by one of \\ ' \" n r t, or by x and two hexadecimal digits",
            self.0
        )
    }
}

impl std::error::Error for BadKeyText {}

/// A key as text.
pub fn escape(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// The key that a text stands for.
pub fn unescape(text: &str) -> Result<Vec<u8>, BadKeyText> {
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            key.push(*byte);
            continue;
        }
        let (byte, length) = escaped(rest).ok_or_else(|| BadKeyText(text.to_owned()))?;
        key.push(byte);
        rest = &rest[length..];
    }
    Ok(key)
}

/// What stands behind a backslash, and how long it is.
fn escaped(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [byte @ (b'\\' | b'\'' | b'"'), ..] => Some((*byte, 1)),
        [b'n', ..] => Some((b'\n', 1)),
        [b'r', ..] => Some((b'\r', 1)),
        [b't', ..] => Some((b'\t', 1)),
        [b'x', high, low, ..] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some(((digit(*high)? * 16 + digit(*low)?) as u8, 3))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_people_write_is_read_as_they_mean_it() {
        assert_eq!(unescape("user:1000"), Ok(b"user:1000".to_vec()));
        assert_eq!(unescape("größe"), Ok("größe".as_bytes().to_vec()));
        assert_eq!(unescape(r"a\x00\xFf\n\\"), Ok(b"a\0\xff\n\\".to_vec()));
        for bad in [r"\", r"a\y", r"\x1", r"\xg0"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back(key in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = escape(&key);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(unescape(&text), Ok(key));
        }
    }
}

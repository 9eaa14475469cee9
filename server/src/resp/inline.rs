//! Commands typed as a line of words, with the quotes and escapes that `redis-cli` and Redis know.

use bytes::Bytes;

/// Quotes that do not pair, or something glued to a closing one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unbalanced;

/// Cuts a line into words. No words for an empty line.
pub(super) fn words(line: &[u8]) -> Result<Vec<Bytes>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        // The same question as at the end of a word: otherwise a word could be empty, and this would never
        // end.
        let Some(start) = rest.iter().position(|byte| !is_space(byte)) else { return Ok(words) };
        let (word, after) = word(&rest[start..])?;
        words.push(Bytes::from(word));
        rest = after;
    }
}

/// One word, and what follows it. Quotes may begin inside of a word, as in `a"b c"`, and end it.
fn word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' | b'\'' => {
                let after = quoted(&line[at + 1..], byte, &mut word)?;
                return if after.first().is_none_or(is_space) { Ok((word, after)) } else { Err(Unbalanced) };
            }
            byte if is_space(&byte) => break,
            byte => word.push(byte),
        }
        at += 1;
    }
    Ok((word, &line[at..]))
}

/// What stands between quotes, and what follows the closing one.
fn quoted<'a>(text: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Err(Unbalanced),
            [byte, after @ ..] if *byte == quote => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if quote == b'"' && hex(*high).and(hex(*low)).is_some() => {
                word.push(hex(*high).unwrap_or_default() << 4 | hex(*low).unwrap_or_default());
                after
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => {
                word.push(unescape(*escaped));
                after
            }
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        }
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn is_space(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(line: &str, wanted: &[&[u8]]) {
        let words = words(line.as_bytes()).expect(line);
        assert_eq!(words.iter().map(|word| &word[..]).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn words_and_quotes() {
        reads("", &[]);
        reads("  \t \x0b\x0c", &[]);
        reads("PING", &[b"PING"]);
        reads("  set  a b ", &[b"set", b"a", b"b"]);
        reads(r#"set a "b c""#, &[b"set", b"a", b"b c"]);
        reads(r#"set a """#, &[b"set", b"a", b""]);
        reads(r#"a"b c" d"#, &[b"ab c", b"d"]);
        reads(
            r#""\x00\xfF\n\r\t\b\a\"\\\q\xzz""#,
            b"\x00\xff\n\r\t\x08\x07\"\\qxzz".split(|_| false).collect::<Vec<_>>().as_slice(),
        );
        reads(r#"'a\'b\n"'"#, &[b"a'b\\n\""]);
    }

    #[test]
    fn quotes_pair_and_end_a_word() {
        for bad in [r#"""#, r#"a ""#, "'", r#""a"b"#, "'a'b", r#""a\""#] {
            assert_eq!(words(bad.as_bytes()), Err(Unbalanced), "{bad}");
        }
    }
}

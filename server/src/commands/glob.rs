//! Patterns of names and keys, as Redis matches them: `*`, `?`, `[a-c]`, `[^a]`, and `\` before any of these.

use bytes::Bytes;

/// Whether `text` matches `pattern`. Small and capital letters are the same.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Matcher { ignores_case: true }.matches(pattern, text)
}

/// Whether `key` matches `pattern`, to the byte.
pub(super) fn matches_key(pattern: &[u8], key: &[u8]) -> bool {
    Matcher { ignores_case: false }.matches(pattern, key)
}

/// The smallest range of keys that has every key that matches: of those that begin as the pattern does.
pub(super) fn range(pattern: &[u8]) -> (Bytes, Option<Bytes>) {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] => return (Bytes::from(prefix.clone()), Some(Bytes::from([&prefix[..], &[0]].concat()))),
            [b'*' | b'?' | b'[', ..] => break,
            [b'\\', byte, tail @ ..] | [byte, tail @ ..] => {
                prefix.push(*byte);
                rest = tail;
            }
        }
    }
    let end = successor(&prefix);
    (Bytes::from(prefix), end)
}

/// The first key behind all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(Bytes::from(end))
}

#[derive(Clone, Copy)]
struct Matcher {
    ignores_case: bool,
}

impl Matcher {
    fn matches(self, pattern: &[u8], text: &[u8]) -> bool {
        // After a mismatch only the last star can take one character more: no other choice can help.
        let (mut at, mut in_text) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while in_text < text.len() {
            if pattern.get(at) == Some(&b'*') {
                star = Some((at, in_text));
                at += 1;
            } else if let Some(length) = self.one(&pattern[at..], text[in_text]) {
                at += length;
                in_text += 1;
            } else if let Some((star_at, taken)) = star {
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                in_text = taken + 1;
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }

    fn fold(self, byte: u8) -> u8 {
        if self.ignores_case { byte.to_ascii_lowercase() } else { byte }
    }

    /// If the front of the pattern stands for this character: how long that front is.
    fn one(self, pattern: &[u8], byte: u8) -> Option<usize> {
        let same = |other: u8| self.fold(other) == self.fold(byte);
        match pattern {
            [b'?', ..] => Some(1),
            [b'\\', escaped, ..] => same(*escaped).then_some(2),
            [b'[', set @ ..] => self.class(set, self.fold(byte)).map(|length| length + 1),
            [other, ..] => same(*other).then_some(1),
            [] => None,
        }
    }

    /// If a class (without its opening bracket) has this character: how long the class is.
    fn class(self, set: &[u8], byte: u8) -> Option<usize> {
        let is_negated = set.first() == Some(&b'^');
        let mut at = usize::from(is_negated);
        let mut is_in = false;
        while at < set.len() && set[at] != b']' {
            let (low, high, length) = match &set[at..] {
                [b'\\', only, ..] => (*only, *only, 2),
                [low, b'-', high, ..] => (*low, *high, 3),
                [only, ..] => (*only, *only, 1),
                [] => break,
            };
            let (low, high) = (self.fold(low), self.fold(high));
            is_in |= (low.min(high)..=low.max(high)).contains(&byte);
            at += length;
        }
        (is_in != is_negated).then_some((at + 1).min(set.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matching = [
            ("", ""),
            ("*", ""),
            ("*", "save"),
            ("save", "SAVE"),
            ("s?ve", "save"),
            ("max*", "maxmemory"),
            ("*mem*y", "maxmemory"),
            ("a*b*c", "axxbxxbc"),
            ("[a-c]x", "bx"),
            ("[c-a]x", "bx"),
            ("[^a]x", "bx"),
            ("\\*", "*"),
            ("[\\]]", "]"),
            ("[a", "a"),
        ];
        for (pattern, text) in matching {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("?", ""), ("a*b", "a"), ("[^b]", "b"), ("\\*", "a"), ("[]", "a")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn keys_are_told_apart_to_the_byte() {
        assert!(matches_key(b"k[a-c]*", b"kbX"));
        assert!(!matches_key(b"k*", b"Kb"));
        assert!(!matches_key(b"[a-c]", b"B"));
    }

    #[test]
    fn a_pattern_is_a_range_as_far_as_its_beginning_is_fixed() {
        let bytes = |text: &'static [u8]| Bytes::from_static(text);
        assert_eq!(range(b"*"), (bytes(b""), None));
        assert_eq!(range(b"user:*"), (bytes(b"user:"), Some(bytes(b"user;"))));
        assert_eq!(range(b"a\\*b*"), (bytes(b"a*b"), Some(bytes(b"a*c"))));
        assert_eq!(range(b"\xff?"), (bytes(b"\xff"), None));
        assert_eq!(range(b"a\xff[xy]"), (bytes(b"a\xff"), Some(bytes(b"b"))));
        assert_eq!(range(b"whole"), (bytes(b"whole"), Some(bytes(b"whole\0"))));
        assert_eq!(range(b"end\\"), (bytes(b"end\\"), Some(bytes(b"end\\\0"))));
    }
}

//! Patterns of names, as Redis matches them: `*`, `?`, `[a-c]`, `[^a]`, and `\` before any of these.

/// Whether `text` matches `pattern`. Small and capital letters are the same.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // After a mismatch only the last star can take one character more: no other choice can help.
    let (mut at, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, in_text));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], text[in_text]) {
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

/// If the front of the pattern stands for this character: how long that front is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    let same = |other: &u8| other.eq_ignore_ascii_case(&byte);
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => same(escaped).then_some(2),
        [b'[', set @ ..] => class(set, byte.to_ascii_lowercase()).map(|length| length + 1),
        [other, ..] => same(other).then_some(1),
        [] => None,
    }
}

/// If a class (without its opening bracket) has this character: how long the class is.
fn class(set: &[u8], byte: u8) -> Option<usize> {
    let is_negated = set.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut is_in = false;
    while at < set.len() && set[at] != b']' {
        let (low, high, length) = match &set[at..] {
            [b'\\', only, ..] => (*only, *only, 2),
            [low, b'-', high, ..] if *high != b']' => (*low, *high, 3),
            [only, ..] => (*only, *only, 1),
            [] => break,
        };
        let (low, high) = (low.to_ascii_lowercase(), high.to_ascii_lowercase());
        is_in |= (low.min(high)..=low.max(high)).contains(&byte);
        at += length;
    }
    (is_in != is_negated).then_some((at + 1).min(set.len()))
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
}

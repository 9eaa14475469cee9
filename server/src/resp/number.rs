//! Decimal numbers as the protocol writes them: one spelling for each.

/// The most characters of a decimal 64-bit number, with its sign.
pub(super) const DECIMAL_BYTES_MAX: usize = 20;

/// Reads a decimal number the way Redis does: no sign but a minus, no leading zeros, nothing around it.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    digits.iter().try_fold(0i64, |sum, digit| {
        let digit = i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        let sum = sum.checked_mul(10)?;
        if is_negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    })
}

/// Writes a number, without the cost of the formatting machinery: every reply has one.
pub(super) fn with_decimal<R>(number: i64, then: impl FnOnce(&[u8]) -> R) -> R {
    let mut text = [0u8; DECIMAL_BYTES_MAX];
    let mut at = DECIMAL_BYTES_MAX;
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    then(&text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_for_each_number() {
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            "-01",
            " 1",
            "1 ",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(parse_integer(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse_integer(b"0"), Some(0));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -20i64..20]) {
            let text = with_decimal(number, |text| text.to_vec());
            prop_assert_eq!(String::from_utf8_lossy(&text), number.to_string());
            prop_assert_eq!(parse_integer(&text), Some(number));
        }
    }
}

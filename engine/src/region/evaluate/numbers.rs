//! Commands that reckon with values.

use std::io::Write as _;

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use super::live;
use super::long_double::LongDouble;
use super::values::expires;
use crate::Expiry;
use crate::machine::{Held, KeyMachine, Octets};
use crate::reply_bytes::{self, Rejection};

pub(super) fn increment<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    key: &[u8],
    by: i64,
) -> Result<Bytes, Fatal> {
    let old = live(data, now, key)?;
    let number = match &old {
        None => 0,
        Some(text) => match integer(&text.value) {
            Some(number) => number,
            None => return Ok(reply_bytes::rejected(Rejection::NotAnInteger)),
        },
    };
    let Some(sum) = number.checked_add(by) else { return Ok(reply_bytes::rejected(Rejection::Overflow)) };
    data.put(key, Held { value: decimal(sum), expires: expires(Expiry::Keep, old.as_ref()) })?;
    Ok(reply_bytes::integer(sum))
}

pub(super) fn increment_float<M: KeyMachine>(
    data: &mut M,
    now: Stamp,
    (key, by): (&[u8], &[u8]),
) -> Result<Bytes, Fatal> {
    let old = live(data, now, key)?;
    let number = old.as_ref().map_or(Some(LongDouble::ZERO), |old| LongDouble::parse(&old.value));
    let (Some(number), Some(by)) = (number, LongDouble::parse(by)) else {
        return Ok(reply_bytes::rejected(Rejection::NotAFloat));
    };
    let Some(sum) = number.plus(&by) else { return Ok(reply_bytes::rejected(Rejection::NotFinite)) };
    let text = sum.text();
    let value = text.as_bytes().into();
    data.put(key, Held { value, expires: expires(Expiry::Keep, old.as_ref()) })?;
    Ok(reply_bytes::value(Some(text.as_bytes())))
}

/// The number that `text` is the one way to write: no plus, no leading zero, no space.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decimal(number: i64) -> Octets {
    // "-9223372036854775808" has 20 bytes.
    let mut text = [0; 20];
    let mut rest = &mut text[..];
    // Writing to a slice fails only if it is too short.
    let _ = write!(rest, "{number}");
    let left = rest.len();
    Octets::from(&text[..text.len() - left])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_told_apart_as_redis_does() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(integer(&decimal(number)), Some(number));
        }
        for text in ["", "-", "+1", "01", "-0", "00", " 1", "1 ", "1.0", "9223372036854775808", "x", "-01"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }
}

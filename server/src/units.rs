//! Sizes and durations as people write them: `4096`, `64KiB`, `500ms`, `5s`.

use std::fmt;
use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

const DURATION_UNITS_MS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// A size or a duration that cannot be read, in words that say what can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitError {
    written: String,
    wanted: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not {}", self.written, self.wanted)
    }
}

impl std::error::Error for UnitError {}

/// Reads a size: a number of bytes, or a number with KiB, MiB, GiB or TiB.
pub fn parse_size(written: &str) -> Result<u64, UnitError> {
    let wanted = "a size: write a number of bytes, or a number with KiB, MiB, GiB or TiB, such as 64KiB";
    let refused = || UnitError { written: written.to_owned(), wanted };
    let (number, unit) = split(written).ok_or_else(refused)?;
    let factor = if unit.is_empty() { Some(1) } else { factor(&SIZE_UNITS, unit) };
    factor.and_then(|factor| number.checked_mul(factor)).ok_or_else(refused)
}

/// Reads a duration: a number with ms, s, m or h.
pub fn parse_duration(written: &str) -> Result<Duration, UnitError> {
    let wanted = "a duration: write a number with ms, s, m or h, such as 500ms or 5s";
    let refused = || UnitError { written: written.to_owned(), wanted };
    let (number, unit) = split(written).ok_or_else(refused)?;
    let millis = factor(&DURATION_UNITS_MS, unit).and_then(|factor| number.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(refused)
}

/// The number in front, and what stands behind it.
fn split(written: &str) -> Option<(u64, &str)> {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at(digits);
    Some((number.parse().ok()?, unit))
}

fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        let good = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("1TiB", 1 << 40),
        ];
        for (written, bytes) in good {
            assert_eq!(parse_size(written), Ok(bytes), "{written}");
        }
    }

    #[test]
    fn durations_name_their_unit() {
        let good = [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)];
        for (written, millis) in good {
            assert_eq!(parse_duration(written), Ok(Duration::from_millis(millis)), "{written}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_one_sentence() {
        let huge = "99999999999999999999";
        for bad in [
            "",
            "KiB",
            "64k",
            "64KB",
            "64kib",
            "64 KiB",
            "-1",
            "1.5MiB",
            "1MiBs",
            huge,
            "18446744073709551615KiB",
        ] {
            let error = parse_size(bad).expect_err(bad).to_string();
            assert!(error.starts_with(&format!("'{bad}' is not a size: ")), "{error}");
        }
        for bad in ["", "5", "s", "5 s", "5sec", "1.5s", "-5s", "18446744073709551615h"] {
            let error = parse_duration(bad).expect_err(bad).to_string();
            assert!(error.starts_with(&format!("'{bad}' is not a duration: ")), "{error}");
        }
    }
}

//! Numbers as Redis reckons with them in INCRBYFLOAT: binary with 64 bits of precision, the `long double` of x86-64.
//!
//! All of it is integer arithmetic, so that every replica, on whatever machine, comes to the same digits. A number is
//! read from its decimal digits and rounded once, a sum is rounded once, both to the nearest, ties to even; it is
//! written with 17 digits after the point, without the zeros at the end.
//!
//! Left out: numbers too small for a `long double` of full precision are kept with full precision (they are written as
//! zero all the same), and numbers in hexadecimal are none.

use natural::Natural;

mod natural;

/// Bits of precision.
const BITS: u64 = 64;
/// The exponent of the lowest bit of the largest number.
const EXPONENT_MAX: i64 = 16_384 - 64;
/// Decimal exponents beyond which every number is too large, or so small that Redis refuses it.
const DECIMAL_EXPONENT_MAX: i64 = 4_933;
const DECIMAL_EXPONENT_MIN: i64 = -4_951;
/// Bytes of a number's text, as in Redis. Beyond: no number.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Digits after the point.
const FRACTION_DIGITS: u32 = 17;

/// `(-1)^negative * mantissa * 2^exponent`. A mantissa is zero or has its highest bit set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LongDouble {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    pub(super) const ZERO: LongDouble = LongDouble { negative: false, mantissa: 0, exponent: 0 };

    /// Infinity: a number to Redis, and no sum.
    const INFINITE: LongDouble =
        LongDouble { negative: false, mantissa: 1 << (BITS - 1), exponent: EXPONENT_MAX + 1 };

    /// The number that `text` says: digits with a sign, a point and an exponent, nothing around them.
    pub(super) fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(LongDouble { negative, ..LongDouble::INFINITE });
        }
        let (digits, exponent) = decimal(text)?;
        let mut number = Natural::default();
        digits.iter().for_each(|digit| number.times_plus(10, u32::from(digit - b'0')));
        if number.is_zero() {
            return Some(LongDouble { negative, ..LongDouble::ZERO });
        }
        let magnitude = exponent.saturating_add(digits.len() as i64);
        if !(DECIMAL_EXPONENT_MIN..=DECIMAL_EXPONENT_MAX).contains(&magnitude) {
            return None;
        }
        LongDouble::of_decimal(negative, number, exponent).filter(LongDouble::is_finite)
    }

    /// `number * 10^exponent`, rounded.
    fn of_decimal(negative: bool, mut number: Natural, exponent: i64) -> Option<LongDouble> {
        if exponent >= 0 {
            number.times_power_of_ten(exponent.unsigned_abs());
            return Some(LongDouble::rounded(negative, number, 0, false));
        }
        // Enough bits that the quotient has more than it keeps, whatever the divisor: 10 has less than 4.
        let shift = 4 * exponent.unsigned_abs() + BITS + 2;
        number.shift_left(shift);
        let is_inexact = number.divide_by_power_of_ten(exponent.unsigned_abs());
        Some(LongDouble::rounded(negative, number, -i64::try_from(shift).ok()?, is_inexact))
    }

    /// `number * 2^exponent`, and a little more if it `is_inexact`, to the nearest.
    fn rounded(negative: bool, number: Natural, exponent: i64, is_inexact: bool) -> LongDouble {
        let excess = number.bits().saturating_sub(BITS);
        let (top, half, rest) = number.split_at(excess);
        let mut mantissa = top;
        let mut exponent = exponent + excess as i64;
        if half && (rest || is_inexact || mantissa & 1 == 1) {
            let (sum, overflows) = mantissa.overflowing_add(1);
            mantissa = if overflows { 1 << (BITS - 1) } else { sum };
            exponent += i64::from(overflows);
        }
        if mantissa == 0 {
            return LongDouble { negative, ..LongDouble::ZERO };
        }
        let missing = mantissa.leading_zeros();
        LongDouble { negative, mantissa: mantissa << missing, exponent: exponent - i64::from(missing) }
    }

    fn is_finite(&self) -> bool {
        self.exponent <= EXPONENT_MAX
    }

    /// The sum; `None` if it is not finite.
    pub(super) fn plus(&self, other: &LongDouble) -> Option<LongDouble> {
        if !self.is_finite() || !other.is_finite() {
            return None;
        }
        let exponent = match (self.mantissa, other.mantissa) {
            (_, 0) => return Some(self.clone()),
            (0, _) => return Some(other.clone()),
            _ => self.exponent.min(other.exponent),
        };
        let (a, b) = (self.shifted(exponent), other.shifted(exponent));
        let sum = match (self.negative == other.negative, a >= b) {
            (true, _) => LongDouble::rounded(self.negative, a.plus(&b), exponent, false),
            (false, true) => LongDouble::rounded(self.negative, a.minus(&b), exponent, false),
            (false, false) => LongDouble::rounded(other.negative, b.minus(&a), exponent, false),
        };
        sum.is_finite().then_some(sum)
    }

    fn shifted(&self, exponent: i64) -> Natural {
        let mut number = Natural::from(self.mantissa);
        number.shift_left((self.exponent - exponent).unsigned_abs());
        number
    }

    /// As Redis writes it.
    pub(super) fn text(&self) -> String {
        let mut scaled = Natural::from(self.mantissa);
        scaled.times_power_of_ten(FRACTION_DIGITS.into());
        if self.exponent >= 0 {
            scaled.shift_left(self.exponent.unsigned_abs());
        } else {
            scaled.shift_right_to_nearest(self.exponent.unsigned_abs());
        }
        let digits = scaled.digits();
        let digits = format!("{digits:0>width$}", width = FRACTION_DIGITS as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS as usize);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.negative && (whole, fraction) != ("0", "") { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }
}

/// The digits of a number without its point, from the first that counts, and the power of ten they are times.
fn decimal(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], decimal_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let fraction = number.get(point + 1..).unwrap_or_default();
    let digits = [&number[..point], fraction].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
    Some((digits[first..].to_vec(), exponent.saturating_sub(fraction.len() as i64)))
}

fn decimal_exponent(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 32));
    Some(if text[0] == b'-' { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        parse(a).plus(&parse(b)).map_or("infinite".into(), |sum| sum.text())
    }

    /// As redis-server 7.0.15 answers on x86-64.
    #[test]
    fn sums_are_written_as_redis_writes_them() {
        for (a, b, wanted) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0", "-0", "0"),
            ("3", "-3", "0"),
            ("0.1", "0.2", "0.3"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "1e-18", "1"),
            ("-1", ".5", "-0.5"),
            ("1e20", "1", "100000000000000000000"),
            ("9007199254740993", "0.5", "9007199254740993.5"),
            ("1.", "+2", "3"),
            ("0.00000000000000001", "0", "0.00000000000000001"),
            ("17179869184", "1.123456789", "17179869185.12345678918063641"),
            ("1000000", "0.1", "1000000.10000000000002274"),
            ("0.000000000000000005", "0", "0"),
        ] {
            assert_eq!(sum(a, b), wanted, "{a} + {b}");
            assert_eq!(sum(b, a), wanted, "{b} + {a}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_large() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", " 1", "1 ", "1.2.3", "0x1", "abc", "1e5000", "nan", "1e-5000",
            "--1",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(sum("1e4932", "1.1e4932"), "infinite");
        assert_eq!(sum("inf", "1"), "infinite");
        assert_eq!(sum("-Infinity", "1"), "infinite");
    }

    #[test]
    fn large_and_small_numbers_are_written_out() {
        assert_eq!(sum("1e30", "0"), "1000000000000000000024696061952");
        assert_eq!(sum("1e-30", "0"), "0");
        assert_eq!(sum("-1e-30", "0"), "0");
        let large = sum("1e4000", "1");
        assert!(
            large.len() == 4000 && large.starts_with("99999999999999999999654638730996237849324925"),
            "{large}"
        );
    }
}

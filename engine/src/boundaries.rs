//! Where a new key space is cut: N regions have N - 1 boundaries between them.
//!
//! Half of them (rounded up) lie evenly over `key:000000000000` to `key:000000099999`, the keys that load generators
//! use, which would all fall into one region otherwise. The other half lies evenly over the three-byte prefixes of
//! printable ASCII, for keys that people use.

use bytes::Bytes;

use crate::limits::REGIONS_MAX;

/// Numbered keys that the first half is spread over.
const NUMBERED_KEYS: u64 = 100_000;
/// The first printable byte, and how many there are.
const PRINTABLE_FIRST: u8 = b' ';
const PRINTABLE: u64 = 95;
const PREFIXES: u64 = PRINTABLE * PRINTABLE * PRINTABLE;

// Each half has fewer boundaries than places to lie, so that all of them differ.
const _: () = assert!((REGIONS_MAX as u64) < NUMBERED_KEYS + 1);

/// The boundaries of `regions` regions, growing. `regions` is at least one and at most [`REGIONS_MAX`].
pub(crate) fn boundaries(regions: u32) -> Vec<Bytes> {
    debug_assert!((1..=REGIONS_MAX).contains(&regions));
    let all = u64::from(regions) - 1;
    let numbered = all.div_ceil(2);
    let mut boundaries: Vec<Bytes> = Vec::with_capacity(all as usize);
    boundaries.extend((1..=numbered).map(|i| numbered_key(i * NUMBERED_KEYS / (numbered + 1))));
    let prefixes = all - numbered;
    boundaries.extend((1..=prefixes).map(|i| prefix(i * PREFIXES / (prefixes + 1))));
    boundaries.sort_unstable();
    boundaries
}

fn numbered_key(number: u64) -> Bytes {
    Bytes::from(format!("key:{number:012}"))
}

fn prefix(number: u64) -> Bytes {
    let digit = |place: u64| PRINTABLE_FIRST + (number / place % PRINTABLE) as u8;
    Bytes::copy_from_slice(&[digit(PRINTABLE * PRINTABLE), digit(PRINTABLE), digit(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_regions() {
        assert!(boundaries(1).is_empty());
        assert_eq!(boundaries(2), ["key:000000050000"]);
        assert_eq!(boundaries(3), ["OOO", "key:000000050000"]);
        let sixteen = boundaries(16);
        assert_eq!(sixteen.iter().filter(|key| key.starts_with(b"key:")).count(), 8);
        assert_eq!(sixteen.iter().find(|key| key.starts_with(b"key:")), Some(&"key:000000011111".into()));
    }

    #[test]
    fn always_so_many_and_growing() {
        for regions in [1, 2, 3, 4, 16, 17, 1000, 3000, 10_000, REGIONS_MAX] {
            let boundaries = boundaries(regions);
            assert_eq!(boundaries.len(), regions as usize - 1);
            assert!(boundaries.is_sorted_by(|a, b| a < b), "{regions} regions");
            assert!(boundaries.iter().all(|key| key.len() == 3 || key.len() == 16));
        }
    }
}

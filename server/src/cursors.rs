//! Where SCAN goes on: numbers for clients, keys for us.
//!
//! Clients hold a cursor to be a decimal number, so the key to go on from stays here, in a bounded table, under a number
//! that says which process has it: 16 bits that differ from one process to another, 48 bits that count. A number that
//! this process did not give out, or has forgotten, is no cursor: the client is told so, and does not start over without
//! knowing it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

/// How long a cursor is kept after it was given out. Beyond: invalid.
const KEPT_MAX: Duration = Duration::from_secs(10 * 60);
/// Cursors at one time. Beyond: the oldest is forgotten.
const CURSORS_MAX: usize = 100_000;
/// Bytes of the keys of all cursors. Beyond: the oldest is forgotten.
const BYTES_MAX: usize = 32 << 20;

const COUNT_BITS: u32 = 48;

/// See the page of this file.
pub(crate) struct Cursors {
    /// In the upper 16 bits: which process.
    process: u64,
    // Held for one look-up or one addition.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    places: BTreeMap<u64, Place>,
    /// In the order in which they were given out, with what was forgotten since.
    by_age: VecDeque<(Instant, u64)>,
    bytes: usize,
}

struct Place {
    key: Bytes,
    /// The cursor that this one followed: once this one is used, its client does not need that one any more.
    before: u64,
}

impl Cursors {
    /// Of a process whose cursors are told from others' by `seed`.
    pub(crate) fn new(seed: u64) -> Cursors {
        // Never zero, which is where every scan begins.
        let process = (seed % ((1 << 16) - 1) + 1) << COUNT_BITS;
        Cursors { process, kept: Mutex::default() }
    }

    /// The key that `cursor` stands for.
    pub(crate) fn key(&self, cursor: u64) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        kept.forget_until(Instant::now().checked_sub(KEPT_MAX));
        let place = kept.places.get(&cursor)?;
        let (key, before) = (place.key.clone(), place.before);
        kept.forget(before);
        Some(key)
    }

    /// A cursor for `key`, which the scan that had the cursor `before` goes on from.
    pub(crate) fn give(&self, key: Bytes, before: u64) -> u64 {
        let mut kept = self.kept.lock();
        let now = Instant::now();
        kept.forget_until(now.checked_sub(KEPT_MAX));
        kept.last = (kept.last + 1) & ((1 << COUNT_BITS) - 1);
        let cursor = self.process | kept.last;
        kept.bytes += key.len();
        kept.places.insert(cursor, Place { key, before });
        kept.by_age.push_back((now, cursor));
        while kept.places.len() > CURSORS_MAX || kept.bytes > BYTES_MAX {
            let Some((_, oldest)) = kept.by_age.pop_front() else { break };
            kept.forget(oldest);
        }
        cursor
    }
}

impl Kept {
    fn forget(&mut self, cursor: u64) {
        if let Some(place) = self.places.remove(&cursor) {
            self.bytes -= place.key.len();
        }
    }

    fn forget_until(&mut self, end: Option<Instant>) {
        let is_over = |front: &(Instant, u64), places: &BTreeMap<u64, Place>| {
            !places.contains_key(&front.1) || end.is_some_and(|end| front.0 < end)
        };
        while self.by_age.front().is_some_and(|front| is_over(front, &self.places)) {
            if let Some((_, cursor)) = self.by_age.pop_front() {
                self.forget(cursor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_keeps_two_places_however_long_it_is() {
        let cursors = Cursors::new(7);
        let mut cursor = cursors.give("k0".into(), 0);
        for number in 1..1000 {
            let key = cursors.key(cursor).expect("it was given out");
            assert_eq!(key, format!("k{}", number - 1));
            assert_eq!(cursors.key(cursor), Some(key), "asked for again, it is the same");
            cursor = cursors.give(format!("k{number}").into(), cursor);
        }
        let kept = cursors.kept.lock();
        assert_eq!(kept.places.len(), 2);
        assert!(kept.by_age.len() <= 2, "{}", kept.by_age.len());
    }

    #[test]
    fn what_was_not_given_out_here_is_no_cursor() {
        let (one, other) = (Cursors::new(0), Cursors::new(1));
        let cursor = one.give("k".into(), 0);
        assert!(cursor >> COUNT_BITS > 0);
        assert_eq!(other.key(cursor), None);
        assert_eq!(one.key(cursor + 1), None);
        assert_eq!(one.key(1), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let cursors = Cursors::new(0);
        let first = cursors.give("k".into(), 0);
        let large = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..40 {
            cursors.give(large.clone(), 0);
        }
        assert!(cursors.kept.lock().bytes <= BYTES_MAX);
        assert_eq!(cursors.key(first), None);
    }
}

//! Compares what the server has with a file, of which only the last line of each key counts.
//!
//! Memory is bounded whatever the file's size: a key is remembered only while what was found differs from its newest line
//! so far, by a hash and not by its bytes. Of those that are remembered, a later line of the same key either agrees, and
//! it is forgotten, or differs as well, and takes its place. If more differ than may be remembered, the file is gone
//! through several times, each time for a part of the keys.

use std::collections::HashMap;
use std::io::BufRead;

use super::super::answers::Answer;
use super::batch::{Entry, KeyHash, hash_of_value};
use super::lines::{LineError, Lines};
use super::sender::{Judge, Trouble, Verdict};
use super::verdict;

/// A line whose value is not what the server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Difference {
    pub(super) line: u64,
    /// What the server has instead, by its hash.
    pub(super) found: Option<u64>,
}

/// Keys whose newest line so far differs. See the page of this file.
pub(super) struct Differences {
    by_key: HashMap<KeyHash, Difference>,
    /// How many are remembered, at most.
    keys_max: usize,
}

impl Differences {
    pub(super) fn new(keys_max: usize) -> Differences {
        Differences { by_key: HashMap::new(), keys_max }
    }

    /// What `others` have as well: of other keys.
    pub(super) fn merged(others: Vec<Differences>) -> Differences {
        let keys_max = others.iter().map(|other| other.keys_max).sum();
        Differences { by_key: others.into_iter().flat_map(|other| other.by_key).collect(), keys_max }
    }

    /// The lines behind those that were compared. They may have been written without being acknowledged, so what they
    /// say may stand in the place of an earlier line.
    pub(super) fn read_on<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<(), LineError> {
        while !self.by_key.is_empty() {
            let Some(line) = lines.next()? else { break };
            let key = KeyHash::of(line.key);
            let found = self.by_key.get(&key).and_then(|difference| difference.found);
            if found == Some(hash_of_value(line.value)) {
                self.by_key.remove(&key);
            }
        }
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_key.len()
    }

    /// The one of the lowest line.
    pub(super) fn first(&self) -> Option<Difference> {
        self.by_key.values().min_by_key(|difference| difference.line).copied()
    }

    fn compare(&mut self, entry: &Entry, found: Option<Vec<u8>>) -> Verdict {
        let Some(expected) = &entry.expected else { return verdict::unexpected(entry) };
        if found.as_ref() == Some(&expected.value) {
            if !self.by_key.is_empty() {
                self.by_key.remove(&expected.key);
            }
            return Verdict::Acknowledged;
        }
        let found = found.map(|value| hash_of_value(&value));
        self.by_key.insert(expected.key, Difference { line: entry.number, found });
        if self.by_key.len() > self.keys_max {
            return Verdict::Never(Trouble::TooManyDiffer);
        }
        Verdict::Acknowledged
    }
}

impl Judge for Differences {
    fn judge(&mut self, entry: &Entry, answer: Answer) -> Verdict {
        match answer {
            Answer::Value(value) => self.compare(entry, value),
            Answer::Error(why) => verdict::error(entry, why),
            Answer::Status(_) | Answer::Integer(_) | Answer::Array(_) => verdict::unexpected(entry),
        }
    }
}

//! What one connection has asked the key space and was not answered yet, as far as order and memory depend on it.
//!
//! A read may be overtaken by a write that is submitted after it; that shows only in a read of the same key. So a
//! write waits for the unanswered reads of its keys, and for those that concern all keys. Keys are told apart by
//! their hashes: two that collide delay a write and do no harm.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use skep_engine::{Command, VALUE_BYTES_MAX};

use crate::limits::{ANSWER_BYTES_MAX, UNANSWERED_MAX};

/// Places for keys that are kept while nothing is read.
const KEPT_READS_MAX: usize = 256;

/// What a question touches, and what its answer may cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Footprint {
    pub(super) is_write: bool,
    /// Whether the answer is a value, which may be large.
    pub(super) is_value: bool,
    /// Whether it goes from region to region: two of them would need room for all of their answers.
    pub(super) is_walk: bool,
    keys: Keys,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Keys {
    One(u64),
    Several(Vec<u64>),
    /// All of a region.
    All,
}

impl Footprint {
    pub(super) fn of(command: &Command) -> Footprint {
        let keys = match command {
            Command::Scan { .. }
            | Command::CountKeys { .. }
            | Command::CountExpiring { .. }
            | Command::AnyKey { .. }
            | Command::Clear { .. } => Keys::All,
            Command::Batch { .. }
            | Command::Create { .. }
            | Command::Move { .. }
            | Command::Atomic { .. } => {
                let mut hashes = Vec::new();
                command.all_keys(&mut |key| {
                    hashes.push(hash(key));
                    true
                });
                Keys::Several(hashes)
            }
            Command::Get { key }
            | Command::Length { key }
            | Command::ExpiryOf { key }
            | Command::Part { key, .. }
            | Command::Look { key }
            | Command::Put { key, .. }
            | Command::Delete { key, .. }
            | Command::Append { key, .. }
            | Command::Increment { key, .. }
            | Command::Sweep { key }
            | Command::IncrementFloat { key, .. }
            | Command::SetPart { key, .. }
            | Command::Expire { key, .. } => Keys::One(hash(key)),
        };
        let (is_write, is_value) = (command.is_write(), answers_value(command));
        Footprint { is_write, is_value, is_walk: false, keys }
    }

    /// The same of one question after another that begin with this one.
    pub(super) fn walking(self) -> Footprint {
        Footprint { is_walk: self.keys == Keys::All, ..self }
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

fn answers_value(command: &Command) -> bool {
    match command {
        Command::Get { .. } | Command::Part { .. } => true,
        Command::Put { return_old: returns, .. }
        | Command::Delete { return_old: returns, .. }
        | Command::Expire { return_value: returns, .. } => *returns,
        Command::Atomic { commands, .. } => commands.iter().any(answers_value),
        Command::Length { .. }
        | Command::Scan { .. }
        | Command::CountKeys { .. }
        | Command::ExpiryOf { .. }
        | Command::AnyKey { .. }
        | Command::CountExpiring { .. }
        | Command::Look { .. }
        | Command::Append { .. }
        | Command::Increment { .. }
        | Command::Batch { .. }
        | Command::Sweep { .. }
        | Command::IncrementFloat { .. }
        | Command::SetPart { .. }
        | Command::Create { .. }
        | Command::Move { .. }
        | Command::Clear { .. } => false,
    }
}

/// Why a question has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hindrance {
    /// A read of the key with this hash.
    Read(u64),
    /// A read that concerns all keys.
    ReadOfAll,
    /// A write that concerns all keys, and has not come to all of them.
    WriteOfAll,
    /// Too much is under way.
    Room,
}

/// See the page of this file.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// All of them.
    pub(super) parts: usize,
    /// Those whose answers are values.
    values: usize,
    /// What a value is expected to have, in bytes.
    value_bytes: usize,
    /// Reads of one key, by its hash.
    reads: HashMap<u64, u32>,
    reads_of_all: usize,
    writes_of_all: usize,
}

impl Default for UnderWay {
    fn default() -> UnderWay {
        UnderWay {
            parts: 0,
            values: 0,
            value_bytes: VALUE_BYTES_MAX,
            reads: HashMap::new(),
            reads_of_all: 0,
            writes_of_all: 0,
        }
    }
}

impl UnderWay {
    /// What a question has to wait for, when answers of `held_bytes` lie with the connection. A question for a value
    /// never waits for room if no other is under way: whoever waits for room is woken by an answer.
    pub(super) fn hindrance(&self, footprint: &Footprint, held_bytes: usize) -> Option<Hindrance> {
        if self.writes_of_all > 0 {
            return Some(Hindrance::WriteOfAll);
        }
        if footprint.is_walk && self.reads_of_all > 0 {
            return Some(Hindrance::ReadOfAll);
        }
        if footprint.is_write
            && let Some(read) = self.read_of(&footprint.keys)
        {
            return Some(read);
        }
        let expected = held_bytes + (self.values + 1) * self.value_bytes;
        let is_too_much = footprint.is_value && self.values > 0 && expected > ANSWER_BYTES_MAX;
        (is_too_much || self.parts >= UNANSWERED_MAX).then_some(Hindrance::Room)
    }

    fn read_of(&self, keys: &Keys) -> Option<Hindrance> {
        if self.reads_of_all > 0 {
            return Some(Hindrance::ReadOfAll);
        }
        let find = |keys: &[u64]| keys.iter().find(|key| self.reads.contains_key(key)).copied();
        match keys {
            Keys::One(key) => find(&[*key]),
            Keys::Several(keys) => find(keys),
            Keys::All => self.reads.keys().next().copied(),
        }
        .map(Hindrance::Read)
    }

    /// Whether what stood in the way may be gone.
    pub(super) fn is_gone(&self, hindrance: Hindrance) -> bool {
        match hindrance {
            Hindrance::Read(key) => !self.reads.contains_key(&key),
            Hindrance::ReadOfAll => self.reads_of_all == 0,
            Hindrance::WriteOfAll => self.writes_of_all == 0,
            Hindrance::Room => true,
        }
    }

    /// A question is asked.
    pub(super) fn begins(&mut self, footprint: &Footprint) {
        self.parts += 1;
        self.values += usize::from(footprint.is_value);
        if footprint.is_write {
            self.writes_of_all += usize::from(footprint.is_walk);
            return;
        }
        match &footprint.keys {
            Keys::One(key) => *self.reads.entry(*key).or_default() += 1,
            Keys::Several(_) | Keys::All => self.reads_of_all += 1,
        }
    }

    /// It was answered, with a value of so many bytes if it was one.
    pub(super) fn ends(&mut self, footprint: &Footprint, value_bytes: Option<usize>) {
        self.parts -= 1;
        self.values -= usize::from(footprint.is_value);
        if let Some(bytes) = value_bytes.filter(|_| footprint.is_value) {
            // Values of one client are alike; one that is larger counts at once, smaller ones soon.
            self.value_bytes = bytes.max(self.value_bytes / 2);
        }
        if footprint.is_write {
            self.writes_of_all -= usize::from(footprint.is_walk);
            return;
        }
        match &footprint.keys {
            Keys::One(key) => self.forget_read(*key),
            Keys::Several(_) | Keys::All => self.reads_of_all -= 1,
        }
    }

    fn forget_read(&mut self, key: u64) {
        let Some(count) = self.reads.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            self.reads.remove(&key);
        }
        if self.reads.is_empty() && self.reads.capacity() > KEPT_READS_MAX {
            self.reads.shrink_to(KEPT_READS_MAX / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_engine::Write;

    use super::*;

    fn get(key: &'static str) -> Footprint {
        Footprint::of(&Command::Get { key: key.into() })
    }

    fn length(key: &'static str) -> Footprint {
        Footprint::of(&Command::Length { key: key.into() })
    }

    fn delete(key: &'static str) -> Footprint {
        Footprint::of(&Command::Delete { key: key.into(), return_old: false })
    }

    fn waits(under_way: &UnderWay, footprint: &Footprint) -> bool {
        under_way.hindrance(footprint, 0).is_some()
    }

    #[test]
    fn a_write_waits_for_reads_of_its_keys_alone() {
        let mut under_way = UnderWay::default();
        under_way.begins(&get("a"));
        under_way.begins(&length("a"));
        assert!(waits(&under_way, &delete("a")));
        assert!(!waits(&under_way, &delete("b")));
        assert!(!waits(&under_way, &get("a")));
        let batch = |keys: [&'static str; 2]| {
            let writes = keys.map(|key| Write::Delete { key: key.into() }).to_vec();
            Footprint::of(&Command::Batch { writes })
        };
        assert!(waits(&under_way, &batch(["b", "a"])));
        assert!(!waits(&under_way, &batch(["b", "c"])));

        let hindrance = under_way.hindrance(&delete("a"), 0).expect("a is read");
        under_way.ends(&get("a"), Some(1));
        assert!(!under_way.is_gone(hindrance));
        under_way.ends(&length("a"), None);
        assert!(under_way.is_gone(hindrance));
        assert!(!waits(&under_way, &delete("a")));
    }

    #[test]
    fn a_write_waits_for_reads_of_all_keys() {
        let mut under_way = UnderWay::default();
        let count = Footprint::of(&Command::CountKeys { key: "".into() });
        under_way.begins(&count);
        assert_eq!(under_way.hindrance(&delete("a"), 0), Some(Hindrance::ReadOfAll));
        under_way.ends(&count, None);
        assert!(!waits(&under_way, &delete("a")));
    }

    #[test]
    fn nothing_goes_on_beside_a_write_of_all_keys() {
        let mut under_way = UnderWay::default();
        let flush = Footprint::of(&Command::Clear { key: "".into() }).walking();
        under_way.begins(&get("a"));
        assert!(waits(&under_way, &flush));
        under_way.ends(&get("a"), None);
        assert!(!waits(&under_way, &flush));
        under_way.begins(&flush);
        for other in [get("a"), delete("a"), flush.clone()] {
            assert_eq!(under_way.hindrance(&other, 0), Some(Hindrance::WriteOfAll));
        }
        under_way.ends(&flush, None);
        assert!(under_way.is_gone(Hindrance::WriteOfAll));
        assert!(!waits(&under_way, &get("a")));
    }

    #[test]
    fn one_walk_at_a_time() {
        let mut under_way = UnderWay::default();
        let scan =
            Command::Scan { start: "".into(), end: None, limit: 1, shape: skep_engine::ScanShape::default() };
        let walk = Footprint::of(&scan).walking();
        under_way.begins(&walk);
        assert!(waits(&under_way, &walk));
        assert!(waits(&under_way, &delete("a")));
        assert!(!waits(&under_way, &get("a")));
        under_way.ends(&walk, None);
        assert!(!waits(&under_way, &walk));
    }

    #[test]
    fn a_transaction_waits_for_the_looks_of_its_watched_keys() {
        let mut under_way = UnderWay::default();
        let look = Footprint::of(&Command::Look { key: "w".into() });
        under_way.begins(&look);
        let commands = vec![Command::Delete { key: "a".into(), return_old: false }];
        let exec = Command::Atomic { watched: vec![("w".into(), "".into())], commands };
        let exec = Footprint::of(&exec).walking();
        assert!(waits(&under_way, &exec));
        under_way.ends(&look, None);
        assert!(!waits(&under_way, &exec));
        under_way.begins(&exec);
        assert!(!waits(&under_way, &get("a")), "it is one question, which keeps its place");
    }

    #[test]
    fn values_are_asked_for_as_far_as_there_is_room_for_them() {
        let mut under_way = UnderWay::default();
        let at_first = ANSWER_BYTES_MAX / VALUE_BYTES_MAX;
        for _ in 0..at_first {
            assert!(!waits(&under_way, &get("a")));
            under_way.begins(&get("a"));
        }
        assert_eq!(under_way.hindrance(&get("a"), 0), Some(Hindrance::Room));
        assert!(!waits(&under_way, &length("a")), "a length needs no room");
        for _ in 0..at_first {
            under_way.ends(&get("a"), Some(10));
        }
        // Small values: many more of them.
        for _ in 0..100 {
            assert!(!waits(&under_way, &get("a")));
            under_way.begins(&get("a"));
        }
        under_way.ends(&get("a"), Some(VALUE_BYTES_MAX));
        assert!(waits(&under_way, &get("a")));
        for _ in 1..100 {
            under_way.ends(&get("a"), Some(VALUE_BYTES_MAX));
        }
        assert!(!under_way_waits_when_alone(&under_way));
    }

    /// However much lies with the connection, one question may be asked.
    fn under_way_waits_when_alone(under_way: &UnderWay) -> bool {
        under_way.hindrance(&get("a"), usize::MAX / 2).is_some()
    }

    #[test]
    fn questions_are_bounded_in_number() {
        let mut under_way = UnderWay::default();
        for _ in 0..UNANSWERED_MAX {
            assert!(!waits(&under_way, &delete("a")));
            under_way.begins(&delete("a"));
        }
        assert_eq!(under_way.hindrance(&length("b"), 0), Some(Hindrance::Room));
    }
}

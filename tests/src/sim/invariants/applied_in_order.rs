//! Each replica applies every entry once and in order, and what it applies at an index is what everyone applies there (5.4.3).

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, StoreId, Term};
use skep_raftstore::machine::Committed;
use skep_raftstore::raft::LogPos;

use super::{Judged, hash_of_bytes};
use crate::sim::chance::mixed;

/// See the page of this file.
#[derive(Default)]
pub(super) struct AppliedInOrder {
    /// The entry that was applied at an index: its term, and a hash of what it says.
    entries: BTreeMap<(RegionId, Index), (Term, u64)>,
}

impl AppliedInOrder {
    /// A machine that stands at `at` is about to apply `batch`.
    pub(super) fn applies(
        &mut self,
        store: StoreId,
        region: RegionId,
        at: LogPos,
        batch: &[Committed],
    ) -> Judged {
        let mut last = at.index;
        for entry in batch {
            if entry.index != last.next() {
                let (index, last) = (entry.index.0, last.0);
                return Err(format!("{region} on {store} applies entry {index} after entry {last}"));
            }
            last = entry.index;
            let is = (entry.term, hash_of(entry));
            let known = *self.entries.entry((region, entry.index)).or_insert(is);
            if known != is {
                return Err(format!(
                    "{region} on {store}: entry {} of term {} is applied where another replica applied one of term {}",
                    entry.index.0, entry.term.0, known.0.0
                ));
            }
        }
        Ok(())
    }
}

fn hash_of(entry: &Committed) -> u64 {
    let origin = entry.origin.map_or(0, |origin| {
        mixed(u64::from(origin.store.0) ^ mixed(origin.life.0 ^ mixed(origin.seq ^ mixed(origin.lowest))))
    });
    mixed(entry.stamp.0 ^ origin) ^ hash_of_bytes(&entry.body)
}

#[cfg(test)]
mod tests {
    use super::super::samples::REGION;
    use super::*;
    use skep_raftstore::machine::Stamp;

    fn entry(index: u64, term: u64, body: &'static str) -> Committed {
        Committed {
            index: Index(index),
            term: Term(term),
            stamp: Stamp(1),
            origin: None,
            proposer: None,
            membership: None,
            body: body.into(),
        }
    }

    fn at(index: u64) -> LogPos {
        LogPos { index: Index(index), term: Term(1) }
    }

    #[test]
    fn replicas_apply_the_same_in_other_pieces() {
        let mut rule = AppliedInOrder::default();
        let all = [entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 2, "c")];
        assert_eq!(rule.applies(StoreId(1), REGION, at(0), &all), Ok(()));
        assert_eq!(rule.applies(StoreId(2), REGION, at(0), &all[..1]), Ok(()));
        assert_eq!(rule.applies(StoreId(2), REGION, at(1), &all[1..]), Ok(()));
    }

    #[test]
    fn what_is_left_out_or_done_twice_or_other_is_noticed() {
        let mut rule = AppliedInOrder::default();
        rule.applies(StoreId(1), REGION, at(0), &[entry(1, 1, "a")]).unwrap();
        let mut why = |last, entry| rule.applies(StoreId(2), REGION, at(last), &[entry]).unwrap_err();
        assert!(why(1, entry(1, 1, "a")).contains("after entry 1"));
        assert!(why(1, entry(3, 1, "c")).contains("after entry 1"));
        assert!(why(0, entry(1, 1, "b")).contains("another replica applied"));
        assert!(why(0, entry(1, 2, "a")).contains("one of term 1"));
    }
}

//! Log matching (5.3): an index and a term name one entry, and one history before it. Checked on the entries that leaders send.
//!
//! That the term of the entry before is always the same is enough for the whole history, one entry after the other.

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, Term};
use skep_raftstore::raft::{Body, Message};

use super::{Judged, hash_of_bytes};

/// See the page of this file. A run is short, so nothing is forgotten.
#[derive(Default)]
pub(super) struct LogMatching {
    /// The term of the entry before, and a hash of what the entry says.
    entries: BTreeMap<(RegionId, Index, Term), (Term, u64)>,
}

impl LogMatching {
    /// A message leaves.
    pub(super) fn leaves(&mut self, region: RegionId, message: &Message) -> Judged {
        let Body::Append { prev, entries, .. } = &message.body else { return Ok(()) };
        let mut before = *prev;
        for entry in entries {
            let (index, term) = (entry.index, entry.term);
            if index != before.index.next() || term < before.term || term > message.term {
                let leader = message.from;
                return Err(format!(
                    "{leader:?} of {region} sends in term {} an entry {} of term {} after {before:?}",
                    message.term.0, index.0, term.0
                ));
            }
            let is = (before.term, hash_of_bytes(entry.payload.bytes()));
            let known = *self.entries.entry((region, index, term)).or_insert(is);
            if known != is {
                let what = if known.0 == is.0 { "says different things" } else { "follows different terms" };
                return Err(format!("entry {} of term {} of {region} {what}", index.0, term.0));
            }
            (before.index, before.term) = (index, term);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, append};
    use super::*;

    #[test]
    fn the_same_entries_in_other_pieces_match() {
        let mut rule = LogMatching::default();
        for message in [append(5, (0, 0), &[(3, "a"), (4, "b")]), append(6, (1, 3), &[(4, "b"), (6, "c")])] {
            assert_eq!(rule.leaves(REGION, &message), Ok(()));
        }
        let other_term = append(7, (1, 3), &[(5, "x")]);
        assert_eq!(rule.leaves(REGION, &other_term), Ok(()), "another entry at the same index");
    }

    #[test]
    fn what_differs_is_noticed() {
        let mut rule = LogMatching::default();
        rule.leaves(REGION, &append(5, (0, 0), &[(3, "a"), (4, "b")])).unwrap();
        let mut why = |message| rule.leaves(REGION, &message).unwrap_err();
        assert!(why(append(6, (1, 3), &[(4, "B")])).contains("different things"));
        assert!(why(append(6, (1, 2), &[(4, "b")])).contains("different terms"));
        assert!(why(append(6, (1, 3), &[(2, "b")])).contains("after"), "terms do not go down");
        assert!(why(append(6, (1, 3), &[(7, "b")])).contains("after"), "of a term that is to come");
    }
}

//! Leader completeness (5.4): who leads has every entry that was committed in an earlier term.
//!
//! Whoever was seen to be committed through an index in a term was so by leaders of that term or of earlier ones. So every leader
//! of a later term began with a log at least as long, whichever of the two is seen first. And what was applied when no replica
//! had come to a newer term than T stands in the log of every leader from T on: it sends that entry and no other. (The leader of
//! an earlier term may not know yet, and still send what stands in its way.)

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, Term};
use skep_raftstore::raft::{Body, LogPos, Message, Role};
use skep_raftstore::store::RegionStatus;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct LeaderCompleteness {
    regions: BTreeMap<RegionId, Seen>,
}

/// What was seen of a region.
#[derive(Default)]
struct Seen {
    /// How far replicas were committed in a term.
    commits: BTreeMap<Term, Index>,
    /// Where the log of a term's leader ended when it was first seen to lead.
    leaders: BTreeMap<Term, Index>,
    /// The newest term of any replica.
    newest: Term,
    /// The term of each entry that was applied, and the newest term of any replica when it first was.
    applied: BTreeMap<Index, (Term, Term)>,
}

impl LeaderCompleteness {
    /// A replica after a turn.
    pub(super) fn saw(&mut self, status: &RegionStatus) -> Judged {
        let RegionStatus { region, term, last, commit, .. } = *status;
        let seen = self.regions.entry(region).or_default();
        seen.newest = seen.newest.max(term);
        if status.role == Role::Leader && !seen.leaders.contains_key(&term) {
            seen.leaders.insert(term, last);
            let before = seen.commits.range(..term).find(|(_, commit)| **commit > last);
            before.map_or(Ok(()), |(before, commit)| Err(lacks(region, term, last, *before, *commit)))?;
        }
        let known = seen.commits.entry(term).or_default();
        if commit > *known {
            *known = commit;
            let later = seen.leaders.range(term.next()..).find(|(_, last)| **last < commit);
            later.map_or(Ok(()), |(later, last)| Err(lacks(region, *later, *last, term, commit)))?;
        }
        Ok(())
    }

    /// An entry is applied somewhere.
    pub(super) fn applies(&mut self, region: RegionId, index: Index, term: Term) {
        let seen = self.regions.entry(region).or_default();
        seen.applied.entry(index).or_insert((term, seen.newest));
    }

    /// A message leaves.
    pub(super) fn leaves(&self, region: RegionId, message: &Message) -> Judged {
        let Body::Append { prev, entries, .. } = &message.body else { return Ok(()) };
        let Some(seen) = self.regions.get(&region) else { return Ok(()) };
        let sent = entries.iter().map(|entry| LogPos { index: entry.index, term: entry.term });
        for LogPos { index, term } in std::iter::once(*prev).chain(sent) {
            if let Some((applied, since)) = seen.applied.get(&index)
                && message.term >= *since
                && term != *applied
            {
                let (leader, now) = (message.from, message.term.0);
                return Err(format!(
                    "{leader:?} of {region}, which leads in term {now}, has an entry {} of term {} where one of term {} was applied",
                    index.0, term.0, applied.0
                ));
            }
        }
        Ok(())
    }
}

fn lacks(region: RegionId, leads: Term, last: Index, term: Term, commit: Index) -> String {
    format!(
        "the leader of {region} in term {} began with entries through {}, but {} were committed in term {}",
        leads.0, last.0, commit.0, term.0
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, append, follows, led};
    use super::*;

    fn committed(status: RegionStatus, last: u64, commit: u64) -> RegionStatus {
        RegionStatus { last: Index(last), commit: Index(commit), ..status }
    }

    #[test]
    fn a_leader_that_lacks_what_was_committed_is_noticed_whichever_is_seen_first() {
        let (before, short) = (committed(follows(1, 4), 9, 8), committed(led(2, 5), 7, 3));
        for history in [[&before, &short], [&short, &before]] {
            let mut rule = LeaderCompleteness::default();
            rule.saw(history[0]).unwrap();
            assert!(rule.saw(history[1]).is_err_and(|why| why.contains("began with entries through 7")));
        }
    }

    #[test]
    fn what_is_committed_in_its_own_term_comes_after_it_began() {
        let mut rule = LeaderCompleteness::default();
        let history =
            [(led(2, 5), 8, 3), (led(2, 5), 20, 20), (follows(1, 5), 20, 20), (follows(3, 4), 9, 8)];
        for (status, last, commit) in history {
            assert_eq!(rule.saw(&committed(status, last, commit)), Ok(()));
        }
    }

    #[test]
    fn a_leader_that_has_another_entry_where_one_was_applied_is_noticed() {
        let mut rule = LeaderCompleteness::default();
        rule.saw(&follows(1, 6)).unwrap();
        rule.applies(REGION, Index(2), Term(4));
        assert_eq!(rule.leaves(REGION, &append(6, (1, 3), &[(4, "b")])), Ok(()));
        assert_eq!(
            rule.leaves(REGION, &append(5, (1, 3), &[(5, "x")])),
            Ok(()),
            "it has not heard of term 6"
        );
        assert!(
            rule.leaves(REGION, &append(6, (1, 3), &[(3, "x")])).is_err_and(|why| why.contains("applied"))
        );
        assert!(rule.leaves(REGION, &append(7, (2, 5), &[])).is_err());
    }
}

//! A leader commits only what a majority has on its medium (5.3, 5.4.2).
//!
//! A commit index that moves while a replica leads lies at an entry of its own term. Those who had to agree are the voters, or,
//! while a change of them is under way, the outgoing ones (the first to decide and the last), and both if everything through the
//! change itself is committed. A store that is down has its disk all the same.

use std::collections::BTreeMap;

use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::raft::Role;
use skep_raftstore::store::RegionStatus;

use super::Judged;
use super::medium::{Media, OnMedium};

/// See the page of this file.
#[derive(Default)]
pub(super) struct CommitOnQuorum {
    /// The replicas that led after the last turn of their store: in which term, and through where they had committed.
    leading: BTreeMap<(RegionId, ReplicaId), (Term, Index)>,
}

impl CommitOnQuorum {
    /// A replica after a turn.
    pub(super) fn saw(&mut self, status: &RegionStatus, media: &mut Media) -> Judged {
        if !self.has_committed(status) {
            return Ok(());
        }
        is_on_quorum(status, |store| media.look(store, status.region))
    }

    /// Whether it has led and committed something since the last time.
    fn has_committed(&mut self, status: &RegionStatus) -> bool {
        let place = (status.region, status.replica);
        let now = (status.role == Role::Leader).then_some((status.term, status.commit));
        let before = match now {
            Some(now) => self.leading.insert(place, now),
            None => self.leading.remove(&place),
        };
        before.zip(now).is_some_and(|(before, now)| before.0 == now.0 && before.1 < now.1)
    }

    /// The store's process is gone.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.leading.retain(|(_, replica), _| replica.store() != store);
    }
}

/// Whether those who had to agree have what a leader has just committed.
fn is_on_quorum(status: &RegionStatus, mut look: impl FnMut(StoreId) -> Result<OnMedium, String>) -> Judged {
    let RegionStatus { region, term, commit, last, ref membership, .. } = *status;
    let quorums = match membership.is_joint() {
        false => vec![&membership.voters],
        true if commit == last => vec![&membership.outgoing, &membership.voters],
        true => vec![&membership.outgoing],
    };
    for voters in quorums {
        let mut lacking = Vec::new();
        for voter in voters {
            let found = look(voter.store())?;
            if !counts(*voter, &found, commit, term) {
                lacking.push(format!("{voter:?} has {found:?}"));
            }
        }
        if 2 * lacking.len() >= voters.len() {
            return Err(format!(
                "{:?} committed entry {} of term {} of {region}, which is not on the disks of a majority of {voters:?}: {}",
                status.replica,
                commit.0,
                term.0,
                lacking.join(", ")
            ));
        }
    }
    Ok(())
}

/// Whether a voter holds the entry, as far as anybody can tell. Who was removed since was so by a later entry: a leader that was
/// cut off may hear late what it had said before.
fn counts(voter: ReplicaId, found: &OnMedium, commit: Index, term: Term) -> bool {
    match found {
        OnMedium::Unknown | OnMedium::Grave => true,
        OnMedium::Nothing => false,
        OnMedium::Kept(kept) => kept.replica.is_some_and(|is| is > voter) || kept.has(commit, term),
    }
}

#[cfg(test)]
mod tests {
    use super::super::medium::Kept;
    use super::super::samples::{kept, led, membership};
    use super::*;

    fn committed(commit: u64) -> RegionStatus {
        RegionStatus {
            commit: Index(commit),
            last: Index(9),
            membership: membership(&[1, 2, 3], &[]),
            ..led(1, 5)
        }
    }

    /// Each store's last entry, of term 5 from entry 4 on.
    fn disks(lasts: [u64; 4]) -> impl FnMut(StoreId) -> Result<OnMedium, String> {
        move |store| {
            let last = lasts[store.0 as usize - 1];
            Ok(OnMedium::Kept(kept(store.0, 5, &[(1, 3), (4, 5)], last)))
        }
    }

    #[test]
    fn only_a_leader_that_goes_on_has_committed_something() {
        let mut rule = CommitOnQuorum::default();
        let later = RegionStatus { term: Term(6), ..committed(8) };
        let follows = RegionStatus { role: Role::Follower, ..later.clone() };
        let seen = [committed(4), committed(4), committed(6), later.clone(), follows, later];
        let new: Vec<bool> = seen.iter().map(|status| rule.has_committed(status)).collect();
        assert_eq!(new, [false, false, true, false, false, false]);
    }

    #[test]
    fn a_minority_is_too_few() {
        assert_eq!(is_on_quorum(&committed(6), disks([6, 3, 7, 0])), Ok(()));
        let why = is_on_quorum(&committed(6), disks([9, 5, 3, 0])).unwrap_err();
        assert!(why.contains("not on the disks of a majority"), "{why}");
        let other_term = RegionStatus { term: Term(6), ..committed(6) };
        assert!(is_on_quorum(&other_term, disks([6, 6, 6, 0])).is_err(), "they have another entry there");
    }

    #[test]
    fn who_cannot_be_asked_or_was_removed_counts_and_who_was_never_born_does_not() {
        let with = |found: OnMedium| {
            let mut disks = disks([6, 3, 3, 0]);
            is_on_quorum(
                &committed(6),
                move |store| if store.0 == 2 { Ok(found.clone()) } else { disks(store) },
            )
        };
        let newer = Kept { replica: Some(ReplicaId::new(4, StoreId(2))), ..kept(2, 7, &[], 0) };
        let newer = OnMedium::Kept(newer);
        for found in [OnMedium::Unknown, OnMedium::Grave, newer] {
            assert_eq!(with(found), Ok(()));
        }
        assert!(with(OnMedium::Nothing).is_err());
    }

    #[test]
    fn while_voters_change_the_outgoing_ones_decide_and_both_about_the_change() {
        let joint =
            |commit| RegionStatus { membership: membership(&[2, 3, 4], &[1, 2, 3]), ..committed(commit) };
        assert_eq!(is_on_quorum(&joint(6), disks([6, 6, 0, 0])), Ok(()), "before the change");
        assert!(is_on_quorum(&joint(6), disks([0, 6, 0, 6])).is_err());
        assert!(is_on_quorum(&joint(9), disks([9, 9, 0, 0])).is_err(), "the change itself");
        assert_eq!(is_on_quorum(&joint(9), disks([9, 9, 0, 9])), Ok(()));
    }
}

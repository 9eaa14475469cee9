//! Who takes part in a group, and which change of it may follow.

use super::event::ChangeRefusal;
use super::quorum;
use super::types::ReplicaId;

/// So many replicas of one group at most, in all roles. More would make every entry cost more than it is worth.
pub const REPLICAS_MAX: usize = 32;

/// Who takes part in a group. Lists are sorted, without repetition.
///
/// While `outgoing` is not empty the group is in a joint configuration and a decision needs a majority of both. A voter
/// that is to become a learner stands in `outgoing` and in `learners` meanwhile.
///
/// Who keeps the data is a *copy*, and who does not a *witness*, whether it votes or not. What a replica is, it stays: to
/// replace the one by the other takes a replica with another name.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Membership {
    /// Grows with every change: by how many replicas it changes, and by one when a joint configuration is left.
    pub number: u64,
    /// Who votes and is counted.
    pub voters: Vec<ReplicaId>,
    /// Who voted before, while a change is under way.
    pub outgoing: Vec<ReplicaId>,
    /// Who receives the log and is not counted.
    pub learners: Vec<ReplicaId>,
    /// Who of all these keeps no data.
    pub witnesses: Vec<ReplicaId>,
}

impl Membership {
    /// A group of voters, nobody else.
    pub fn of_voters(mut voters: Vec<ReplicaId>) -> Membership {
        voters.sort_unstable();
        voters.dedup();
        Membership { voters, ..Membership::default() }
    }

    /// Whether `replica` takes part in any role.
    pub fn contains(&self, replica: ReplicaId) -> bool {
        self.is_voter(replica) || self.learners.contains(&replica)
    }

    /// Whether `replica` votes.
    pub fn is_voter(&self, replica: ReplicaId) -> bool {
        self.voters.contains(&replica) || self.outgoing.contains(&replica)
    }

    /// Whether `replica` keeps no data.
    pub fn is_witness(&self, replica: ReplicaId) -> bool {
        self.witnesses.contains(&replica)
    }

    /// Who of `voters` keeps the data.
    pub(super) fn copies<'a>(&'a self, voters: &'a [ReplicaId]) -> impl Iterator<Item = ReplicaId> + 'a {
        voters.iter().copied().filter(|voter| !self.is_witness(*voter))
    }

    /// Whether each majority has a copy that can lead it, and only who takes part is a witness.
    pub fn makes_sense(&self) -> bool {
        let has_copy = |voters| self.copies(voters).next().is_some();
        has_copy(&self.voters)
            && (!self.is_joint() || has_copy(&self.outgoing))
            && self.witnesses.iter().all(|witness| self.contains(*witness))
    }

    /// Whether a change is under way that needs two majorities.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether those who say yes can decide.
    pub fn has_quorum(&self, says_yes: impl Fn(ReplicaId) -> bool) -> bool {
        quorum::agrees(self, says_yes)
    }

    /// Everyone who receives the log, each once, in a fixed order.
    pub fn all(&self) -> Vec<ReplicaId> {
        let mut all = [&self.voters[..], &self.outgoing[..], &self.learners[..]].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What comes after this joint configuration.
    pub(super) fn left(&self) -> Membership {
        let mut left = Membership { number: self.number + 1, outgoing: Vec::new(), ..self.clone() };
        left.witnesses.retain(|witness| self.voters.contains(witness) || self.learners.contains(witness));
        left
    }

    /// The first step from here to `target`: itself if nobody's vote changes, else a joint configuration (4.3).
    ///
    /// Whoever gets a vote has to be a learner before; that it is caught up, only the leader can know.
    pub(super) fn towards(&self, target: Membership) -> Result<Membership, ChangeRefusal> {
        if self.is_joint() {
            return Err(ChangeRefusal::UnderWay);
        }
        let grows = |list: &[ReplicaId]| list.is_sorted_by(|a, b| a < b);
        let is_both = target.learners.iter().any(|learner| target.voters.contains(learner));
        let count = target.voters.len() + self.voters.len() + target.learners.len();
        if !target.makes_sense() || target.is_joint() || target.number <= self.number || is_both {
            return Err(ChangeRefusal::Impossible);
        }
        if ![&target.voters, &target.learners, &target.witnesses].into_iter().all(|list| grows(list))
            || count > REPLICAS_MAX
        {
            return Err(ChangeRefusal::Impossible);
        }
        let changes_kind =
            |id: &ReplicaId| self.contains(*id) && self.is_witness(*id) != target.is_witness(*id);
        if let Some(replica) = target.all().into_iter().find(changes_kind) {
            return Err(ChangeRefusal::StaysWhatItIs(replica));
        }
        if (&target.voters, &target.learners) == (&self.voters, &self.learners) {
            return Err(ChangeRefusal::Unchanged);
        }
        if let Some(stranger) = target.new_voters(self).find(|voter| !self.learners.contains(voter)) {
            return Err(ChangeRefusal::NotCaughtUp(stranger));
        }
        Ok(target.joint_after(self))
    }

    /// The joint configuration from `before` to here; this, if nobody's vote changes.
    fn joint_after(mut self, before: &Membership) -> Membership {
        if self.voters != before.voters {
            self.outgoing.clone_from(&before.voters);
            self.witnesses.extend(before.witnesses.iter().filter(|witness| before.voters.contains(witness)));
            self.witnesses.sort_unstable();
            self.witnesses.dedup();
        }
        self
    }

    /// Who votes here and does not in `before`.
    pub(super) fn new_voters<'a>(&'a self, before: &'a Membership) -> impl Iterator<Item = ReplicaId> + 'a {
        self.voters.iter().copied().filter(|voter| !before.is_voter(*voter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    fn of(number: u64, voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Membership {
        let (voters, outgoing, learners) = (ids(voters), ids(outgoing), ids(learners));
        Membership { number, voters, outgoing, learners, witnesses: Vec::new() }
    }

    fn with(membership: Membership, witnesses: &[u64]) -> Membership {
        Membership { witnesses: ids(witnesses), ..membership }
    }

    #[test]
    fn a_change_of_votes_takes_two_steps_and_of_learners_one() {
        let now = of(5, &[1, 2, 3], &[], &[4]);
        let learner = of(6, &[1, 2, 3], &[], &[4, 5]);
        assert_eq!(now.towards(learner.clone()), Ok(learner));
        let joint = of(7, &[2, 3, 4], &[1, 2, 3], &[]);
        assert_eq!(now.towards(of(7, &[2, 3, 4], &[], &[])), Ok(joint.clone()));
        assert_eq!(joint.left(), of(8, &[2, 3, 4], &[], &[]));
        assert_eq!(joint.towards(of(9, &[2], &[], &[])), Err(ChangeRefusal::UnderWay));
    }

    #[test]
    fn a_demoted_voter_counts_until_the_joint_configuration_is_left() {
        let joint = of(1, &[1, 2, 3], &[], &[]).towards(of(2, &[1, 2], &[], &[3])).unwrap();
        assert!(joint.is_voter(ReplicaId(3)));
        assert_eq!(joint.all(), ids(&[1, 2, 3]));
        assert!(!joint.left().is_voter(ReplicaId(3)) && joint.left().contains(ReplicaId(3)));
    }

    #[test]
    fn a_witness_comes_and_goes_in_two_steps() {
        let now = with(of(5, &[1, 2, 3], &[], &[4]), &[3, 4]);
        let joint = with(of(7, &[1, 2, 4], &[1, 2, 3], &[]), &[3, 4]);
        assert_eq!(now.towards(with(of(7, &[1, 2, 4], &[], &[]), &[4])), Ok(joint.clone()));
        assert!(joint.makes_sense() && joint.is_witness(ReplicaId(3)));
        assert_eq!(joint.left(), with(of(8, &[1, 2, 4], &[], &[]), &[4]));
    }

    #[test]
    fn a_witness_never_gets_data_nor_a_copy_rid_of_it() {
        let now = with(of(5, &[1, 2, 3], &[], &[4]), &[3]);
        for (target, who) in [
            (of(6, &[1, 2, 3], &[], &[4]), 3),
            (with(of(6, &[1, 2, 3], &[], &[4]), &[2, 3]), 2),
            (of(6, &[1, 2], &[], &[3, 4]), 3),
            (with(of(6, &[1, 2, 3, 4], &[], &[]), &[3, 4]), 4),
        ] {
            assert_eq!(now.towards(target), Err(ChangeRefusal::StaysWhatItIs(ReplicaId(who))));
        }
    }

    #[test]
    fn witnesses_alone_decide_nothing() {
        let now = with(of(5, &[1, 2, 3], &[], &[]), &[3]);
        for impossible in [
            with(of(6, &[3], &[], &[]), &[3]),
            with(of(6, &[3, 4], &[], &[]), &[3, 4]),
            with(of(6, &[1, 3], &[], &[]), &[3, 4]),
            with(of(6, &[1, 3, 4], &[], &[]), &[4, 3]),
        ] {
            assert_eq!(now.towards(impossible), Err(ChangeRefusal::Impossible));
        }
        assert!(!with(of(6, &[1, 2], &[3], &[]), &[3]).makes_sense());
        assert!(with(of(6, &[1], &[], &[3]), &[3]).makes_sense());
    }

    #[test]
    fn nonsense_is_refused() {
        let now = of(5, &[1, 2, 3], &[], &[4]);
        let stranger = Err(ChangeRefusal::NotCaughtUp(ReplicaId(9)));
        assert_eq!(now.towards(of(6, &[1, 2, 3, 9], &[], &[4])), stranger);
        assert_eq!(now.towards(of(6, &[1, 2, 3], &[], &[4])), Err(ChangeRefusal::Unchanged));
        let many: Vec<u64> = (1..40).collect();
        for impossible in [
            of(6, &[], &[], &[]),
            of(5, &[1, 2], &[], &[]),
            of(6, &[1, 2], &[3], &[]),
            of(6, &[2, 1], &[], &[]),
            of(6, &[1, 2], &[], &[2]),
            of(6, &[1, 2], &[], &[4, 4]),
            of(6, &[1, 2], &[], &many[2..]),
        ] {
            assert_eq!(now.towards(impossible), Err(ChangeRefusal::Impossible));
        }
    }
}

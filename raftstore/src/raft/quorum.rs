//! Majorities, of one set of voters or of two at once while the membership changes.

use super::membership::Membership;
use super::types::ReplicaId;

/// Groups with more voters than this pay for an allocation.
const VOTERS_ON_STACK: usize = 9;

/// The largest number that a quorum has reached; zero if there are no voters.
pub(super) fn reached(membership: &Membership, of: impl Fn(ReplicaId) -> u64) -> u64 {
    let incoming = reached_by_majority(&membership.voters, &of);
    if membership.outgoing.is_empty() {
        return incoming;
    }
    incoming.min(reached_by_majority(&membership.outgoing, &of))
}

/// The largest number that a copy of each majority has reached: a witness's does not count.
pub(super) fn kept(membership: &Membership, of: impl Fn(ReplicaId) -> u64) -> u64 {
    let best = |voters| membership.copies(voters).map(&of).max().unwrap_or(0);
    let incoming = best(&membership.voters);
    if membership.outgoing.is_empty() { incoming } else { incoming.min(best(&membership.outgoing)) }
}

/// Whether a quorum says yes.
pub(super) fn agrees(membership: &Membership, says_yes: impl Fn(ReplicaId) -> bool) -> bool {
    reached(membership, |voter| u64::from(says_yes(voter))) == 1
}

fn reached_by_majority(voters: &[ReplicaId], of: impl Fn(ReplicaId) -> u64) -> u64 {
    if voters.len() > VOTERS_ON_STACK {
        return middle(&mut voters.iter().map(|&voter| of(voter)).collect::<Vec<_>>());
    }
    let mut numbers = [0; VOTERS_ON_STACK];
    for (number, &voter) in numbers.iter_mut().zip(voters) {
        *number = of(voter);
    }
    middle(&mut numbers[..voters.len()])
}

/// The largest number that more than half of `numbers` are not below.
fn middle(numbers: &mut [u64]) -> u64 {
    numbers.sort_unstable();
    match numbers.len() {
        0 => 0,
        count => numbers[(count - 1) / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u64>) -> Vec<ReplicaId> {
        range.map(ReplicaId).collect()
    }

    /// The obvious version: try every number.
    fn reached_obviously(voters: &[ReplicaId], numbers: &[u64]) -> u64 {
        let count = |at_least: u64| voters.iter().filter(|v| numbers[v.0 as usize] >= at_least).count();
        (0..=9).rev().find(|&n| 2 * count(n) > voters.len()).unwrap_or(0)
    }

    /// All groups of up to five voters whose numbers lie in 0..4, alone and joined with all shifted groups.
    #[test]
    fn agrees_with_the_obvious_twin_over_all_small_inputs() {
        for count in 0..=5_u64 {
            for code in 0..4_u64.pow(6) {
                let numbers: Vec<u64> = (0..6).map(|at| code / 4_u64.pow(at) % 4).collect();
                let voters = ids(0..count);
                let mut membership = Membership::of_voters(voters.clone());
                let of = |voter: ReplicaId| numbers[voter.0 as usize];
                assert_eq!(reached(&membership, of), reached_obviously(&voters, &numbers));
                for from in 1..6 {
                    membership.outgoing = ids(from..6);
                    let both = reached_obviously(&voters, &numbers)
                        .min(reached_obviously(&membership.outgoing, &numbers));
                    assert_eq!(reached(&membership, of), both);
                }
            }
        }
    }

    /// The obvious version: try every number. A majority holds it, and one of those who do is a copy.
    fn committed_obviously(voters: &[ReplicaId], is_witness: impl Fn(u64) -> bool, numbers: &[u64]) -> u64 {
        let has = |n: u64| voters.iter().map(|v| v.0).filter(move |v| numbers[*v as usize] >= n);
        let can = |&n: &u64| 2 * has(n).count() > voters.len() && has(n).any(|v| !is_witness(v));
        (0..=9).rev().find(can).unwrap_or(0)
    }

    /// All groups of up to five voters with any of them as witnesses, alone and joined with two others.
    #[test]
    fn with_witnesses_it_agrees_with_the_obvious_twin_over_all_small_inputs() {
        for (count, witnesses) in (1..=5_u64).flat_map(|count| (0..1_u64 << 6).map(move |set| (count, set))) {
            for code in 0..3_u64.pow(6) {
                let numbers: Vec<u64> = (0..6).map(|at| code / 3_u64.pow(at) % 3).collect();
                let (of, is_witness) =
                    (|v: ReplicaId| numbers[v.0 as usize], |v: u64| witnesses >> v & 1 == 1);
                let mut membership = Membership::of_voters(ids(0..count));
                membership.witnesses = ids(0..6).into_iter().filter(|v| is_witness(v.0)).collect();
                let of_voters = committed_obviously(&membership.voters, is_witness, &numbers);
                assert_eq!(reached(&membership, of).min(kept(&membership, of)), of_voters);
                for from in [1, 4] {
                    membership.outgoing = ids(from..6);
                    let both = of_voters.min(committed_obviously(&membership.outgoing, is_witness, &numbers));
                    assert_eq!(reached(&membership, of).min(kept(&membership, of)), both);
                }
            }
        }
    }

    #[test]
    fn many_voters_are_counted_like_few() {
        let membership = Membership::of_voters(ids(0..21));
        assert_eq!(reached(&membership, |voter| voter.0), 10);
        assert!(agrees(&membership, |voter| voter.0 < 11));
        assert!(!agrees(&membership, |voter| voter.0 < 10));
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert!(!agrees(&Membership::default(), |_| true));
    }
}

//! Wrong builds of the protocol are noticed: each by a story that does not end as it is written. With the right build all do.

#[cfg(not(feature = "mutants"))]
use crate::raft::Raft;

/// The replica as the build makes it that this thread asked for: the right one, if it asked for none.
#[cfg(not(feature = "mutants"))]
pub(super) fn built(raft: Raft) -> Raft {
    raft
}

#[cfg(feature = "mutants")]
pub(super) use wrong::built;

#[cfg(feature = "mutants")]
mod wrong {
    use std::cell::Cell;
    use std::panic::catch_unwind;

    use super::super::scripts::{stories, told};
    use crate::raft::{Mutant, Raft};

    thread_local! {
        /// The build that the groups of this thread run.
        static BUILD: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(in super::super) fn built(raft: Raft) -> Raft {
        raft.wrong(BUILD.get())
    }

    /// The story that is about it; where there are several, the first.
    const fn story_of(mutant: Mutant) -> &'static str {
        match mutant {
            Mutant::CountsOldTerms => "paper_5_4_2_not_by_counting",
            Mutant::VoteNotWritten => "paper_5_5_voter_crashes_before_it_answers",
            Mutant::VotesAgain => "one_vote_per_term",
            Mutant::KeepsVote => "change_across_a_leader_change",
            Mutant::LateWriteVouches => "acknowledgement_of_overwritten_entries",
            Mutant::CountsOldAnswers => "acknowledgement_of_an_earlier_reign",
            Mutant::AcknowledgesEarly => "paper_5_5_follower_crashes_before_it_answers",
            Mutant::CampaignsEarly => "candidate_gives_up_before_its_vote_is_durable",
            Mutant::CountsItselfEarly => "leader_counts_itself_when_durable",
            Mutant::CountsItselfWithoutVote | Mutant::GoesTooEarly => "change_leader_removes_itself",
            Mutant::CountsLearners | Mutant::KeepsOverwritten => "change_truncated",
            Mutant::TrustsMatches | Mutant::CutsCommitted => "absurd_indexes",
            Mutant::HearsStrangers => "strangers",
            Mutant::PreVoteBinds => "pre_vote_binds_nobody",
            Mutant::ForgetsLeaders => "pre_vote_of_the_partitioned",
            Mutant::NeverGivesUp => "check_quorum",
            Mutant::LongerLogWins => "old_log_gets_no_vote",
            Mutant::NoOpLeftOut => "election",
            Mutant::ReadsUnconfirmed => "stale_read_refused",
            Mutant::ReadsTooSoon => "read_before_the_no_op",
            Mutant::IgnoresPrevTerm => "paper_5_3_log_matching",
            Mutant::LateAppendCuts => "paper_5_3_old_append_does_not_cut",
            Mutant::CommitGoesBack => "commit_never_goes_back",
            Mutant::HeartbeatsCommitAll => "heartbeats_commit_only_what_is_held",
            Mutant::LateRefusalsCount => "gap_is_refused",
            Mutant::FollowsAnyHint => "paper_5_3_repair",
            Mutant::ChangesOverlap => "change_of_votes",
            Mutant::ChangesTooSoon => "change_2015",
            Mutant::LeavesJointEarly => "change_needs_both_majorities",
            Mutant::SnapshotCutsLog => "snapshot_keeps_the_suffix",
            Mutant::TakesOldSnapshots => "snapshot_is_stale",
            Mutant::BlankHasNotVoted => "blank_replica",
            Mutant::HandsOverTooSoon => "transfer_to_a_lagging_target",
            Mutant::HandsOverForEver => "transfer_to_a_dead_target",
            Mutant::LeaseOutlivesTransfer => "lease_ends_with_a_transfer",
            Mutant::ForgetsPromises => "lease_promise_outlives_a_restart",
            Mutant::WitnessCampaigns => "witness_never_campaigns",
            Mutant::CommitsOnWitnessesAlone => "witness_commits_nothing_alone",
            Mutant::FeedsWitnessesEarly => "witness_waits_for_the_copies",
        }
    }

    #[test]
    fn every_wrong_build_is_noticed_by_its_story() {
        let stories = stories();
        for mutant in Mutant::ALL {
            let name = story_of(*mutant);
            let is_it = |path: &&std::path::PathBuf| path.file_stem().is_some_and(|stem| *stem == *name);
            let path = stories.iter().find(is_it).unwrap_or_else(|| panic!("there is no story {name}"));
            BUILD.set(Some(*mutant));
            // A panic is the ledger's word for a rule that is broken.
            let ends_as_written = catch_unwind(|| told(path)).is_ok_and(|(told, expected)| told == expected);
            BUILD.set(None);
            assert!(!ends_as_written, "{mutant:?} is not noticed by {name}");
            let (told, expected) = told(path);
            assert!(told == expected, "the right build is taken for {mutant:?} by {name}");
        }
    }
}

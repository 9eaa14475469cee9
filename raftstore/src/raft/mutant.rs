//! Wrong builds of the protocol behind a switch, to prove that the tests notice them: errors that others have made. Without the
//! feature `mutants` there is only the right one.

/// One thing that is done wrong. In front stands who had an error of this kind: a project, with the number of its issue or pull
/// request, or a section of the paper that says how it comes about. A number behind "raft-io" is that of `node/tests`.
#[cfg_attr(not(feature = "mutants"), allow(unreachable_pub))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// raft-io, and the paper's figure 8: entries of earlier terms are committed by counting.
    CountsOldTerms,
    /// NodeDB #161: a vote is not part of what is written.
    VoteNotWritten,
    /// The paper's 5.2: who has voted votes again in the same term.
    VotesAgain,
    /// seaweedfs/raft PR 9: term and vote do not change together: a vote outlives its term.
    KeepsVote,
    /// openraft 2af491f: a write that completes late vouches for entries that were overwritten since.
    LateWriteVouches,
    /// openraft cecb5de: answers of earlier terms count.
    CountsOldAnswers,
    /// etcd #14370, NodeDB #161: an acknowledgement leaves before what it acknowledges is durable.
    AcknowledgesEarly,
    /// hashicorp/raft #661: a candidate's own vote counts, and it asks for others, before it is durable.
    CampaignsEarly,
    /// openraft #1802: a leader counts itself before its own copy is durable.
    CountsItselfEarly,
    /// RedisLabs/raft PR 13: a leader that has no vote counts itself.
    CountsItselfWithoutVote,
    /// RedisLabs/raft PR 13: learners are counted in a quorum.
    CountsLearners,
    /// raft-io S7: an acknowledgement beyond the end of the leader's log is believed.
    TrustsMatches,
    /// raft-io S3: what is said by those who are no members counts.
    HearsStrangers,
    /// camunda #11665, Yugabyte: asking for pre-votes moves the terms of others.
    PreVoteBinds,
    /// raft-io S9: who hears a leader answers candidates all the same.
    ForgetsLeaders,
    /// raft-io S10: a leader that hears no quorum leads on.
    NeverGivesUp,
    /// The paper's 5.4.1: the longer log wins an election, whatever its last term.
    LongerLogWins,
    /// raft-io S8: a leader whose log is all committed appends no entry of its own.
    NoOpLeftOut,
    /// etcd #20418, TiKV #9239: a read is answered without asking a quorum.
    ReadsUnconfirmed,
    /// openraft 1ef3e57: a read is answered before an entry of the leader's own term is committed.
    ReadsTooSoon,
    /// raft-io S5: entries that are committed can be overwritten.
    CutsCommitted,
    /// RedisLabs/raft #49: the term of the entry before is not compared.
    IgnoresPrevTerm,
    /// The paper's 5.3: an append that is late cuts off what follows its entries.
    LateAppendCuts,
    /// raft-io S2: the commit index is assigned, and so goes back.
    CommitGoesBack,
    /// The rule that etcd states for heartbeats: a heartbeat commits more than its receiver is known to hold.
    HeartbeatsCommitAll,
    /// raft-io P6: a refusal that is late or repeated is taken for news.
    LateRefusalsCount,
    /// openraft #1828: after a refusal the leader tries where the follower says, and not where the logs may agree.
    FollowsAnyHint,
    /// valkey #3926, braft #182: a change of membership begins before the one before is committed.
    ChangesOverlap,
    /// raft-io 1.0, "the bug of 2015": a change of membership begins before an entry of the own term is committed.
    ChangesTooSoon,
    /// camunda #60086: a joint configuration is left before it is committed.
    LeavesJointEarly,
    /// openraft PR 2051: a membership stays in force when its entry is overwritten.
    KeepsOverwritten,
    /// raft-io 1.0: a leader that removes itself goes before that is committed.
    GoesTooEarly,
    /// camunda #6092, openraft ac3e5a8: a snapshot drops the log behind it though they agree.
    SnapshotCutsLog,
    /// raft-io S1, etcd #18055: a snapshot is installed over a newer state.
    TakesOldSnapshots,
    /// RethinkDB 2.2.3: a replica that lost its state is taken for one that has not voted.
    BlankHasNotVoted,
    /// The dissertation's 3.10: a leadership is handed to a replica that lacks entries.
    HandsOverTooSoon,
    /// raft-io 1.0: a transfer to a target that is dead is never given up.
    HandsOverForEver,
    /// Yugabyte, TiKV #1593: a leader that told another to campaign reads under its lease.
    LeaseOutlivesTransfer,
    /// TiKV #964: a replica that answered a leader votes for another before that leader's lease has run out.
    ForgetsPromises,
    /// A witness campaigns, and would lead without data.
    WitnessCampaigns,
    /// A majority of witnesses commits what no copy holds.
    CommitsOnWitnessesAlone,
    /// A witness is sent entries before the copies hold them, and then refuses its vote to all that are left.
    FeedsWitnessesEarly,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: &[Mutant] = &[
        Mutant::CountsOldTerms,
        Mutant::VoteNotWritten,
        Mutant::VotesAgain,
        Mutant::KeepsVote,
        Mutant::LateWriteVouches,
        Mutant::CountsOldAnswers,
        Mutant::AcknowledgesEarly,
        Mutant::CampaignsEarly,
        Mutant::CountsItselfEarly,
        Mutant::CountsItselfWithoutVote,
        Mutant::CountsLearners,
        Mutant::TrustsMatches,
        Mutant::HearsStrangers,
        Mutant::PreVoteBinds,
        Mutant::ForgetsLeaders,
        Mutant::NeverGivesUp,
        Mutant::LongerLogWins,
        Mutant::NoOpLeftOut,
        Mutant::ReadsUnconfirmed,
        Mutant::ReadsTooSoon,
        Mutant::CutsCommitted,
        Mutant::IgnoresPrevTerm,
        Mutant::LateAppendCuts,
        Mutant::CommitGoesBack,
        Mutant::HeartbeatsCommitAll,
        Mutant::LateRefusalsCount,
        Mutant::FollowsAnyHint,
        Mutant::ChangesOverlap,
        Mutant::ChangesTooSoon,
        Mutant::LeavesJointEarly,
        Mutant::KeepsOverwritten,
        Mutant::GoesTooEarly,
        Mutant::SnapshotCutsLog,
        Mutant::TakesOldSnapshots,
        Mutant::BlankHasNotVoted,
        Mutant::HandsOverTooSoon,
        Mutant::HandsOverForEver,
        Mutant::LeaseOutlivesTransfer,
        Mutant::ForgetsPromises,
        Mutant::WitnessCampaigns,
        Mutant::CommitsOnWitnessesAlone,
        Mutant::FeedsWitnessesEarly,
    ];
}

/// Which build of the protocol runs: the right one, unless a test asked for another.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Build {
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Build {
    #[cfg(feature = "mutants")]
    pub(super) const fn wrong(mutant: Option<Mutant>) -> Build {
        Build { mutant }
    }

    /// Whether this is the build that does it wrong in this way.
    pub(super) fn is(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}

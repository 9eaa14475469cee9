//! Wrong builds of the driver behind a switch, to prove that the tests notice them: errors that others have made, or that were
//! made here. Without the feature `mutants` there is only the right one.

/// One thing that is done wrong. In front stands who had an error of this kind.
#[cfg_attr(not(feature = "mutants"), allow(unreachable_pub))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// etcd #14370, NodeDB #161: what waits for durability leaves at once.
    ReplyEarly,
    /// raft-engine #290: a region that was split does not wait until what was split off is durable by itself.
    ForgetChildren,
    /// RedisRaft #43: the log is compacted beyond the checkpoint that is durable.
    CompactsTooFar,
    /// RedisLabs/raft #49: a snapshot is in force, and acknowledged, before it is durable.
    InstallsEarly,
    /// TiKV #15919: a late message brings back a replica that was removed.
    ForgetsGraves,
    /// TiDB's retries, FoundationDB's `commit_unknown_result`: a command that is sent again is another command.
    SessionPerAttempt,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: &[Mutant] = &[
        Mutant::ReplyEarly,
        Mutant::ForgetChildren,
        Mutant::CompactsTooFar,
        Mutant::InstallsEarly,
        Mutant::ForgetsGraves,
        Mutant::SessionPerAttempt,
    ];
}

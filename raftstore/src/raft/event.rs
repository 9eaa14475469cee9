//! What can happen to a replica, and why it may refuse.

use super::effects::Persisted;
use super::membership::Membership;
use super::message::Message;
use super::types::{Index, LogPos, ReplicaId, Term};

/// Something that happened. Proposals and reads are methods of their own, because they answer.
#[derive(Debug)]
pub enum Event {
    /// A peer said something.
    Message(Message),
    /// A deadline may have passed. Harmless if it has not.
    Timeout,
    /// Campaign at once, without waiting for a deadline. The pre-vote is asked for as always.
    Campaign,
    /// Lead in the present term, without an election: every replica was born with its vote for this one. Only to be given
    /// right after the birth; never after a restart, for this replica may have led in this term before.
    LeadFromBirth,
    /// A write, and all before it, is durable.
    Persisted(Persisted),
    /// The log forgot everything through here.
    Compacted(LogPos),
    /// A snapshot is durable and restored. Ask [`Raft::would_install`](super::Raft::would_install) before restoring.
    Installed {
        /// The last entry it contains.
        at: LogPos,
        /// Who takes part in the group at that entry.
        membership: Membership,
        /// The leader that sent it.
        from: ReplicaId,
        /// That leader's term.
        term: Term,
    },
    /// A snapshot transfer ended.
    SnapshotDone {
        /// The follower it was for.
        to: ReplicaId,
        /// What the follower installed; `None` if it failed.
        at: Option<LogPos>,
    },
    /// The connection to this replica was lost: what was on its way may be gone.
    Unreachable(ReplicaId),
    /// Hand leadership to this voter.
    TransferLeadership(ReplicaId),
    /// The state machine contains everything through here.
    Applied(Index),
}

/// Why a change of membership is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeRefusal {
    /// Nothing is proposed here now.
    NotNow(ProposeRefusal),
    /// Another change is: try again when it is done.
    UnderWay,
    /// This replica would get a vote and is no learner, or one that lacks much of the log.
    NotCaughtUp(ReplicaId),
    /// Those who would decide do not answer in sufficient number: the change would leave the group without a quorum.
    NoQuorum,
    /// It is so already.
    Unchanged,
    /// This replica would become a witness and keeps data, or the other way round: that takes one with another name.
    StaysWhatItIs(ReplicaId),
    /// Nobody who keeps the data would vote, somebody would be two things at once, there would be too many, or the number is not a new one.
    Impossible,
}

/// Why a proposal or a read is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProposeRefusal {
    /// Somebody else leads, perhaps this one.
    NotLeader(Option<ReplicaId>),
    /// Leadership is being handed over: try again a little later.
    Transferring,
    /// The leader has not applied its own no-op yet: try again a little later.
    NotReady,
    /// As much as may be is proposed and not committed: try again when something is.
    Busy,
}

/// How many messages were refused, by reason. None of them changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Refusals {
    /// The sender takes no part in the group, and what it says counts only from those who do.
    pub non_member: u32,
    /// The message is for another replica, or claims to be from this one.
    pub misdirected: u32,
    /// The term is beyond any that elections can reach.
    pub absurd_term: u32,
    /// An index that nobody can have: beyond what was sent or carried, out of order, or too large.
    pub absurd_index: u32,
    /// A membership that makes no sense.
    pub absurd_membership: u32,
    /// Entries without their payload for a replica that keeps data, or with it for a witness.
    pub wrong_kind: u32,
    /// A second leader in a term that has one.
    pub second_leader: u32,
    /// Entries that differ from committed ones.
    pub committed_conflict: u32,
}

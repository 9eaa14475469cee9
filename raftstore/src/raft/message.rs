//! What replicas of one group say to each other.

use super::membership::Membership;
use super::types::{Entries, Index, LogPos, ReplicaId, Term};

/// One message. The region it belongs to is on the envelope, not here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who says it.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// The sender's term; of a pre-vote, the term it would campaign in.
    pub term: Term,
    /// What is said.
    pub body: Body,
}

impl Message {
    /// Whether it asks for entries to be written.
    pub fn has_entries(&self) -> bool {
        matches!(&self.body, Body::Append { entries, .. } if !entries.is_empty())
    }
}

/// The kinds of message. Section numbers are those of Ongaro's dissertation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// "Would you vote for me in `term`?" Changes nothing at the receiver (9.6).
    PreVote {
        /// Where the sender's log ends.
        last: LogPos,
    },
    /// The answer to a pre-vote. `term` is the term asked about if granted, else the answerer's.
    PreVoteReply {
        /// Whether the answerer would.
        granted: bool,
    },
    /// "Vote for me in `term`" (3.4).
    Vote {
        /// Where the candidate's log ends.
        last: LogPos,
        /// Set when a leader asked for this election: the receiver skips the stickiness check (3.10).
        transfer: bool,
    },
    /// The answer to a vote request; a grant leaves only when it is durable.
    VoteReply {
        /// Whether the vote is given.
        granted: bool,
    },
    /// Entries after `prev`, or none to bring news of `commit` (3.5).
    Append {
        /// What must stand before the first entry.
        prev: LogPos,
        /// The leader's commit index.
        commit: Index,
        /// Contiguous, starting at `prev.index + 1`.
        entries: Entries,
    },
    /// "I durably hold everything through `matched`, as you do."
    AppendAccepted {
        /// The last index known to be the same as the leader's, and durable here.
        matched: Index,
    },
    /// "What you say stands before the entries does not stand here."
    AppendRejected {
        /// The index that was refused, so that a late or repeated refusal is recognised.
        prev: Index,
        /// Where to try next: the last entry here that is not above `prev` and whose term is not above its term (5.3).
        hint: LogPos,
    },
    /// "I lead." Sent when there is nothing else to say, or to start a round of reads.
    Heartbeat {
        /// Through which index the receiver may commit: never above what it is known to hold.
        commit: Index,
        /// The newest round of reads; zero if there is none (6.4).
        round: u64,
    },
    /// "You do, as far as I know."
    HeartbeatReply {
        /// The round that was asked about.
        round: u64,
    },
    /// "Campaign now" (3.10).
    TimeoutNow,
    /// "Go on from here": what a witness gets in place of a snapshot.
    Position {
        /// An entry that is committed; zero if none is known to be.
        at: LogPos,
        /// Who takes part there.
        membership: Box<Membership>,
    },
}

//! What can happen to a node, and what it asks its driver to do about it.

use bytes::Bytes;

use super::message::Message;
use super::types::{Index, NodeId, Term};

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// One unit of time passed.
    Tick,
    /// So many passed. [`ticks_to_wait`](super::RaftNode::ticks_to_wait) says how many may pass at once.
    Ticks(u64),
    /// A message arrived.
    Message(Message),
    /// Several arrived: what they make this node write is synced once.
    Messages(Vec<Message>),
    /// Replicate this command. Answered by [`Action::Proposed`], or an error; at a later time by `Apply` with the same
    /// index and term, or with another term: then it is lost.
    Propose(Bytes),
    /// Replicate these, in order, all or none: they are synced once. Answered by one [`Action::Proposed`] for the first.
    ProposeAll(Vec<Bytes>),
    /// The state machine through `index`, as bytes. Ignored if `index` was not applied, or an equal or newer one is here.
    Snapshot {
        /// The last entry it contains.
        index: Index,
        /// The application's own bytes.
        data: Bytes,
    },
    /// Take this node in: as a learner, and as a voter once it has caught up. Nothing happens if it votes already. Ask a new
    /// leader again if leadership changes before [`Action::MembershipChanged`] says that it is done.
    AddServer(NodeId),
    /// Take this node in as a witness, which keeps no data: as a learner, and as a voter once it has caught up. Its own
    /// configuration says so, too ([`with_witnesses`](super::RaftConfig::with_witnesses)).
    AddWitness(NodeId),
    /// Take this node out, voter or learner. A leader that takes itself out leads until that is committed.
    RemoveServer(NodeId),
    /// Take this node in as a learner: it receives the log and is counted for nothing. Nothing happens if it is in already.
    AddLearner(NodeId),
    /// Give this learner a vote. Refused until it has caught up; nothing happens if it is no learner.
    PromoteLearner(NodeId),
    /// Hand leadership to this voter. Nothing happens if this node does not lead, or the other is no voter, or a witness.
    TransferLeadership(NodeId),
    /// Ask for a point of the log that contains everything acknowledged so far. Answered by [`Action::ReadReady`];
    /// forgotten if leadership is lost, which [`Action::LeaderChanged`] says.
    Read {
        /// The caller's name for it.
        id: u64,
    },
}

/// Something to be done. Actions are to be carried out in order. What they depend on is durable already.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Send this message. It may be lost, delayed, repeated or overtaken.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// The proposal stands here in the log, and is not committed.
    Proposed {
        /// Of the first command.
        index: Index,
        /// This leader's term.
        term: Term,
    },
    /// Give this command to the state machine. Indexes grow strictly, each comes once; those between belong to the
    /// protocol.
    Apply {
        /// Its place in the log.
        index: Index,
        /// The term of the leader that proposed it.
        term: Term,
        /// What was proposed.
        command: Bytes,
    },
    /// Make a snapshot of the state machine through `index` and give it to [`Event::Snapshot`]. Asked for once; again
    /// only when as much as the threshold has been applied since.
    Snapshot {
        /// The last applied entry.
        index: Index,
        /// Its term.
        term: Term,
    },
    /// Replace the state machine by this. The next `Apply` comes after `index`.
    RestoreSnapshot {
        /// The last entry it contains.
        index: Index,
        /// Its term.
        term: Term,
        /// The application's own bytes.
        data: Bytes,
    },
    /// Who votes has changed: this is in force, committed or not.
    MembershipChanged {
        /// The voters, sorted; while a change is under way, those before and after it.
        members: Vec<NodeId>,
    },
    /// Term or leader changed. Reads that were not answered are forgotten, and proposals may be lost.
    LeaderChanged {
        /// The newest term.
        term: Term,
        /// Who leads in it, if it is known.
        leader: Option<NodeId>,
    },
    /// The state machine now contains everything that was acknowledged when this read came: answer it.
    ReadReady {
        /// The caller's name for it.
        id: u64,
        /// What the read had to wait for.
        index: Index,
    },
}

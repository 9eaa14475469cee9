//! What a step wants done, in the order in which it is to be done.
//!
//! The struct is taken apart without `..`, so that a new effect breaks the build where it must be handled.

use super::memberships::Brought;
use super::message::{Body, Message};
use super::types::{Entry, HardState, Index, LogPos, ReadId, ReplicaId, Term, WriteSeq};

/// Everything that one turn of one group asks of its shell. Order of work is order of fields.
#[derive(Default, Debug)]
pub struct Effects {
    /// The number under which the three writes below are to be made durable. Also set if something is `held` and there is
    /// nothing to write: then it waits for earlier writes, and is durable as soon as all that was appended before it is.
    pub write: Option<WriteSeq>,
    /// Persist this.
    pub hard_state: Option<HardState>,
    /// Forget all entries: a snapshot replaced them, and the log goes on after this position. Before `append`. A witness
    /// has no snapshot: persist with it who takes part there (`Raft::membership_at`), and that this is a witness.
    pub restart: Option<LogPos>,
    /// Persist these. They are contiguous and replace whatever stood at their indexes and above.
    pub append: Vec<Entry>,
    /// Persist this together with `append`, in place of what was last: the memberships that the log brings.
    pub brought: Option<Vec<Brought>>,
    /// Send these at once: they promise nothing that is not durable already.
    pub send: Vec<Message>,
    /// Read these from the log (what is in `append` included) and send them at once.
    pub replicate: Vec<Replicate>,
    /// Send these when `write` is durable, and not before.
    pub held: Held,
    /// A snapshot must be made for these followers: the log no longer has what they need.
    pub snapshot_for: Vec<ReplicaId>,
    /// Hand everything through here to the state machine: committed, and durable here. A witness has none; it may forget
    /// its log through here, with the same two things persisted.
    pub apply: Option<Index>,
    /// These reads may be answered once everything through their index is applied.
    pub reads: Vec<ReadReady>,
    /// Leader, role or term changed: the newest state.
    pub standing: Option<Standing>,
}

/// Entries for one follower, named but not carried: the shell reads them from the log.
///
/// There may be several for one follower; they join up. The shell says of each with `Raft::sent` what it has sent of it, and
/// is told whether to go on. If it sends fewer entries than one names (a message has a limit in bytes), it drops the later
/// ones for the same follower and gives the group another turn: the next flush names the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replicate {
    /// The follower.
    pub to: ReplicaId,
    /// The leader's term.
    pub term: Term,
    /// What stands before the first entry.
    pub prev: LogPos,
    /// The last entry to send; `prev.index` to send none and only bring `commit`.
    pub last: Index,
    /// The leader's commit index.
    pub commit: Index,
    /// The follower is a witness: send each entry [stripped](super::Payload::stripped).
    pub stripped: bool,
}

/// A read, or many that share a round, confirmed by a quorum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadReady {
    /// The caller's name for it.
    pub id: ReadId,
    /// Apply through here before answering.
    pub index: Index,
}

/// What a replica is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Role {
    /// Follows, or waits for someone to follow.
    #[default]
    Follower,
    /// Asks whether an election would succeed.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// A replica's view of who leads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// What this replica is.
    pub role: Role,
    /// In which term.
    pub term: Term,
    /// Who leads in that term, if it is known.
    pub leader: Option<ReplicaId>,
}

/// Messages that promise something durable. Only a [`Persisted`] opens it.
#[derive(Default, Debug)]
pub struct Held {
    messages: Vec<Message>,
}

/// The proof that a write is durable. Made in one place: where the log says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Persisted {
    seq: WriteSeq,
}

impl Effects {
    /// Empties everything and keeps the room, for the next turn.
    pub fn clear(&mut self) {
        let Effects {
            write,
            hard_state,
            restart,
            append,
            brought,
            send,
            replicate,
            held,
            snapshot_for,
            apply,
            reads,
            standing,
        } = self;
        (*write, *hard_state, *restart, *apply, *standing) = (None, None, None, None, None);
        *brought = None;
        append.clear();
        send.clear();
        replicate.clear();
        held.messages.clear();
        snapshot_for.clear();
        reads.clear();
    }
}

impl Held {
    pub(super) fn push(&mut self, message: Message) {
        // Of several acknowledgements in one turn the last says it all: they wait for the same write.
        if let (Some(held), Body::AppendAccepted { matched }) = (self.messages.last_mut(), &message.body)
            && (held.to, held.term) == (message.to, message.term)
            && matches!(held.body, Body::AppendAccepted { matched: earlier } if earlier <= *matched)
        {
            *held = message;
            return;
        }
        self.messages.push(message);
    }

    /// Takes what is held, to keep it until it may leave.
    pub fn take(&mut self) -> Held {
        std::mem::take(self)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Gives them up one by one, where the write is durable at once: the room is kept for the next turn.
    #[inline]
    pub fn drain(&mut self, _proof: Persisted, mut to: impl FnMut(Message)) {
        // Mostly there is one, if any.
        if let [_] = self.messages[..]
            && let Some(message) = self.messages.pop()
        {
            return to(message);
        }
        self.messages.drain(..).for_each(to);
    }

    /// Gives the messages up to someone who can prove that they may leave.
    pub fn release(self, _proof: Persisted) -> Vec<Message> {
        self.messages
    }
}

impl Persisted {
    /// Only the persist stage (and its twin in `node`) may say this, after the covering sync.
    pub(crate) const fn proven(seq: WriteSeq) -> Persisted {
        Persisted { seq }
    }

    /// For measuring the protocol over a log that is memory, where nothing survives anyway.
    #[cfg(feature = "bench")]
    pub const fn in_memory(seq: WriteSeq) -> Persisted {
        Persisted { seq }
    }

    /// Which write it is about. Those before it are durable too.
    pub const fn seq(self) -> WriteSeq {
        self.seq
    }
}

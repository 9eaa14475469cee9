//! One Raft group, as a pure function: events in, effects out.
//!
//! The protocol is that of Ongaro's dissertation (the numbers in comments are its sections, or those of the extended Raft
//! paper where they begin with 5). Nothing here reads a clock, a file, a socket, or any randomness but its seed; the same
//! state and the same events give the same effects.
//!
//! # A turn
//!
//! A shell gives a replica whatever happened ([`Raft::step`], [`Raft::propose`], [`Raft::read`]), calls [`Raft::flush`]
//! once, and carries out [`Effects`] in the order of its fields. Durability is an event like any other: each turn that
//! wrote something has a [`WriteSeq`], and `Event::Persisted` tells, at any later time, that the write is durable.
//!
//! # Promises and when they leave
//!
//! A term, a vote and an acknowledgement are promises, and may be revealed only when they are durable. Each message is
//! built when the step runs, with that step's term and index. If all it reveals is durable it is in `send`; if not, it is
//! in `held`, which only a [`Persisted`] opens. A leader's entries promise nothing, so they leave before its own copy is
//! durable, and it counts itself only when it is. A candidate counts its own vote in the same way. What is handed to the
//! state machine is committed, and durable here.
//!
//! An acknowledgement that was overtaken cannot do harm: it was built with the term in which its entries were taken, and
//! a leader of another term ignores it. A write that completes late vouches for nothing that was overwritten since: the
//! truncation lowered what the write stands for.
//!
//! # The log is elsewhere
//!
//! A replica knows the [shape](LogShape) of its log: where it begins and ends, and where its terms change. It names the
//! entries to send ([`Replicate`]), and the shell reads them. So a replica costs bytes, whatever its log holds.
//!
//! # Elections
//!
//! A follower that hears nothing for a random time asks for pre-votes, and moves nobody's term unless it would win. Who
//! hears a leader answers no such question, and a leader that hears no quorum steps down. Who is to lead rather than others has
//! a lower [rank](Config::rank), and so waits less. A new leader appends an entry
//! that says nothing, and proposes nothing else before that one is applied.
//!
//! Of two that ask for pre-votes at the same time one gives way. Where two become candidates all the same, a refusal tells both, and
//! their next wait is shorter: that there is no leader is known by then.
//!
//! # Replication
//!
//! Each follower is *probed* (one message, to find where the logs agree), *replicated* to (message after message, up to
//! a window), or sent a *snapshot* (a ticket here, a stream of bytes elsewhere). A refusal names what it refuses and the
//! last place where its sender could agree, so that a late one is recognised and a whole term is skipped at a time.
//! Lost messages need no timer of their own: a gap is refused by the next message, and if there is no next message, the
//! answer to a heartbeat shows that the follower is alive and has not answered. A follower that has everything is told
//! of a commit by an append without entries, which needs no answer: at once, or if no entry [comes
//! soon](Config::commit_news_ticks) that could tell it.
//!
//! # Reads
//!
//! All reads of a turn share one round of heartbeats. A read may be answered when a quorum has echoed a round that began
//! after it arrived, the leader's own no-op is committed, and everything through the read's index is applied. With
//! [leases](Config::lease_ticks), which are off by default, an echo stands for the reads of some time after it: then the clocks of a
//! group must run at about the same speed.
//!
//! # Membership
//!
//! Who takes part is decided by the newest membership entry of the log, committed or not (4.1): it is in force when it is
//! appended and no longer when it is overwritten. A change of votes goes through a joint configuration, in which each
//! decision needs a majority of both (4.3); whoever leads when that is committed leaves it. A leader proposes no change
//! before an entry of its own term is committed, nor while another is under way. A leader without a vote leads until that is
//! committed, does not count itself, and goes. Who has no vote in its newest membership campaigns as long as that one may not
//! be committed: nobody else may have a log that is long enough.
//!
//! A replica may be behind, so that it does not know who was added since. It therefore votes for, and follows, whoever asks
//! or leads by the rules, member or not, and itself may not know that it has a vote. Answers of others than members are
//! refused: they would be counted. Who was removed disturbs nobody, because who hears a leader answers no candidate, and
//! who does not has a log that is longer.
//!
//! # Witnesses
//!
//! A voter may be a *witness*, which keeps positions and memberships and no data: it is sent entries
//! [without their payload](EntryKind::Stripped). It votes by the same rule as everybody, never campaigns, is handed no
//! leadership and answers no reads, and it stays a witness. Majorities count it; that something can be lost or served is
//! counted in copies. So nothing is committed that is not durable in a copy of each majority, and a witness is sent nothing
//! that the copies in step lack: else it would refuse its vote to the only copies that are left. One that is behind the
//! log is told a [position](Body::Position).
//!
//! # Blank replicas
//!
//! A replica without state answers a leader only "I have nothing": it refuses even index zero, which nobody else does, and
//! gets a snapshot, or a position if it is to be a witness. Until then it writes nothing, votes for nobody and acknowledges
//! nothing.
//!
//! One of them may vote: the *unborn*, of which it is known that it never was anything but blank (`unborn.rs`).

mod admission;
mod change;
mod config;
mod core;
mod durable;
mod effects;
mod election;
mod event;
mod follower;
mod leading;
mod lease;
mod log_shape;
mod membership;
pub mod membership_bytes;
mod memberships;
mod message;
mod mutant;
mod news;
mod progress;
mod quorum;
mod read;
mod replication;
mod snapshot;
mod transfer;
mod types;
mod unborn;
mod uncommitted;
mod view;
mod witness;

#[cfg(test)]
mod tests;

pub use self::config::{Config, Start};
pub use self::core::Raft;
pub use self::effects::{Effects, Held, Persisted, ReadReady, Replicate, Role, Standing};
pub use self::event::{ChangeRefusal, Event, ProposeRefusal, Refusals};
pub use self::log_shape::LogShape;
pub use self::membership::{Membership, REPLICAS_MAX};
pub use self::memberships::Brought;
pub use self::message::{Body, Message};
#[cfg(feature = "mutants")]
pub use self::mutant::Mutant;
pub use self::progress::{Pace, Progress};
pub use self::types::{
    Entries, Entry, EntryKind, HardState, Index, LogPos, Payload, ReadId, ReplicaId, Term, Tick, WriteSeq,
};

//! One Raft group driven by hand, for programs that speak the vocabulary of the `raft-io` crate.
//!
//! A thin layer over the same [core](crate::raft) that the multi-group driver runs: events go in, actions come out, and the
//! caller brings ticks and carries messages. Here the layer persists inline: [`RaftNode::step`] writes to the
//! [`RaftLog`] and syncs it before it hands out anything, once per step however much the step brought.
//!
//! ```text
//! Event ─▶ step: core ─▶ log: append, sync ─▶ core: "durable" ─▶ Action, Action, Action
//! ```
//!
//! # Promises
//!
//! - Actions are to be carried out in order. What they depend on is durable already.
//! - `Apply` comes in strictly increasing index order, each index at most once. Between two of them may lie entries that
//!   are the protocol's own.
//! - The same state and the same events give the same actions: there is no clock, and no randomness but the seed.
//! - After a storage error the node is dead: every step gives the same error.
//! - A node that is opened again starts at its snapshot, or at what the state machine is said to contain.
//!
//! # A driver
//!
//! ```
//! use skep_raftstore::node::{Action, Event, NodeId, RaftConfig, RaftNode, Result};
//! use std::collections::VecDeque;
//!
//! # fn main() -> Result<()> {
//! let mut nodes: Vec<RaftNode> = (1..=3).map(|id| RaftNode::new(RaftConfig::new(id, [1, 2, 3]))).collect();
//! let mut events: VecDeque<(NodeId, Event)> = VecDeque::new();
//! let mut applied = 0;
//! let mut proposed = false;
//! while applied < 3 {
//!     if events.is_empty() {
//!         (1..=3).for_each(|id| events.push_back((id, Event::Tick)));
//!         if let Some(leader) = nodes.iter().find(|node| node.is_leader()).filter(|_| !proposed) {
//!             events.push_back((leader.id(), Event::Propose("hello".into())));
//!             proposed = true;
//!         }
//!     }
//!     let Some((id, event)) = events.pop_front() else { break };
//!     for action in nodes[id as usize - 1].step(event)? {
//!         match action {
//!             Action::Send { to, message } => events.push_back((to, Event::Message(message))),
//!             Action::Apply { command, .. } => applied += usize::from(command == "hello"),
//!             _ => {}
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `docs/FROM_RAFT_IO.md` shows a program before and after, and says what differs and why.

mod action;
mod changing;
mod config;
mod error;
pub mod framing;
mod limits;
mod log;
mod memory_log;
mod message;
mod opening;
mod raft_node;
mod reading;
mod receiving;
mod sending;
mod settle;
#[cfg(test)]
mod tests;
mod transport;
mod types;
mod wal_bytes;
mod wal_log;

pub use self::action::{Action, Event};
pub use self::config::RaftConfig;
pub use self::error::{Error, Result};
pub use self::limits::{COMMAND_BYTES_MAX, SNAPSHOT_BYTES_MAX};
pub use self::log::RaftLog;
pub use self::memory_log::MemoryLog;
pub use self::message::Message;
pub(crate) use self::message::{Content, SnapshotPart, SnapshotReceived};
pub use self::raft_node::RaftNode;
pub use self::transport::{MemoryTransport, RaftTransport};
pub use self::types::{EntryKind, HardState, Index, LogEntry, NodeId, Role, Snapshot, Term};
pub use self::wal_log::WalLog;
pub use crate::raft::Membership;

/// What a program that drives a node uses every day.
pub mod prelude {
    pub use super::{
        Action, Error, Event, Index, MemoryLog, NodeId, RaftConfig, RaftLog, RaftNode, RaftTransport, Result,
        Role, Term, WalLog,
    };
}

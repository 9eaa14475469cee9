//! How messages leave, for drivers that want a seam there.

use super::error::Result;
use super::message::Message;
use super::types::NodeId;

/// Takes messages away. Losing, delaying, repeating or reordering them is allowed.
pub trait RaftTransport {
    /// Sends `message` to `to`, or loses it.
    fn send(&mut self, to: NodeId, message: Message) -> Result<()>;
}

/// Keeps what is sent until it is taken: for tests, and for drivers in one thread.
///
/// ```
/// use skep_raftstore::node::{Action, Event, MemoryTransport, RaftConfig, RaftNode, RaftTransport};
///
/// # fn main() -> skep_raftstore::node::Result<()> {
/// let mut node = RaftNode::new(RaftConfig::new(1, [2, 3]));
/// let mut transport = MemoryTransport::new();
/// while transport.pending() == 0 {
///     for action in node.step(Event::Tick)? {
///         if let Action::Send { to, message } = action {
///             transport.send(to, message)?;
///         }
///     }
/// }
/// let sent = transport.take();
/// assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, Debug)]
pub struct MemoryTransport {
    sent: Vec<(NodeId, Message)>,
}

impl MemoryTransport {
    /// Nothing was sent yet.
    pub fn new() -> MemoryTransport {
        MemoryTransport::default()
    }

    /// Takes everything that was sent, in order.
    pub fn take(&mut self) -> Vec<(NodeId, Message)> {
        std::mem::take(&mut self.sent)
    }

    /// How many messages have not been taken.
    pub fn pending(&self) -> usize {
        self.sent.len()
    }
}

impl RaftTransport for MemoryTransport {
    fn send(&mut self, to: NodeId, message: Message) -> Result<()> {
        self.sent.push((to, message));
        Ok(())
    }
}

//! Messages to bytes and back, for drivers whose nodes live in several processes.

use bytes::Bytes;

use super::error::{Error, Result};
use super::message::Message;
use crate::wire::node;

/// The bytes of one message, with a version and a checksum. How they are told apart on a stream is the driver's business.
///
/// ```
/// use skep_raftstore::node::{Action, Event, RaftConfig, RaftNode, framing};
///
/// # fn main() -> skep_raftstore::node::Result<()> {
/// let mut node = RaftNode::new(RaftConfig::new(1, [2, 3]));
/// let actions = node.step(Event::Ticks(20))?;
/// let Some(Action::Send { message, .. }) = actions.into_iter().next() else { return Ok(()) };
/// let bytes = framing::encode(&message);
/// assert_eq!(framing::decode(bytes)?, message);
/// # Ok(())
/// # }
/// ```
pub fn encode(message: &Message) -> Bytes {
    node::encode(message)
}

/// The message in `bytes`, all of them. Entries and snapshot pieces are slices of `bytes`.
pub fn decode(bytes: Bytes) -> Result<Message> {
    node::decode(&bytes).map_err(|error| Error::encoding("decoding a message", error))
}

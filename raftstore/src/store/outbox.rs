//! The frames that a turn fills: one for each store and lane, sent when full and at the end of the turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::FRAME_BYTES_FULL;
use crate::ids::StoreId;
use crate::message::StoreMessage;
use crate::raft::Body;
use crate::transport::{Lane, Transport};
use crate::wire::FrameWriter;

/// See the page of this file.
pub(super) struct Outbox {
    transport: Arc<dyn Transport>,
    frames: BTreeMap<StoreId, Frames>,
}

#[derive(Default)]
struct Frames {
    urgent: FrameWriter,
    bulk: FrameWriter,
}

impl Outbox {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Outbox {
        Outbox { transport, frames: BTreeMap::new() }
    }

    /// Adds a message; the lane follows from its kind.
    pub(super) fn push(&mut self, to: StoreId, message: &StoreMessage) {
        let frames = self.frames.entry(to).or_default();
        let lane = lane_of(message);
        let frame = if lane == Lane::Urgent { &mut frames.urgent } else { &mut frames.bulk };
        frame.push(message);
        if frame.bytes() >= FRAME_BYTES_FULL {
            self.transport.send(to, lane, frame.finish());
        }
    }

    /// Sends what is there. What a transport drops, the protocol sends again.
    pub(super) fn flush(&mut self) {
        for (&to, frames) in &mut self.frames {
            if !frames.urgent.is_empty() {
                self.transport.send(to, Lane::Urgent, frames.urgent.finish());
            }
            if !frames.bulk.is_empty() {
                self.transport.send(to, Lane::Bulk, frames.bulk.finish());
            }
        }
    }
}

/// Votes and heartbeats never wait behind entries.
fn lane_of(message: &StoreMessage) -> Lane {
    match message {
        StoreMessage::Raft { message, .. } => match message.body {
            Body::Append { .. } | Body::AppendAccepted { .. } | Body::AppendRejected { .. } => Lane::Bulk,
            Body::PreVote { .. }
            | Body::PreVoteReply { .. }
            | Body::Vote { .. }
            | Body::VoteReply { .. }
            | Body::Heartbeat { .. }
            | Body::HeartbeatReply { .. }
            | Body::TimeoutNow
            | Body::Position { .. } => Lane::Urgent,
        },
        StoreMessage::Submit(_)
        | StoreMessage::Replies(_)
        | StoreMessage::Refused(_)
        | StoreMessage::DiskFull(_)
        | StoreMessage::ShortOfSpace
        | StoreMessage::Remove(_)
        | StoreMessage::Removed(_) => Lane::Bulk,
        StoreMessage::SnapshotChunk(_) | StoreMessage::SnapshotAck(_) => Lane::Snapshot,
    }
}

//! Messages between stores, as bytes: what they forward for their clients, and pieces of snapshots.

use bytes::{BufMut, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use super::{membership, raft};
use crate::ids::{Attempt, Life, RegionId};
use crate::message::{
    DiskFull, Refusal, Refused, Removal, Replies, RequestKind, SnapshotAck, SnapshotChunk, SnapshotMeta,
    StoreMessage, Submit, SubmitItem, TransferState,
};
use crate::raft::{ReplicaId, Term};

pub(super) const SUBMIT: u8 = 32;
pub(super) const REPLIES: u8 = 33;
pub(super) const REFUSED: u8 = 34;
pub(super) const SNAPSHOT_CHUNK: u8 = 35;
pub(super) const SNAPSHOT_ACK: u8 = 36;
pub(super) const REMOVE: u8 = 37;
pub(super) const REMOVED: u8 = 38;
pub(super) const DISK_FULL: u8 = 39;
pub(super) const SHORT_OF_SPACE: u8 = 40;

/// The shortest message: a kind and a region.
pub(super) const BYTES_MIN: usize = 9;
/// Sequence, kind, length.
const SUBMIT_ITEM_BYTES_MIN: usize = 13;
/// Sequence, length.
const RESULT_BYTES_MIN: usize = 12;

const NOT_LEADER: u8 = 1;
const GAP: u8 = 2;
const BUSY: u8 = 3;
const NO_REGION: u8 = 4;
const STOPPED: u8 = 5;

pub(super) fn encode(message: &StoreMessage, out: &mut BytesMut) {
    match message {
        StoreMessage::Raft { region, message } => raft::encode(*region, message, out),
        StoreMessage::Submit(submit) => put_submit(submit, out),
        StoreMessage::Replies(replies) => put_replies(replies, out),
        StoreMessage::Refused(refused) => put_refused(refused, out),
        StoreMessage::DiskFull(full) => put_disk_full(full, out),
        StoreMessage::ShortOfSpace => put_head(SHORT_OF_SPACE, message.region(), out),
        StoreMessage::Remove(removal) => put_removal(REMOVE, *removal, out),
        StoreMessage::Removed(removal) => put_removal(REMOVED, *removal, out),
        StoreMessage::SnapshotChunk(chunk) => put_chunk(chunk, out),
        StoreMessage::SnapshotAck(ack) => put_ack(ack, out),
    }
}

pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<StoreMessage, WireError> {
    let kind = cursor.u8("a message's kind")?;
    let region = RegionId(cursor.u64("a message's region")?);
    match kind {
        SUBMIT => take_submit(region, cursor).map(StoreMessage::Submit),
        REPLIES => take_replies(region, cursor).map(StoreMessage::Replies),
        REFUSED => take_refused(region, cursor).map(StoreMessage::Refused),
        DISK_FULL => take_disk_full(region, cursor).map(StoreMessage::DiskFull),
        SHORT_OF_SPACE if region == RegionId(0) => Ok(StoreMessage::ShortOfSpace),
        REMOVE => take_removal(region, cursor).map(StoreMessage::Remove),
        REMOVED => take_removal(region, cursor).map(StoreMessage::Removed),
        SNAPSHOT_CHUNK => take_chunk(region, cursor).map(StoreMessage::SnapshotChunk),
        SNAPSHOT_ACK => take_ack(region, cursor).map(StoreMessage::SnapshotAck),
        _ => raft::decode(kind, cursor).map(|message| StoreMessage::Raft { region, message }),
    }
}

fn put_head(kind: u8, region: RegionId, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_u64_le(region.0);
}

fn put_sized(bytes: &[u8], out: &mut BytesMut) {
    out.put_u32_le(bytes.len() as u32);
    out.put_slice(bytes);
}

fn put_attempt(attempt: Attempt, out: &mut BytesMut) {
    out.put_u64_le(attempt.life.0);
    out.put_u64_le(attempt.number);
}

fn take_attempt(cursor: &mut Cursor<'_>) -> Result<Attempt, WireError> {
    let life = Life(cursor.u64("the life of an attempt")?);
    Ok(Attempt { life, number: cursor.u64("the number of an attempt")? })
}

fn put_submit(submit: &Submit, out: &mut BytesMut) {
    put_head(SUBMIT, submit.region, out);
    put_attempt(submit.attempt, out);
    out.put_u64_le(submit.position);
    out.put_u64_le(submit.lowest);
    out.put_u32_le(submit.items.len() as u32);
    for item in &submit.items {
        out.put_u64_le(item.seq);
        out.put_u8(item.kind as u8);
        put_sized(&item.body, out);
    }
}

fn take_submit(region: RegionId, cursor: &mut Cursor<'_>) -> Result<Submit, WireError> {
    let attempt = take_attempt(cursor)?;
    let position = cursor.u64("a submission's position")?;
    let lowest = cursor.u64("a submission's lowest sequence")?;
    let count = cursor.count("a submission's commands", SUBMIT_ITEM_BYTES_MIN)?;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let seq = cursor.u64("a command's sequence")?;
        let kind = match cursor.u8("a command's kind")? {
            1 => RequestKind::Write,
            2 => RequestKind::Read,
            3 => RequestKind::Change,
            4 => RequestKind::Lead,
            5 => RequestKind::Move,
            kind => return Err(WireError::UnknownKind { what: "a command", kind }),
        };
        items.push(SubmitItem { seq, kind, body: cursor.sized("a command")? });
    }
    Ok(Submit { region, attempt, position, lowest, items })
}

fn put_replies(replies: &Replies, out: &mut BytesMut) {
    put_head(REPLIES, replies.region, out);
    out.put_u32_le(replies.results.len() as u32);
    for (seq, result) in &replies.results {
        out.put_u64_le(*seq);
        put_sized(result, out);
    }
}

fn take_replies(region: RegionId, cursor: &mut Cursor<'_>) -> Result<Replies, WireError> {
    let count = cursor.count("replies", RESULT_BYTES_MIN)?;
    let mut results = Vec::with_capacity(count);
    for _ in 0..count {
        results.push((cursor.u64("a reply's sequence")?, cursor.sized("a reply")?));
    }
    Ok(Replies { region, results })
}

fn put_removal(kind: u8, removal: Removal, out: &mut BytesMut) {
    put_head(kind, removal.region, out);
    out.put_u64_le(removal.replica.0);
}

fn take_removal(region: RegionId, cursor: &mut Cursor<'_>) -> Result<Removal, WireError> {
    Ok(Removal { region, replica: ReplicaId(cursor.u64("a removed replica")?) })
}

fn put_refused(refused: &Refused, out: &mut BytesMut) {
    let (reason, leader) = match refused.reason {
        Refusal::NotLeader(leader) => (NOT_LEADER, leader.map_or(0, |leader| leader.0)),
        Refusal::Gap => (GAP, 0),
        Refusal::Busy => (BUSY, 0),
        Refusal::NoRegion => (NO_REGION, 0),
        Refusal::Stopped => (STOPPED, 0),
    };
    put_head(REFUSED, refused.region, out);
    put_attempt(refused.attempt, out);
    out.put_u8(reason);
    out.put_u64_le(leader);
}

fn take_refused(region: RegionId, cursor: &mut Cursor<'_>) -> Result<Refused, WireError> {
    let attempt = take_attempt(cursor)?;
    let kind = cursor.u8("a refusal's reason")?;
    let leader = cursor.u64("a refusal's leader")?;
    let reason = match (kind, leader) {
        (NOT_LEADER, leader) => Refusal::NotLeader((leader != 0).then_some(ReplicaId(leader))),
        (GAP, 0) => Refusal::Gap,
        (BUSY, 0) => Refusal::Busy,
        (NO_REGION, 0) => Refusal::NoRegion,
        (STOPPED, 0) => Refusal::Stopped,
        (GAP..=STOPPED, _) => return Err(WireError::Value { what: "a refusal's leader" }),
        (kind, _) => return Err(WireError::UnknownKind { what: "a refusal", kind }),
    };
    Ok(Refused { region, attempt, reason })
}

fn put_disk_full(full: &DiskFull, out: &mut BytesMut) {
    put_head(DISK_FULL, full.region, out);
    put_attempt(full.attempt, out);
    out.put_u64_le(full.position);
}

fn take_disk_full(region: RegionId, cursor: &mut Cursor<'_>) -> Result<DiskFull, WireError> {
    Ok(DiskFull { region, attempt: take_attempt(cursor)?, position: cursor.u64("the position of a write")? })
}

fn put_chunk(chunk: &SnapshotChunk, out: &mut BytesMut) {
    put_head(SNAPSHOT_CHUNK, chunk.region, out);
    out.put_u64_le(chunk.from.0);
    out.put_u64_le(chunk.to.0);
    out.put_u64_le(chunk.term.0);
    out.put_u64_le(chunk.transfer);
    raft::put_pos(chunk.meta.at, out);
    membership::encode(&chunk.meta.membership, out);
    put_sized(&chunk.meta.genesis, out);
    out.put_u64_le(chunk.offset);
    out.put_u8(u8::from(chunk.last));
    out.put_u32_le(chunk.crc);
    put_sized(&chunk.data, out);
}

fn take_chunk(region: RegionId, cursor: &mut Cursor<'_>) -> Result<SnapshotChunk, WireError> {
    Ok(SnapshotChunk {
        region,
        from: ReplicaId(cursor.u64("a chunk's sender")?),
        to: ReplicaId(cursor.u64("a chunk's addressee")?),
        term: Term(cursor.u64("a chunk's term")?),
        transfer: cursor.u64("a transfer")?,
        meta: SnapshotMeta {
            at: raft::take_pos(cursor)?,
            membership: membership::decode(cursor)?,
            genesis: cursor.sized("a region's genesis")?,
        },
        offset: cursor.u64("a chunk's offset")?,
        last: cursor.boolean("a chunk's last flag")?,
        crc: cursor.u32("a chunk's checksum")?,
        data: cursor.sized("a chunk")?,
    })
}

fn put_ack(ack: &SnapshotAck, out: &mut BytesMut) {
    put_head(SNAPSHOT_ACK, ack.region, out);
    out.put_u64_le(ack.transfer);
    out.put_u64_le(ack.received);
    out.put_u8(ack.state as u8);
}

fn take_ack(region: RegionId, cursor: &mut Cursor<'_>) -> Result<SnapshotAck, WireError> {
    let transfer = cursor.u64("a transfer")?;
    let received = cursor.u64("a transfer's received bytes")?;
    let state = match cursor.u8("a transfer's state")? {
        1 => TransferState::Receiving,
        2 => TransferState::Installed,
        3 => TransferState::Refused,
        kind => return Err(WireError::UnknownKind { what: "a transfer's state", kind }),
    };
    Ok(SnapshotAck { region, transfer, received, state })
}

//! Messages between replicas, as bytes: kind, region, sender, addressee, term, then what the kind says.

use bytes::{BufMut, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use super::membership;
use crate::ids::RegionId;
use crate::raft::{Body, Entries, Entry, Index, LogPos, Message, Payload, ReplicaId, Term};

pub(super) const PRE_VOTE: u8 = 1;
pub(super) const PRE_VOTE_REPLY: u8 = 2;
pub(super) const VOTE: u8 = 3;
pub(super) const VOTE_REPLY: u8 = 4;
pub(super) const APPEND: u8 = 5;
pub(super) const APPEND_ACCEPTED: u8 = 6;
pub(super) const APPEND_REJECTED: u8 = 7;
pub(super) const HEARTBEAT: u8 = 8;
pub(super) const HEARTBEAT_REPLY: u8 = 9;
pub(super) const TIMEOUT_NOW: u8 = 10;
pub(super) const POSITION: u8 = 11;

/// Term, length, and the one byte that every entry has.
const ENTRY_BYTES_MIN: usize = 13;

pub(super) fn encode(region: RegionId, message: &Message, out: &mut BytesMut) {
    out.put_u8(kind(&message.body));
    out.put_u64_le(region.0);
    out.put_u64_le(message.from.0);
    out.put_u64_le(message.to.0);
    out.put_u64_le(message.term.0);
    match &message.body {
        Body::PreVote { last } => put_pos(*last, out),
        Body::PreVoteReply { granted } | Body::VoteReply { granted } => out.put_u8(u8::from(*granted)),
        Body::Vote { last, transfer } => {
            put_pos(*last, out);
            out.put_u8(u8::from(*transfer));
        }
        Body::Append { prev, commit, entries } => put_append(*prev, *commit, entries, out),
        Body::AppendAccepted { matched } => out.put_u64_le(matched.0),
        Body::AppendRejected { prev, hint } => {
            out.put_u64_le(prev.0);
            put_pos(*hint, out);
        }
        Body::Heartbeat { commit, round } => {
            out.put_u64_le(commit.0);
            out.put_u64_le(*round);
        }
        Body::HeartbeatReply { round } => out.put_u64_le(*round),
        Body::TimeoutNow => {}
        Body::Position { at, membership } => {
            put_pos(*at, out);
            membership::encode(membership, out);
        }
    }
}

pub(super) fn decode(kind: u8, cursor: &mut Cursor<'_>) -> Result<Message, WireError> {
    let from = ReplicaId(cursor.u64("a message's sender")?);
    let to = ReplicaId(cursor.u64("a message's addressee")?);
    let term = Term(cursor.u64("a message's term")?);
    let body = match kind {
        PRE_VOTE => Body::PreVote { last: take_pos(cursor)? },
        PRE_VOTE_REPLY => Body::PreVoteReply { granted: cursor.boolean("a pre-vote's answer")? },
        VOTE => Body::Vote { last: take_pos(cursor)?, transfer: cursor.boolean("a vote's transfer flag")? },
        VOTE_REPLY => Body::VoteReply { granted: cursor.boolean("a vote's answer")? },
        APPEND => take_append(cursor)?,
        APPEND_ACCEPTED => Body::AppendAccepted { matched: take_index(cursor)? },
        APPEND_REJECTED => Body::AppendRejected { prev: take_index(cursor)?, hint: take_pos(cursor)? },
        HEARTBEAT => Body::Heartbeat { commit: take_index(cursor)?, round: take_round(cursor)? },
        HEARTBEAT_REPLY => Body::HeartbeatReply { round: take_round(cursor)? },
        TIMEOUT_NOW => Body::TimeoutNow,
        POSITION => {
            Body::Position { at: take_pos(cursor)?, membership: Box::new(membership::decode(cursor)?) }
        }
        _ => return Err(WireError::UnknownKind { what: "a message", kind }),
    };
    Ok(Message { from, to, term, body })
}

pub(super) fn put_pos(pos: LogPos, out: &mut BytesMut) {
    out.put_u64_le(pos.index.0);
    out.put_u64_le(pos.term.0);
}

pub(super) fn take_pos(cursor: &mut Cursor<'_>) -> Result<LogPos, WireError> {
    Ok(LogPos { index: take_index(cursor)?, term: Term(cursor.u64("a position's term")?) })
}

fn kind(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => PRE_VOTE,
        Body::PreVoteReply { .. } => PRE_VOTE_REPLY,
        Body::Vote { .. } => VOTE,
        Body::VoteReply { .. } => VOTE_REPLY,
        Body::Append { .. } => APPEND,
        Body::AppendAccepted { .. } => APPEND_ACCEPTED,
        Body::AppendRejected { .. } => APPEND_REJECTED,
        Body::Heartbeat { .. } => HEARTBEAT,
        Body::HeartbeatReply { .. } => HEARTBEAT_REPLY,
        Body::TimeoutNow => TIMEOUT_NOW,
        Body::Position { .. } => POSITION,
    }
}

/// Entries are contiguous, so that their indexes need no bytes.
fn put_append(prev: LogPos, commit: Index, entries: &[Entry], out: &mut BytesMut) {
    put_pos(prev, out);
    out.put_u64_le(commit.0);
    out.put_u32_le(entries.len() as u32);
    let mut index = prev.index;
    for entry in entries {
        index = index.next();
        debug_assert_eq!(entry.index, index, "the entries of an append are contiguous");
        let payload = entry.payload.bytes();
        out.put_u64_le(entry.term.0);
        out.put_u32_le(payload.len() as u32);
        out.put_slice(payload);
    }
}

fn take_append(cursor: &mut Cursor<'_>) -> Result<Body, WireError> {
    let prev = take_pos(cursor)?;
    let commit = take_index(cursor)?;
    let count = cursor.count("an append's entries", ENTRY_BYTES_MIN)?;
    if prev.index.0.checked_add(count as u64).is_none() {
        return Err(WireError::Value { what: "an append's index" });
    }
    let mut entries = Entries::with_capacity(count);
    let mut index = prev.index;
    for _ in 0..count {
        index = index.next();
        let term = Term(cursor.u64("an entry's term")?);
        let bytes = cursor.sized("an entry")?;
        let payload = Payload::parse(bytes).ok_or(WireError::Value { what: "an entry's kind" })?;
        entries.push(Entry { index, term, payload });
    }
    Ok(Body::Append { prev, commit, entries })
}

fn take_index(cursor: &mut Cursor<'_>) -> Result<Index, WireError> {
    cursor.u64("an index").map(Index)
}

fn take_round(cursor: &mut Cursor<'_>) -> Result<u64, WireError> {
    cursor.u64("a round of reads")
}

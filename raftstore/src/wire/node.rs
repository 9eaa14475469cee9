//! Messages of one group driven by hand, as bytes: version, checksum, and one message.
//!
//! ```text
//! frame    := version u8 | crc32 u32 | message          the checksum covers the message
//! message  := as between replicas, where the region stands for the group
//!           | 64 group u64 from u64 to u64 term u64 | at | offset u64 | total u64 | membership | data sized
//!           | 65 group u64 from u64 to u64 term u64 | index u64 | offset u64 | received u64 | done u8
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use super::{membership, raft};
use crate::ids::RegionId;
use crate::node::{Content, Message, SnapshotPart, SnapshotReceived};
use crate::raft::{Index, ReplicaId, Term};

/// The version of all that is in a frame.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const SNAPSHOT: u8 = 64;
const RECEIVED: u8 = 65;

/// The frame of one message.
pub(crate) fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::zeroed(HEADER_BYTES);
    match &message.content {
        Content::Raft(content) => raft::encode(RegionId(message.group), content, &mut out),
        Content::Snapshot(part) => put_part(message, part, &mut out),
        Content::Received(received) => put_received(message, received, &mut out),
    }
    let crc = crc32fast::hash(&out[HEADER_BYTES..]);
    let mut header = &mut out[..HEADER_BYTES];
    header.put_u8(VERSION);
    header.put_u32_le(crc);
    out.freeze()
}

/// The message in a frame.
pub(crate) fn decode(frame: &Bytes) -> Result<Message, WireError> {
    let mut cursor = Cursor::new(frame, 0);
    match cursor.u8("a node's message")? {
        0 => return Err(WireError::Value { what: "a node's message's version" }),
        VERSION => {}
        found => return Err(WireError::Newer { what: "a node's message", found, known: VERSION }),
    }
    let carried = cursor.u32("a checksum")?;
    let computed = crc32fast::hash(&frame[HEADER_BYTES..]);
    if carried != computed {
        return Err(WireError::Checksum { carried, computed });
    }
    let kind = cursor.u8("a message's kind")?;
    let group = cursor.u64("a message's group")?;
    let content = match kind {
        SNAPSHOT => take_part(&mut cursor).map(Content::Snapshot)?,
        RECEIVED => take_received(&mut cursor).map(Content::Received)?,
        _ => raft::decode(kind, &mut cursor).map(Content::Raft)?,
    };
    cursor.end("a node's message")?;
    Ok(Message { group, content })
}

fn put_head(kind: u8, message: &Message, out: &mut BytesMut) {
    out.put_u8(kind);
    for number in [message.group, message.from(), message.to(), message.term()] {
        out.put_u64_le(number);
    }
}

fn put_part(message: &Message, part: &SnapshotPart, out: &mut BytesMut) {
    put_head(SNAPSHOT, message, out);
    raft::put_pos(part.at, out);
    out.put_u64_le(part.offset);
    out.put_u64_le(part.total);
    membership::encode(&part.config, out);
    out.put_u32_le(part.data.len() as u32);
    out.put_slice(&part.data);
}

fn take_part(cursor: &mut Cursor<'_>) -> Result<SnapshotPart, WireError> {
    Ok(SnapshotPart {
        from: ReplicaId(cursor.u64("a message's sender")?),
        to: ReplicaId(cursor.u64("a message's addressee")?),
        term: Term(cursor.u64("a message's term")?),
        at: raft::take_pos(cursor)?,
        offset: cursor.u64("a piece's offset")?,
        total: cursor.u64("a snapshot's length")?,
        config: membership::decode(cursor)?,
        data: cursor.sized("a piece of a snapshot")?,
    })
}

fn put_received(message: &Message, received: &SnapshotReceived, out: &mut BytesMut) {
    put_head(RECEIVED, message, out);
    out.put_u64_le(received.index.0);
    out.put_u64_le(received.offset);
    out.put_u64_le(received.received);
    out.put_u8(u8::from(received.done));
}

fn take_received(cursor: &mut Cursor<'_>) -> Result<SnapshotReceived, WireError> {
    Ok(SnapshotReceived {
        from: ReplicaId(cursor.u64("a message's sender")?),
        to: ReplicaId(cursor.u64("a message's addressee")?),
        term: Term(cursor.u64("a message's term")?),
        index: Index(cursor.u64("a snapshot's index")?),
        offset: cursor.u64("a piece's offset")?,
        received: cursor.u64("received bytes")?,
        done: cursor.boolean("whether a snapshot is done")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Body, LogPos, Membership};
    use crate::wire::samples::hex;

    fn part() -> Message {
        let content = Content::Snapshot(SnapshotPart {
            from: ReplicaId(1),
            to: ReplicaId(2),
            term: Term(3),
            at: LogPos { index: Index(9), term: Term(2) },
            config: Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]),
            offset: 4,
            total: 8,
            data: Bytes::from_static(b"data"),
        });
        Message { group: 7, content }
    }

    fn received() -> Message {
        let content = Content::Received(SnapshotReceived {
            from: ReplicaId(2),
            to: ReplicaId(1),
            term: Term(3),
            index: Index(9),
            offset: 4,
            received: 8,
            done: true,
        });
        Message { group: 7, content }
    }

    fn vote() -> Message {
        let body = Body::VoteReply { granted: true };
        let (from, to, term) = (ReplicaId(0), ReplicaId(1), Term(3));
        Message { group: 7, content: Content::Raft(crate::raft::Message { from, to, term, body }) }
    }

    #[test]
    fn golden_bytes() {
        let golden = "01 0129f181 41 0700000000000000 0200000000000000 0100000000000000 0300000000000000\
                      0900000000000000 0400000000000000 0800000000000000 01";
        assert_eq!(hex(&encode(&received())), golden.replace(' ', ""));
    }

    #[test]
    fn every_kind_comes_back() {
        for message in [part(), received(), vote()] {
            assert_eq!(decode(&encode(&message)), Ok(message));
        }
    }

    #[test]
    fn what_was_altered_or_cut_or_is_newer_is_refused() {
        for message in [part(), received(), vote()] {
            let frame = encode(&message);
            for length in 0..frame.len() {
                assert!(decode(&frame.slice(..length)).is_err(), "{length} bytes");
            }
            for at in 0..frame.len() {
                let mut altered = frame.to_vec();
                altered[at] ^= 4;
                assert!(decode(&altered.into()).is_err(), "byte {at}");
            }
        }
        let mut newer = encode(&vote()).to_vec();
        newer[0] = 2;
        let refusal = Err(WireError::Newer { what: "a node's message", found: 2, known: 1 });
        assert_eq!(decode(&newer.into()), refusal);
        // A right checksum over a kind that does not exist, and over bytes too many.
        for tail in [&[9_u8, 9][..], &[0; 2]] {
            let body = [&encode(&vote())[HEADER_BYTES..], tail].concat();
            let crc = crc32fast::hash(&body).to_le_bytes();
            assert!(decode(&[&[VERSION], &crc[..], &body[..]].concat().into()).is_err());
        }
    }
}

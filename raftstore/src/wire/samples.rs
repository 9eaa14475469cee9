//! One of each message with its golden bytes, and hexadecimal: what the tests of this folder share.

use bytes::Bytes;

use crate::ids::{Attempt, Life, RegionId};
use crate::message::{
    DiskFull, Refusal, Refused, Removal, Replies, RequestKind, SnapshotAck, SnapshotChunk, SnapshotMeta,
    StoreMessage, Submit, SubmitItem, TransferState,
};
use crate::raft::{Body, Entries, Entry, Index, LogPos, Membership, Message, Payload, ReplicaId, Term};

/// The bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes written as `text`, spaces ignored.
pub(crate) fn unhex(text: &str) -> Bytes {
    let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8);
    let digits: Vec<u8> = digits.collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Each kind of message, and how it must look for ever in version 1.
pub(super) fn golden() -> Vec<(StoreMessage, &'static str)> {
    [raft_samples(), client_samples(), snapshot_samples()].concat()
}

const REGION: RegionId = RegionId(0x0009_0000_0001);
const ATTEMPT: Attempt = Attempt { life: Life(5), number: 3 };

fn pos(index: u64, term: u64) -> LogPos {
    LogPos { index: Index(index), term: Term(term) }
}

fn raft(body: Body) -> StoreMessage {
    let (from, to) = (ReplicaId(0x1_0000_00aa), ReplicaId(0x1_0000_00bb));
    StoreMessage::Raft { region: REGION, message: Message { from, to, term: Term(6), body } }
}

fn entry(index: u64, term: u64, payload: &str) -> Entry {
    let payload = Payload::parse(unhex(payload)).unwrap();
    Entry { index: Index(index), term: Term(term), payload }
}

/// Kind, then the region, the sender, the addressee and the term of all samples, then the rest.
macro_rules! raft_bytes {
    ($kind:literal, $rest:literal) => {
        concat!($kind, "0100000009000000 aa00000001000000 bb00000001000000 0600000000000000", $rest)
    };
}

fn raft_samples() -> Vec<(StoreMessage, &'static str)> {
    let entries = vec![entry(5, 3, "01"), entry(6, 6, "02c0ffee")];
    let two = Membership::of_voters(vec![ReplicaId(0xaa), ReplicaId(0xbb)]);
    let witnessed = Membership { number: 7, witnesses: vec![ReplicaId(0xbb)], ..two };
    vec![
        (raft(Body::PreVote { last: pos(4, 3) }), raft_bytes!("01", "0400000000000000 0300000000000000")),
        (raft(Body::PreVoteReply { granted: true }), raft_bytes!("02", "01")),
        (
            raft(Body::Vote { last: pos(4, 3), transfer: true }),
            raft_bytes!("03", "0400000000000000 0300000000000000 01"),
        ),
        (raft(Body::VoteReply { granted: false }), raft_bytes!("04", "00")),
        (
            raft(Body::Append { prev: pos(4, 3), commit: Index(2), entries: entries.into() }),
            raft_bytes!(
                "05",
                "0400000000000000 0300000000000000 0200000000000000 02000000
                 0300000000000000 01000000 01 0600000000000000 04000000 02c0ffee"
            ),
        ),
        (
            raft(Body::Append { prev: pos(4, 3), commit: Index(2), entries: Entries::new() }),
            raft_bytes!("05", "0400000000000000 0300000000000000 0200000000000000 00000000"),
        ),
        (raft(Body::AppendAccepted { matched: Index(9) }), raft_bytes!("06", "0900000000000000")),
        (
            raft(Body::AppendRejected { prev: Index(9), hint: pos(4, 3) }),
            raft_bytes!("07", "0900000000000000 0400000000000000 0300000000000000"),
        ),
        (
            raft(Body::Heartbeat { commit: Index(2), round: 7 }),
            raft_bytes!("08", "0200000000000000 0700000000000000"),
        ),
        (raft(Body::HeartbeatReply { round: 7 }), raft_bytes!("09", "0700000000000000")),
        (raft(Body::TimeoutNow), raft_bytes!("0a", "")),
        (
            raft(Body::Position { at: pos(4, 3), membership: Box::new(witnessed) }),
            raft_bytes!(
                "0b",
                "0400000000000000 0300000000000000
                 0700000000000000 02000080 aa00000000000000 bb00000000000000 00000000 00000000
                 01000000 bb00000000000000"
            ),
        ),
    ]
}

fn client_samples() -> Vec<(StoreMessage, &'static str)> {
    let item =
        |seq, kind, body: &'static str| SubmitItem { seq, kind, body: Bytes::from_static(body.as_bytes()) };
    let items = vec![item(8, RequestKind::Write, "set"), item(9, RequestKind::Read, "")];
    let refused = |reason| StoreMessage::Refused(Refused { region: REGION, attempt: ATTEMPT, reason });
    let results = vec![(8, Bytes::from_static(b"ok")), (9, Bytes::new())];
    vec![
        (
            StoreMessage::Submit(Submit { region: REGION, attempt: ATTEMPT, position: 2, lowest: 7, items }),
            "20 0100000009000000 0500000000000000 0300000000000000 0200000000000000 0700000000000000 02000000
             0800000000000000 01 03000000 736574 0900000000000000 02 00000000",
        ),
        (
            StoreMessage::Replies(Replies { region: REGION, results }),
            "21 0100000009000000 02000000 0800000000000000 02000000 6f6b 0900000000000000 00000000",
        ),
        (
            refused(Refusal::NotLeader(Some(ReplicaId(0xaa)))),
            "22 0100000009000000 0500000000000000 0300000000000000 01 aa00000000000000",
        ),
        (
            refused(Refusal::NotLeader(None)),
            "22 0100000009000000 0500000000000000 0300000000000000 01 0000000000000000",
        ),
        (refused(Refusal::Gap), "22 0100000009000000 0500000000000000 0300000000000000 02 0000000000000000"),
        (refused(Refusal::Busy), "22 0100000009000000 0500000000000000 0300000000000000 03 0000000000000000"),
        (
            refused(Refusal::NoRegion),
            "22 0100000009000000 0500000000000000 0300000000000000 04 0000000000000000",
        ),
        (
            refused(Refusal::Stopped),
            "22 0100000009000000 0500000000000000 0300000000000000 05 0000000000000000",
        ),
        (
            StoreMessage::Remove(Removal { region: REGION, replica: ReplicaId(0xaa) }),
            "25 0100000009000000 aa00000000000000",
        ),
        (
            StoreMessage::Removed(Removal { region: REGION, replica: ReplicaId(0xaa) }),
            "26 0100000009000000 aa00000000000000",
        ),
        (
            StoreMessage::DiskFull(DiskFull { region: REGION, attempt: ATTEMPT, position: 2 }),
            "27 0100000009000000 0500000000000000 0300000000000000 0200000000000000",
        ),
        (StoreMessage::ShortOfSpace, "28 0000000000000000"),
    ]
}

fn snapshot_samples() -> Vec<(StoreMessage, &'static str)> {
    let chunk = SnapshotChunk {
        region: REGION,
        from: ReplicaId(0xaa),
        to: ReplicaId(0xbb),
        term: Term(6),
        transfer: 11,
        meta: SnapshotMeta {
            at: pos(4, 3),
            membership: Membership {
                number: 7,
                ..Membership::of_voters(vec![ReplicaId(0xaa), ReplicaId(0xbb)])
            },
            genesis: Bytes::from_static(b"gen"),
        },
        offset: 256,
        last: true,
        crc: 0xdead_beef,
        data: Bytes::from_static(b"data"),
    };
    let ack =
        |state| StoreMessage::SnapshotAck(SnapshotAck { region: REGION, transfer: 11, received: 260, state });
    vec![
        (
            StoreMessage::SnapshotChunk(chunk),
            "23 0100000009000000 aa00000000000000 bb00000000000000 0600000000000000 0b00000000000000
             0400000000000000 0300000000000000
             0700000000000000 02000000 aa00000000000000 bb00000000000000 00000000 00000000
             03000000 67656e 0001000000000000 01 efbeadde 04000000 64617461",
        ),
        (ack(TransferState::Receiving), "24 0100000009000000 0b00000000000000 0401000000000000 01"),
        (ack(TransferState::Installed), "24 0100000009000000 0b00000000000000 0401000000000000 02"),
        (ack(TransferState::Refused), "24 0100000009000000 0b00000000000000 0401000000000000 03"),
    ]
}

//! Frames and messages: golden bytes for what is accepted and what is refused, and round trips of anything.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::{golden, hex, unhex};
use super::*;
use crate::ids::{Attempt, Life, RegionId};
use crate::message::*;
use crate::raft::{Body, Entry, Index, LogPos, Membership, Message, Payload, ReplicaId, Term};

fn framed(messages: &[StoreMessage]) -> Bytes {
    let mut writer = FrameWriter::new();
    messages.iter().for_each(|message| writer.push(message));
    writer.finish()
}

/// A frame around `body`, with a header that holds.
fn sealed(count: u32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_slice(b"SKPF");
    frame.put_u32_le((HEADER_BYTES + body.len()) as u32);
    frame.put_u32_le(0);
    frame.put_slice(&[frame::VERSION, 0, 0, 0]);
    frame.put_u32_le(count);
    frame.put_slice(body);
    let crc = crc32fast::hash(&frame[12..]);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
    frame.freeze()
}

#[test]
fn every_message_looks_as_it_always_did() {
    for (message, bytes) in golden() {
        let body = unhex(bytes);
        let frame = framed(std::slice::from_ref(&message));
        assert_eq!(hex(&frame[HEADER_BYTES..]), hex(&body), "{message:?}");
        assert_eq!(frame, sealed(1, &body));
        assert_eq!(decode(frame), Ok(vec![message]));
    }
}

#[test]
fn a_frame_looks_as_it_always_did() {
    let (ack, _) = golden().pop().unwrap();
    let frame = framed(&[ack]);
    let golden = "534b5046 2e000000 aff6b45e 01000000 01000000
                  24 0100000009000000 0b00000000000000 0401000000000000 03";
    assert_eq!(hex(&frame), hex(&unhex(golden)));
    assert_eq!(hex(&framed(&[])), "534b504614000000f7df88a90100000000000000");
    assert_eq!(decode(framed(&[])), Ok(vec![]));
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    let (messages, _): (Vec<_>, Vec<_>) = golden().into_iter().unzip();
    let frame = framed(&messages);
    for length in 0..frame.len() {
        assert!(matches!(decode(frame.slice(..length)), Err(WireError::Truncated { .. })), "{length}");
    }
    let longer = Bytes::from([&frame[..], &[0]].concat());
    assert_eq!(decode(longer), Err(WireError::Trailing { what: "a frame", bytes: 1 }));
}

#[test]
fn a_message_cut_anywhere_is_refused_even_under_a_checksum_that_holds() {
    for (message, bytes) in golden() {
        let body = unhex(bytes);
        for length in 0..body.len() {
            assert!(decode(sealed(1, &body[..length])).is_err(), "{message:?} cut to {length}");
        }
        let longer = sealed(1, &[&body[..], &[0]].concat());
        assert!(matches!(decode(longer), Err(WireError::Trailing { bytes: 1, .. })), "{message:?}");
    }
}

#[test]
fn a_header_of_something_else_is_refused_by_name() {
    let good = framed(&[golden().pop().unwrap().0]);
    let with = |at: usize, bytes: &[u8]| {
        let mut altered = good.to_vec();
        altered[at..at + bytes.len()].copy_from_slice(bytes);
        decode(altered.into())
    };
    assert_eq!(with(0, b"HTTP"), Err(WireError::Foreign { magic: u32::from_le_bytes(*b"HTTP") }));
    assert_eq!(with(12, &[2]), Err(WireError::Newer { what: "a frame", found: 2, known: 1 }));
    assert_eq!(with(12, &[0]), Err(WireError::Value { what: "a frame's version" }));
    assert_eq!(with(14, &[1]), Err(WireError::Value { what: "a frame's version" }));
    for length in [0, HEADER_BYTES - 1, FRAME_BYTES_MAX + 1, u32::MAX as usize] {
        let (bytes, bytes_max) = (length as u64, FRAME_BYTES_MAX as u64);
        let expected = WireError::Length { what: "a frame", bytes, bytes_max };
        assert_eq!(with(4, &(length as u32).to_le_bytes()), Err(expected));
    }
    for at in (8..12).chain(16..good.len()) {
        assert!(matches!(with(at, &[good[at] ^ 0x10]), Err(WireError::Checksum { .. })), "byte {at}");
    }
}

#[test]
fn absurd_counts_and_lengths_are_refused_before_anything_is_allocated_for_them() {
    let refused = |body: &str| matches!(decode(sealed(1, &unhex(body))), Err(WireError::Truncated { .. }));
    assert!(matches!(decode(sealed(u32::MAX, &[0; 64])), Err(WireError::Truncated { .. })));
    let region = "0100000009000000";
    let number = "0500000000000000";
    let huge = "ffffffff";
    assert!(refused(&format!(
        "05 {region} {number}{number}{number} {number}{number}{number} {huge} {number}"
    )));
    assert!(refused(&format!("20 {region} {number}{number}{number}{number} {huge}")));
    assert!(refused(&format!("20 {region} {number}{number}{number}{number} 01000000 {number} 01 {huge} 00")));
    assert!(refused(&format!("21 {region} {huge} {number}")));
    assert!(refused(&format!(
        "23 {region} {number}{number}{number}{number} {number}{number} {huge} {number}"
    )));
}

#[test]
fn values_without_a_meaning_are_refused() {
    let head = "0100000009000000 aa00000001000000 bb00000001000000 0600000000000000";
    let zeros = "0000000000000000";
    for (body, what) in [
        (format!("02 {head} 02"), "a pre-vote's answer"),
        (format!("03 {head} {zeros}{zeros} 02"), "a vote's transfer flag"),
        (format!("05 {head} {zeros}{zeros}{zeros} 01000000 {zeros} 01000000 09"), "an entry's kind"),
        (
            format!("05 {head} ffffffffffffffff {zeros}{zeros} 01000000 {zeros} 01000000 01"),
            "an append's index",
        ),
        (format!("22 0100000009000000 {zeros}{zeros} 02 0100000000000000"), "a refusal's leader"),
    ] {
        assert_eq!(decode(sealed(1, &unhex(&body))), Err(WireError::Value { what }));
    }
    for (body, what, kind) in [
        (format!("00 {head}"), "a message", 0),
        (format!("0c {head}"), "a message", 12),
        (format!("2f {head}"), "a message", 47),
        (format!("22 0100000009000000 {zeros}{zeros} 06 {zeros}"), "a refusal", 6),
        (format!("24 0100000009000000 {zeros}{zeros} 04"), "a transfer's state", 4),
        (
            format!("20 0100000009000000 {zeros}{zeros}{zeros}{zeros} 01000000 {zeros} 09 00000000"),
            "a command",
            9,
        ),
    ] {
        assert_eq!(decode(sealed(1, &unhex(&body))), Err(WireError::UnknownKind { what, kind }));
    }
}

#[test]
fn payloads_are_slices_of_the_frame() {
    let chunk = golden().into_iter().find(|(message, _)| matches!(message, StoreMessage::SnapshotChunk(_)));
    let frame = framed(&[chunk.unwrap().0]);
    let within = frame.as_ptr_range();
    let decoded = decode(frame.clone()).unwrap();
    let [StoreMessage::SnapshotChunk(chunk)] = &decoded[..] else { panic!("one chunk") };
    assert!(within.contains(&chunk.data.as_ptr()) && within.contains(&chunk.meta.genesis.as_ptr()));
}

#[test]
fn a_writer_is_used_again_and_again() {
    let mut writer = FrameWriter::new();
    let (messages, _): (Vec<_>, Vec<_>) = golden().into_iter().unzip();
    for count in [1, 3, 0, messages.len()] {
        assert!(writer.is_empty());
        assert_eq!(writer.bytes(), HEADER_BYTES);
        messages[..count].iter().for_each(|message| writer.push(message));
        assert_eq!(writer.is_empty(), count == 0);
        let bytes = writer.bytes();
        let frame = writer.finish();
        assert_eq!(frame.len(), bytes);
        assert_eq!(decode(frame).unwrap(), messages[..count]);
    }
}

prop_compose! {
    fn positions()(index in 0..u64::MAX / 2, term: u64) -> LogPos {
        LogPos { index: Index(index), term: Term(term) }
    }
}

fn bodies_of_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn payloads() -> impl Strategy<Value = Payload> {
    (1..=3_u8, bodies_of_bytes())
        .prop_map(|(kind, body)| Payload::parse(Bytes::from([&[kind], &body[..]].concat())).unwrap())
}

fn appends() -> impl Strategy<Value = Body> {
    (positions(), any::<u64>(), vec((any::<u64>(), payloads()), 0..8)).prop_map(|(prev, commit, entries)| {
        let entry = |(at, (term, payload))| Entry {
            index: Index(prev.index.0 + 1 + at as u64),
            term: Term(term),
            payload,
        };
        Body::Append {
            prev,
            commit: Index(commit),
            entries: entries.into_iter().enumerate().map(entry).collect(),
        }
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        positions().prop_map(|last| Body::PreVote { last }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        (positions(), any::<bool>()).prop_map(|(last, transfer)| Body::Vote { last, transfer }),
        any::<bool>().prop_map(|granted| Body::VoteReply { granted }),
        appends(),
        any::<u64>().prop_map(|matched| Body::AppendAccepted { matched: Index(matched) }),
        (any::<u64>(), positions()).prop_map(|(prev, hint)| Body::AppendRejected { prev: Index(prev), hint }),
        any::<(u64, u64)>().prop_map(|(commit, round)| Body::Heartbeat { commit: Index(commit), round }),
        any::<u64>().prop_map(|round| Body::HeartbeatReply { round }),
        Just(Body::TimeoutNow),
        (positions(), memberships())
            .prop_map(|(at, membership)| Body::Position { at, membership: Box::new(membership) }),
    ]
}

fn memberships() -> impl Strategy<Value = Membership> {
    let ids = || vec(any::<u64>(), 0..5).prop_map(|ids| ids.into_iter().map(ReplicaId).collect::<Vec<_>>());
    (any::<u64>(), ids(), ids(), ids()).prop_map(|(number, voters, outgoing, learners)| {
        let sorted = |ids| Membership::of_voters(ids).voters;
        let witnesses = sorted(voters.iter().copied().filter(|voter| voter.0 % 2 == 0).collect());
        let (voters, outgoing, learners) = (sorted(voters), sorted(outgoing), sorted(learners));
        Membership { number, voters, outgoing, learners, witnesses }
    })
}

fn submits() -> impl Strategy<Value = StoreMessage> {
    let kinds = prop_oneof![
        Just(RequestKind::Write),
        Just(RequestKind::Read),
        Just(RequestKind::Change),
        Just(RequestKind::Lead),
        Just(RequestKind::Move)
    ];
    let items =
        (any::<u64>(), kinds, bodies_of_bytes()).prop_map(|(seq, kind, body)| SubmitItem { seq, kind, body });
    (any::<[u64; 5]>(), vec(items, 0..6)).prop_map(|([region, life, number, position, lowest], items)| {
        let attempt = Attempt { life: Life(life), number };
        StoreMessage::Submit(Submit { region: RegionId(region), attempt, position, lowest, items })
    })
}

fn chunks() -> impl Strategy<Value = StoreMessage> {
    let meta = (positions(), memberships(), bodies_of_bytes())
        .prop_map(|(at, membership, genesis)| SnapshotMeta { at, membership, genesis });
    (any::<[u64; 6]>(), meta, any::<(bool, u32)>(), bodies_of_bytes()).prop_map(
        |([region, from, to, term, transfer, offset], meta, (last, crc), data)| {
            let (region, term) = (RegionId(region), Term(term));
            let (from, to) = (ReplicaId(from), ReplicaId(to));
            StoreMessage::SnapshotChunk(SnapshotChunk {
                region,
                from,
                to,
                term,
                transfer,
                meta,
                offset,
                last,
                crc,
                data,
            })
        },
    )
}

fn messages() -> impl Strategy<Value = StoreMessage> {
    let raft = (any::<[u64; 4]>(), bodies()).prop_map(|([region, from, to, term], body)| {
        let (from, to, term) = (ReplicaId(from), ReplicaId(to), Term(term));
        StoreMessage::Raft { region: RegionId(region), message: Message { from, to, term, body } }
    });
    let replies = (any::<u64>(), vec((any::<u64>(), bodies_of_bytes()), 0..6))
        .prop_map(|(region, results)| StoreMessage::Replies(Replies { region: RegionId(region), results }));
    prop_oneof![4 => raft, 1 => submits(), 1 => replies, 1 => chunks(), 1 => proptest::sample::select(
        golden().into_iter().map(|(message, _)| message).collect::<Vec<_>>())]
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(messages in vec(messages(), 0..20)) {
        prop_assert_eq!(decode(framed(&messages)), Ok(messages));
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, count in 0..8_u32) {
        let _ = decode(Bytes::from(bytes.clone()));
        let _ = decode(sealed(count, &bytes));
        let _ = entry::decode_committed(Index(1), Term(1), &Bytes::from(bytes.clone()));
        let _ = hard_state::decode(&bytes);
        let _ = membership::take(&mut Bytes::from(bytes));
    }

    #[test]
    fn altered_messages_never_panic(
        messages in vec(messages(), 1..6),
        changes in vec(any::<(u16, u8)>(), 1..4),
    ) {
        let mut body = framed(&messages)[HEADER_BYTES..].to_vec();
        for (at, byte) in changes {
            let at = usize::from(at) % body.len();
            body[at] = byte;
        }
        let _ = decode(sealed(messages.len() as u32, &body));
    }
}

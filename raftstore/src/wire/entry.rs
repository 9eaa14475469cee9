//! The bytes of a log entry: what a leader knows about a command, before the command itself.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::Cursor;
use super::error::WireError;
use super::membership;
use crate::ids::{Life, StoreId};
use crate::machine::{Committed, Origin, Stamp};
use crate::raft::{EntryKind, Index, Membership, Term};

/// What stands before the body of a command: kind, stamp, store, life, sequence, lowest.
pub const COMMAND_HEADER_BYTES: usize = 37;

/// Appends the bytes of an entry that carries a command.
pub fn encode_command(stamp: Stamp, origin: Origin, body: &[u8], out: &mut BytesMut) {
    out.reserve(COMMAND_HEADER_BYTES + body.len());
    put_header(EntryKind::Command, stamp, origin, out);
    out.put_slice(body);
}

/// Appends the bytes of an entry that carries a command which may change the region's keys; `proposer` leads the region.
pub fn encode_change(stamp: Stamp, origin: Origin, proposer: StoreId, body: &[u8], out: &mut BytesMut) {
    out.reserve(COMMAND_HEADER_BYTES + 4 + body.len());
    put_header(EntryKind::Change, stamp, origin, out);
    out.put_u32_le(proposer.0);
    out.put_slice(body);
}

fn put_header(kind: EntryKind, stamp: Stamp, origin: Origin, out: &mut BytesMut) {
    out.put_u8(kind as u8);
    out.put_u64_le(stamp.0);
    out.put_u32_le(origin.store.0);
    out.put_u64_le(origin.life.0);
    out.put_u64_le(origin.seq);
    out.put_u64_le(origin.lowest);
}

/// Appends the bytes of an entry that changes the membership.
pub fn encode_membership(change: &Membership, out: &mut BytesMut) {
    out.put_u8(EntryKind::Membership as u8);
    membership::encode(change, out);
}

/// What a state machine is given of the entry `payload` at `index`. The body is a slice of it.
///
/// A no-op means nothing to a machine, and a change of membership only that: no origin, no body, stamp zero.
pub fn decode_committed(index: Index, term: Term, payload: &Bytes) -> Result<Committed, WireError> {
    let mut cursor = Cursor::new(payload, 0);
    let kind = cursor.u8("an entry's kind")?;
    let kind = EntryKind::from_byte(kind).ok_or(WireError::UnknownKind { what: "an entry", kind })?;
    let nothing = Committed {
        index,
        term,
        stamp: Stamp(0),
        origin: None,
        proposer: None,
        membership: None,
        body: Bytes::new(),
    };
    match kind {
        EntryKind::NoOp => cursor.end("a no-op").map(|()| nothing),
        // Only a witness has these, and it has no machine.
        EntryKind::Stripped => Err(WireError::UnknownKind { what: "an entry", kind: kind as u8 }),
        EntryKind::Membership => {
            let membership = Some(membership::decode(&mut cursor)?);
            cursor.end("a membership entry").map(|()| Committed { membership, ..nothing })
        }
        EntryKind::Command | EntryKind::Change => {
            let stamp = Stamp(cursor.u64("an entry's stamp")?);
            let origin = Origin {
                store: StoreId(cursor.u32("an entry's store")?),
                life: Life(cursor.u64("an entry's life")?),
                seq: cursor.u64("an entry's sequence")?,
                lowest: cursor.u64("an entry's lowest sequence")?,
            };
            let proposer = match kind {
                EntryKind::Change => Some(StoreId(cursor.u32("a change's proposer")?)),
                EntryKind::Command | EntryKind::NoOp | EntryKind::Membership | EntryKind::Stripped => None,
            };
            Ok(Committed { stamp, origin: Some(origin), proposer, body: cursor.rest(), ..nothing })
        }
    }
}

/// The membership in an entry that changes it.
pub fn decode_membership(payload: &Bytes) -> Result<Membership, WireError> {
    let mut cursor = Cursor::new(payload, 0);
    let kind = cursor.u8("an entry's kind")?;
    if kind != EntryKind::Membership as u8 {
        return Err(WireError::UnknownKind { what: "a membership entry", kind });
    }
    let membership = membership::decode(&mut cursor)?;
    cursor.end("a membership entry").map(|()| membership)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Payload, ReplicaId};
    use crate::wire::samples::{hex, unhex};

    const AT: (Index, Term) = (Index(9), Term(3));

    fn decoded(payload: &Bytes) -> Result<Committed, WireError> {
        decode_committed(AT.0, AT.1, payload)
    }

    #[test]
    fn a_command_and_its_golden_bytes() {
        let origin = Origin { store: StoreId(0xab), life: Life(2), seq: 5, lowest: 4 };
        let mut out = BytesMut::new();
        encode_command(Stamp(1000), origin, b"body", &mut out);
        let golden =
            "02 e803000000000000 ab000000 0200000000000000 0500000000000000 0400000000000000 626f6479";
        assert_eq!(hex(&out), golden.replace(' ', ""));
        assert_eq!(out.len(), COMMAND_HEADER_BYTES + 4);
        let body = Bytes::from_static(b"body");
        let (stamp, origin, proposer) = (Stamp(1000), Some(origin), None);
        let expected = Committed { index: AT.0, term: AT.1, stamp, origin, proposer, membership: None, body };
        assert_eq!(decoded(&out.freeze()), Ok(expected));
    }

    #[test]
    fn a_change_names_its_proposer() {
        let origin = Origin { store: StoreId(0xab), life: Life(2), seq: 5, lowest: 4 };
        let mut out = BytesMut::new();
        encode_change(Stamp(1000), origin, StoreId(0xcd), b"body", &mut out);
        let golden = "04 e803000000000000 ab000000 0200000000000000 0500000000000000 0400000000000000 cd000000 626f6479";
        assert_eq!(hex(&out), golden.replace(' ', ""));
        let entry = decoded(&out.clone().freeze()).unwrap();
        assert_eq!((entry.proposer, &entry.body[..]), (Some(StoreId(0xcd)), &b"body"[..]));
        let cut = out.freeze().slice(..COMMAND_HEADER_BYTES + 3);
        assert!(matches!(decoded(&cut), Err(WireError::Truncated { .. })));
    }

    #[test]
    fn a_command_cut_within_its_header_is_refused() {
        let whole = unhex(&"02".repeat(COMMAND_HEADER_BYTES));
        for length in 0..COMMAND_HEADER_BYTES {
            assert!(matches!(decoded(&whole.slice(..length)), Err(WireError::Truncated { .. })));
        }
        assert_eq!(decoded(&whole).map(|entry| entry.body), Ok(Bytes::new()));
    }

    #[test]
    fn a_no_op_and_a_membership_change_carry_nothing_for_the_machine() {
        let no_op = decoded(Payload::no_op().bytes()).unwrap();
        assert_eq!((no_op.origin, no_op.body.len(), no_op.stamp), (None, 0, Stamp(0)));
        let change = Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]);
        let mut out = BytesMut::new();
        encode_membership(&change, &mut out);
        let payload = out.freeze();
        assert_eq!(decoded(&payload).unwrap().origin, None);
        assert_eq!(decode_membership(&payload), Ok(change));
        assert!(decode_membership(Payload::no_op().bytes()).is_err());
    }

    #[test]
    fn unknown_kinds_and_bytes_too_many_are_refused() {
        for kind in [0, 5, 255] {
            let unknown = decoded(&Bytes::copy_from_slice(&[kind]));
            assert_eq!(unknown, Err(WireError::UnknownKind { what: "an entry", kind }));
        }
        assert!(matches!(decoded(&unhex("0100")), Err(WireError::Trailing { .. })));
        assert!(matches!(
            decoded(&unhex("03 0000000000000000 00000000 00000000 00000000 00")),
            Err(WireError::Trailing { .. })
        ));
    }
}

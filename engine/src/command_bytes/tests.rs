//! Golden bytes of commands, accepted and refused; and that nothing panics.

use proptest::prelude::*;

use super::*;
use crate::layout::Unreadable;

const ASKED: Stamp = Stamp(0x0908);

fn check_golden(command: Command<&[u8]>, body: &[u8]) {
    let mut golden = 7u64.to_le_bytes().to_vec();
    golden.extend_from_slice(body);
    let asked = if command.is_write() { Stamp(0) } else { ASKED };
    if asked == ASKED {
        golden.extend_from_slice(b"\x08\x09\0\0\0\0\0\0");
    }
    assert_eq!(encode(7, ASKED, &command), golden, "{command:?}");
    assert!(encoded_bytes(&command) >= golden.len(), "no room for {command:?}");
    assert_eq!(decode(&golden), Ok(Routed { version: 7, command, asked }));
    for cut in 0..golden.len() {
        assert!(decode(&golden[..cut]).is_err(), "accepts a prefix of {cut} bytes");
    }
    golden.push(0);
    assert_eq!(decode(&golden), Err(Unreadable::Damaged("goes on too long")));
}

#[test]
fn golden_bytes_of_reads() {
    check_golden(Command::Get { key: b"k" }, b"\x01\x01\0\0\0k");
    check_golden(
        Command::Scan {
            start: b"a",
            end: Some(b"bc"),
            limit: 258,
            shape: ScanShape { keys_only: true, falling: false },
        },
        b"\x02\x01\0\0\0a\x01\x02\0\0\0bc\x02\x01\0\0\x01",
    );
    let shape = ScanShape { keys_only: false, falling: true };
    check_golden(Command::Scan { start: b"", end: None, limit: 1, shape }, b"\x02\0\0\0\0\0\x01\0\0\0\x02");
    check_golden(Command::CountKeys { key: b"k" }, b"\x03\x01\0\0\0k");
    check_golden(Command::Length { key: b"k" }, b"\x04\x01\0\0\0k");
    check_golden(Command::ExpiryOf { key: b"k" }, b"\x05\x01\0\0\0k");
    check_golden(
        Command::Part { key: b"k", first: 1, last: -1 },
        b"\x06\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0k",
    );
    check_golden(Command::AnyKey { key: b"k", seed: 258 }, b"\x07\x02\x01\0\0\0\0\0\0\x01\0\0\0k");
    check_golden(Command::CountExpiring { key: b"k" }, b"\x08\x01\0\0\0k");
    check_golden(Command::Look { key: b"k" }, b"\x09\x01\0\0\0k");
}

#[test]
fn golden_bytes_of_writes() {
    let put = |condition, expiry, return_old| {
        let (key, value) = (&b"k"[..], &b"vw"[..]);
        Command::Put { key, value, condition, expiry, return_old }
    };
    check_golden(put(Condition::Always, Expiry::Never, false), b"\x10\0\0\0\x01\0\0\0k\x02\0\0\0vw");
    check_golden(put(Condition::Absent, Expiry::Keep, true), b"\x10\x01\x01\x01\x01\0\0\0k\x02\0\0\0vw");
    check_golden(
        put(Condition::Present, Expiry::At(Stamp(258)), false),
        b"\x10\0\x02\x02\x02\x01\0\0\0\0\0\0\x01\0\0\0k\x02\0\0\0vw",
    );
    check_golden(
        put(Condition::Equals(b"x"), Expiry::Never, false),
        b"\x10\0\x03\x01\0\0\0x\0\x01\0\0\0k\x02\0\0\0vw",
    );
    check_golden(Command::Delete { key: b"k", return_old: true }, b"\x11\x01\x01\0\0\0k");
    check_golden(Command::Append { key: b"k", value: b"v" }, b"\x12\x01\0\0\0k\x01\0\0\0v");
    check_golden(
        Command::Increment { key: b"k", by: -2 },
        b"\x13\xfe\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0k",
    );
    let writes = vec![Write::Put { key: &b"k"[..], value: &b"v"[..] }, Write::Delete { key: b"l" }];
    check_golden(Command::Batch { writes }, b"\x14\x02\0\0\0\x01\x01\0\0\0k\x01\0\0\0v\x02\x01\0\0\0l");
}

#[test]
fn golden_bytes_of_writes_about_parts_and_times() {
    check_golden(Command::Sweep { key: b"k" }, b"\x15\x01\0\0\0k");
    check_golden(Command::IncrementFloat { key: b"k", by: b"-.5" }, b"\x16\x01\0\0\0k\x03\0\0\0-.5");
    check_golden(
        Command::SetPart { key: b"k", offset: 258, value: b"v" },
        b"\x17\x02\x01\0\0\x01\0\0\0k\x01\0\0\0v",
    );
    let condition = ExpiryCondition { if_some: true, if_earlier: true, ..ExpiryCondition::default() };
    check_golden(
        Command::Expire { key: b"k", expiry: Expiry::At(Stamp(3)), condition, return_value: true },
        b"\x18\x01\x0a\x02\x03\0\0\0\0\0\0\0\x01\0\0\0k",
    );
    let condition = ExpiryCondition { if_never: true, if_later: true, ..ExpiryCondition::default() };
    check_golden(
        Command::Expire { key: b"k", expiry: Expiry::Never, condition, return_value: false },
        b"\x18\0\x05\0\x01\0\0\0k",
    );
}

#[test]
fn golden_bytes_of_writes_of_several_keys() {
    check_golden(
        Command::Create { pairs: vec![(b"k", b"v"), (b"l", b"")] },
        b"\x19\x02\0\0\0\x01\0\0\0k\x01\0\0\0v\x01\0\0\0l\0\0\0\0",
    );
    check_golden(
        Command::Move { key: b"k", to: b"l", if_absent: true, keep: false },
        b"\x1a\x01\x01\0\0\0k\x01\0\0\0l",
    );
    check_golden(
        Command::Move { key: b"k", to: b"l", if_absent: false, keep: true },
        b"\x1a\x02\x01\0\0\0k\x01\0\0\0l",
    );
    check_golden(Command::Clear { key: b"k" }, b"\x1b\x01\0\0\0k");
    let commands = vec![Command::Get { key: &b"k"[..] }, Command::Increment { key: b"k", by: 1 }];
    check_golden(
        Command::Atomic { watched: vec![(b"w", b"look")], commands },
        b"\x1c\x01\0\0\0\x01\0\0\0w\x04\0\0\0look\x02\0\0\0\x01\x01\0\0\0k\
        \x13\x01\0\0\0\0\0\0\0\x01\0\0\0k",
    );
}

fn refusal(body: &[u8]) -> Unreadable {
    decode(&[&[0; 8], body].concat()).expect_err("must be refused")
}

#[test]
fn what_is_newer_is_told_from_what_is_damaged() {
    assert_eq!(refusal(b"\x00"), Unreadable::Damaged("a command of kind zero"));
    assert_eq!(refusal(b"\x0a"), Unreadable::Newer("command", 10));
    assert_eq!(refusal(b"\x1d"), Unreadable::Newer("command", 29));
    assert_eq!(refusal(b"\x11\x02\x01\0\0\0k"), Unreadable::Newer("flags of a command", 2));
    assert_eq!(refusal(b"\x10\0\x04\x01\0\0\0k\0\0\0\0"), Unreadable::Newer("condition", 4));
    assert_eq!(refusal(b"\x10\0\0\x03\x01\0\0\0k\0\0\0\0"), Unreadable::Newer("expiry", 3));
    assert_eq!(refusal(b"\x18\0\x10\0\x01\0\0\0k"), Unreadable::Newer("condition of an expiry", 16));
    assert_eq!(refusal(b"\x1a\x04\x01\0\0\0k"), Unreadable::Newer("flags of a command", 4));
    assert_eq!(refusal(b"\x02\0\0\0\0\0\x01\0\0\0\x04"), Unreadable::Newer("shape of a scan", 4));
    let within = Unreadable::Damaged("an atomic command within another");
    assert_eq!(refusal(b"\x1c\0\0\0\0\x01\0\0\0\x1c\0\0\0\0\x01\0\0\0\x01\x01\0\0\0k"), within);
    assert_eq!(refusal(b"\x14\x01\0\0\0\x03\x01\0\0\0k"), Unreadable::Newer("write of a batch", 3));
    assert_eq!(refusal(b"\x02\0\0\0\0\x02\x01\0\0\0"), Unreadable::Newer("end of a scan", 2));
}

#[test]
fn impossible_lengths_and_counts_are_refused_before_anything_is_allocated() {
    let count = Unreadable::Damaged("an impossible number of parts");
    let none = Unreadable::Damaged("a command of no parts");
    assert_eq!(refusal(b"\x14\0\0\0\0"), none);
    assert_eq!(refusal(b"\x19\0\0\0\0"), none);
    assert_eq!(refusal(b"\x1c\0\0\0\0\0\0\0\0"), none);
    assert_eq!(refusal(b"\x1c\xff\xff\xff\xff\x02\x01\0\0\0k"), count);
    assert_eq!(refusal(b"\x19\xff\xff\xff\xff\x02\x01\0\0\0k"), count);
    assert_eq!(refusal(b"\x14\xff\xff\xff\xff\x02\x01\0\0\0k"), count);
    assert_eq!(refusal(b"\x01\xff\xff\xff\xff"), Unreadable::Damaged("a length beyond its limit"));
    assert_eq!(refusal(b"\x01\x01\0\x01\0k"), Unreadable::Damaged("a length beyond its limit"));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0u8..32) {
        let _ = decode(&bytes);
        let _ = decode(&[&[0; 8], &[kind][..], &bytes].concat());
    }

    #[test]
    fn room_is_reserved_for_all_of_it(key in "[a-z]{0,9}", value in "[a-z]{0,40}", deletes in 0usize..20) {
        let key = key.as_bytes();
        let mut writes = vec![Write::Put { key, value: value.as_bytes() }];
        writes.extend((0..deletes).map(|_| Write::Delete { key }));
        let command = Command::Batch { writes };
        prop_assert!(encode(1, ASKED, &command).len() <= encoded_bytes(&command));
    }
}

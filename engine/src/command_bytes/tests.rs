//! Golden bytes of commands, accepted and refused; and that nothing panics.

use proptest::prelude::*;

use super::*;

fn check_golden(command: Command<&[u8]>, body: &[u8]) {
    let mut golden = 7u64.to_le_bytes().to_vec();
    golden.extend_from_slice(body);
    assert_eq!(encode(7, &command), golden, "{command:?}");
    assert_eq!(decode(&golden), Ok((7, command)));
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
        Command::Scan { start: b"a", end: Some(b"bc"), limit: 258 },
        b"\x02\x01\0\0\0a\x01\x02\0\0\0bc\x02\x01\0\0",
    );
    check_golden(Command::Scan { start: b"", end: None, limit: 1 }, b"\x02\0\0\0\0\0\x01\0\0\0");
    check_golden(Command::CountKeys { key: b"k" }, b"\x03\x01\0\0\0k");
    check_golden(Command::Length { key: b"k" }, b"\x04\x01\0\0\0k");
}

#[test]
fn golden_bytes_of_writes() {
    let put =
        |condition, return_old| Command::Put { key: &b"k"[..], value: &b"vw"[..], condition, return_old };
    check_golden(put(Condition::Always, false), b"\x10\0\0\x01\0\0\0k\x02\0\0\0vw");
    check_golden(put(Condition::Absent, true), b"\x10\x01\x01\x01\0\0\0k\x02\0\0\0vw");
    check_golden(put(Condition::Present, false), b"\x10\0\x02\x01\0\0\0k\x02\0\0\0vw");
    check_golden(put(Condition::Equals(b"x"), false), b"\x10\0\x03\x01\0\0\0x\x01\0\0\0k\x02\0\0\0vw");
    check_golden(Command::Delete { key: b"k", return_old: true }, b"\x11\x01\x01\0\0\0k");
    check_golden(Command::Append { key: b"k", value: b"v" }, b"\x12\x01\0\0\0k\x01\0\0\0v");
    check_golden(
        Command::Increment { key: b"k", by: -2 },
        b"\x13\xfe\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0k",
    );
    let writes = vec![Write::Put { key: &b"k"[..], value: &b"v"[..] }, Write::Delete { key: b"l" }];
    check_golden(Command::Batch { writes }, b"\x14\x02\0\0\0\x01\x01\0\0\0k\x01\0\0\0v\x02\x01\0\0\0l");
}

fn refusal(body: &[u8]) -> Unreadable {
    decode(&[&[0; 8], body].concat()).expect_err("must be refused")
}

#[test]
fn what_is_newer_is_told_from_what_is_damaged() {
    assert_eq!(refusal(b"\x00"), Unreadable::Damaged("a command of kind zero"));
    assert_eq!(refusal(b"\x05"), Unreadable::Newer("command", 5));
    assert_eq!(refusal(b"\x15"), Unreadable::Newer("command", 21));
    assert_eq!(refusal(b"\x11\x02\x01\0\0\0k"), Unreadable::Newer("flags of a command", 2));
    assert_eq!(refusal(b"\x10\0\x04\x01\0\0\0k\0\0\0\0"), Unreadable::Newer("condition", 4));
    assert_eq!(refusal(b"\x14\x01\0\0\0\x03\x01\0\0\0k"), Unreadable::Newer("write of a batch", 3));
    assert_eq!(refusal(b"\x02\0\0\0\0\x02\x01\0\0\0"), Unreadable::Newer("end of a scan", 2));
}

#[test]
fn impossible_lengths_and_counts_are_refused_before_anything_is_allocated() {
    let count = Unreadable::Damaged("a batch of an impossible number of writes");
    assert_eq!(refusal(b"\x14\0\0\0\0"), count);
    assert_eq!(refusal(b"\x14\xff\xff\xff\xff\x02\x01\0\0\0k"), count);
    assert_eq!(refusal(b"\x01\xff\xff\xff\xff"), Unreadable::Damaged("a length beyond its limit"));
    assert_eq!(refusal(b"\x01\x01\0\x01\0k"), Unreadable::Damaged("a length beyond its limit"));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0u8..24) {
        let _ = decode(&bytes);
        let _ = decode(&[&[0; 8], &[kind][..], &bytes].concat());
    }

    #[test]
    fn room_is_reserved_for_all_of_it(key in "[a-z]{0,9}", value in "[a-z]{0,40}", deletes in 0usize..20) {
        let key = key.as_bytes();
        let mut writes = vec![Write::Put { key, value: value.as_bytes() }];
        writes.extend((0..deletes).map(|_| Write::Delete { key }));
        let command = Command::Batch { writes };
        prop_assert!(encode(1, &command).len() <= encoded_bytes(&command));
    }
}

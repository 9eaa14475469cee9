//! Control packets: golden bytes, and what is refused.

use proptest::prelude::*;

use super::*;

fn identity() -> Identity {
    Identity { cluster: ClusterId(0xc1), store: StoreId(7), uuid: *b"0123456789abcdef", life: Life(3) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes() {
    let hello = Hello::new(identity(), StoreId(9), Purpose::Snapshots);
    let packet = encode(&hello).unwrap();
    let payload =
        "c100000000000000 07000000 30313233343536373839616263646566 0300000000000000 01 02 09000000"
            .replace(' ', "");
    assert_eq!(hex(&packet[HEADER_BYTES..]), payload);
    assert_eq!(hex(&packet[..8]), "534b504302012a00");
    assert_eq!(packet[8..12], crc32fast::hash(&packet[12..]).to_le_bytes());
    assert_eq!(decode::<Hello>(&packet), Ok(hello));

    let reply = HelloReply::new(identity(), Some("no".into()));
    let packet = encode(&reply).unwrap();
    assert_eq!(hex(&packet[HEADER_BYTES + 37..]), "0102000000000000006e6f");
    assert_eq!(decode::<HelloReply>(&packet), Ok(reply));
}

#[test]
fn golden_bytes_of_an_introduction() {
    let mut own = Introduction::new(identity());
    own.set_stage(Stage::Joining);
    own.address = "b:1".into();
    own.listed = vec!["a:1".into(), "b:1".into()];
    own.regions = 16;
    own.plan = 1;
    own.set_founders(&[(StoreId(5), [5; 16])]);
    let packet = encode(&Answer(own.clone())).unwrap();
    assert_eq!(packet[5], 4);
    assert_eq!(
        hex(&packet[HEADER_BYTES + 37..]),
        "03 0300000000000000 623a31 0200000000000000 0300000000000000 613a31 0300000000000000 623a31 10000000 01000000 \
         0100000000000000 05000000 05050505050505050505050505050505"
            .replace(' ', "")
    );
    assert_eq!(decode::<Answer>(&packet), Ok(Answer(own.clone())));
    let question = encode(&Question(own.clone())).unwrap();
    assert_eq!(question[5], 3);
    assert!(is::<Question>(&question) && !is::<Question>(&packet));
    assert_eq!(question[HEADER_BYTES..], packet[HEADER_BYTES..]);
    assert_eq!(own.stage(), Some(Stage::Joining));
    own.stage = 9;
    assert_eq!(own.stage(), None);
}

#[test]
fn the_longest_introduction_fits() {
    let mut own = Introduction::new(identity());
    own.address = "a".repeat(ADDRESS_BYTES_MAX);
    own.listed = vec![own.address.clone(); LISTED_MAX];
    own.set_founders(&[(StoreId(5), [5; 16]); LISTED_MAX]);
    assert_eq!(decode(&encode(&Question(own.clone())).unwrap()), Ok(Question(own)));
}

#[test]
fn what_is_cut_altered_newer_or_of_another_kind_is_refused() {
    let packet = encode(&Hello::new(identity(), StoreId(9), Purpose::Messages)).unwrap();
    for length in 0..packet.len() {
        assert!(matches!(decode::<Hello>(&packet[..length]), Err(WireError::Truncated { .. })));
    }
    assert!(matches!(decode::<Hello>(&[&packet[..], &[0]].concat()), Err(WireError::Trailing { .. })));
    assert!(matches!(decode::<HelloReply>(&packet), Err(WireError::UnknownKind { kind: 1, .. })));
    let altered = |at: usize, byte: u8| {
        let mut altered = packet.clone();
        altered[at] = byte;
        decode::<Hello>(&altered)
    };
    assert!(matches!(altered(0, 0), Err(WireError::Foreign { .. })));
    assert_eq!(altered(4, 3), Err(WireError::Newer { what: "a handshake", found: 3, known: 2 }));
    assert_eq!(altered(4, 1), Err(WireError::Older { what: "a handshake", found: 1, known: 2 }));
    assert!(matches!(altered(7, 0xff), Err(WireError::Length { .. })));
    assert!(matches!(altered(HEADER_BYTES, 9), Err(WireError::Checksum { .. })));
}

#[test]
fn a_string_that_claims_more_than_there_is_allocates_nothing() {
    let mut packet = encode(&HelloReply::new(identity(), Some("no".into()))).unwrap();
    packet[HEADER_BYTES + 38..HEADER_BYTES + 46].copy_from_slice(&u64::MAX.to_le_bytes());
    let crc = crc32fast::hash(&packet[HEADER_BYTES..]);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(decode::<HelloReply>(&packet), Err(WireError::Value { what: "a hello's reply" }));
}

#[test]
fn a_long_reason_is_cut_so_that_it_always_fits() {
    let reply = HelloReply::new(identity(), Some("ä".repeat(5000)));
    assert_eq!(decode(&encode(&reply).unwrap()), Ok(reply));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes: Vec<u8>, framed: bool, kind in 1_u8..5) {
        if framed && bytes.len() >= HEADER_BYTES {
            bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[4..6].copy_from_slice(&[VERSION, kind]);
            let length = ((bytes.len() - HEADER_BYTES) as u16).to_le_bytes();
            bytes[6..8].copy_from_slice(&length);
            let crc = crc32fast::hash(&bytes[HEADER_BYTES..]).to_le_bytes();
            bytes[8..12].copy_from_slice(&crc);
        }
        let _ = decode::<Hello>(&bytes);
        let _ = decode::<HelloReply>(&bytes);
        let _ = decode::<Question>(&bytes);
        let _ = decode::<Answer>(&bytes);
    }
}

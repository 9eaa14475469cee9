//! The bytes as they were promised: changing any of them is a new format version.

use super::*;

const PLACE: FramePlace = FramePlace {
    salt: 0x1122_3344_5566_7788,
    segment: 3,
    lsn: 8192,
    durable: 8000,
    gap: 16,
    log_start: 2,
    before: Before { length: 88, is_plain: true },
};

/// A hard state of the frame before; an entry run of two, and a hard state.
fn frame() -> Vec<u8> {
    let mut repeats = crate::Batch::new();
    repeats.hard_state(crate::StreamId(9), b"term 3");
    let mut batch = crate::Batch::new();
    batch.entries(crate::StreamId(7), 10, 4, [b"bee".as_slice(), b"hive"]);
    batch.hard_state(crate::StreamId(8), b"term 4");
    let mut out = Vec::new();
    encode_frame(&PLACE, repeats.records(), batch.records(), &mut out);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_frame_has_these_bytes() {
    let bytes = frame();
    let lines = bytes.chunks(32).enumerate().map(|(n, line)| format!("{:3} {}", n * 32, hex(line)));
    let lines: Vec<String> = lines.filter(|line| line[4..].bytes().any(|digit| digit != b'0')).collect();
    assert_eq!(lines, GOLDEN_FRAME, "{lines:#?}");
}

#[test]
fn a_segment_header_has_these_bytes() {
    let page = header().page();
    assert_eq!(page.len(), 4096);
    assert_eq!(page[0..128].chunks(32).map(hex).collect::<Vec<_>>(), GOLDEN_HEADER);
    assert_eq!(page[0..128], page[2048..2176]);
    assert!(page[128..2048].iter().chain(&page[2176..]).all(|byte| *byte == 0));
    assert_eq!(SegmentHeader::decode(&page), Ok(header()));
}

fn header() -> SegmentHeader {
    SegmentHeader {
        log: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        number: 3,
        previous: 2,
        start: 8192,
        salt: PLACE.salt,
        durable: 8000,
        segment_bytes: 65536,
        group: (3, 3),
        log_start: 2,
    }
}

#[test]
fn a_frame_reads_back() {
    let bytes = frame();
    let head = decode_frame(&bytes, 3, PLACE.salt, 8192).unwrap();
    assert_eq!((head.place, head.length as usize, head.records), (PLACE, bytes.len(), 3));
    assert_eq!(head.repeats, 1);
    let records = decode_records(&head, &bytes).unwrap();
    assert_eq!(
        records.iter().map(|(head, _)| head.kind).collect::<Vec<_>>(),
        [Kind::HardState, Kind::Entries, Kind::HardState]
    );
    for (record, at) in records {
        let body = &bytes[at..at + record.body_bytes as usize];
        assert!(check_body(PLACE.salt, &record, body));
        assert!(!record.kind.is_run() || !check_body(PLACE.salt + 1, &record, body));
    }
    assert_eq!(decode_trailer(&bytes, PLACE.salt), Some((8192, vec![7, 8])));
}

/// Zeros, another segment, another place, another salt, a cut frame, a newer version: none of it is a frame.
#[test]
fn what_is_refused() {
    let bytes = frame();
    let refused = [
        decode_frame(&[0; 4096], 3, 0, 8192),
        decode_frame(&[], 3, 0, 8192),
        decode_frame(&bytes, 4, PLACE.salt, 8192),
        decode_frame(&bytes, 3, PLACE.salt + 1, 8192),
        decode_frame(&bytes, 3, PLACE.salt, 8200),
        decode_frame(&bytes[..bytes.len() - 1], 3, PLACE.salt, 8192),
    ];
    assert!(refused.iter().all(|result| *result == Err(Fault::Invalid)));
    // A length or a number of records that would lead outside is refused before anything is done with it.
    for at in [8, 12, 56] {
        let mut huge = bytes.clone();
        put_u32(&mut huge, at, u32::MAX);
        assert_eq!(decode_frame(&huge, 3, PLACE.salt, 8192), Err(Fault::Invalid));
    }
    let mut newer = bytes.clone();
    newer[1] = 2;
    let heads = bodies_offset(3);
    let mut hasher = crc32fast::Hasher::new_with_initial(PLACE.salt as u32);
    hasher.update(&newer[..4]);
    hasher.update(&newer[8..heads]);
    put_u32(&mut newer, 4, hasher.finalize());
    assert_eq!(decode_frame(&newer, 3, PLACE.salt, 8192), Err(Fault::Newer(2)));
}

/// Every bit of a frame is covered: by the head's checksum, a record's, an entry's or the trailer's, or it is padding and must be zero.
#[test]
fn every_flip_is_noticed() {
    let bytes = frame();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let whole = decode_frame(&flipped, 3, PLACE.salt, 8192).is_ok_and(|head| {
            let records = decode_records(&head, &flipped).unwrap_or_default();
            let sound = |(record, at): &(RecordHead, usize)| {
                check_body(PLACE.salt, record, &flipped[*at..*at + record.body_bytes as usize])
            };
            let end = records.last().map_or(0, |(last, at)| at + last.body_bytes as usize);
            records.len() == 3
                && records.iter().all(sound)
                && is_padding_blank(&head, end, &flipped)
                && decode_trailer(&flipped, PLACE.salt).is_some()
        });
        assert!(!whole, "bit {bit}");
    }
}

/// One copy of the header is enough; of two that differ the newer counts; a newer format is refused by name.
#[test]
fn a_header_survives_the_loss_of_a_copy() {
    let mut page = header().page();
    page[5] ^= 1;
    assert_eq!(SegmentHeader::decode(&page), Ok(header()));
    page[2048 + 40] ^= 1;
    assert_eq!(SegmentHeader::decode(&page), Err(Fault::Invalid));
    let mut torn = header().page();
    let newer = SegmentHeader { number: 9, ..header() };
    torn[..512].copy_from_slice(&newer.page()[..512]);
    assert_eq!(SegmentHeader::decode(&torn), Ok(newer));
    assert_eq!(SegmentHeader::decode(&[0; 4096]), Err(Fault::Invalid));
    assert_eq!(SegmentHeader::decode(&[]), Err(Fault::Invalid));
}

/// Where in the frame, and the bytes; lines of zeros are left out.
const GOLDEN_FRAME: [&str; 9] = [
    "  0 010100007f294376e0020000030000000020000000000000401f000000000000",
    " 32 1000000002000000887766554433221103000000580000000100000001000000",
    " 64 030000009963cedb090000000000000000000000000000000000000000000000",
    " 96 0600000000000000010002005c3b7e4307000000000000000a00000000000000",
    "128 04000000000000001700000000000000030000003af6aa450800000000000000",
    "160 0000000000000000000000000000000006000000000000007465726d20331000",
    "192 0000a9ac13671300000008db7be9626565686976657465726d20340000000000",
    "672 0000000000000000000000000000000000000000000000000700000000000000",
    "704 08000000000000000020000000000000e41e072134564962020000008b6346fd",
];

const GOLDEN_HEADER: [&str; 4] = [
    "534b455057414c0101000000e9503e90100f0e0d0c0b0a090807060504030201",
    "030000000200000000200000000000008877665544332211401f000000000000",
    "0000010000000000030000000300000002000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
];

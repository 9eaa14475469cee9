//! A command that comes twice, comes late, comes from an earlier life, or comes after its reply was forgotten.

use super::*;

const STORE: StoreId = StoreId(7);

fn origin(life: u64, seq: u64, lowest: u64) -> Origin {
    Origin { store: STORE, life: Life(life), seq, lowest }
}

fn apply(sessions: &mut Sessions, origin: Origin, reply: &'static str) -> Verdict {
    let verdict = sessions.judge(&origin, Index(origin.seq));
    if verdict == Verdict::Fresh {
        sessions.record(&origin, reply.into());
    }
    verdict
}

#[test]
fn a_command_that_comes_twice_is_answered_twice_and_applied_once() {
    let mut sessions = Sessions::default();
    assert_eq!(apply(&mut sessions, origin(1, 5, 4), "five"), Verdict::Fresh);
    assert_eq!(apply(&mut sessions, origin(1, 4, 4), "four"), Verdict::Fresh);
    assert_eq!(apply(&mut sessions, origin(1, 5, 4), "again"), Verdict::Repeated("five".into()));
    assert_eq!(apply(&mut sessions, origin(1, 4, 4), "again"), Verdict::Repeated("four".into()));
}

#[test]
fn what_its_store_no_longer_waits_for_is_dropped_and_refused() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, origin(1, 4, 4), "four");
    apply(&mut sessions, origin(1, 6, 6), "six");
    assert_eq!(apply(&mut sessions, origin(1, 4, 4), "again"), Verdict::Answered);
    assert_eq!(apply(&mut sessions, origin(1, 5, 4), "late"), Verdict::Answered);
    assert_eq!(sessions.stores[&STORE].replies.len(), 1);
}

#[test]
fn a_new_life_starts_over_and_the_old_one_is_refused() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, origin(1, 9, 9), "nine");
    assert_eq!(apply(&mut sessions, origin(2, 1, 1), "one"), Verdict::Fresh);
    assert_eq!(apply(&mut sessions, origin(1, 10, 9), "ten"), Verdict::EarlierLife);
    assert_eq!(apply(&mut sessions, origin(2, 1, 1), "again"), Verdict::Repeated("one".into()));
}

#[test]
fn whatever_a_store_has_under_way_in_one_region_is_remembered() {
    let under_way = skep_raftstore::store::StoreConfig::new(STORE, Life(1), 0).unanswered_max;
    let mut sessions = Sessions::default();
    let reply = Bytes::from_static(&[3, 0, 0, 0, 0, 0, 0, 0, 0]);
    for seq in 1..=under_way as u64 {
        assert_eq!(sessions.judge(&origin(1, seq, 1), Index(seq)), Verdict::Fresh);
        sessions.record(&origin(1, seq, 1), reply.clone());
    }
    assert_eq!(sessions.judge(&origin(1, 1, 1), Index(1)), Verdict::Repeated(reply));
}

#[test]
fn the_window_is_bounded_in_replies() {
    let mut sessions = Sessions::default();
    for seq in 1..=REPLIES_MAX as u64 + 1 {
        apply(&mut sessions, origin(1, seq, 1), "");
    }
    assert_eq!(apply(&mut sessions, origin(1, 1, 1), ""), Verdict::Forgotten);
    assert_eq!(apply(&mut sessions, origin(1, 2, 1), ""), Verdict::Repeated("".into()));
}

#[test]
fn the_window_is_bounded_in_bytes_and_keeps_the_newest() {
    let mut sessions = Sessions::default();
    let large = Bytes::from(vec![0; REPLY_BYTES_MAX]);
    for seq in 1..=3 {
        assert_eq!(sessions.judge(&origin(1, seq, 1), Index(seq)), Verdict::Fresh);
        sessions.record(&origin(1, seq, 1), large.clone());
    }
    assert_eq!(apply(&mut sessions, origin(1, 2, 1), ""), Verdict::Forgotten);
    assert_eq!(apply(&mut sessions, origin(1, 3, 1), ""), Verdict::Repeated(large));
}

#[test]
fn the_store_that_was_silent_longest_is_forgotten_first() {
    let mut sessions = Sessions::default();
    for store in 1..=STORES_MAX as u32 + 1 {
        let origin = Origin { store: StoreId(store), ..origin(1, store.into(), 1) };
        assert_eq!(sessions.judge(&origin, Index(store.into())), Verdict::Fresh);
    }
    assert!(!sessions.stores.contains_key(&StoreId(1)));
    assert_eq!(sessions.stores.len(), STORES_MAX);
}

#[test]
fn golden_bytes() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, origin(2, 5, 4), "ab");
    let mut bytes = Vec::new();
    sessions.encode(&mut bytes);
    let golden: &[u8] = b"\x01\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x05\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0ab";
    assert_eq!(bytes, golden);
    assert_eq!(Sessions::decode(&mut Reader::new(golden)), Ok(sessions));
    for cut in 0..golden.len() {
        assert!(Sessions::decode(&mut Reader::new(&golden[..cut])).is_err());
    }
}

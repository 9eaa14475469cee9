//! A region's machine against a dumb twin, and what must hold for every history.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use skep_raftstore::ids::{Epoch, Index, Life, ReplicaId, StoreId, Term};
use skep_raftstore::raft::Membership;

use super::*;
use crate::limits::{SCAN_BYTES_MAX, SWEEP_KEYS_MAX, VALUE_BYTES_MAX};
use crate::machine::MemoryMachine;
use crate::reply_bytes::Reply;
use crate::{Answer, Command, Condition, Expiry, ExpiryCondition, ScanShape, Write};

const REGION: RegionId = RegionId(9);
const VERSION: u64 = 3;

/// The region `[b, y)`.
fn genesis() -> RegionDescriptor {
    RegionDescriptor {
        id: REGION,
        start: Bytes::from_static(b"b"),
        end: Some(Bytes::from_static(b"y")),
        epoch: Epoch { version: VERSION, membership: 1 },
        membership: Membership { number: 1, ..Default::default() },
    }
}

fn machine() -> RegionMachine<MemoryMachine> {
    RegionMachine::new(REGION, &genesis().encode(), MemoryMachine::default()).unwrap()
}

fn entry(index: u64, seq: u64, lowest: u64, body: Bytes) -> Committed {
    let origin = Origin { store: StoreId(1), life: Life(1), seq, lowest };
    Committed {
        index: Index(index),
        term: Term(1),
        stamp: Stamp(0),
        origin: Some(origin),
        proposer: None,
        membership: None,
        body,
    }
}

/// The entry with this stamp.
fn at(now: u64, entry: Committed) -> Committed {
    Committed { stamp: Stamp(now), ..entry }
}

/// Applies commands one after another, each as new.
struct Applier {
    machine: RegionMachine<MemoryMachine>,
    next: u64,
    /// The stamp of the next entries.
    now: u64,
    /// The clock of those who ask.
    asked: u64,
}

impl Applier {
    fn new() -> Applier {
        Applier { machine: machine(), next: 1, now: 0, asked: 0 }
    }

    fn apply(&mut self, command: Command<&[u8]>) -> Reply {
        self.apply_body(encoded(&command)).unwrap()
    }

    fn apply_body(&mut self, body: Bytes) -> Result<Reply, Fatal> {
        let entry = at(self.now, entry(self.next, self.next, self.next, body));
        self.next += 1;
        let mut replies = Vec::new();
        self.machine.apply(&[entry], &mut replies)?;
        assert_eq!(replies.len(), 1);
        Ok(reply_bytes::decode(&replies[0]).unwrap())
    }

    fn read(&mut self, command: Command<&[u8]>) -> Reply {
        let query = command_bytes::encode(VERSION, Stamp(self.asked), &command);
        reply_bytes::decode(&self.machine.read(&query)).unwrap()
    }

    fn get(&mut self, key: &[u8]) -> Option<Bytes> {
        match self.read(Command::Get { key }) {
            Reply::Answer(Answer::Value(value)) => value,
            other => panic!("{other:?}"),
        }
    }
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<&'a [u8]> {
    Command::Put { key, value, condition: Condition::Always, expiry: Expiry::Never, return_old: false }
}

fn rising<'a>(start: &'a [u8], end: Option<&'a [u8]>, limit: u32) -> Command<&'a [u8]> {
    Command::Scan { start, end, limit, shape: ScanShape::default() }
}

fn snapshot_of(machine: &mut RegionMachine<MemoryMachine>) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.snapshot().unwrap().write_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_command_for_another_range_or_version_is_answered_with_the_region() {
    let mut applier = Applier::new();
    let stale = Reply::Stale(vec![genesis()]);
    assert_eq!(applier.apply(put(b"a", b"1")), stale);
    assert_eq!(applier.apply(put(b"y", b"1")), stale);
    assert_eq!(applier.read(Command::Get { key: b"z" }), stale);
    let writes = vec![Write::Put { key: &b"c"[..], value: &b"1"[..] }, Write::Delete { key: b"z" }];
    assert_eq!(applier.apply(Command::Batch { writes }), stale);
    let body = command_bytes::encode(VERSION + 1, Stamp(0), &put(b"c", b"1"));
    assert_eq!(applier.apply_body(body).unwrap(), stale);
    assert_eq!(applier.read(Command::CountKeys { key: b"c" }), Reply::Answer(Answer::Integer(0)));
}

#[test]
fn a_length_is_a_number_and_a_missing_value_has_none() {
    let mut applier = Applier::new();
    assert_eq!(applier.read(Command::Length { key: b"c" }), Reply::Answer(Answer::Value(None)));
    for value in [&b""[..], b"four"] {
        applier.apply(put(b"c", value));
        let length = Reply::Answer(Answer::Integer(value.len() as i64));
        assert_eq!(applier.read(Command::Length { key: b"c" }), length);
    }
}

#[test]
fn a_damaged_command_is_an_answer_and_a_newer_one_stops_the_region() {
    let mut applier = Applier::new();
    let damaged = Reply::Rejected(Rejection::Damaged);
    assert_eq!(applier.apply_body(Bytes::from_static(b"short")).unwrap(), damaged);
    let newer = [&VERSION.to_le_bytes()[..], b"\xee"].concat();
    let error = applier.apply_body(Bytes::from(newer)).unwrap_err();
    assert!(error.0.contains("newer version: command 238"), "{error}");
}

#[test]
fn entries_must_follow_each_other() {
    let gap = entry(2, 1, 1, encoded(&put(b"c", b"1")));
    assert!(machine().apply(&[gap], &mut Vec::new()).is_err());
}

#[test]
fn a_change_of_membership_moves_the_epoch_and_not_the_version() {
    let mut machine = machine();
    machine.take_description();
    let membership = Membership { number: 7, ..Membership::of_voters(vec![ReplicaId(1), ReplicaId(2)]) };
    let changed =
        Committed { origin: None, membership: Some(membership.clone()), ..entry(1, 1, 1, Bytes::new()) };
    machine.apply(&[changed], &mut Vec::new()).unwrap();
    let region = machine.descriptor().clone();
    assert_eq!((region.epoch, region.membership), (Epoch { version: VERSION, membership: 7 }, membership));
    assert!(machine.take_description().is_some(), "whoever routes by it is told");
}

#[test]
fn a_stamp_never_goes_back() {
    let mut machine = machine();
    let stamped = |index, stamp| Committed {
        index: Index(index),
        term: Term(1),
        stamp: Stamp(stamp),
        origin: None,
        proposer: None,
        membership: None,
        body: Bytes::new(),
    };
    machine.apply(&[stamped(1, 50), stamped(2, 20)], &mut Vec::new()).unwrap();
    assert_eq!(machine.stamp(), Stamp(50));
    assert_eq!(machine.applied().index, Index(2));
}

#[test]
fn conditions_and_old_values() {
    let mut applier = Applier::new();
    let put_if = |condition, return_old| {
        let (key, value) = (&b"c"[..], &b"2"[..]);
        Command::Put { key, value, condition, expiry: Expiry::Never, return_old }
    };
    let answer = |answer| Reply::Answer(answer);
    assert_eq!(applier.apply(put_if(Condition::Present, false)), answer(Answer::Refused));
    assert_eq!(applier.apply(put_if(Condition::Present, true)), answer(Answer::Value(None)));
    assert_eq!(applier.apply(put_if(Condition::Equals(b""), false)), answer(Answer::Refused));
    assert_eq!(applier.apply(put_if(Condition::Absent, false)), answer(Answer::Done));
    assert_eq!(applier.apply(put_if(Condition::Absent, true)), answer(Answer::Value(Some("2".into()))));
    assert_eq!(applier.apply(put_if(Condition::Equals(b"2"), false)), answer(Answer::Done));
    let delete = |return_old| Command::Delete { key: &b"c"[..], return_old };
    assert_eq!(applier.apply(delete(true)), answer(Answer::Value(Some("2".into()))));
    assert_eq!(applier.apply(delete(false)), answer(Answer::Integer(0)));
}

#[test]
fn numbers() {
    let mut applier = Applier::new();
    let by = |by| Command::Increment { key: &b"n"[..], by };
    assert_eq!(applier.apply(by(5)), Reply::Answer(Answer::Integer(5)));
    assert_eq!(applier.apply(by(-7)), Reply::Answer(Answer::Integer(-2)));
    assert_eq!(applier.apply(by(i64::MIN)), Reply::Rejected(Rejection::Overflow));
    assert_eq!(applier.read(Command::Get { key: b"n" }), Reply::Answer(Answer::Value(Some("-2".into()))));
    applier.apply(Command::Append { key: b"n", value: b"x" });
    assert_eq!(applier.apply(by(1)), Reply::Rejected(Rejection::NotAnInteger));
}

#[test]
fn an_append_beyond_the_limit_changes_nothing() {
    let mut applier = Applier::new();
    applier.apply(put(b"c", &vec![0; VALUE_BYTES_MAX]));
    let too_large = Reply::Rejected(Rejection::ValueTooLarge(VALUE_BYTES_MAX as u64 + 1));
    assert_eq!(applier.apply(Command::Append { key: b"c", value: b"x" }), too_large);
    assert_eq!(applier.machine.size(), 1 + VALUE_BYTES_MAX as u64);
}

#[test]
fn a_scan_says_where_to_go_on() {
    let mut applier = Applier::new();
    let large = vec![b'v'; SCAN_BYTES_MAX / 2];
    for key in [b"c", b"d", b"e"] {
        applier.apply(put(key, &large));
    }
    let mut scan = |end, limit| match applier.read(rising(b"c", end, limit)) {
        Reply::Answer(Answer::Pairs { pairs, resume }) => (pairs.len(), resume),
        other => panic!("{other:?}"),
    };
    assert_eq!(scan(None, 9), (1, Some("d".into())), "stops when it is large");
    assert_eq!(scan(Some(b"d"), 9), (1, None), "ends within the region");
    assert_eq!(scan(None, 0), (0, Some("c".into())), "returns no more than was asked for");
    applier.apply(Command::Delete { key: b"d", return_old: false });
    applier.apply(Command::Delete { key: b"e", return_old: false });
    let mut scan = |end| match applier.read(rising(b"c", end, 9)) {
        Reply::Answer(Answer::Pairs { resume, .. }) => resume,
        other => panic!("{other:?}"),
    };
    assert_eq!(scan(None), Some("y".into()), "goes on in the next region");
    assert_eq!(scan(Some(b"y")), None);
    assert_eq!(scan(Some(b"zz")), Some("y".into()));
}

#[test]
fn a_snapshot_of_another_region_or_a_damaged_one_changes_nothing() {
    let mut applier = Applier::new();
    applier.apply(put(b"c", b"1"));
    let good = snapshot_of(&mut applier.machine);

    let mut fresh = machine();
    let digest = fresh.digest();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(fresh.restore(&mut &bad[..]).is_err(), "a flipped bit in byte {at} goes unnoticed");
        assert!(fresh.restore(&mut &good[..at]).is_err(), "a cut after {at} bytes goes unnoticed");
        assert_eq!(fresh.digest(), digest);
    }
    fresh.restore(&mut &good[..]).unwrap();
    assert_eq!(fresh.digest(), applier.machine.digest());

    let other = RegionDescriptor { id: RegionId(10), ..genesis() };
    let mut other = RegionMachine::new(RegionId(10), &other.encode(), MemoryMachine::default()).unwrap();
    assert!(other.restore(&mut &good[..]).is_err());
}

fn expiring<'a>(key: &'a [u8], value: &'a [u8], at: u64) -> Command<&'a [u8]> {
    let expiry = Expiry::At(Stamp(at));
    Command::Put { key, value, condition: Condition::Always, expiry, return_old: false }
}

fn expire(key: &[u8], expiry: Expiry, condition: ExpiryCondition) -> Command<&[u8]> {
    Command::Expire { key, expiry, condition, return_value: false }
}

fn integer(number: i64) -> Reply {
    Reply::Answer(Answer::Integer(number))
}

fn value(value: Option<&'static str>) -> Reply {
    Reply::Answer(Answer::Value(value.map(Bytes::from)))
}

/// A region in which `c` has expired and is still there, and whose time has moved on since.
fn with_an_expired_value() -> Applier {
    let mut applier = Applier::new();
    applier.now = 100;
    applier.apply(expiring(b"c", b"7", 150));
    assert_eq!(applier.get(b"c"), Some("7".into()));
    applier.now = 150;
    applier.apply(put(b"x", b""));
    assert_eq!(applier.machine.size(), 2 + 1, "nothing is removed by the way");
    applier
}

#[test]
fn what_has_expired_does_not_exist_for_any_read() {
    let mut applier = with_an_expired_value();
    assert_eq!(applier.get(b"c"), None);
    assert_eq!(applier.read(Command::Length { key: b"c" }), value(None));
    assert_eq!(applier.read(Command::ExpiryOf { key: b"c" }), integer(-2));
    assert_eq!(applier.read(Command::Part { key: b"c", first: 0, last: -1 }), value(None));
    assert_eq!(applier.read(Command::CountKeys { key: b"c" }), integer(1));
    assert_eq!(applier.read(Command::CountExpiring { key: b"c" }), integer(0));
    for seed in 0..4 {
        assert_eq!(applier.read(Command::AnyKey { key: b"c", seed }), value(Some("x")));
    }
    match applier.read(rising(b"b", None, 9)) {
        Reply::Answer(Answer::Pairs { pairs, .. }) => assert_eq!(pairs, [("x".into(), "".into())]),
        other => panic!("{other:?}"),
    }
    let missing = applier.read(Command::Look { key: b"nothing" });
    assert_eq!(applier.read(Command::Look { key: b"c" }), missing);
}

#[test]
fn what_has_expired_does_not_exist_for_any_write() {
    let on_expired = |command: Command<&[u8]>| {
        let mut applier = with_an_expired_value();
        let reply = applier.apply(command);
        (reply, applier.get(b"c"), applier.read(Command::ExpiryOf { key: b"c" }))
    };
    let done = || Reply::Answer(Answer::Done);
    let set = |condition, expiry, return_old| Command::Put {
        key: &b"c"[..],
        value: &b"n"[..],
        condition,
        expiry,
        return_old,
    };
    let gone = (None, integer(-2));
    let new = |text: &'static str| (Some(Bytes::from(text)), integer(-1));
    let check = |command: Command<&[u8]>, reply: Reply, then: (Option<Bytes>, Reply)| {
        let (got, held, expires) = on_expired(command.clone());
        assert_eq!((got, (held, expires)), (reply, then), "{command:?}");
    };
    check(set(Condition::Absent, Expiry::Never, false), done(), new("n"));
    check(set(Condition::Always, Expiry::Keep, false), done(), new("n"));
    check(set(Condition::Present, Expiry::Never, false), Reply::Answer(Answer::Refused), gone.clone());
    check(set(Condition::Equals(b"7"), Expiry::Never, false), Reply::Answer(Answer::Refused), gone.clone());
    check(set(Condition::Always, Expiry::Never, true), value(None), new("n"));
    check(Command::Delete { key: b"c", return_old: false }, integer(0), gone.clone());
    check(Command::Delete { key: b"c", return_old: true }, value(None), gone.clone());
    check(Command::Append { key: b"c", value: b"n" }, integer(1), new("n"));
    check(Command::SetPart { key: b"c", offset: 1, value: b"n" }, integer(2), new("\0n"));
    check(Command::Increment { key: b"c", by: 2 }, integer(2), new("2"));
    check(Command::IncrementFloat { key: b"c", by: b".5" }, value(Some("0.5")), new("0.5"));
    check(expire(b"c", Expiry::At(Stamp(900)), ExpiryCondition::default()), integer(0), gone.clone());
    check(Command::Create { pairs: vec![(b"c", b"n")] }, done(), new("n"));
    let moved = |key, to| Command::Move { key, to, if_absent: true, keep: false };
    check(moved(&b"c"[..], &b"d"[..]), value(None), gone.clone());
    check(moved(&b"x"[..], &b"c"[..]), done(), new(""));
    check(Command::Sweep { key: b"c" }, integer(0), gone);
}

#[test]
fn writes_keep_the_time_of_a_value_or_end_it() {
    let after = |command: Command<&[u8]>| {
        let mut applier = Applier::new();
        applier.now = 100;
        applier.apply(expiring(b"c", b"7", 150));
        applier.apply(command);
        applier.read(Command::ExpiryOf { key: b"c" })
    };
    let kept = integer(150);
    assert_eq!(after(Command::Increment { key: b"c", by: 1 }), kept);
    assert_eq!(after(Command::IncrementFloat { key: b"c", by: b"1" }), kept);
    assert_eq!(after(Command::Append { key: b"c", value: b"1" }), kept);
    assert_eq!(after(Command::SetPart { key: b"c", offset: 3, value: b"1" }), kept);
    let set = |expiry| Command::Put {
        key: &b"c"[..],
        value: &b"n"[..],
        condition: Condition::Always,
        expiry,
        return_old: false,
    };
    assert_eq!(after(set(Expiry::Keep)), kept);
    assert_eq!(after(set(Expiry::Never)), integer(-1));
    assert_eq!(after(set(Expiry::At(Stamp(900)))), integer(900));
    assert_eq!(after(set(Expiry::At(Stamp(100)))), integer(-2), "what has expired already is not kept");
    assert_eq!(after(Command::Batch { writes: vec![Write::Put { key: b"c", value: b"n" }] }), integer(-1));
    assert_eq!(after(expire(b"c", Expiry::At(Stamp(99)), ExpiryCondition::default())), integer(-2));
    let some = ExpiryCondition { if_some: true, ..ExpiryCondition::default() };
    assert_eq!(after(expire(b"c", Expiry::Never, some)), integer(-1));
}

#[test]
fn conditions_of_an_expiry() {
    let none = ExpiryCondition::default();
    let (never, some) =
        (ExpiryCondition { if_never: true, ..none }, ExpiryCondition { if_some: true, ..none });
    let later = ExpiryCondition { if_later: true, ..none };
    let earlier = ExpiryCondition { if_earlier: true, ..none };
    let mut applier = Applier::new();
    applier.apply(put(b"c", b"1"));
    let mut at = |time, condition| applier.apply(expire(b"c", Expiry::At(Stamp(time)), condition));
    assert_eq!(at(100, some), integer(0));
    assert_eq!(at(100, later), integer(0), "never is later than all");
    assert_eq!(at(100, never), integer(1));
    assert_eq!(at(200, never), integer(0));
    assert_eq!(at(100, later), integer(0));
    assert_eq!(at(101, later), integer(1));
    assert_eq!(at(101, earlier), integer(0));
    assert_eq!(at(100, earlier), integer(1));
    assert_eq!(at(300, some), integer(1));
}

/// A region that nobody writes to does not notice that time goes by. Whoever asks knows better.
#[test]
fn a_read_of_an_idle_region_moves_its_time_on_first() {
    let mut applier = Applier::new();
    applier.now = 100;
    applier.apply(expiring(b"c", b"7", 150));
    applier.asked = 149;
    assert_eq!(applier.get(b"c"), Some("7".into()));
    applier.asked = 150;
    let queries: [Command<&[u8]>; 8] = [
        Command::Get { key: b"c" },
        Command::Length { key: b"c" },
        Command::ExpiryOf { key: b"c" },
        Command::Part { key: b"c", first: 0, last: 0 },
        Command::Look { key: b"c" },
        rising(b"b", None, 9),
        Command::CountKeys { key: b"c" },
        Command::CountExpiring { key: b"c" },
    ];
    for query in queries {
        assert_eq!(applier.read(query.clone()), Reply::Behind, "{query:?}");
    }
    assert_eq!(applier.read(Command::Get { key: b"d" }), value(None), "no other key is behind");
    applier.asked = 0;
    assert_eq!(applier.get(b"c"), Some("7".into()), "without a clock the region's time decides");
    applier.now = 160;
    assert_eq!(applier.apply(Command::Sweep { key: b"c" }), integer(0));
    assert_eq!(applier.machine.size(), 0);
    applier.asked = 200;
    assert_eq!(applier.get(b"c"), None);
}

#[test]
fn a_sweep_deletes_a_bounded_number_and_says_what_is_left() {
    let mut applier = Applier::new();
    for number in 0..SWEEP_KEYS_MAX as u64 + 10 {
        applier.apply(expiring(format!("c{number}").as_bytes(), b"", 50 + number % 3));
    }
    applier.apply(expiring(b"d", b"", 1000));
    applier.now = 60;
    assert_eq!(applier.apply(Command::Sweep { key: b"c" }), integer(10));
    assert_eq!(applier.apply(Command::Sweep { key: b"c" }), integer(0));
    assert_eq!(applier.machine.size(), 1);
}

#[test]
fn a_transaction_is_carried_out_as_a_whole_or_not_at_all() {
    let mut applier = Applier::new();
    applier.apply(put(b"c", b"1"));
    let look = |applier: &mut Applier| match applier.read(Command::Look { key: b"c" }) {
        Reply::Answer(Answer::Value(Some(look))) => look,
        other => panic!("{other:?}"),
    };
    let seen = look(&mut applier);
    let commands = || {
        let scan = Command::AnyKey { key: &b"c"[..], seed: 0 };
        vec![Command::Increment { key: &b"c"[..], by: 1 }, Command::Get { key: b"c" }, scan]
    };
    let atomic =
        |seen: &'static [u8]| Command::Atomic { watched: vec![(&b"c"[..], seen)], commands: commands() };
    let seen: &'static [u8] = seen.to_vec().leak();
    let two = || Ok(Answer::Value(Some("2".into())));
    let answers = vec![Ok(Answer::Integer(2)), two(), Ok(Answer::Value(Some("c".into())))];
    assert_eq!(applier.apply(atomic(seen)), Reply::Answer(Answer::Several(answers)));
    assert_eq!(applier.apply(atomic(seen)), Reply::Answer(Answer::Refused), "it has changed since");
    assert_eq!(applier.get(b"c"), Some("2".into()));

    let commands = vec![
        Command::Append { key: &b"c"[..], value: b"x" },
        Command::Increment { key: b"c", by: 1 },
        Command::Append { key: b"c", value: b"y" },
    ];
    let answers = vec![Ok(Answer::Integer(2)), Err(crate::Error::NotAnInteger), Ok(Answer::Integer(3))];
    let mixed = applier.apply(Command::Atomic { watched: vec![], commands });
    assert_eq!(mixed, Reply::Answer(Answer::Several(answers)), "an error undoes nothing, as in Redis");
    let outside = vec![Command::Get { key: &b"c"[..] }, Command::Delete { key: b"z", return_old: false }];
    let stale = applier.apply(Command::Atomic { watched: vec![], commands: outside });
    assert_eq!(stale, Reply::Stale(vec![genesis()]), "all of its keys must lie here");
}

#[test]
fn answers_that_are_too_large_together_are_left_out() {
    let mut applier = Applier::new();
    applier.apply(put(b"c", &vec![b'v'; VALUE_BYTES_MAX]));
    let mut commands = vec![Command::Get { key: &b"c"[..] }; 3];
    commands.push(Command::Increment { key: b"n", by: 1 });
    let Reply::Answer(Answer::Several(answers)) =
        applier.apply(Command::Atomic { watched: vec![], commands })
    else {
        panic!("it is carried out")
    };
    assert!(answers[0].is_ok());
    assert_eq!(answers[2], Err(crate::Error::AnswerTooLarge));
    assert_eq!(answers[3], Ok(Answer::Integer(1)));
}

#[test]
fn keys_that_exist_are_not_created_nor_moved_over() {
    let mut applier = Applier::new();
    applier.apply(expiring(b"c", b"1", 500));
    let create = |pairs| Command::Create { pairs };
    assert_eq!(
        applier.apply(create(vec![(&b"d"[..], &b"2"[..]), (b"c", b"2")])),
        Reply::Answer(Answer::Refused)
    );
    assert_eq!(applier.get(b"d"), None);
    assert_eq!(
        applier.apply(create(vec![(&b"d"[..], &b"2"[..]), (b"e", b"3")])),
        Reply::Answer(Answer::Done)
    );
    let moved = |key, to, if_absent, keep| Command::Move { key, to, if_absent, keep };
    let (c, d, f) = (&b"c"[..], &b"d"[..], &b"f"[..]);
    assert_eq!(applier.apply(moved(c, d, true, false)), Reply::Answer(Answer::Refused));
    assert_eq!(applier.apply(moved(c, f, true, true)), Reply::Answer(Answer::Done));
    assert_eq!(applier.read(Command::ExpiryOf { key: b"f" }), integer(500), "the time goes with the value");
    assert_eq!(applier.get(b"c"), Some("1".into()));
    assert_eq!(applier.apply(moved(c, d, false, false)), Reply::Answer(Answer::Done));
    assert_eq!((applier.get(b"c"), applier.get(b"d")), (None, Some("1".into())));
    assert_eq!(applier.apply(moved(d, d, false, false)), Reply::Answer(Answer::Done));
    assert_eq!(applier.get(b"d"), Some("1".into()));
}

#[test]
fn a_falling_scan_ends_where_it_should() {
    let mut applier = Applier::new();
    for key in [b"c", b"d", b"e"] {
        applier.apply(put(key, b"v"));
    }
    let mut scan = |end, limit| {
        let shape = ScanShape { keys_only: true, falling: true };
        match applier.read(Command::Scan { start: b"c", end, limit, shape }) {
            Reply::Answer(Answer::Pairs { pairs, resume }) => {
                (pairs.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), resume)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scan(Some(b"f"), 2), (vec!["e".into(), "d".into()], Some("c\0".into())));
    assert_eq!(scan(Some(b"c\0"), 2), (vec!["c".into()], None));
    assert_eq!(scan(Some(b"e"), 9), (vec!["d".into(), "c".into()], None));
    assert_eq!(scan(None, 9), (vec![], Some("y".into())), "what lies beyond the region comes first");
    assert_eq!(
        applier.apply(Command::Clear { key: b"c" }),
        Reply::Answer(Answer::Pairs { pairs: vec![], resume: Some("y".into()) })
    );
    assert_eq!(applier.machine.size(), 0);
}

/// What a region does, said once more without a log, an encoding or a session.
#[derive(Default)]
struct Twin {
    /// Values, and when they expire.
    data: BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>,
    now: u64,
    replies: HashMap<u64, Bytes>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    PutIfAbsent(u8, Vec<u8>),
    Delete(u8),
    Append(u8, Vec<u8>),
    Batch(Vec<(u8, Option<Vec<u8>>)>),
    PutExpiring(u8, Vec<u8>, u64),
    Expire(u8, u64),
    Move(u8, u8, bool),
    /// Time goes by.
    Wait(u64),
    Sweep,
    /// Sends the command of so many steps ago again.
    Repeat(u8),
    /// Checks that a snapshot taken here is what a second machine becomes.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || proptest::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        4 => (any::<u8>(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (any::<u8>(), value()).prop_map(|(key, value)| Step::PutIfAbsent(key, value)),
        3 => any::<u8>().prop_map(Step::Delete),
        3 => (any::<u8>(), value()).prop_map(|(key, value)| Step::Append(key, value)),
        1 => proptest::collection::vec((any::<u8>(), proptest::option::of(value())), 1..5).prop_map(Step::Batch),
        3 => (any::<u8>(), value(), 1u64..60).prop_map(|(key, value, ttl)| Step::PutExpiring(key, value, ttl)),
        2 => (any::<u8>(), 0u64..60).prop_map(|(key, ttl)| Step::Expire(key, ttl)),
        2 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(from, to, keep)| Step::Move(from, to, keep)),
        3 => (1u64..30).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
        3 => (1u8..20).prop_map(Step::Repeat),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

fn key(number: u8) -> Vec<u8> {
    format!("k{:02}", number % 60).into_bytes()
}

impl Twin {
    /// Here what has expired is gone at once.
    fn wait(&mut self, time: u64) {
        self.now += time;
        let now = self.now;
        self.data.retain(|_, (_, expires)| expires.is_none_or(|at| at > now));
    }

    fn carry_out(&mut self, step: &Step) -> (Bytes, Reply) {
        let answer = |done| Reply::Answer(if done { Answer::Done } else { Answer::Refused });
        match step {
            Step::Put(k, value) => {
                self.data.insert(key(*k), (value.clone(), None));
                (encoded(&put(&key(*k), value)), answer(true))
            }
            Step::PutIfAbsent(k, value) => {
                let absent = !self.data.contains_key(&key(*k));
                self.data.entry(key(*k)).or_insert_with(|| (value.clone(), None));
                let (key, condition) = (key(*k), Condition::Absent);
                let expiry = Expiry::Never;
                let command = Command::Put { key: &key[..], value, condition, expiry, return_old: false };
                (encoded(&command), answer(absent))
            }
            Step::PutExpiring(k, value, ttl) => {
                let at = self.now + ttl;
                self.data.insert(key(*k), (value.clone(), Some(at)));
                let (key, expiry) = (key(*k), Expiry::At(Stamp(at)));
                let condition = Condition::Always;
                let command = Command::Put { key: &key[..], value, condition, expiry, return_old: false };
                (encoded(&command), answer(true))
            }
            Step::Expire(k, ttl) => {
                let at = self.now + ttl;
                let held = self.data.get_mut(&key(*k)).map(|held| held.1 = Some(at));
                self.wait(0);
                let expiry = Expiry::At(Stamp(at));
                let condition = ExpiryCondition::default();
                let command = Command::Expire { key: key(*k), expiry, condition, return_value: false };
                (encoded(&command), Reply::Answer(Answer::Integer(held.is_some().into())))
            }
            Step::Move(from, to, keep) => {
                let command = Command::Move { key: key(*from), to: key(*to), if_absent: false, keep: *keep };
                let Some(held) = self.data.get(&key(*from)).cloned() else {
                    return (encoded(&command), Reply::Answer(Answer::Value(None)));
                };
                if !keep {
                    self.data.remove(&key(*from));
                }
                self.data.insert(key(*to), held);
                (encoded(&command), answer(true))
            }
            Step::Delete(k) => {
                let was = self.data.remove(&key(*k)).is_some();
                let command = Command::Delete { key: &key(*k)[..], return_old: false };
                (encoded(&command), Reply::Answer(Answer::Integer(was.into())))
            }
            Step::Append(k, more) => {
                let (value, _) = self.data.entry(key(*k)).or_default();
                value.extend(more);
                let command = Command::Append { key: &key(*k)[..], value: &more[..] };
                (encoded(&command), Reply::Answer(Answer::Integer(value.len() as i64)))
            }
            Step::Batch(writes) => (encoded(&self.batch(writes)), answer(true)),
            Step::Sweep => (encoded(&Command::Sweep { key: &b"c"[..] }), Reply::Answer(Answer::Integer(0))),
            Step::Wait(_) | Step::Repeat(_) | Step::Restart => unreachable!("not a command"),
        }
    }

    fn batch(&mut self, writes: &[(u8, Option<Vec<u8>>)]) -> Command<Bytes> {
        let writes = writes.iter().map(|(k, value)| match value {
            Some(value) => {
                self.data.insert(key(*k), (value.clone(), None));
                Write::Put { key: key(*k).into(), value: value.clone().into() }
            }
            None => {
                self.data.remove(&key(*k));
                Write::Delete { key: key(*k).into() }
            }
        });
        Command::Batch { writes: writes.collect() }
    }
}

fn encoded<B: AsRef<[u8]>>(command: &Command<B>) -> Bytes {
    command_bytes::encode(VERSION, Stamp(0), command)
}

fn check_same(machine: &mut RegionMachine<MemoryMachine>, twin: &Twin) {
    let mut ask = |query: Command<&[u8]>| reply_bytes::decode(&machine.read(&encoded(&query))).unwrap();
    let Reply::Answer(Answer::Pairs { pairs, .. }) = ask(rising(b"b", None, u32::MAX)) else {
        panic!("a scan answers pairs")
    };
    let expected = twin.data.iter().map(|(key, (value, _))| (&key[..], &value[..]));
    assert!(pairs.iter().map(|(k, v)| (&k[..], &v[..])).eq(expected));
    assert_eq!(ask(Command::CountKeys { key: b"c" }), Reply::Answer(Answer::Integer(twin.data.len() as i64)));
    for (key, (_, expires)) in &twin.data {
        let wanted = expires.map_or(-1, |at| at as i64);
        assert_eq!(ask(Command::ExpiryOf { key }), Reply::Answer(Answer::Integer(wanted)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Every command applies once and is answered as the twin says, however often it comes; a machine restored from a
    /// snapshot is the same machine; an older snapshot does not feel later writes.
    #[test]
    fn behaves_as_its_twin(steps in steps()) {
        let (mut machine, mut twin) = (machine(), Twin::default());
        let mut sent: Vec<Bytes> = Vec::new();
        let mut index = 0;
        let mut first: Option<(Box<dyn SnapshotSource>, Vec<u8>)> = None;
        for step in &steps {
            let seq = match step {
                Step::Restart => {
                    let bytes = snapshot_of(&mut machine);
                    first.get_or_insert((machine.snapshot().unwrap(), bytes.clone()));
                    let mut other = super::tests::machine();
                    other.restore(&mut &bytes[..]).unwrap();
                    prop_assert_eq!(other.digest(), machine.digest());
                    machine = other;
                    continue;
                }
                Step::Wait(time) => {
                    twin.wait(*time);
                    continue;
                }
                Step::Repeat(back) => (sent.len() as u64).saturating_sub(u64::from(*back)),
                command => {
                    let (body, reply) = twin.carry_out(command);
                    sent.push(body);
                    let seq = sent.len() as u64 - 1;
                    let mut replies = Vec::new();
                    index += 1;
                    let entry = entry(index, seq, 0, sent[seq as usize].clone());
                    machine.apply(&[at(twin.now, entry)], &mut replies).unwrap();
                    prop_assert_eq!(reply_bytes::decode(&replies[0]).unwrap(), reply);
                    twin.replies.insert(seq, replies[0].clone());
                    continue;
                }
            };
            let Some(body) = sent.get(seq as usize) else { continue };
            let mut replies = Vec::new();
            index += 1;
            machine.apply(&[at(twin.now, entry(index, seq, 0, body.clone()))], &mut replies).unwrap();
            prop_assert_eq!(&replies[0], &twin.replies[&seq], "a repeated command has another reply");
        }
        let sweep = encoded(&Command::Sweep { key: &b"c"[..] });
        let last = at(twin.now, entry(index + 1, sent.len() as u64, 0, sweep));
        machine.apply(&[last], &mut Vec::new()).unwrap();
        check_same(&mut machine, &twin);
        let bytes: usize = twin.data.iter().map(|(key, (value, _))| key.len() + value.len()).sum();
        prop_assert_eq!(machine.size(), bytes as u64, "a sweep leaves nothing that has expired");
        if let Some((snapshot, then)) = first {
            let mut now = Vec::new();
            snapshot.write_to(&mut now).unwrap();
            prop_assert_eq!(now, then, "a snapshot felt a later write");
        }
    }
}

fn split_of(epoch: Epoch, keys: &[&'static str]) -> Split {
    let pieces = keys.iter().zip(100..).map(|(key, id)| (RegionId(id), Bytes::from(*key))).collect();
    Split { epoch, pieces }
}

fn change(index: u64, split: &Split) -> Committed {
    Committed { proposer: Some(StoreId(1)), ..entry(index, index, 1, split.encode()) }
}

fn filled() -> RegionMachine<MemoryMachine> {
    let mut machine = machine();
    let puts = (1..=8).zip(["c", "e", "g", "i", "k", "m", "o", "q"]);
    let entry = |(at, key): (u64, &str)| entry(at, at, 1, encoded(&put(key.as_bytes(), b"v")));
    machine.apply(&puts.map(entry).collect::<Vec<_>>(), &mut Vec::new()).unwrap();
    machine
}

/// Applies `split` as entry 9 and returns the reply and the children.
fn apply_split(machine: &mut RegionMachine<MemoryMachine>, split: &Split) -> (Reply, Vec<Child>) {
    let mut replies = Vec::new();
    machine.apply(&[change(9, split)], &mut replies).unwrap();
    (reply_bytes::decode(&replies[0]).unwrap(), machine.take_children())
}

#[test]
fn a_split_shares_out_range_data_sessions_and_place_in_the_log() {
    let mut machine = filled();
    let (reply, children) = apply_split(&mut machine, &split_of(genesis().epoch, &["g", "o"]));
    let Reply::Regions(regions) = reply else { panic!("{reply:?}") };
    let ranges: Vec<_> =
        regions.iter().map(|region| (region.id.0, &region.start[..], region.end.clone())).collect();
    assert_eq!(
        ranges,
        [(9, &b"b"[..], Some("g".into())), (100, b"g", Some("o".into())), (101, b"o", Some("y".into()))]
    );
    assert!(regions.iter().all(|region| region.epoch == Epoch { version: VERSION + 2, membership: 1 }));
    assert_eq!(machine.descriptor(), &regions[0]);
    assert_eq!(children.iter().map(|child| child.region.0).collect::<Vec<_>>(), [100, 101]);
    for (mut child, keys) in children.into_iter().zip([4, 2]) {
        assert_eq!((child.at, child.machine.applied()), (machine.applied(), machine.applied()));
        let count = command_bytes::encode(
            VERSION + 2,
            Stamp(0),
            &Command::CountKeys { key: &child.machine.start()[..] },
        );
        assert_eq!(
            reply_bytes::decode(&child.machine.read(&count)).unwrap(),
            Reply::Answer(Answer::Integer(keys))
        );
        // A command that was applied before the split is known wherever it comes again.
        let mut replies = Vec::new();
        let again = entry(10, 8, 1, encoded(&put(b"q", b"twice")));
        child.machine.apply(&[again], &mut replies).unwrap();
        assert_eq!(reply_bytes::decode(&replies[0]).unwrap(), Reply::Answer(Answer::Done));
    }
}

/// Where a region's machine says that it begins.
trait Start {
    fn start(&mut self) -> Bytes;
}

impl Start for Box<dyn StateMachine> {
    fn start(&mut self) -> Bytes {
        let description = self.take_description().expect("it is new");
        RegionDescriptor::decode(&description).unwrap().start
    }
}

#[test]
fn a_split_for_another_epoch_or_key_changes_nothing() {
    let is = genesis().epoch;
    let other_version = Epoch { version: VERSION + 1, ..is };
    let other_members = Epoch { membership: 2, ..is };
    for (epoch, keys) in
        [(other_version, vec!["g"]), (other_members, vec!["g"]), (is, vec!["b"]), (is, vec!["g", "y"])]
    {
        let mut machine = filled();
        let (reply, children) = apply_split(&mut machine, &split_of(epoch, &keys));
        assert_eq!(reply, Reply::Stale(vec![genesis()]), "{epoch:?} {keys:?}");
        assert!(children.is_empty());
        assert_eq!(machine.descriptor(), &genesis());
    }
}

#[test]
fn a_split_that_comes_twice_is_done_once() {
    let mut machine = filled();
    let split = split_of(genesis().epoch, &["g"]);
    let (first, children) = apply_split(&mut machine, &split);
    assert_eq!(children.len(), 1);
    let again = Committed { index: Index(10), ..change(9, &split) };
    let mut replies = Vec::new();
    machine.apply(&[again], &mut replies).unwrap();
    assert_eq!(reply_bytes::decode(&replies[0]).unwrap(), first);
    assert!(machine.take_children().is_empty());
}

//! A region's machine against a dumb twin, and what must hold for every history.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use skep_raftstore::ids::{Epoch, Index, Life, ReplicaId, StoreId, Term};
use skep_raftstore::raft::Membership;

use super::*;
use crate::limits::{SCAN_BYTES_MAX, VALUE_BYTES_MAX};
use crate::machine::MemoryMachine;
use crate::reply_bytes::Reply;
use crate::{Answer, Condition, Write};

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

/// Applies commands one after another, each as new.
struct Applier {
    machine: RegionMachine<MemoryMachine>,
    next: u64,
}

impl Applier {
    fn new() -> Applier {
        Applier { machine: machine(), next: 1 }
    }

    fn apply(&mut self, command: Command<&[u8]>) -> Reply {
        self.apply_body(command_bytes::encode(VERSION, &command)).unwrap()
    }

    fn apply_body(&mut self, body: Bytes) -> Result<Reply, Fatal> {
        let entry = entry(self.next, self.next, self.next, body);
        self.next += 1;
        let mut replies = Vec::new();
        self.machine.apply(&[entry], &mut replies)?;
        assert_eq!(replies.len(), 1);
        Ok(reply_bytes::decode(&replies[0]).unwrap())
    }

    fn read(&mut self, command: Command<&[u8]>) -> Reply {
        reply_bytes::decode(&self.machine.read(&command_bytes::encode(VERSION, &command))).unwrap()
    }
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<&'a [u8]> {
    Command::Put { key, value, condition: Condition::Always, return_old: false }
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
    let body = command_bytes::encode(VERSION + 1, &put(b"c", b"1"));
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
    let gap = entry(2, 1, 1, command_bytes::encode(VERSION, &put(b"c", b"1")));
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
    let put_if =
        |condition, return_old| Command::Put { key: &b"c"[..], value: &b"2"[..], condition, return_old };
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
    let mut scan = |end, limit| match applier.read(Command::Scan { start: b"c", end, limit }) {
        Reply::Answer(Answer::Pairs { pairs, resume }) => (pairs.len(), resume),
        other => panic!("{other:?}"),
    };
    assert_eq!(scan(None, 9), (1, Some("d".into())), "stops when it is large");
    assert_eq!(scan(Some(b"d"), 9), (1, None), "ends within the region");
    assert_eq!(scan(None, 0), (0, Some("c".into())), "returns no more than was asked for");
    applier.apply(Command::Delete { key: b"d", return_old: false });
    applier.apply(Command::Delete { key: b"e", return_old: false });
    let mut scan = |end| match applier.read(Command::Scan { start: b"c", end, limit: 9 }) {
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

/// What a region does, said once more without a log, an encoding or a session.
#[derive(Default)]
struct Twin {
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    replies: HashMap<u64, Bytes>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    PutIfAbsent(u8, Vec<u8>),
    Delete(u8),
    Append(u8, Vec<u8>),
    Batch(Vec<(u8, Option<Vec<u8>>)>),
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
        3 => (1u8..20).prop_map(Step::Repeat),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

fn key(number: u8) -> Vec<u8> {
    format!("k{:02}", number % 60).into_bytes()
}

impl Twin {
    fn carry_out(&mut self, step: &Step) -> (Bytes, Reply) {
        let answer = |done| Reply::Answer(if done { Answer::Done } else { Answer::Refused });
        match step {
            Step::Put(k, value) => {
                self.data.insert(key(*k), value.clone());
                (encoded(&put(&key(*k), value)), answer(true))
            }
            Step::PutIfAbsent(k, value) => {
                let absent = !self.data.contains_key(&key(*k));
                self.data.entry(key(*k)).or_insert_with(|| value.clone());
                let (key, condition) = (key(*k), Condition::Absent);
                let command = Command::Put { key: &key[..], value, condition, return_old: false };
                (encoded(&command), answer(absent))
            }
            Step::Delete(k) => {
                let was = self.data.remove(&key(*k)).is_some();
                let command = Command::Delete { key: &key(*k)[..], return_old: false };
                (encoded(&command), Reply::Answer(Answer::Integer(was.into())))
            }
            Step::Append(k, more) => {
                let value = self.data.entry(key(*k)).or_default();
                value.extend(more);
                let command = Command::Append { key: &key(*k)[..], value: &more[..] };
                (encoded(&command), Reply::Answer(Answer::Integer(value.len() as i64)))
            }
            Step::Batch(writes) => (encoded(&self.batch(writes)), answer(true)),
            Step::Repeat(_) | Step::Restart => unreachable!("not a command"),
        }
    }

    fn batch(&mut self, writes: &[(u8, Option<Vec<u8>>)]) -> Command<Bytes> {
        let writes = writes.iter().map(|(k, value)| match value {
            Some(value) => {
                self.data.insert(key(*k), value.clone());
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
    command_bytes::encode(VERSION, command)
}

fn check_same(machine: &mut RegionMachine<MemoryMachine>, twin: &Twin) {
    let scan = encoded(&Command::Scan { start: &b"b"[..], end: None, limit: u32::MAX });
    let Ok(Reply::Answer(Answer::Pairs { pairs, .. })) = reply_bytes::decode(&machine.read(&scan)) else {
        panic!("a scan answers pairs")
    };
    assert!(pairs.iter().map(|(k, v)| (&k[..], &v[..])).eq(twin.data.iter().map(|(k, v)| (&k[..], &v[..]))));
    let bytes: usize = twin.data.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(machine.size(), bytes as u64);
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
                Step::Repeat(back) => (sent.len() as u64).saturating_sub(u64::from(*back)),
                command => {
                    let (body, reply) = twin.carry_out(command);
                    sent.push(body);
                    let seq = sent.len() as u64 - 1;
                    let mut replies = Vec::new();
                    index += 1;
                    machine.apply(&[entry(index, seq, 0, sent[seq as usize].clone())], &mut replies).unwrap();
                    prop_assert_eq!(reply_bytes::decode(&replies[0]).unwrap(), reply);
                    twin.replies.insert(seq, replies[0].clone());
                    continue;
                }
            };
            let Some(body) = sent.get(seq as usize) else { continue };
            let mut replies = Vec::new();
            index += 1;
            machine.apply(&[entry(index, seq, 0, body.clone())], &mut replies).unwrap();
            prop_assert_eq!(&replies[0], &twin.replies[&seq], "a repeated command has another reply");
        }
        check_same(&mut machine, &twin);
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
    let entry =
        |(at, key): (u64, &str)| entry(at, at, 1, command_bytes::encode(VERSION, &put(key.as_bytes(), b"v")));
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
        let count =
            command_bytes::encode(VERSION + 2, &Command::CountKeys { key: &child.machine.start()[..] });
        assert_eq!(
            reply_bytes::decode(&child.machine.read(&count)).unwrap(),
            Reply::Answer(Answer::Integer(keys))
        );
        // A command that was applied before the split is known wherever it comes again.
        let mut replies = Vec::new();
        let again = entry(10, 8, 1, command_bytes::encode(VERSION, &put(b"q", b"twice")));
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

//! Machines that count, fail, panic and get stuck, on the pool that serves them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::*;
use crate::ids::{Index, Life, RegionId, StoreId, Term};
use crate::machine::{Committed, Fatal, Origin, SnapshotSource, Stamp, StateMachine};
use crate::raft::{LogPos, Payload};
use crate::wire::entry::encode_command;

const A: RegionId = RegionId(1);
const B: RegionId = RegionId(2);
const TERM: Term = Term(1);

/// Keeps every body it applied. `panic`, `fatal`, `short` and `stuck` are commands to misbehave.
struct Diary {
    applied: LogPos,
    bodies: Vec<Bytes>,
    calls: Arc<AtomicUsize>,
    stuck: Receiver<()>,
}

struct Page(LogPos);

impl SnapshotSource for Page {
    fn at(&self) -> LogPos {
        self.0
    }
    fn write_to(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(b"page")
    }
}

impl StateMachine for Diary {
    fn applied(&self) -> LogPos {
        self.applied
    }
    fn apply(&mut self, batch: &[Committed], replies: &mut Vec<Bytes>) -> Result<(), Fatal> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        for entry in batch {
            assert_eq!(entry.index, self.applied.index.next());
            match &entry.body[..] {
                b"panic" => panic!("asked to"),
                b"fatal" => return Err(Fatal("it was told to stop".to_owned())),
                b"short" => continue,
                b"stuck" => drop(self.stuck.recv()),
                _ => {}
            }
            self.applied = LogPos { index: entry.index, term: entry.term };
            self.bodies.push(entry.body.clone());
            replies.push(Bytes::from(format!("{}:{}", entry.index, self.bodies.len())));
        }
        Ok(())
    }
    fn read(&mut self, query: &Bytes) -> Bytes {
        assert_ne!(&query[..], b"panic");
        Bytes::from(format!("{} entries", self.bodies.len()))
    }
    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(Page(self.applied)))
    }
    fn restore(&mut self, _: &mut dyn io::Read) -> Result<(), Fatal> {
        Err(Fatal("a diary is not rewritten".to_owned()))
    }
    fn size(&self) -> u64 {
        0
    }
    fn digest(&self) -> u64 {
        self.bodies.len() as u64
    }
}

/// A log that is a map of vectors, and a list of what came out.
#[derive(Default)]
struct World {
    logs: Mutex<BTreeMap<RegionId, Vec<(Term, Bytes)>>>,
    outcomes: Mutex<Vec<ApplyOutcome>>,
}

impl CommittedLog for World {
    fn read(
        &self,
        region: RegionId,
        first: Index,
        last: Index,
        bytes_max: usize,
        out: &mut Vec<(Index, Term, Bytes)>,
    ) -> Result<(), String> {
        let logs = self.logs.lock();
        let mut bytes = 0;
        for index in first.0..=last.0 {
            let (term, payload) = logs[&region].get(index as usize - 1).ok_or("no such entry")?;
            bytes += payload.len();
            if bytes > bytes_max && !out.is_empty() {
                break;
            }
            out.push((Index(index), *term, payload.clone()));
        }
        Ok(())
    }
}

impl ApplySink for World {
    fn outcome(&self, outcome: ApplyOutcome) {
        self.outcomes.lock().push(outcome);
    }
}

struct Scene {
    world: Arc<World>,
    pool: Arc<ApplyPool>,
    calls: Arc<AtomicUsize>,
    unstick: Sender<()>,
    stuck: Receiver<()>,
}

impl Scene {
    fn new(limits: ApplyLimits) -> Scene {
        let world = Arc::new(World::default());
        let pool = ApplyPool::new(world.clone(), world.clone(), limits);
        let (unstick, stuck) = bounded(0);
        Scene { world, pool, calls: Arc::default(), unstick, stuck }
    }

    fn region(&self, region: RegionId, bodies: &[&[u8]]) -> ApplyHandle {
        let entries = bodies.iter().map(|body| (TERM, command(body))).collect();
        self.world.logs.lock().insert(region, entries);
        let (calls, stuck) = (self.calls.clone(), self.stuck.clone());
        let diary = Diary { applied: LogPos::default(), bodies: Vec::new(), calls, stuck };
        self.pool.register(region, Box::new(diary), LogPos::default())
    }

    fn run_dry(&self) -> Vec<ApplyOutcome> {
        while self.pool.step() {}
        std::mem::take(&mut self.world.outcomes.lock())
    }
}

fn command(body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    encode_command(Stamp(1), Origin { store: StoreId(1), life: Life(1), seq: 1, lowest: 1 }, body, &mut out);
    out.freeze()
}

fn to(seq: u64) -> ReplyTo {
    ReplyTo { store: StoreId(1), seq }
}

fn wanted(index: u64, term: u64) -> Wanted {
    Wanted { index: Index(index), term: Term(term), to: to(index) }
}

fn apply(through: u64, wanted: Vec<Wanted>) -> Job {
    Job::Apply { through: Index(through), wanted }
}

fn texts(replies: &[(ReplyTo, Bytes)]) -> Vec<(u64, String)> {
    replies.iter().map(|(to, reply)| (to.seq, String::from_utf8_lossy(reply).into_owned())).collect()
}

fn failures(outcomes: &[ApplyOutcome]) -> Vec<(RegionId, String)> {
    let failure = |outcome: &ApplyOutcome| match outcome {
        ApplyOutcome::Failed { region, why } => Some((*region, why.clone())),
        _ => None,
    };
    outcomes.iter().filter_map(failure).collect()
}

#[test]
fn what_was_pushed_meanwhile_is_one_batch_and_one_outcome_in_the_order_of_effect() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a", b"b", b"c", b"d"]);
    handle.push(apply(1, vec![wanted(1, 1)]));
    handle.push(apply(3, vec![wanted(3, 1)]));
    handle.push(Job::Read { queries: vec![(to(90), Bytes::new())] });
    handle.push(apply(4, vec![wanted(4, 1)]));
    handle.push(Job::Digest { to: to(91) });
    let outcomes = scene.run_dry();
    let [ApplyOutcome::Applied { region: A, at, replies, .. }] = &outcomes[..] else { panic!("one outcome") };
    assert_eq!(at.index, Index(4));
    let (digest, rest) = replies.split_last().unwrap();
    assert_eq!(digest, &(to(91), Bytes::copy_from_slice(&4u64.to_le_bytes())));
    let expected = [(1, "1:1"), (3, "3:3"), (90, "3 entries"), (4, "4:4")];
    assert_eq!(texts(rest), expected.map(|(seq, text)| (seq, text.to_owned())));
    assert_eq!(scene.calls.load(Ordering::Relaxed), 2);
}

#[test]
fn a_reply_is_given_only_for_the_entry_of_the_term_it_was_proposed_in() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a", b"b"]);
    handle.push(apply(2, vec![wanted(1, 7), wanted(2, 1)]));
    handle.push(apply(2, vec![wanted(1, 1)]));
    let outcomes = scene.run_dry();
    let [ApplyOutcome::Applied { replies, .. }] = &outcomes[..] else { panic!("one outcome") };
    assert_eq!(texts(replies), [(2, "2:2".to_owned())]);
}

#[test]
fn no_ops_move_the_machine_and_mean_nothing_to_it() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a"]);
    scene.world.logs.lock().entry(A).or_default().push((Term(2), Payload::no_op().bytes().clone()));
    handle.push(apply(2, vec![]));
    let outcomes = scene.run_dry();
    let [ApplyOutcome::Applied { at, .. }] = &outcomes[..] else { panic!("one outcome") };
    assert_eq!(*at, LogPos { index: Index(2), term: Term(2) });
}

#[test]
fn a_busy_region_goes_to_the_back_of_the_queue_after_its_share() {
    let limits = ApplyLimits { chunk_bytes: 1, chunk_entries: 10, pass_bytes: 100 };
    let scene = Scene::new(limits);
    let busy = scene.region(A, &[&b"0123456789"[..]; 20]);
    let other = scene.region(B, &[b"x"]);
    busy.push(apply(20, (1..=20).map(|index| wanted(index, 1)).collect()));
    busy.push(Job::Read { queries: vec![(to(99), Bytes::new())] });
    other.push(apply(1, vec![wanted(1, 1)]));
    let outcomes = scene.run_dry();
    let regions: Vec<RegionId> = outcomes.iter().map(ApplyOutcome::region).collect();
    assert_eq!(regions[..3], [A, B, A]);
    let mut seqs = Vec::new();
    for outcome in &outcomes {
        if let ApplyOutcome::Applied { region: A, replies, .. } = outcome {
            seqs.extend(replies.iter().map(|(to, _)| to.seq));
        }
    }
    assert_eq!(seqs, (1..=20).chain([99]).collect::<Vec<u64>>());
}

#[test]
fn a_machine_that_fails_stops_its_region_and_no_other() {
    for (bad, why) in [
        (&b"panic"[..], "its machine panicked: asked to"),
        (b"fatal", "it was told to stop"),
        (b"short", "its machine gave 1 replies to 2 entries"),
    ] {
        let scene = Scene::new(ApplyLimits::default());
        let handle = scene.region(A, &[b"a", bad, b"c"]);
        let other = scene.region(B, &[b"x"]);
        handle.push(apply(2, vec![wanted(1, 1)]));
        other.push(apply(1, vec![wanted(1, 1)]));
        let outcomes = scene.run_dry();
        assert_eq!(failures(&outcomes), [(A, why.to_owned())]);
        assert!(matches!(outcomes[1], ApplyOutcome::Applied { region: B, .. }));
        assert!(handle.is_without_machine() && !other.is_without_machine());
        handle.push(Job::Snapshot(SnapshotPurpose::Checkpoint));
        assert_eq!(failures(&scene.run_dry()), [(A, why.to_owned())]);
    }
}

#[test]
fn an_entry_that_cannot_be_read_or_understood_stops_its_region() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a"]);
    handle.push(apply(2, vec![]));
    assert_eq!(failures(&scene.run_dry())[0].1, "its entries from 1 on cannot be read: no such entry");
    let handle = scene.region(B, &[]);
    scene.world.logs.lock().insert(B, vec![(TERM, Bytes::from_static(&[9]))]);
    handle.push(apply(1, vec![]));
    assert!(failures(&scene.run_dry())[0].1.starts_with("its entry 1 cannot be understood"));
}

#[test]
fn a_panic_in_a_read_is_a_failure_and_what_was_applied_before_is_told_first() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a"]);
    handle.push(apply(1, vec![wanted(1, 1)]));
    handle.push(Job::Read { queries: vec![(to(5), Bytes::from_static(b"panic"))] });
    let outcomes = scene.run_dry();
    assert!(matches!(&outcomes[0], ApplyOutcome::Applied { replies, .. } if replies.len() == 1));
    assert!(matches!(&outcomes[1], ApplyOutcome::Failed { .. }));
}

#[test]
fn a_snapshot_is_of_the_state_after_the_jobs_before_it() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a", b"b"]);
    handle.push(apply(1, vec![]));
    handle.push(Job::Snapshot(SnapshotPurpose::Checkpoint));
    handle.push(apply(2, vec![]));
    let outcomes = scene.run_dry();
    assert!(matches!(&outcomes[0], ApplyOutcome::Applied { at, .. } if at.index == Index(1)));
    assert!(
        matches!(&outcomes[1], ApplyOutcome::SnapshotTaken { source, .. } if source.at().index == Index(1))
    );
    assert!(matches!(&outcomes[2], ApplyOutcome::Applied { at, .. } if at.index == Index(2)));
}

#[test]
fn a_stopped_region_is_forgotten_and_says_nothing_more() {
    let scene = Scene::new(ApplyLimits::default());
    let handle = scene.region(A, &[b"a"]);
    handle.push(Job::Stop);
    handle.push(apply(1, vec![wanted(1, 1)]));
    assert!(scene.run_dry().is_empty());
    assert!(scene.pool.handle(A).is_none());
}

#[test]
fn a_stuck_machine_holds_one_thread_and_the_other_serves_everyone_else() {
    let scene = Scene::new(ApplyLimits::default());
    let stuck = scene.region(A, &[b"stuck", b"after"]);
    let others: Vec<ApplyHandle> =
        (10..60).map(|region| scene.region(RegionId(region), &[b"x", b"y"])).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| scene.pool.run());
        }
        stuck.push(apply(2, vec![wanted(2, 1)]));
        others.iter().for_each(|other| other.push(apply(1, vec![])));
        others.iter().for_each(|other| other.push(apply(2, vec![wanted(2, 1)])));
        let has = |region: RegionId| {
            let is_it = |outcome: &ApplyOutcome| match outcome {
                ApplyOutcome::Applied { region: of, at, .. } => *of == region && at.index == Index(2),
                _ => false,
            };
            scene.world.outcomes.lock().iter().any(is_it)
        };
        while !others.iter().all(|other| has(other.region())) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!has(A));
        scene.unstick.send(()).unwrap();
        while !has(A) {
            std::thread::sleep(Duration::from_millis(1));
        }
        scene.pool.close();
    });
}

#[test]
fn jobs_pushed_from_many_threads_are_all_done_once() {
    let scene = Scene::new(ApplyLimits { chunk_entries: 7, ..ApplyLimits::default() });
    let entries = 3000;
    let handles: Vec<ApplyHandle> =
        (0..8).map(|region| scene.region(RegionId(region), &vec![&b"x"[..]; entries])).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| scene.pool.run());
        }
        for handle in &handles {
            scope.spawn(move || {
                (1..=entries as u64).for_each(|index| handle.push(apply(index, vec![wanted(index, 1)])));
            });
        }
        let answered = || {
            let count = |outcome: &ApplyOutcome| match outcome {
                ApplyOutcome::Applied { replies, .. } => replies.len(),
                _ => 0,
            };
            scene.world.outcomes.lock().iter().map(count).sum::<usize>()
        };
        while answered() < handles.len() * entries {
            std::thread::sleep(Duration::from_millis(1));
        }
        scene.pool.close();
    });
    assert!(failures(&scene.world.outcomes.lock()).is_empty());
}

//! The log against its twin, through crashes at any point: nothing acknowledged is lost, batches are atomic,
//! order is kept, and what was never acknowledged may be lost only from the end.

use std::sync::Arc;

use crate::medium;
use crate::twin::{Raw, Twin};
use proptest::prelude::*;
use skep_wal::{Batch, MediumLog, MemDisk, Wal, WalConfig};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Raw>),
    Sync,
    Maintain,
    /// The power goes, and goes again so often while the log is being opened.
    Crash(u64, u8),
    /// The process ends and begins again.
    Reopen,
}

fn raw() -> impl Strategy<Value = Raw> {
    (any::<u8>(), any::<u8>(), any::<u8>(), 0..3000u16).prop_map(|(kind, stream, a, b)| Raw {
        kind,
        stream,
        a,
        b,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(raw(), 1..6).prop_map(Step::Append),
        4 => Just(Step::Sync),
        3 => Just(Step::Maintain),
        2 => (any::<u64>(), 0..3u8).prop_map(|(seed, again)| Step::Crash(seed, again)),
        1 => Just(Step::Reopen),
    ]
}

fn config() -> WalConfig {
    WalConfig {
        segment_bytes: 64 << 10,
        slack_segments: 2,
        carry_frame_bytes: 4 << 10,
        carry_entry_bytes_max: 32 << 10,
        ..WalConfig::default()
    }
}

struct Run {
    disk: MemDisk,
    wal: Wal,
    /// What the log held after each batch since the last sync; the first is what is durable.
    history: Vec<Twin>,
    /// What is on the medium, followed in this life of the log.
    medium: MediumLog,
}

impl Run {
    fn new() -> Run {
        let disk = MemDisk::new(7);
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config()).unwrap();
        let medium = MediumLog::new(disk.clone(), config()).unwrap();
        Run { disk, wal, history: vec![Twin::default()], medium }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(raws) => self.append(raws),
            Step::Sync => {
                self.wal.sync().unwrap();
                assert_eq!(self.wal.durable_lsn(), self.wal.appended_lsn());
                self.history.drain(..self.history.len() - 1);
            }
            Step::Maintain => {
                self.wal.maintain().unwrap();
                assert_eq!(Twin::of(&self.wal), self.history.last().unwrap().visible());
            }
            Step::Crash(seed, again) => {
                self.disk.crash(seed);
                for n in 1..=again {
                    // Recovery is cut off before one of its own syncs, and the power goes there.
                    self.disk.fail_sync(u64::from(n - 1), false);
                    let _ = Wal::open(Arc::new(self.disk.clone()), config());
                    self.disk.crash(seed.wrapping_add(u64::from(n)));
                }
                self.reopen();
            }
            Step::Reopen => {
                self.disk.restart();
                self.reopen();
                assert_eq!(self.history.len(), 1);
            }
        }
    }

    fn append(&mut self, raws: Vec<Raw>) {
        let (mut batch, mut twin) = (Batch::new(), self.history.last().unwrap().clone());
        raws.into_iter().for_each(|raw| twin.add(raw, &mut batch));
        if batch.bytes() > config().frame_bytes_max() {
            assert!(self.wal.append(&mut batch).is_err());
            return;
        }
        self.wal.append(&mut batch).unwrap();
        assert_eq!(Twin::of(&self.wal), twin.visible());
        self.history.push(twin);
    }

    /// What was recovered is what stood after one of the batches since the last sync.
    fn reopen(&mut self) {
        let (wal, report) = Wal::open(Arc::new(self.disk.clone()), config()).unwrap();
        assert!(report.damaged.is_empty() && report.unreadable.is_empty(), "{report:?}");
        let found = Twin::of(&wal);
        let at = self.history.iter().rposition(|twin| twin.visible() == found);
        let at = at.unwrap_or_else(|| panic!("{report:?}\nfound {found:?}\nhistory {:?}", self.history));
        self.history = vec![self.history.swap_remove(at)];
        self.wal = wal;
        self.medium = MediumLog::new(self.disk.clone(), config()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
            medium::check(&mut run.medium, &run.disk, &config());
        }
    }
}

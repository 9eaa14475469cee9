//! The durable log against the one in memory: the same calls, the same answers, over restarts too.

use std::sync::Arc;

use skep_wal::{MemDisk, Wal, WalConfig};

use crate::node::{HardState, LogEntry, MemoryLog, RaftLog, Snapshot, WalLog};
use crate::raft::{Membership, ReplicaId};

pub(super) fn open_small(disk: &MemDisk) -> WalLog {
    let config = WalConfig { carry_entry_bytes_max: u64::MAX, ..WalConfig::small() };
    let (wal, _) = Wal::open(Arc::new(disk.clone()), config).unwrap();
    WalLog::of_group(Arc::new(wal), 3).unwrap()
}

fn assert_same(model: &MemoryLog, log: &WalLog) {
    assert_eq!((log.base_index(), log.last_index()), (model.base_index(), model.last_index()));
    assert_eq!((log.last_term(), log.hard_state()), (model.last_term(), model.hard_state()));
    assert_eq!(log.snapshot().unwrap(), model.snapshot().unwrap());
    for index in 0..=model.last_index() + 1 {
        assert_eq!(log.term_at(index), model.term_at(index), "term at {index}");
        assert_eq!(log.entry(index), model.entry(index), "entry {index}");
    }
    let (from, to) = (model.base_index() + 1, model.last_index());
    assert_eq!(log.entries(from, to).unwrap_or_default(), model.entries(from, to).unwrap());
}

#[test]
fn they_answer_alike_whatever_is_asked() {
    for seed in 1..=20_u64 {
        let mut random = seed;
        let mut chance = move |of: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) % of
        };
        let disk = MemDisk::new(seed);
        let (mut model, mut log, mut term) = (MemoryLog::new(), open_small(&disk), 1);
        for _ in 0..120 {
            let mut both = |call: &dyn Fn(&mut dyn RaftLog) -> bool| {
                assert_eq!(call(&mut model), call(&mut log));
            };
            match chance(7) {
                0 => {
                    let state = HardState { term, voted_for: (chance(2) == 0).then(|| chance(4)) };
                    both(&|log| log.set_hard_state(state).is_ok());
                }
                1 => {
                    let back = chance(6);
                    both(&|log| {
                        let from = (log.last_index() + 1).saturating_sub(back);
                        log.truncate(from).is_ok()
                    });
                }
                2 => {
                    let (back, data) = (chance(20), vec![chance(256) as u8; chance(150_000) as usize]);
                    both(&|log| {
                        let index = (log.last_index() + 3).saturating_sub(back);
                        let config = Membership::of_voters(vec![ReplicaId(1)]);
                        let term = log.term_at(index).unwrap_or(log.last_term());
                        log.apply_snapshot(&Snapshot { index, term, config, data: data.clone().into() })
                            .is_ok()
                    });
                }
                3 => both(&|log| {
                    let through = (log.base_index() + log.snapshot_index()) / 2;
                    log.compact(through).is_ok() && log.compact(log.snapshot_index() + 1).is_err()
                }),
                _ => {
                    let (count, gap) = (chance(40), u64::from(chance(10) == 0));
                    term += chance(2);
                    both(&|log| {
                        let first = log.last_index() + 1 + gap;
                        let entry = |n| LogEntry::new(term + n / 20, first + n, vec![n as u8; 700]);
                        let entries: Vec<LogEntry> = (0..count).map(entry).collect();
                        log.append(&entries).is_ok()
                    });
                    term += 2;
                }
            }
            if chance(10) == 0 {
                log.sync().unwrap();
                drop(log);
                disk.restart();
                log = open_small(&disk);
            }
            assert_same(&model, &log);
        }
    }
}

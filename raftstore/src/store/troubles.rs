//! What an operator should know of a store that runs: sentences for its status and its log.

use std::sync::Arc;

use skep_wal::{OpenReport, Wal};

use crate::ids::RegionId;
use crate::snapshot::{KeeperCounters, SnapshotError};

/// So many are named; of the rest it is said how many they are.
const NAMED_MAX: usize = 4;

/// What opening found, and who knows what has come since.
pub(super) struct Troubles {
    found: Vec<String>,
    keeper: Arc<KeeperCounters>,
}

impl Troubles {
    /// What opening found.
    pub(super) fn found(log: &OpenReport, damaged_checkpoints: &[SnapshotError]) -> Vec<String> {
        let mut found = of_the_log(log);
        found.extend(of_checkpoints(damaged_checkpoints));
        found
    }

    pub(super) fn new(found: Vec<String>, keeper: Arc<KeeperCounters>) -> Troubles {
        Troubles { found, keeper }
    }

    /// All of them, as they are now.
    pub(super) fn now(&self, wal: &Wal) -> Vec<String> {
        let mut all = self.found.clone();
        if wal.is_short_of_space() {
            all.push(
                "its disk has no room for the next segment of the log: writes are refused until some is free"
                    .into(),
            );
        }
        if let Some(why) = self.keeper.trouble() {
            all.push(format!("something went wrong with a checkpoint or a snapshot, and no checkpoint was written since: {why}"));
        }
        all
    }
}

fn of_the_log(report: &OpenReport) -> Vec<String> {
    let mut found = Vec::new();
    if !report.unreadable.is_empty() {
        found.push(format!(
            "the headers of these files of the log cannot be read, and every region may have lost something: {}",
            named(&report.unreadable)
        ));
    } else if let Some(at) = report.nameless {
        found.push(format!(
            "durable bytes of the log are gone at {}, and nothing says whose they were: every region may have lost something",
            at.0
        ));
    }
    if !report.damaged.is_empty() {
        let regions: Vec<String> =
            report.damaged.iter().map(|stream| RegionId(stream.0).to_string()).collect();
        found.push(format!(
            "its log is damaged: what was hit stops, and is replaced where a majority of others is there ({}); look after the disk",
            named(&regions)
        ));
    }
    if let [first, ..] = &report.blemishes[..] {
        found.push(format!(
            "{} places of its log are not what was written, the first at {}; nothing is lost with them, but the disk may be going bad",
            report.blemishes.len(),
            first.0
        ));
    }
    found
}

fn of_checkpoints(damaged: &[SnapshotError]) -> Option<String> {
    let sentences: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    (!sentences.is_empty())
        .then(|| format!("checkpoints are damaged; look after the disk: {}", named(&sentences)))
}

/// The first of them, and how many more.
fn named(all: &[String]) -> String {
    let first = all[..all.len().min(NAMED_MAX)].join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use skep_wal::{Batch, Lsn, MemDisk, Reached, StreamId, WalConfig};

    use super::*;

    fn report() -> OpenReport {
        OpenReport {
            torn_tail: Some(Lsn(7)),
            damaged: Vec::new(),
            nameless: None,
            blemishes: Vec::new(),
            unreadable: Vec::new(),
            segments: 3,
            bytes: 100,
            rewritten_bytes: 10,
            reached: Reached::Medium,
        }
    }

    #[test]
    fn a_torn_end_is_no_trouble() {
        assert_eq!(of_the_log(&report()), Vec::<String>::new());
        assert_eq!(of_checkpoints(&[]), None);
    }

    #[test]
    fn what_was_hit_is_named_and_counted() {
        let damaged = OpenReport { damaged: (1..=6).map(StreamId).collect(), ..report() };
        let [told] = &of_the_log(&damaged)[..] else { panic!("one sentence") };
        assert!(told.contains("(r1, r2, r3, r4 and 2 more)"), "{told}");
        let worse = OpenReport { nameless: Some(Lsn(9)), blemishes: vec![Lsn(8), Lsn(90)], ..damaged };
        let told = of_the_log(&worse);
        assert_eq!(told.len(), 3);
        assert!(told[0].contains("gone at 9") && told[2].starts_with("2 places"), "{told:?}");
        let unreadable = OpenReport { unreadable: vec!["segment-00000007".into()], ..worse };
        assert!(of_the_log(&unreadable)[0].ends_with("lost something: segment-00000007"));
        let checkpoint = SnapshotError::Damaged { file: "checkpoint-1".into(), region: None, why: "it ends" };
        assert!(of_checkpoints(&[checkpoint]).unwrap().contains("checkpoint-1"));
    }

    /// What comes and goes is told while it is so.
    #[test]
    fn a_full_disk_is_told_while_it_is_full() {
        let disk = MemDisk::new(1);
        let (wal, log) = Wal::open(Arc::new(disk.clone()), WalConfig::small()).unwrap();
        let troubles = Troubles::new(Troubles::found(&log, &[]), Arc::default());
        assert_eq!(troubles.now(&wal), Vec::<String>::new());
        disk.set_capacity(Some(0));
        let mut batch = Batch::new();
        for index in 1.. {
            batch.entries(StreamId(1), index, 1, [[0; 9000].as_slice()]);
            if wal.append(&mut batch).is_err() {
                break;
            }
        }
        let told = troubles.now(&wal);
        assert!(told.len() == 1 && told[0].contains("no room"), "{told:?}");
    }
}

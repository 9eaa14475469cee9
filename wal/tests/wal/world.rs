//! A log, the disk below it, and what may be found on that disk after a crash.

use std::sync::Arc;

use crate::twin::{Raw, Twin};
use skep_wal::{Batch, MemDisk, Wal, WalConfig, WalError};

/// The smallest segments there are, so that a few batches fill one.
pub(crate) fn tiny() -> WalConfig {
    WalConfig {
        segment_bytes: 16 << 10,
        slack_segments: 1,
        carry_frame_bytes: 2 << 10,
        carry_entry_bytes_max: 8 << 10,
        open_threads: 1,
        ..WalConfig::default()
    }
}

/// Numbers that follow from a seed.
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn of(&mut self, outcomes: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 16) % outcomes
    }

    pub(crate) fn raw(&mut self) -> Raw {
        let (kind, stream, a) = (self.of(256) as u8, self.of(256) as u8, self.of(256) as u8);
        // Mostly small, so that several frames share a page; sometimes a few sectors long.
        let b = if self.of(4) == 0 { self.of(2400) } else { self.of(300) };
        Raw { kind, stream, a, b: b as u16 }
    }
}

/// What the log held after each batch since the last sync; the first is what is durable.
pub(crate) type History = Vec<Twin>;

pub(crate) struct World {
    pub(crate) disk: MemDisk,
    pub(crate) wal: Wal,
    pub(crate) config: WalConfig,
    pub(crate) history: History,
}

impl World {
    pub(crate) fn new(config: WalConfig) -> World {
        let disk = MemDisk::new(7);
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
        World { disk, wal, config, history: vec![Twin::default()] }
    }

    /// Appends a batch of these records, if it fits into a frame.
    pub(crate) fn append(&mut self, raws: &[Raw]) -> Result<(), WalError> {
        let (mut batch, mut twin) = (Batch::new(), self.history.last().unwrap().clone());
        raws.iter().for_each(|raw| twin.add(*raw, &mut batch));
        if batch.bytes() <= self.config.frame_bytes_max() {
            self.wal.append(&mut batch)?;
            self.history.push(twin);
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), WalError> {
        self.wal.sync()?;
        self.history.drain(..self.history.len() - 1);
        Ok(())
    }

    /// The log on a disk after a crash; panics unless it opens, nothing is called damaged, and what it holds is what
    /// stood after the last sync or after a batch appended since.
    pub(crate) fn check(disk: MemDisk, config: &WalConfig, history: &[Twin]) -> World {
        let (wal, report) = Wal::open(Arc::new(disk.clone()), config.clone()).expect("the log always opens");
        assert!(report.damaged.is_empty() && report.unreadable.is_empty(), "{report:?}");
        let found = Twin::of(&wal);
        let at = history.iter().rposition(|twin| twin.visible() == found);
        let at = at.unwrap_or_else(|| panic!("{report:?}\nfound {found:?}\nhistory {history:?}"));
        World { disk, wal, config: config.clone(), history: vec![history[at].clone()] }
    }

    /// The power goes now, and so often again while the log is being opened; then it opens. Says how many images of
    /// the disk were looked at.
    pub(crate) fn crash(&self, chance: &mut Chance, again: u64) -> (World, u64) {
        let disk = self.disk.fork();
        disk.crash(chance.of(u64::MAX));
        for _ in 0..again {
            // Recovery is cut off before one of its changes to the disk: the power goes, or only the process.
            disk.stop_after(chance.of(24));
            let _ = Wal::open(Arc::new(disk.clone()), self.config.clone());
            if chance.of(3) == 0 {
                disk.stop_after(u64::MAX);
                disk.restart();
            } else {
                disk.crash(chance.of(u64::MAX));
            }
        }
        (World::check(disk, &self.config, &self.history), 1 + again)
    }
}

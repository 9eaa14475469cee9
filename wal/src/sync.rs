//! Making the log durable: one sync at a time, and never another after one has failed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Lsn;
use crate::error::WalError;
use crate::log::Wal;
use crate::mutant::Mutant;
use crate::segments::Segment;

impl Wal {
    /// Makes durable all that was appended before this sync began; returns the durable position. One sync
    /// runs at a time: whoever comes meanwhile waits for it, and then runs one for all that wait. Appending
    /// goes on.
    ///
    /// The first error, whoever meets it, is the last: after it nobody knows what the disk holds, and the
    /// system may report success for bytes that it has dropped. The log then refuses all work.
    pub fn sync(&self) -> Result<Lsn, WalError> {
        let wanted = self.appended.load(Ordering::Acquire);
        self.check_poison()?;
        if self.durable.load(Ordering::Acquire) >= wanted {
            return Ok(self.durable_lsn());
        }
        let _turn = self.syncing.lock();
        self.check_poison()?;
        if self.durable.load(Ordering::Acquire) < wanted {
            self.sync_now()?;
        }
        Ok(self.durable_lsn())
    }

    fn sync_now(&self) -> Result<(), WalError> {
        let (target, segments) = {
            let mut head = self.head.lock();
            head.page_break = true;
            (head.end, head.unsynced.clone())
        };
        if self.build.is(Mutant::SyncToldEarly) {
            self.durable.store(target, Ordering::Release);
        }
        let skipped =
            if self.build.is(Mutant::SyncNewestOnly) { segments.len().saturating_sub(1) } else { 0 };
        for segment in &segments[skipped..] {
            self.sync_segment(segment)?;
        }
        let mut head = self.head.lock();
        // Only the segment that was active when the sync began can have got bytes that it did not cover.
        let grown = segments.last().filter(|_| head.end > target).map(|segment| segment.number);
        let first_new = segments.last().map_or(0, |segment| segment.number + 1);
        head.unsynced.retain(|segment| segment.number >= first_new || Some(segment.number) == grown);
        // Under the lock, so that no frame is written with a durable position that a failed sync would take
        // back.
        let durable = if self.build.is(Mutant::SyncToldTooFar) { head.end } else { target };
        self.durable.store(durable, Ordering::Release);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn sync_segment(&self, segment: &Arc<Segment>) -> Result<(), WalError> {
        if self.build.is(Mutant::SkipSync) {
            return Ok(());
        }
        let file = &segment.file;
        file.file.sync().map_err(|error| {
            let error = WalError::io("syncing", &file.name, error);
            if self.build.is(Mutant::SyncAgain) { error } else { self.poison(&error) }
        })
    }
}

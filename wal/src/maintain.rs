//! The chores: files prepared ahead, idle streams carried forward, segments recycled once nothing needs them.

use std::sync::atomic::Ordering;

use crate::Lsn;
use crate::batch::Batch;
use crate::error::WalError;
use crate::log::Wal;
use crate::mutant::Mutant;

/// What one round of chores did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Maintained {
    /// States and runs of idle streams that were written again at the head.
    pub carried: usize,
    /// Segments that left the log.
    pub recycled: usize,
    /// Files that were prepared.
    pub prepared: usize,
    /// Files that were deleted, because enough others stand ready.
    pub deleted: usize,
}

impl Wal {
    /// Does the chores: to be called now and then by a thread that may wait for the disk, at least once per
    /// segment's worth of appends. With nothing to do it is cheap. Everything works without it, but slower
    /// and without end of space.
    pub fn maintain(&self) -> Result<Maintained, WalError> {
        let _turn = self.maintaining.lock();
        self.check_poison()?;
        let mut done = Maintained { recycled: self.recycle(), ..Maintained::default() };
        done.carried = self.carry_forward()?;
        self.move_log_start();
        self.prove_when_idle()?;
        done.recycled += self.recycle();
        done.deleted = self.delete_surplus()?;
        while self.lacks_files() {
            let file = self.prepare_one()?;
            self.spares.lock().ready.push(file);
            done.prepared += 1;
        }
        Ok(done)
    }

    /// Whether fewer files stand ready than should.
    fn lacks_files(&self) -> bool {
        let wanted = self.config.prepared_segments + self.config.reserve_segments;
        let lacks = self.spares.lock().ready.len() < wanted;
        if !lacks {
            self.is_short.store(false, Ordering::Release);
        }
        lacks
    }

    /// Segments at the old end in which nothing is live: from now on every frame says that the log begins
    /// after them.
    fn move_log_start(&self) {
        let mut head = self.head.lock();
        let active = head.active.number;
        let catalog = self.catalog.read();
        let needed =
            catalog.index.shared.live.iter().find(|segment| segment.items > 0 || segment.number == active);
        if let Some(segment) = needed {
            head.log_start = head.log_start.max(segment.number);
        }
    }

    /// Brings the log to rest: all that was appended is durable, and a frame behind it says so, durably. From then on
    /// damage to any of it is told from a torn tail. `maintain` does the same once nothing is being written; this is for
    /// the end of a process.
    pub fn rest(&self) -> Result<Lsn, WalError> {
        self.sync()?;
        // What proves the last records may repeat some of them, and is proven by another that is empty.
        while self.prove_when_idle()? {}
        Ok(self.durable_lsn())
    }

    /// When nothing is being written, one frame without records of its own tells what is durable: damage to the last records
    /// can then be told from a torn tail, and segments can be recycled. Says whether one was written.
    fn prove_when_idle(&self) -> Result<bool, WalError> {
        {
            let mut head = self.head.lock();
            let idle = self.durable.load(Ordering::Acquire) == head.end;
            let told = head.proven >= head.records_end
                && head.announced.0 == head.log_start
                && head.repeats.batch.is_empty();
            if !idle || told {
                return Ok(false);
            }
            self.append_frame(&mut head, &Batch::new())?;
        }
        self.sync().map(|_| true)
    }

    /// Takes out of the log the segments that a durable frame said are not needed. Their files are ready for
    /// use when the last reader has gone.
    fn recycle(&self) -> usize {
        let start = {
            let head = self.head.lock();
            let (start, said_at) = head.announced;
            let is_durable = said_at <= self.durable.load(Ordering::Acquire);
            if !is_durable && !self.build.is(Mutant::RecycledEarly) {
                return 0;
            }
            start
        };
        let mut retired = Vec::new();
        {
            let mut catalog = self.catalog.write();
            while catalog.index.shared.live.iter().next().is_some_and(|segment| segment.number < start) {
                catalog.index.shared.live.pop_front();
            }
            while let Some(segment) = catalog.table.pop_before(start) {
                retired.push(segment);
            }
        }
        let recycled = retired.len();
        let mut spares = self.spares.lock();
        retired.into_iter().for_each(|segment| spares.retire(segment));
        spares.reclaim();
        recycled
    }

    fn delete_surplus(&self) -> Result<usize, WalError> {
        let config = &self.config;
        let keep = config.prepared_segments + config.reserve_segments + config.spare_segments_max;
        let surplus: Vec<_> = {
            let mut spares = self.spares.lock();
            let keep = keep.min(spares.ready.len());
            spares.ready.drain(keep..).collect()
        };
        for file in &surplus {
            self.disk.remove(&file.name).map_err(|error| WalError::io("removing", &file.name, error))?;
        }
        if let Some(last) = surplus.last() {
            self.disk
                .sync_dir()
                .map_err(|error| self.poison(&WalError::io("syncing after", &last.name, error)))?;
        }
        Ok(surplus.len())
    }
}

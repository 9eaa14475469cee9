//! A region's jobs, and the rule that makes one thread at a time work on them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::applier::Applier;
use super::job::Job;
use super::pool::Ready;
use crate::ids::RegionId;

/// A region's jobs. Always true: it stands in the ready queue, or a thread works on it, if and only if it is scheduled.
pub(super) struct Mailbox {
    pub(super) region: RegionId,
    ready: Sender<Ready>,
    /// Held for one push or one take, never while a job runs.
    queue: Mutex<Queue>,
    /// Held by the one thread that works on the mailbox; never contended.
    pub(super) applier: Mutex<Applier>,
    /// Set while there is no machine (it failed, or has not come yet): no snapshot can be had.
    pub(super) is_without_machine: AtomicBool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_scheduled: bool,
}

/// A way to give a region's machine something to do. Cheap to clone.
#[derive(Clone)]
pub struct ApplyHandle(pub(super) Arc<Mailbox>);

impl ApplyHandle {
    /// Puts `job` behind all that were pushed before. Wakes a thread only if none is busy with this region.
    pub fn push(&self, job: Job) {
        self.put(|jobs| jobs.push_back(job));
    }

    /// Ends the machine before anything that waits: what that would need may be gone.
    pub fn stop(&self) {
        self.put(|jobs| jobs.push_front(Job::Stop));
    }

    fn put(&self, put: impl FnOnce(&mut VecDeque<Job>)) {
        let must_schedule = {
            let mut queue = self.0.queue.lock();
            put(&mut queue.jobs);
            !std::mem::replace(&mut queue.is_scheduled, true)
        };
        if must_schedule {
            self.schedule();
        }
    }

    /// Which region's.
    pub fn region(&self) -> RegionId {
        self.0.region
    }

    /// Whether there is no machine that does anything: it failed, or has not come yet.
    pub fn is_without_machine(&self) -> bool {
        self.0.is_without_machine.load(Ordering::Acquire)
    }

    /// Puts the mailbox at the back of the ready queue.
    pub(super) fn schedule(&self) {
        // Fails only when the pool is gone, and then nothing is to be done any more.
        let _ = self.0.ready.send(Ready::Mailbox(self.clone()));
    }
}

impl Mailbox {
    pub(super) fn new(region: RegionId, applier: Applier, ready: Sender<Ready>) -> Mailbox {
        let is_without_machine = AtomicBool::new(applier.is_without_machine());
        Mailbox { region, ready, queue: Mutex::default(), applier: Mutex::new(applier), is_without_machine }
    }

    /// Everything that waits.
    pub(super) fn take(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.queue.lock().jobs)
    }

    /// Puts what was not done back in front. True if there is more to do; else the mailbox is no longer scheduled.
    pub(super) fn put_back(&self, mut undone: VecDeque<Job>) -> bool {
        let mut queue = self.queue.lock();
        undone.append(&mut queue.jobs);
        queue.jobs = undone;
        queue.is_scheduled = !queue.jobs.is_empty();
        queue.is_scheduled
    }
}

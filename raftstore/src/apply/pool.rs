//! The pool: which mailboxes have work, and the threads' loop over them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::RwLock;

use super::applier::{Applier, Pass};
use super::job::{ApplySink, CommittedLog};
use super::mailbox::{ApplyHandle, Mailbox};
use crate::ids::RegionId;
use crate::machine::{MachineFactory, StateMachine};
use crate::raft::LogPos;

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct ApplyLimits {
    /// Bytes of entries handed to a machine in one call. What is read from the log is in memory at once, per thread.
    pub chunk_bytes: usize,
    /// Entries handed to a machine in one call: bounds the replies, and the work of one call when entries are tiny.
    pub chunk_entries: u64,
    /// Bytes of entries and replies after which a region goes to the back of the queue.
    pub pass_bytes: usize,
}

impl Default for ApplyLimits {
    fn default() -> ApplyLimits {
        ApplyLimits { chunk_bytes: 4 << 20, chunk_entries: 16 << 10, pass_bytes: 8 << 20 }
    }
}

/// An item of the ready queue.
pub(super) enum Ready {
    /// It has jobs and no thread.
    Mailbox(ApplyHandle),
    /// Every thread that finds this puts it back and ends.
    Close,
}

/// See the page of this module.
pub struct ApplyPool {
    log: Arc<dyn CommittedLog>,
    sink: Arc<dyn ApplySink>,
    limits: ApplyLimits,
    sender: Sender<Ready>,
    ready: Receiver<Ready>,
    /// Written when a region comes or goes; the lock is held for one look-up.
    mailboxes: RwLock<HashMap<RegionId, ApplyHandle>>,
}

impl ApplyPool {
    /// A pool without regions and without threads: each thread that calls [`run`](ApplyPool::run) becomes one of it.
    pub fn new(log: Arc<dyn CommittedLog>, sink: Arc<dyn ApplySink>, limits: ApplyLimits) -> Arc<ApplyPool> {
        let (sender, ready) = unbounded();
        Arc::new(ApplyPool { log, sink, limits, sender, ready, mailboxes: RwLock::default() })
    }

    /// Takes a region's machine, whose state goes through `applied`.
    pub fn register(&self, region: RegionId, machine: Box<dyn StateMachine>, applied: LogPos) -> ApplyHandle {
        self.take(region, Applier::new(region, machine, applied))
    }

    /// Takes a region that has no machine yet. `factory` makes the one that a snapshot brings.
    pub fn register_vacant(&self, region: RegionId, factory: Arc<dyn MachineFactory>) -> ApplyHandle {
        self.take(region, Applier::vacant(region, factory))
    }

    fn take(&self, region: RegionId, applier: Applier) -> ApplyHandle {
        let handle = ApplyHandle(Arc::new(Mailbox::new(region, applier, self.sender.clone())));
        self.mailboxes.write().insert(region, handle.clone());
        handle
    }

    /// The way to a region's machine, if it has been registered and not stopped.
    pub fn handle(&self, region: RegionId) -> Option<ApplyHandle> {
        self.mailboxes.read().get(&region).cloned()
    }

    /// Makes one pass over the mailbox that has waited longest, on the caller's thread. False if none has work.
    pub fn step(&self) -> bool {
        match self.ready.try_recv() {
            Ok(Ready::Mailbox(handle)) => {
                self.pass(&handle);
                true
            }
            Ok(Ready::Close) => {
                self.close();
                false
            }
            Err(_) => false,
        }
    }

    /// The body of an apply thread: ends after [`close`](ApplyPool::close).
    pub fn run(&self) {
        while let Ok(Ready::Mailbox(handle)) = self.ready.recv() {
            self.pass(&handle);
        }
        self.close();
    }

    /// Ends all threads, each after the pass it is in. What is not applied then is applied after the next start.
    pub fn close(&self) {
        // Fails only if there is no receiver, and this very struct holds one.
        let _ = self.sender.send(Ready::Close);
    }

    fn pass(&self, handle: &ApplyHandle) {
        let mailbox = &*handle.0;
        let mut pass = Pass::new(&*self.log, &*self.sink, self.limits, mailbox.take());
        let mut applier = mailbox.applier.lock();
        applier.work(&mut pass);
        mailbox.is_without_machine.store(applier.is_without_machine(), Ordering::Release);
        let is_stopped = applier.is_stopped();
        drop(applier);
        if is_stopped {
            self.forget(handle);
        }
        if mailbox.put_back(pass.undone()) {
            handle.schedule();
        }
    }

    fn forget(&self, handle: &ApplyHandle) {
        let mut mailboxes = self.mailboxes.write();
        // A later registration of the same region must not be taken for this one.
        if mailboxes.get(&handle.region()).is_some_and(|known| Arc::ptr_eq(&known.0, &handle.0)) {
            mailboxes.remove(&handle.region());
        }
    }
}

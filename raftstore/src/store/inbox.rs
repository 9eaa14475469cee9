//! Collect: everything that reaches a worker comes through its inbox.
//!
//! Limits: frames and commands are counted and refused when a worker is behind (the protocol sends frames again, callers
//! are told `Busy`). What the store itself reports (applied, durable) is never refused: there is at most one report for
//! each thing that was asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use bytes::Bytes;
use crossbeam_channel::{Receiver as ChannelReceiver, Sender, unbounded};
use parking_lot::{Mutex, RwLock};

use super::config::StoreConfig;
use super::newborn::Newborn;
use super::request::{Request, SubmitError};
use super::status::RegionStatus;
use crate::apply::{ApplyOutcome, ApplySink};
use crate::ids::{RegionId, ReplicaId, StoreId};
use crate::message::StoreMessage;
use crate::raft::Membership;
use crate::snapshot::{KeeperOutcome, KeeperSink};
use crate::transport::Receiver;
use crate::wire;

/// What a worker is told.
pub(super) enum Item {
    /// From another store.
    Frame { from: StoreId, messages: Vec<StoreMessage>, bytes: usize },
    /// From a caller on this store.
    Submit { region: RegionId, request: Request },
    /// The connection towards a store was made or lost.
    Peer { store: StoreId, up: bool },
    /// More of the log is durable.
    Durable,
    /// From the apply threads.
    Applied(ApplyOutcome),
    /// From the keeper.
    Kept(KeeperOutcome),
    /// A replica to be made here.
    Born(Box<Newborn>),
    /// From the store's handle.
    Control(Control),
}

impl Item {
    /// What it brings for the log, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Item::Frame { bytes, .. } => *bytes,
            Item::Submit { request, .. } => request.body.len(),
            Item::Peer { .. }
            | Item::Durable
            | Item::Applied(_)
            | Item::Kept(_)
            | Item::Born(_)
            | Item::Control(_) => 0,
        }
    }
}

/// Orders to a worker.
pub(super) enum Control {
    /// Report every region.
    Status(Sender<Vec<RegionStatus>>),
    /// Hand one region over.
    Transfer { region: RegionId, to: ReplicaId },
    /// A region that was split off `parent` is durable by itself.
    ChildDurable { parent: RegionId, child: RegionId },
    /// Some other stores host this region: send its commands there.
    Learn { region: RegionId, membership: Membership },
    /// Hand every region over that has somebody to take it.
    HandOver,
    /// End: answer what is left with an error.
    Stop,
}

/// Counters of what was turned away. Each is a total since the start.
#[derive(Default, Debug)]
pub struct Turned {
    /// Frames dropped because a worker was behind.
    pub frames_dropped: AtomicU64,
    /// Frames that could not be understood.
    pub frames_bad: AtomicU64,
    /// Commands refused as busy.
    pub commands_busy: AtomicU64,
}

/// The inboxes of a store's workers, and the table that says which worker owns which region.
pub struct Inboxes {
    workers: Vec<Inbox>,
    /// Written when a region is made, read by everyone. The lock is held for one look-up.
    owners: RwLock<HashMap<RegionId, usize>>,
    frame_bytes_max: usize,
    unanswered_max: usize,
    unanswered_bytes_max: usize,
    unanswered: AtomicUsize,
    unanswered_bytes: AtomicUsize,
    /// What was turned away.
    pub turned: Turned,
    stopped: AtomicBool,
    /// Why the store stopped; the first reason stays.
    reason: Mutex<Option<String>>,
}

struct Inbox {
    sender: Sender<Item>,
    receiver: ChannelReceiver<Item>,
    frame_bytes: AtomicUsize,
    /// How many regions its worker owns.
    regions: AtomicUsize,
    /// Its worker has ended.
    is_over: AtomicBool,
}

impl Inboxes {
    /// Inboxes for a store of this configuration.
    pub fn new(config: &StoreConfig) -> Arc<Inboxes> {
        let inbox = |_| {
            let (sender, receiver) = unbounded();
            Inbox {
                sender,
                receiver,
                frame_bytes: AtomicUsize::new(0),
                regions: AtomicUsize::new(0),
                is_over: AtomicBool::new(false),
            }
        };
        Arc::new(Inboxes {
            workers: (0..config.workers.max(1)).map(inbox).collect(),
            owners: RwLock::default(),
            frame_bytes_max: config.inbox_bytes_max,
            unanswered_max: config.unanswered_max,
            unanswered_bytes_max: config.unanswered_bytes_max,
            unanswered: AtomicUsize::new(0),
            unanswered_bytes: AtomicUsize::new(0),
            turned: Turned::default(),
            stopped: AtomicBool::new(false),
            reason: Mutex::new(None),
        })
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    pub(super) fn receiver(&self, worker: usize) -> ChannelReceiver<Item> {
        self.workers[worker].receiver.clone()
    }

    pub(super) fn set_owner(&self, region: RegionId, worker: usize) {
        if self.owners.write().insert(region, worker).is_none() {
            self.workers[worker].regions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands a birth to the region's owner; a region that has none is given to the worker with the fewest. Nothing that is
    /// sent to the region afterwards arrives before it.
    pub(super) fn bear(&self, newborn: Newborn) {
        let region = newborn.birth.region;
        let mut owners = self.owners.write();
        let worker = *owners.entry(region).or_insert_with(|| self.least_loaded());
        // Sent while the table is held, so that whoever finds the region there comes after it; answered for, if the worker
        // has ended, only when it is not.
        let _ = self.workers[worker].sender.send(Item::Born(Box::new(newborn)));
        drop(owners);
        self.refuse_if_over(worker);
    }

    fn least_loaded(&self) -> usize {
        let regions = |worker: &usize| self.workers[*worker].regions.load(Ordering::Relaxed);
        let worker = (0..self.workers.len()).min_by_key(regions).unwrap_or(0);
        self.workers[worker].regions.fetch_add(1, Ordering::Relaxed);
        worker
    }

    fn owner(&self, region: RegionId) -> Option<usize> {
        if self.workers.len() == 1 {
            return Some(0);
        }
        self.owners.read().get(&region).copied()
    }

    fn put(&self, worker: usize, item: Item) {
        let inbox = &self.workers[worker];
        // The receiver lives in this very struct, so a send cannot fail.
        let _ = inbox.sender.send(item);
        self.refuse_if_over(worker);
    }

    fn refuse_if_over(&self, worker: usize) {
        fence(Ordering::SeqCst);
        if self.workers[worker].is_over.load(Ordering::SeqCst) {
            self.refuse_all(worker);
        }
    }

    /// A worker has ended: what is in its inbox, and what comes later, is answered here.
    pub(super) fn end(&self, worker: usize) {
        self.workers[worker].is_over.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.refuse_all(worker);
    }

    fn refuse_all(&self, worker: usize) {
        while let Ok(item) = self.workers[worker].receiver.try_recv() {
            if let Item::Submit { request, .. } = item {
                self.answered(1, request.body.len());
                (request.reply)(Err(SubmitError::StoreStopped(self.stop_reason())));
            }
        }
    }

    pub(super) fn control(&self, worker: usize, control: Control) {
        self.put(worker, Item::Control(control));
    }

    pub(super) fn owner_control(&self, region: RegionId, control: Control) {
        if let Some(worker) = self.owner(region) {
            self.control(worker, control);
        }
    }

    /// Gives a region that is elsewhere to a worker, who sends its commands there.
    pub(super) fn learn(&self, region: RegionId, membership: Membership) {
        let nobodys = region.0 as usize % self.workers.len();
        let worker = *self.owners.write().entry(region).or_insert(nobodys);
        self.control(worker, Control::Learn { region, membership });
    }

    pub(super) fn durable(&self) {
        (0..self.workers.len()).for_each(|worker| self.put(worker, Item::Durable));
    }

    /// Hands a command to the worker of its region, or answers it with an error.
    pub(super) fn submit(&self, region: RegionId, request: Request) {
        let Some(worker) = self.owner(region) else { return (request.reply)(Err(SubmitError::NoRegion)) };
        if self.stopped.load(Ordering::Acquire) {
            return (request.reply)(Err(SubmitError::StoreStopped(self.stop_reason())));
        }
        let commands = self.unanswered.fetch_add(1, Ordering::Relaxed);
        let bytes = self.unanswered_bytes.fetch_add(request.body.len(), Ordering::Relaxed);
        if commands >= self.unanswered_max || bytes >= self.unanswered_bytes_max {
            self.answered(1, request.body.len());
            self.turned.commands_busy.fetch_add(1, Ordering::Relaxed);
            return (request.reply)(Err(SubmitError::Busy));
        }
        self.put(worker, Item::Submit { region, request });
    }

    /// Commands that no longer count against the budget.
    pub(super) fn answered(&self, commands: usize, bytes: usize) {
        self.unanswered.fetch_sub(commands, Ordering::Relaxed);
        self.unanswered_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    pub(super) fn unanswered_bytes(&self) -> usize {
        self.unanswered_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of frames in the fullest inbox.
    pub(super) fn frame_bytes(&self) -> usize {
        let bytes = |inbox: &Inbox| inbox.frame_bytes.load(Ordering::Relaxed);
        self.workers.iter().map(bytes).max().unwrap_or(0)
    }

    /// A worker took a frame out.
    pub(super) fn frame_taken(&self, worker: usize, bytes: usize) {
        self.workers[worker].frame_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Stops the store: nothing is taken any more. The first reason stays.
    pub(super) fn stop(&self, reason: &str) {
        self.reason.lock().get_or_insert_with(|| reason.to_owned());
        self.stopped.store(true, Ordering::Release);
        (0..self.workers.len()).for_each(|worker| self.control(worker, Control::Stop));
    }

    pub(super) fn stop_reason(&self) -> String {
        self.reason.lock().clone().unwrap_or_else(|| "it was closed".to_owned())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn put_frame(&self, worker: usize, from: StoreId, messages: Vec<StoreMessage>, bytes: usize) {
        if self.is_stopped() {
            return;
        }
        let inbox = &self.workers[worker];
        if inbox.frame_bytes.fetch_add(bytes, Ordering::Relaxed) > self.frame_bytes_max {
            inbox.frame_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.turned.frames_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.put(worker, Item::Frame { from, messages, bytes });
    }
}

impl Receiver for Inboxes {
    fn received(&self, from: StoreId, frame: Bytes) {
        let bytes = frame.len();
        let Ok(messages) = wire::decode(frame) else {
            self.turned.frames_bad.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if self.workers.len() == 1 {
            return self.put_frame(0, from, messages, bytes);
        }
        let mut shares: Vec<Vec<StoreMessage>> = self.workers.iter().map(|_| Vec::new()).collect();
        for message in messages {
            // One that nobody owns may be about to get a replica here: always the same worker judges that.
            let nobodys = message.region().0 as usize % shares.len();
            shares[self.owner(message.region()).unwrap_or(nobodys)].push(message);
        }
        for (worker, share) in shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty()) {
            self.put_frame(worker, from, share, bytes);
        }
    }

    fn peer(&self, store: StoreId, up: bool) {
        (0..self.workers.len()).for_each(|worker| self.put(worker, Item::Peer { store, up }));
    }
}

impl ApplySink for Inboxes {
    fn outcome(&self, outcome: ApplyOutcome) {
        if let Some(worker) = self.owner(outcome.region()) {
            self.put(worker, Item::Applied(outcome));
        }
    }
}

impl KeeperSink for Inboxes {
    fn kept(&self, outcome: KeeperOutcome) {
        if let Some(worker) = self.owner(outcome.region()) {
            self.put(worker, Item::Kept(outcome));
        }
    }
}

//! Snapshots that leave: spooled to a file each, a few at a time, their chunks sent as the receivers take them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use skep_wal::Disk;

use super::checkpoints::Taken;
use super::counters::KeeperCounters;
use super::error::SnapshotError;
use super::file::FileWriter;
use super::format::FileHeader;
use super::limits::KeeperLimits;
use super::outgoing::{Outgoing, Spool, Ticket};
use crate::ids::{Life, RegionId, ReplicaId, StoreId, Term, Tick};
use crate::message::{SnapshotAck, StoreMessage, TransferState};
use crate::raft::LogPos;
use crate::transport::{Lane, Transport};
use crate::wire::FrameWriter;

/// A transfer that has ended: of which region, to whom, and what arrived.
type Ended = (RegionId, ReplicaId, Option<LogPos>);

/// How a transfer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Installed,
    Failed,
    /// A newer one goes on for it, so nobody is told.
    Replaced,
}

/// See the page of this file.
pub(super) struct Outgoings {
    store: StoreId,
    disk: Arc<dyn Disk>,
    transport: Arc<dyn Transport>,
    limits: KeeperLimits,
    /// The number of the newest transfer: the store's life in the upper half, so that a later life repeats none.
    newest: u64,
    waiting: VecDeque<(Ticket, Taken)>,
    active: Vec<Outgoing>,
    /// What has ended, and when it is told: a failure a little later, so that one that repeats costs little.
    ended: Vec<(Tick, Ended)>,
    frame: FrameWriter,
}

impl Outgoings {
    pub(super) fn new(
        store: StoreId,
        life: Life,
        disk: Arc<dyn Disk>,
        transport: Arc<dyn Transport>,
        limits: KeeperLimits,
    ) -> Outgoings {
        Outgoings {
            store,
            disk,
            transport,
            limits,
            newest: life.0 << 32,
            waiting: VecDeque::new(),
            active: Vec::new(),
            ended: Vec::new(),
            frame: FrameWriter::new(),
        }
    }

    /// Takes a snapshot for a follower; false if too many wait.
    ///
    /// A transfer to the same follower that is under way in the same term goes on, and this one is dropped: else a
    /// follower that is asked for often would never have one to its end. One that only waits is replaced.
    pub(super) fn take(&mut self, taken: Taken, to: ReplicaId, from: ReplicaId, term: Term) -> bool {
        let region = taken.region;
        let is_same = |ticket: &Ticket| ticket.region == region && ticket.to == to;
        if self.active.iter().any(|outgoing| is_same(&outgoing.ticket) && outgoing.ticket.term == term) {
            return true;
        }
        self.end_where(is_same, End::Replaced, Tick(0));
        self.waiting.retain(|(ticket, _)| !is_same(ticket));
        if self.waiting.len() >= self.limits.sends_waiting_max {
            return false;
        }
        self.newest += 1;
        let (meta, transfer) = (taken.meta.clone(), self.newest);
        self.waiting.push_back((Ticket { region, from, to, term, transfer, meta }, taken));
        true
    }

    /// The receiver said how far it is.
    pub(super) fn acknowledged(&mut self, from: StoreId, ack: SnapshotAck, now: Tick) {
        let is_it = |ticket: &Ticket| ticket.to.store() == from && ticket.transfer == ack.transfer;
        match ack.state {
            TransferState::Receiving => {
                let outgoing = self.active.iter_mut().find(|outgoing| is_it(&outgoing.ticket));
                if let Some(outgoing) = outgoing {
                    outgoing.acknowledged(ack.received, now);
                }
            }
            TransferState::Installed => self.end_where(is_it, End::Installed, now),
            TransferState::Refused => self.end_where(is_it, End::Failed, now),
        }
    }

    /// Sends what is due, starts what waits, and gives back what has ended since the last time.
    pub(super) fn step(&mut self, now: Tick, counters: &KeeperCounters) -> Vec<Ended> {
        let limits = self.limits;
        self.end_active(|outgoing| outgoing.is_abandoned(now, &limits), End::Failed, now);
        while self.active.len() < limits.sends_max {
            let Some((ticket, taken)) = self.waiting.pop_front() else { break };
            match self.spool(&ticket, taken) {
                Ok(spool) => self.active.push(Outgoing::new(ticket, spool, now)),
                Err(error) => {
                    counters.went_wrong(&error);
                    self.ended.push((now.after(limits.retransmit_ticks), (ticket.region, ticket.to, None)));
                }
            }
        }
        let mut broken = Vec::new();
        for outgoing in &mut self.active {
            outgoing.retransmit(now, &limits);
            if let Err(error) = send_due(outgoing, &limits, &*self.transport, &mut self.frame) {
                counters.went_wrong(&error);
                broken.push(outgoing.ticket.transfer);
            }
        }
        self.end_where(|ticket| broken.contains(&ticket.transfer), End::Failed, now);
        let told: Vec<Ended> =
            self.ended.extract_if(.., |(due, _)| *due <= now).map(|(_, ended)| ended).collect();
        let installed = told.iter().filter(|(_, _, at)| at.is_some()).count();
        counters.sent.fetch_add(installed as u64, Ordering::Relaxed);
        told
    }

    /// Writes a snapshot to a file, so that it is never in memory as a whole however slowly it is taken.
    fn spool(&self, ticket: &Ticket, taken: Taken) -> Result<Spool, SnapshotError> {
        let name = format!("spool-{:016x}.tmp", ticket.transfer);
        let spool = self.spool_as(&name, ticket, taken);
        if spool.is_err() {
            // Best effort: the next start removes it.
            let _ = self.disk.remove(&name);
        }
        spool
    }

    fn spool_as(&self, name: &str, ticket: &Ticket, taken: Taken) -> Result<Spool, SnapshotError> {
        let header = FileHeader { store: self.store, number: ticket.transfer };
        let mut writer = FileWriter::create(&*self.disk, name, header)?;
        let written = writer.write_state(ticket.region, &ticket.meta, taken.source)?;
        Ok(Spool::new(writer.into_spool(), name.to_owned(), written))
    }

    fn end_where(&mut self, is_it: impl Fn(&Ticket) -> bool, end: End, now: Tick) {
        self.end_active(|outgoing| is_it(&outgoing.ticket), end, now);
    }

    fn end_active(&mut self, is_it: impl Fn(&Outgoing) -> bool, end: End, now: Tick) {
        for outgoing in self.active.extract_if(.., |outgoing| is_it(outgoing)) {
            let Ticket { region, to, meta, .. } = outgoing.ticket;
            match end {
                End::Installed => self.ended.push((now, (region, to, Some(meta.at)))),
                End::Failed => self.ended.push((now.after(self.limits.retransmit_ticks), (region, to, None))),
                End::Replaced => {}
            }
            // Best effort: the next start removes it.
            let _ = self.disk.remove(&outgoing.spool.name);
        }
    }
}

/// Sends chunks until the window is full or the transport has no room: the rest leaves later.
fn send_due(
    outgoing: &mut Outgoing,
    limits: &KeeperLimits,
    transport: &dyn Transport,
    frame: &mut FrameWriter,
) -> Result<(), SnapshotError> {
    while let Some(chunk) = outgoing.due(limits)? {
        let to = chunk.to.store();
        frame.push(&StoreMessage::SnapshotChunk(chunk));
        if !transport.send(to, Lane::Snapshot, frame.finish()) {
            return Ok(());
        }
        outgoing.sent();
    }
    Ok(())
}

//! Reads without a log entry: a round of heartbeats proves that this replica still led after the read arrived (6.4).

use std::collections::VecDeque;

use super::core::Raft;
use super::effects::{Effects, ReadReady};
use super::mutant::Mutant;
use super::types::{Index, ReadId, Tick};

/// The reads that wait, in order of arrival, and so in order of round.
#[derive(Default, Debug)]
pub(super) struct Reads {
    /// The newest round that was asked for.
    round: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ready: ReadReady,
    round: u64,
}

impl Reads {
    /// Everything that is acknowledged when a read arrives is at or below `index`. Its round starts with the next flush.
    pub(super) fn add(&mut self, id: ReadId, index: Index) {
        self.waiting.push_back(Waiting { ready: ReadReady { id, index }, round: self.round + 1 });
    }

    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    pub(super) const fn was_asked(&self, round: u64) -> bool {
        round <= self.round
    }

    /// Starts a round though no read wants it.
    pub(super) const fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// Starts a round if a read came since the last one.
    fn start_round(&mut self) -> bool {
        let wanted = self.waiting.back().is_some_and(|read| read.round > self.round);
        self.round += u64::from(wanted);
        wanted
    }

    fn release(&mut self, confirmed: u64, out: &mut Vec<ReadReady>) {
        while let Some(read) = self.waiting.pop_front_if(|read| read.round <= confirmed) {
            out.push(read.ready);
        }
    }
}

impl Raft {
    /// Starts a round for the reads of this turn, and releases those whose round a quorum has echoed: all of them under a lease.
    pub(super) fn flush_reads(&mut self, now: Tick, fx: &mut Effects) {
        let (commit, build) = (self.commit, self.build);
        let Ok(leading) = self.leading_mut() else { return };
        if leading.reads.waiting.is_empty() {
            return;
        }
        // Before the own no-op is committed, the commit index may be behind what an earlier leader acknowledged.
        let is_current = commit >= leading.noop || build.is(Mutant::ReadsTooSoon);
        if is_current && self.holds_lease(now) {
            return self.release_reads(u64::MAX, fx);
        }
        let Ok(leading) = self.leading_mut() else { return };
        if leading.reads.start_round() {
            let round = leading.reads.round();
            self.date_round(round, now);
            self.send_heartbeats(|follower| self.membership().is_voter(follower.id), fx);
        }
        if is_current {
            self.release_reads(self.confirmed_round(), fx);
        }
    }

    fn release_reads(&mut self, confirmed: u64, fx: &mut Effects) {
        if let Ok(leading) = self.leading_mut() {
            leading.reads.release(confirmed, &mut fx.reads);
        }
    }

    /// The newest round that a quorum has echoed.
    pub(super) fn confirmed_round(&self) -> u64 {
        let Ok(leading) = self.leading() else { return 0 };
        let own = leading.reads.round();
        if self.build.is(Mutant::ReadsUnconfirmed) {
            return own;
        }
        self.reached(own, |follower| follower.round)
    }
}

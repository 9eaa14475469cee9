//! Leases: reads that ask nobody, for a while after a quorum has answered (6.4.1). Off by default, because they trust clocks.
//!
//! A follower that answers a heartbeat promises that from when it received it, and until `election_ticks_min` have passed on its
//! clock, it helps nobody else to lead: it gives no vote and no pre-vote and does not campaign. A leader counts `lease_ticks` on
//! its own clock from *before* it sent that heartbeat. So if a quorum has answered, and while one clock counts `lease_ticks` no
//! other counts `election_ticks_min`, nobody else leads before the lease runs out: whoever wants to needs somebody of that
//! quorum. (Of the membership in force, of both majorities while it is joint: two that follow each other have somebody in
//! common.)
//!
//! - The promise is about time, not about a leader or a term: it outlives what a follower hears of newer terms, and since nobody
//!   writes it down, whoever starts takes it for given at that moment.
//! - A leader that told another to campaign has freed it, and who votes for it, from all promises. It has no lease any more in
//!   that term, whatever becomes of the transfer.
//! - Ticks are counted whole: of a promise of `election_ticks_min`, up to one tick has passed when the heartbeat arrives. So clocks
//!   whose speeds differ by at most `drift` need `lease_ticks * (1 + drift) <= election_ticks_min - 1`.
//! - A lease is no vote: commits and elections do not depend on it. The leader's own no-op has to be committed as for any read.
//! - A follower's `now` must have been taken after the heartbeat arrived, or its promise is too short.
//! - `now` must have been taken *after* the read arrived: a leader that was stopped in between, and compares with an old `now`,
//!   may have been replaced. A clock that stands still while the machine sleeps breaks the assumption, and so does one replica
//!   of the group without leases.

use std::collections::VecDeque;

use super::core::Raft;
use super::mutant::Mutant;
use super::types::Tick;

/// Rounds that are remembered; more say hardly more.
const ROUNDS_MAX: usize = 64;

/// When the rounds began that a quorum may echo.
#[derive(Default, Debug)]
pub(super) struct Lease {
    /// Growing in both.
    begun: VecDeque<(u64, Tick)>,
    is_over: bool,
}

impl Lease {
    /// There is none any more as long as this leader leads.
    pub(super) const fn end(&mut self) {
        self.is_over = true;
    }

    /// When the newest round began that is not above `confirmed`.
    fn since(&mut self, confirmed: u64) -> Option<Tick> {
        while self.begun.get(1).is_some_and(|(round, _)| *round <= confirmed) {
            self.begun.pop_front();
        }
        self.begun.front().filter(|(round, _)| *round <= confirmed).map(|(_, at)| *at)
    }
}

impl Raft {
    /// With leases, each heartbeat begins a round of its own.
    pub(super) fn renew_lease(&mut self, now: Tick) {
        if self.config.lease_ticks() == 0 {
            return;
        }
        if let Ok(leading) = self.leading_mut() {
            let round = leading.reads.next_round();
            self.date_round(round, now);
        }
    }

    /// Remembers when a round began, before anything is sent that belongs to it.
    pub(super) fn date_round(&mut self, round: u64, now: Tick) {
        if self.config.lease_ticks() == 0 {
            return;
        }
        let confirmed = self.confirmed_round();
        let Ok(leading) = self.leading_mut() else { return };
        // Else what nobody read under would fill it, and the next read would find no lease.
        leading.lease.since(confirmed);
        if leading.lease.begun.len() < ROUNDS_MAX {
            leading.lease.begun.push_back((round, now));
        }
    }

    /// Whether nobody else can lead now.
    pub(super) fn holds_lease(&mut self, now: Tick) -> bool {
        let (ticks, build) = (self.config.lease_ticks(), self.build);
        if ticks == 0 {
            return false;
        }
        let confirmed = self.confirmed_round();
        let Ok(leading) = self.leading_mut() else { return false };
        if leading.lease.is_over && !build.is(Mutant::LeaseOutlivesTransfer) {
            return false;
        }
        leading.lease.since(confirmed).is_some_and(|since| now < since.after(ticks))
    }
}

//! What a leader knows of one follower, and how fast it sends to it.

use std::collections::VecDeque;

use super::types::{Index, ReplicaId, Tick};

/// What a leader knows of one follower.
///
/// Invariants: `matched < next`; while a snapshot is awaited nothing is in flight, and while probing one message at most.
#[derive(Debug)]
pub struct Progress {
    pub(super) id: ReplicaId,
    matched: Index,
    next: Index,
    pub(super) pace: Pace,
    /// The messages with entries on their way, in order.
    inflight: VecDeque<Flight>,
    inflight_bytes: u64,
    /// Since when what is in flight is unanswered.
    unanswered_since: Tick,
    pub(super) heard: Tick,
    pub(super) entries_sent: Tick,
    /// The commit index that an append told it last.
    told: Index,
    /// The newest round of reads that it echoed.
    pub(super) round: u64,
}

/// A message with entries on its way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    last: Index,
    /// Zero until the shell has sent it.
    bytes: u32,
}

/// How entries are sent to one follower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// One message, to find out where the logs agree; `waiting` for its answer, or for a sign of life.
    Probe {
        /// Whether it was sent.
        waiting: bool,
    },
    /// One message after the other, without waiting for answers.
    Replicate,
    /// A snapshot is on its way, and nothing else.
    Snapshot,
}

impl Progress {
    pub(super) const fn new(id: ReplicaId, leader_last: Index, now: Tick) -> Progress {
        Progress {
            id,
            matched: Index(0),
            next: leader_last.next(),
            pace: Pace::Probe { waiting: false },
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            unanswered_since: now,
            heard: now,
            entries_sent: Tick(0),
            told: Index(0),
            round: 0,
        }
    }

    /// Who it is.
    pub const fn id(&self) -> ReplicaId {
        self.id
    }

    /// What it durably holds, the same as the leader.
    pub const fn matched(&self) -> Index {
        self.matched
    }

    /// What it is sent next.
    pub const fn next(&self) -> Index {
        self.next
    }

    /// How it is sent entries.
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    /// How many messages with entries are on their way to it.
    pub fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// How many bytes of entries are on their way to it, as far as the shell has said.
    pub const fn inflight_bytes(&self) -> u64 {
        self.inflight_bytes
    }

    /// Whether a message may leave now, in a log that ends at `last`.
    pub(super) fn may_send(&self, last: Index, inflight_max: usize, bytes_max: u64) -> bool {
        match self.pace {
            Pace::Probe { waiting } => !waiting,
            Pace::Replicate => {
                self.next <= last && self.inflight.len() < inflight_max && self.inflight_bytes < bytes_max
            }
            Pace::Snapshot => false,
        }
    }

    /// Whether it has everything through `last`, or soon will, and was not told that everything through `due` is committed.
    pub(super) fn wants_news(&self, last: Index, due: Index) -> bool {
        self.pace == Pace::Replicate && self.next > last && self.told < due
    }

    pub(super) const fn tell(&mut self, commit: Index) {
        self.told = commit;
    }

    /// A message with everything from `next` to `through` leaves.
    pub(super) fn send(&mut self, now: Tick, through: Index) {
        self.entries_sent = now;
        match &mut self.pace {
            Pace::Probe { waiting } => {
                *waiting = true;
                self.land_all();
            }
            Pace::Replicate => {
                if self.inflight.is_empty() {
                    self.unanswered_since = now;
                }
                self.next = through.next();
            }
            Pace::Snapshot => return,
        }
        self.inflight.push_back(Flight { last: through, bytes: 0 });
    }

    /// The message that was to carry everything after `prev` through `last` has left, with everything through `through` and
    /// so many bytes. Whether those after it may leave as well; if not, they are taken back.
    pub(super) fn sent(
        &mut self,
        prev: Index,
        last: Index,
        through: Index,
        bytes: u64,
        bytes_max: u64,
    ) -> bool {
        // Mostly it is the only one that was named.
        let newest = self.inflight.back().is_some_and(|flight| flight.last == last);
        let newest = newest.then(|| self.inflight.len() - 1);
        let find = || self.inflight.binary_search_by_key(&last, |flight| flight.last).ok();
        let Some(at) = newest.or_else(find) else {
            return true; // it was given up meanwhile
        };
        let flight = &mut self.inflight[at];
        self.inflight_bytes -= u64::from(flight.bytes);
        *flight = Flight { last: through, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) };
        self.inflight_bytes += u64::from(flight.bytes);
        if through == last && self.inflight_bytes < bytes_max {
            return true;
        }
        let is_withheld = through == prev;
        self.take_back_after(if is_withheld { at } else { at + 1 });
        if is_withheld {
            self.entries_sent = Tick(0); // nothing has told it who leads
        }
        match &mut self.pace {
            Pace::Probe { waiting } => *waiting = !is_withheld,
            Pace::Replicate => self.next = through.max(self.matched).next(),
            Pace::Snapshot => {}
        }
        false
    }

    /// It was silent for longer than `patience`: what is on its way holds up no other any more, and nothing more leaves before
    /// it is heard.
    pub(super) fn silent(&mut self, now: Tick, patience: u64) {
        if self.inflight_bytes > 0 && now.since(self.heard) > patience {
            self.probe(self.matched.next(), true);
        }
    }

    fn take_back_after(&mut self, count: usize) {
        let bytes: u64 = self.inflight.drain(count..).map(|flight| u64::from(flight.bytes)).sum();
        self.inflight_bytes -= bytes;
    }

    /// Nothing is on its way any more.
    fn land_all(&mut self) {
        self.inflight.clear();
        self.inflight_bytes = 0;
    }

    /// It holds everything through `matched`. `first` is where the leader's log begins.
    pub(super) fn accepted(&mut self, now: Tick, matched: Index, first: Index) {
        if matched > self.matched {
            self.matched = matched;
            self.unanswered_since = now;
        }
        while let Some(flight) = self.inflight.pop_front_if(|flight| flight.last <= matched) {
            self.inflight_bytes -= u64::from(flight.bytes);
        }
        let agreed = match self.pace {
            // An older acknowledgement says nothing about the place that is being probed.
            Pace::Probe { .. } => matched.next() >= self.next,
            Pace::Replicate => true,
            Pace::Snapshot => matched.next() >= first,
        };
        if self.pace == Pace::Snapshot && agreed {
            self.next = self.matched.next();
        }
        if agreed && self.pace != Pace::Replicate {
            self.pace = Pace::Replicate;
            self.land_all();
        }
        self.next = self.next.max(self.matched.next());
    }

    /// Whether a refusal of what stands at `prev` is an answer to what was sent last, and not a late or repeated one.
    pub(super) fn is_news(&self, prev: Index) -> bool {
        match self.pace {
            Pace::Probe { .. } => prev > self.matched && prev.next() == self.next,
            Pace::Replicate => prev > self.matched && prev < self.next,
            Pace::Snapshot => false,
        }
    }

    /// Sends one message from `next` (or from where the logs are known to agree), as soon as it may.
    pub(super) fn probe(&mut self, next: Index, waiting: bool) {
        self.next = next.max(self.matched.next());
        self.pace = Pace::Probe { waiting };
        self.land_all();
    }

    pub(super) fn await_snapshot(&mut self) {
        self.pace = Pace::Snapshot;
        self.land_all();
    }

    /// It is alive. If nothing of what is on its way was answered for as long as `patience`, it is taken for lost.
    pub(super) fn alive(&mut self, now: Tick, patience: u64) {
        match &mut self.pace {
            Pace::Probe { waiting } => *waiting &= now.since(self.entries_sent) < patience,
            Pace::Replicate => {
                if !self.inflight.is_empty() && now.since(self.unanswered_since) >= patience {
                    self.probe(self.matched.next(), false);
                }
            }
            Pace::Snapshot => {}
        }
    }
}

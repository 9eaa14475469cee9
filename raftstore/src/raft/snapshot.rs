//! Snapshots, as far as the protocol is concerned: a ticket goes out, the shell moves the bytes, the outcome comes back.

use super::core::{Raft, State};
use super::effects::Effects;
use super::membership::Membership;
use super::mutant::Mutant;
use super::progress::Pace;
use super::types::{Index, LogPos, ReplicaId, Term, Tick};

impl Raft {
    /// A snapshot from `from`, leader in `term`, is durable and restored.
    ///
    /// If the log contains its last entry, the log stays as it is; else it restarts there, which is a write, and the
    /// acknowledgement waits for it. A stale snapshot changes nothing: it would undo what was applied.
    pub(super) fn on_installed(
        &mut self,
        now: Tick,
        at: LogPos,
        membership: Membership,
        from: (ReplicaId, Term),
        fx: &mut Effects,
    ) {
        if self.would_install(at) {
            self.install(now, at, membership, from, fx);
        }
    }

    pub(super) fn install(
        &mut self,
        now: Tick,
        at: LogPos,
        membership: Membership,
        from: (ReplicaId, Term),
        fx: &mut Effects,
    ) {
        let was_blank = self.blank;
        self.meet_sender(now, from);
        if was_blank || !self.log.contains(at) || self.build.is(Mutant::SnapshotCutsLog) {
            self.log.restart(at);
            self.durable.restart(self.build);
            fx.append.clear();
            fx.restart = Some(at);
            self.memberships.truncate(Index(0));
        }
        self.memberships.install(at.index, membership);
        self.commit = at.index;
        self.applied = self.applied.max(at.index);
        self.handed = self.handed.max(at.index);
        if self.leader() == Some(from.0) {
            self.acknowledge(from.0, at.index, fx);
        }
    }

    /// A snapshot proves who led in `term`.
    fn meet_sender(&mut self, now: Tick, (from, term): (ReplicaId, Term)) {
        if self.blank {
            self.cease_to_be_blank(now, (from, term));
        } else if term > self.hard.term {
            self.become_follower(now, term, Some(from));
        } else if term == self.hard.term {
            self.follow(now, from);
        }
    }

    pub(super) fn on_snapshot_done(&mut self, to: ReplicaId, at: Option<LogPos>) {
        let after_last = self.log.last().index.next();
        let State::Leader(leading) = &mut self.state else { return };
        let Some(follower) = leading.progress_mut(to).filter(|follower| follower.pace() == Pace::Snapshot)
        else {
            return;
        };
        match at {
            Some(at) => follower.probe(at.index.next().min(after_last), false),
            // Not at once again: it waits for a sign of life.
            None => follower.probe(follower.matched().next(), true),
        }
    }
}

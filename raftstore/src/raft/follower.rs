//! A follower's log: taking a leader's entries and news of what is committed (3.5).

use super::core::Raft;
use super::effects::Effects;
use super::event::Refusals;
use super::message::Body;
use super::mutant::Mutant;
use super::types::{Entries, Entry, EntryKind, Index, LogPos, ReplicaId, Tick};

/// Where a refusal is counted.
type WhichRefusal = fn(&mut Refusals) -> &mut u32;

impl Raft {
    /// Takes entries, or says why not.
    ///
    /// What brings entries is always answered. What brings none is answered unless it raised the commit index: then it was
    /// news, and an answer would say nothing. (A question without entries that happens to raise it is asked again after the
    /// next heartbeat, raises nothing, and is answered.)
    pub(super) fn on_append(
        &mut self,
        now: Tick,
        from: ReplicaId,
        prev: LogPos,
        commit: Index,
        entries: Entries,
        fx: &mut Effects,
    ) {
        if let Err(why) = self.may_take(prev, &entries) {
            return self.refuse(why);
        }
        if !self.follow(now, from) {
            return;
        }
        let is_lax = self.build.is(Mutant::IgnoresPrevTerm) && prev.index <= self.log.last().index;
        let differs = prev.index >= self.log.base().index && !self.log.contains(prev) && !is_lax;
        if differs && prev.index > self.commit {
            let hint = self.log.last_not_above(prev);
            return self.say(from, Body::AppendRejected { prev: prev.index, hint }, fx);
        }
        let (is_question, through) = (entries.is_empty(), Index(prev.index.0 + entries.len() as u64));
        if differs || !self.take_entries(prev, entries, fx) {
            self.refuse(|refusals| &mut refusals.committed_conflict);
            return;
        }
        // What is committed is the same everywhere, so a late message acknowledges that much.
        let matched = through.max(self.commit);
        let is_news = self.raise_commit(commit.min(matched));
        if !(is_question && is_news) {
            self.acknowledge(from, matched, fx);
        }
    }

    /// Whether `entries` are contiguous after `prev`, their terms grow up to the leader's, and each is one that this replica may
    /// be given; else what is wrong with them.
    fn may_take(&self, prev: LogPos, entries: &[Entry]) -> Result<(), WhichRefusal> {
        let mut before = prev;
        for entry in entries {
            let LogPos { index, term } = before;
            if entry.index != index.next() || entry.term < term || entry.term > self.hard.term {
                return Err(|refusals| &mut refusals.absurd_index);
            }
            match entry.payload.kind() {
                EntryKind::Membership if entry.payload.membership().is_none() => {
                    return Err(|refusals| &mut refusals.absurd_membership);
                }
                kind if self.is_wrong_kind(kind) => return Err(|refusals| &mut refusals.wrong_kind),
                _ => {}
            }
            before = LogPos { index: entry.index, term: entry.term };
        }
        Ok(())
    }

    pub(super) fn on_heartbeat(
        &mut self,
        now: Tick,
        from: ReplicaId,
        commit: Index,
        round: u64,
        fx: &mut Effects,
    ) {
        if commit > self.log.last().index && !self.build.is(Mutant::HeartbeatsCommitAll) {
            self.refuse(|refusals| &mut refusals.absurd_index);
            return;
        }
        if self.follow(now, from) {
            self.raise_commit(commit.min(self.log.last().index));
            // It comes when there was nothing else to say.
            self.durable.rest();
            self.say(from, Body::HeartbeatReply { round }, fx);
        }
    }

    /// True if it rose.
    pub(super) fn raise_commit(&mut self, to: Index) -> bool {
        let rises = to > self.commit;
        self.commit = if self.build.is(Mutant::CommitGoesBack) { to } else { self.commit.max(to) };
        rises
    }

    /// Takes those of `entries` that are not here, and forgets what contradicts them. False, and nothing happens, if what
    /// contradicts them is committed.
    fn take_entries(&mut self, prev: LogPos, mut entries: Entries, fx: &mut Effects) -> bool {
        let old_last = self.log.last().index;
        let known = if prev.index == old_last {
            0
        } else {
            let is_here = |entry: &Entry| self.log.contains(LogPos { index: entry.index, term: entry.term });
            let below_base = |entry: &Entry| entry.index < self.log.base().index;
            entries.iter().take_while(|entry| below_base(entry) || is_here(entry)).count()
        };
        let Some(first) = entries.get(known).map(|entry| entry.index) else {
            if self.build.is(Mutant::LateAppendCuts) {
                self.cut_after(entries.last().map_or(old_last, |entry| entry.index), fx);
            }
            return true;
        };
        if first <= self.commit && !self.build.is(Mutant::CutsCommitted) {
            return false;
        }
        self.cut_after(first.prev(), fx);
        for entry in &entries[known..] {
            self.log.extend(entry.term, 1);
            if entry.payload.kind() == EntryKind::Membership
                && let Some(membership) = entry.payload.membership()
            {
                self.memberships.append(LogPos { index: entry.index, term: entry.term }, membership);
            }
        }
        if !entries.spilled() {
            // Mostly: none of the one is known.
            fx.append.extend(entries.pop());
        } else if known == 0 && fx.append.is_empty() {
            fx.append = entries.into_vec();
        } else {
            fx.append.extend(entries.drain(known..));
        }
        true
    }

    /// Forgets what stands after `last`.
    fn cut_after(&mut self, last: Index, fx: &mut Effects) {
        let from = last.next();
        if from > self.log.last().index {
            return;
        }
        self.log.truncate(from);
        self.durable.truncate(from, self.build);
        if !self.build.is(Mutant::KeepsOverwritten) {
            self.memberships.truncate(from);
        }
        let kept = fx.append.partition_point(|entry| entry.index < from);
        fx.append.truncate(kept);
    }
}

//! The end of a step: what the core asks for is written, synced, sent and handed out, in this order, until it asks no more.

use bytes::Bytes;

use super::action::Action;
use super::error::{Error, Result};
use super::limits::{APPEND_BYTES_MAX, APPLIES_PER_STEP_MAX, APPLY_BYTES_PER_STEP_MAX};
use super::log::RaftLog;
use super::message::{Content, Message};
use super::raft_node::RaftNode;
use super::reading::Reads;
use super::types::{EntryKind, HardState, Index, LogEntry, NodeId, Snapshot};
use crate::raft::{self, Body, Effects, Entries, Entry, Event, LogPos, Persisted, ReplicaId, Replicate};

impl<L: RaftLog> RaftNode<L> {
    pub(super) fn settle(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        let applied_max = self.applied.saturating_add(APPLIES_PER_STEP_MAX);
        loop {
            let now = self.now;
            self.raft.flush(now, &mut self.fx);
            let mut fx = std::mem::take(&mut self.fx);
            let carried_out = self.carry_out(&mut fx, actions);
            let (written, is_cut) = carried_out.inspect_err(|_| fx.clear())?;
            self.fx = fx;
            if let Some(proof) = written {
                self.raft.step(now, Event::Persisted(proof), &mut self.fx);
            }
            let has_applied = self.hand_out(applied_max, actions)?;
            let has_asked = self.ask_next_round();
            let has_promoted = self.promote_who_caught_up();
            if written.is_none() && !is_cut && !has_applied && !has_asked && !has_promoted {
                return Ok(());
            }
        }
    }

    /// Carries the effects out, and leaves them empty. Says what is durable now, and whether a message was cut.
    fn carry_out(
        &mut self,
        fx: &mut Effects,
        actions: &mut Vec<Action>,
    ) -> Result<(Option<Persisted>, bool)> {
        let Effects {
            write,
            hard_state,
            restart,
            append,
            brought,
            send,
            replicate,
            held,
            snapshot_for,
            apply,
            reads,
            standing,
        } = fx;
        // The entries themselves say it when the log is opened.
        *brought = None;
        let written = write.take();
        self.begin_anew(restart.take())?;
        self.persist(hard_state.take(), append)?;
        let proof = written.map(Persisted::proven);
        if standing.take().is_some() {
            self.tell_who_leads(actions);
        }
        self.tell_who_votes(actions);
        send.drain(..).for_each(|message| self.post(message, actions));
        let is_cut = self.replicate(replicate, actions)?;
        replicate.clear();
        if let Some(proof) = proof {
            held.drain(proof, |message| self.post(message, actions));
        }
        for to in snapshot_for.drain(..) {
            self.start_sending(to, actions)?;
        }
        self.committed = self.committed.max(apply.take().map_or(0, |through| through.0));
        self.reads.confirmed(reads);
        Ok((proof, is_cut))
    }

    /// One sync for everything that a turn wrote; none if it wrote nothing.
    fn persist(&mut self, hard_state: Option<raft::HardState>, append: &mut Vec<Entry>) -> Result<()> {
        if hard_state.is_none() && append.is_empty() {
            return Ok(());
        }
        if let Some(raft::HardState { term, vote }) = hard_state {
            self.log.set_hard_state(HardState { term: term.0, voted_for: vote.map(|vote| vote.0) })?;
        }
        if let Some(first) = append.first() {
            if first.index.0 <= self.log.last_index() {
                self.log.truncate(first.index.0)?;
            }
            let entries: Vec<LogEntry> = append.drain(..).map(LogEntry::from).collect();
            self.log.append(&entries)?;
        }
        self.log.sync()
    }

    /// Entries for followers, read from the log once for all who want the same. True if a message had to be cut: then the
    /// core names the rest again.
    fn replicate(&mut self, wanted: &[Replicate], actions: &mut Vec<Action>) -> Result<bool> {
        let mut read: Option<(Replicate, Entries)> = None;
        let (mut cut, mut is_short): (Vec<ReplicaId>, bool) = (Vec::new(), false);
        for want in wanted {
            if cut.contains(&want.to) {
                continue;
            }
            let reusable = read.take().filter(|(have, _)| {
                (have.prev, have.last, have.stripped) == (want.prev, want.last, want.stripped)
            });
            let entries = match reusable {
                Some((_, entries)) => entries,
                None => self.entries_for(want)?,
            };
            let through = entries.last().map_or(want.prev.index, |entry| entry.index);
            let bytes = entries.iter().map(|entry| entry.payload.bytes().len() as u64).sum();
            if !self.raft.sent(want, through, bytes) {
                cut.push(want.to);
            }
            is_short |= through != want.last;
            let body = Body::Append { prev: want.prev, commit: want.commit, entries: entries.clone() };
            let from = self.raft.id();
            self.post(raft::Message { from, to: want.to, term: want.term, body }, actions);
            read = Some((*want, entries));
        }
        Ok(is_short)
    }

    fn entries_for(&self, want: &Replicate) -> Result<Entries> {
        let mut entries = self.entries(want.prev.index.0 + 1, want.last.0)?;
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            bytes += entry.bytes().len();
            bytes <= APPEND_BYTES_MAX
        };
        let count = entries.iter().take_while(fits).count();
        entries.truncate(count.max(1));
        let mut entries: Entries = entries.into_iter().map(Entry::from).collect();
        if want.stripped {
            entries.iter_mut().for_each(|entry| entry.payload = entry.payload.stripped());
        }
        Ok(entries)
    }

    /// Hands out what is committed, as far as one step may, and the reads that waited for it. True if anything was.
    fn hand_out(&mut self, applied_max: Index, actions: &mut Vec<Action>) -> Result<bool> {
        let before = self.applied;
        let through = self.committed.min(applied_max);
        if before < through {
            let mut bytes = 0;
            for entry in self.entries(before + 1, through)? {
                bytes += entry.bytes().len();
                if bytes > APPLY_BYTES_PER_STEP_MAX && self.applied > before {
                    break;
                }
                self.applied = entry.index;
                self.apply(entry, actions);
            }
            self.raft.step(self.now, Event::Applied(raft::Index(self.applied)), &mut self.fx);
            if self.raft.is_witness() { self.forget_applied()? } else { self.ask_for_snapshot(actions) }
        }
        self.answer_reads(actions);
        Ok(self.applied > before)
    }

    fn apply(&mut self, entry: LogEntry, actions: &mut Vec<Action>) {
        self.bytes_since_hint += entry.bytes().len() as u64;
        if entry.kind() == EntryKind::Normal {
            actions.push(Action::Apply { index: entry.index, term: entry.term, command: entry.command() });
        }
    }

    /// A witness needs nobody for its snapshots: there is nothing in them. It makes one for as many entries as its log keeps.
    fn forget_applied(&mut self) -> Result<()> {
        if self.applied - self.log.snapshot_index() > self.config.log_tail() {
            self.take_snapshot(self.applied, Bytes::new())?;
        }
        Ok(())
    }

    /// Once per threshold, whether it is answered or not.
    fn ask_for_snapshot(&mut self, actions: &mut Vec<Action>) {
        let (entries, bytes) = (self.config.snapshot_threshold(), self.config.snapshot_threshold_bytes());
        let grew = entries > 0 && self.applied - self.hinted_at >= entries as u64;
        let swelled = bytes > 0 && self.bytes_since_hint >= bytes;
        if let Some(term) = self.raft.term_at(raft::Index(self.applied)).filter(|_| grew || swelled) {
            self.hinted_at = self.applied;
            self.bytes_since_hint = 0;
            actions.push(Action::Snapshot { index: self.applied, term: term.0 });
        }
    }

    /// All of these entries, or an error: a hole in a log is never passed over.
    fn entries(&self, from: Index, to: Index) -> Result<Vec<LogEntry>> {
        if from > to {
            return Ok(Vec::new());
        }
        let entries = self.log.entries(from, to)?;
        let are_all = entries.iter().map(|entry| entry.index).eq(from..=to);
        if !are_all {
            return Err(Error::storage(
                "reading the log",
                format!("entries {from} to {to} are not all there"),
            ));
        }
        Ok(entries)
    }

    /// A snapshot was given to the log before the core was told of it; it must have begun anew there.
    /// The log goes on after `at`: a snapshot was installed, or a witness was told its place, which is a snapshot without data.
    fn begin_anew(&mut self, at: Option<LogPos>) -> Result<()> {
        if let Some(LogPos { index, term }) = at.filter(|_| self.raft.is_witness()) {
            let (config, data) = (self.raft.membership_at(index).clone(), Bytes::new());
            self.log.apply_snapshot(&Snapshot { index: index.0, term: term.0, config, data })?;
            self.log.sync()?;
            (self.applied, self.committed, self.hinted_at) = (index.0, index.0, index.0);
            return self.compact_behind(index.0);
        }
        match at {
            Some(at) if self.log.last_index() != at.index.0 => {
                Err(Error::storage("installing a snapshot", "the log did not begin anew after it"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn post(&self, message: raft::Message, actions: &mut Vec<Action>) {
        let message = Message { group: self.config.group(), content: Content::Raft(message) };
        actions.push(Action::Send { to: message.to(), message });
    }

    fn tell_who_leads(&mut self, actions: &mut Vec<Action>) {
        if self.raft.role() != raft::Role::Leader {
            self.reads = Reads::default();
            self.sending.clear();
            self.to_promote = None;
        }
        let (term, leader) = (self.term(), self.leader());
        if self.told != (term, leader) {
            self.told = (term, leader);
            actions.push(Action::LeaderChanged { term, leader });
        }
    }

    fn tell_who_votes(&mut self, actions: &mut Vec<Action>) {
        if self.note_membership() {
            actions.push(Action::MembershipChanged { members: self.voters.clone() });
        }
    }

    /// True if the voters are others than before.
    pub(super) fn note_membership(&mut self) -> bool {
        let membership = self.raft.membership();
        let is_learner = |id: &ReplicaId| !membership.is_voter(*id);
        let learners: Vec<NodeId> =
            membership.learners.iter().filter(|id| is_learner(id)).map(|id| id.0).collect();
        let mut voters: Vec<NodeId> = membership.voters.iter().map(|id| id.0).collect();
        voters.extend(membership.outgoing.iter().map(|id| id.0));
        voters.sort_unstable();
        voters.dedup();
        self.learners = learners;
        let has_changed = self.voters != voters;
        self.voters = voters;
        has_changed
    }
}

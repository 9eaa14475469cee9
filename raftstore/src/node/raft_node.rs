//! One group driven by hand: where each event goes, and what may be asked.

use bytes::Bytes;

use super::action::{Action, Event};
use super::config::RaftConfig;
use super::error::{Error, Result};
use super::limits::SNAPSHOT_BYTES_MAX;
use super::log::RaftLog;
use super::memory_log::MemoryLog;
use super::message::{Content, Message};
use super::opening::start_of;
use super::reading::Reads;
use super::receiving::Receiving;
use super::sending::Sending;
use super::types::{Index, NodeId, Role, Snapshot, Term, command_payload};
use crate::raft::{self, Effects, LogPos, Payload, ProposeRefusal, Raft, ReadId, Refusals, ReplicaId, Tick};

/// One node of one group, over a log of its own. Events in, actions out; see the [module's page](super).
///
/// ```
/// use skep_raftstore::node::{Action, Event, RaftConfig, RaftNode};
///
/// # fn main() -> skep_raftstore::node::Result<()> {
/// let mut node = RaftNode::new(RaftConfig::single(1));
/// while !node.is_leader() {
///     node.step(Event::Tick)?;
/// }
/// let actions = node.step(Event::Propose("set x 1".into()))?;
/// assert!(actions.iter().any(|action| matches!(action, Action::Apply { command, .. } if command == "set x 1")));
/// # Ok(())
/// # }
/// ```
///
/// Invariants:
/// - What the core was told is durable is durable in `log`.
/// - Everything through `applied` went out as `Apply` or lies in a snapshot that was restored; `applied <= committed`.
/// - Once `failed`, neither core nor log is touched again.
#[derive(Debug)]
pub struct RaftNode<L: RaftLog = MemoryLog> {
    pub(super) raft: Raft,
    pub(super) log: L,
    pub(super) config: RaftConfig,
    pub(super) now: Tick,
    /// What the core asks for; empty between steps, its memory kept.
    pub(super) fx: Effects,
    pub(super) applied: Index,
    /// Committed, durable here, and to be handed out.
    pub(super) committed: Index,
    pub(super) reads: Reads,
    /// What was applied when a snapshot was asked for, and how many bytes of commands since.
    pub(super) hinted_at: Index,
    pub(super) bytes_since_hint: u64,
    pub(super) sending: Vec<Sending>,
    pub(super) receiving: Option<Receiving>,
    pub(super) refused: u64,
    pub(super) voters: Vec<NodeId>,
    pub(super) learners: Vec<NodeId>,
    /// Who is to have a vote when it has caught up.
    pub(super) to_promote: Option<ReplicaId>,
    /// What was applied when the node was opened: who took part before is not known.
    opened_at: Index,
    /// The newest term and leader that the driver knows of.
    pub(super) told: (Term, Option<NodeId>),
    failed: Option<Error>,
}

impl RaftNode {
    /// A node whose log is in memory.
    pub fn new(config: RaftConfig) -> RaftNode {
        RaftNode::with_log(config, MemoryLog::new())
    }
}

impl<L: RaftLog> RaftNode<L> {
    /// A node that goes on where `log` ended. The state machine is expected to be what the log's snapshot holds, or what
    /// the configuration says is applied if that is newer; entries after it are applied again as they are known to be
    /// committed. A log that cannot be read makes every step fail.
    pub fn with_log(config: RaftConfig, log: L) -> RaftNode<L> {
        let (start, failed) = match start_of(&config, &log) {
            Ok(start) => (start, None),
            Err(error) => (raft::Start::default(), Some(error)),
        };
        let now = Tick(1);
        let raft = Raft::new(config.core(), start, now);
        let applied = raft.applied().0;
        let mut node = RaftNode {
            told: (raft.term().0, None),
            raft,
            log,
            config,
            now,
            fx: Effects::default(),
            applied,
            committed: applied,
            reads: Reads::default(),
            hinted_at: applied,
            bytes_since_hint: 0,
            sending: Vec::new(),
            receiving: None,
            refused: 0,
            voters: Vec::new(),
            learners: Vec::new(),
            to_promote: None,
            opened_at: applied,
            failed,
        };
        node.note_membership();
        node
    }

    /// Takes one event; the actions are to be carried out in order. Whatever they depend on is durable.
    ///
    /// The same state and the same event give the same actions. After [`Error::Storage`] every step gives it again; after
    /// any other error nothing has changed.
    pub fn step(&mut self, event: Event) -> Result<Vec<Action>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut actions = Vec::new();
        let done = self.take(event, &mut actions).and_then(|()| self.settle(&mut actions));
        if let Err(error) = &done
            && error.is_fatal()
        {
            self.failed = Some(error.clone());
        }
        done.map(|()| actions)
    }

    /// Who this is.
    pub const fn id(&self) -> NodeId {
        self.raft.id().0
    }

    /// What it is.
    pub const fn role(&self) -> Role {
        match self.raft.role() {
            raft::Role::Follower | raft::Role::PreCandidate => Role::Follower,
            raft::Role::Candidate => Role::Candidate,
            raft::Role::Leader => Role::Leader,
        }
    }

    /// Whether it leads and takes proposals. A node that was just elected does not yet: first it applies an entry of its
    /// own, which proves what was committed before.
    pub fn is_leader(&self) -> bool {
        !matches!(self.raft.may_propose(), Err(ProposeRefusal::NotLeader(_) | ProposeRefusal::NotReady))
    }

    /// The newest term it knows.
    pub const fn term(&self) -> Term {
        self.raft.term().0
    }

    /// Who leads in this term, if it is known.
    pub fn leader(&self) -> Option<NodeId> {
        self.raft.leader().map(|leader| leader.0)
    }

    /// Everything through here is committed.
    pub const fn commit_index(&self) -> Index {
        self.raft.commit().0
    }

    /// Everything through here was handed to the state machine.
    pub const fn last_applied(&self) -> Index {
        self.applied
    }

    /// The log.
    pub const fn log(&self) -> &L {
        &self.log
    }

    /// Who votes, sorted; while a change is under way, before or after it.
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// Who receives the log and is not counted, sorted.
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// Who of these keeps no data, sorted.
    pub fn witnesses(&self) -> Vec<NodeId> {
        self.raft.membership().witnesses.iter().map(|witness| witness.0).collect()
    }

    /// How many messages were refused: of another group or for another node, from strangers, or absurd. None of them
    /// changed anything.
    pub fn refused_messages(&self) -> u64 {
        let Refusals {
            non_member,
            misdirected,
            absurd_term,
            absurd_index,
            absurd_membership,
            wrong_kind,
            second_leader,
            committed_conflict,
        } = self.raft.refusals();
        let strange = non_member as u64 + misdirected as u64 + second_leader as u64;
        let absurd = absurd_term as u64 + absurd_index as u64 + absurd_membership as u64;
        self.refused + strange + absurd + wrong_kind as u64 + committed_conflict as u64
    }

    /// How many ticks may pass before this node has something to do by itself; `None` if it never has. Zero says that
    /// there is more to apply than one step hands out: any event brings more of it.
    pub fn ticks_to_wait(&self) -> Option<u64> {
        if self.applied < self.committed {
            return Some(0);
        }
        let retry = self.sending.iter().map(|sending| self.retry_at(sending)).min();
        let deadline = retry.unwrap_or(Tick(u64::MAX)).min(self.raft.deadline());
        (deadline < Tick(u64::MAX)).then(|| deadline.since(self.now).max(1))
    }

    fn take(&mut self, event: Event, actions: &mut Vec<Action>) -> Result<()> {
        match event {
            Event::Tick => self.pass(1, actions),
            Event::Ticks(ticks) => self.pass(ticks, actions),
            Event::Message(message) => self.receive(message, actions)?,
            Event::Messages(messages) => {
                messages.into_iter().try_for_each(|message| self.receive(message, actions))?;
            }
            Event::Propose(command) => self.propose(&[command], actions)?,
            Event::ProposeAll(commands) => self.propose(&commands, actions)?,
            Event::Snapshot { index, data } => self.take_snapshot(index, data)?,
            Event::AddServer(id) => self.add_server(id)?,
            Event::AddWitness(id) => self.add_witness(id)?,
            Event::RemoveServer(id) => self.remove_server(id)?,
            Event::AddLearner(id) => self.add_learner(id)?,
            Event::PromoteLearner(id) => self.promote_learner(id)?,
            Event::TransferLeadership(to) => {
                self.raft.step(self.now, raft::Event::TransferLeadership(ReplicaId(to)), &mut self.fx);
            }
            Event::Read { id } => self.read(ReadId(id))?,
        }
        Ok(())
    }

    fn pass(&mut self, ticks: u64, actions: &mut Vec<Action>) {
        self.now = Tick(self.now.0.saturating_add(ticks));
        if self.raft.deadline() <= self.now {
            self.raft.step(self.now, raft::Event::Timeout, &mut self.fx);
        }
        self.send_lost_parts_again(actions);
    }

    fn receive(&mut self, message: Message, actions: &mut Vec<Action>) -> Result<()> {
        if message.group != self.config.group() {
            self.refused += 1;
            return Ok(());
        }
        match message.content {
            Content::Raft(message) => {
                self.raft.step(self.now, raft::Event::Message(message), &mut self.fx);
                Ok(())
            }
            Content::Snapshot(part) => self.on_part(part, actions),
            Content::Received(received) => {
                self.on_received(received, actions);
                Ok(())
            }
        }
    }

    fn propose(&mut self, commands: &[Bytes], actions: &mut Vec<Action>) -> Result<()> {
        let bytes_max = self.log.command_bytes_max();
        if let Some(bytes) = commands.iter().map(Bytes::len).find(|&bytes| bytes > bytes_max) {
            return Err(Error::TooLarge { bytes, bytes_max });
        }
        self.raft.may_propose().map_err(refused)?;
        let mut payloads: Vec<Payload> = commands.iter().map(|command| command_payload(command)).collect();
        let first = self.raft.propose(self.now, &mut payloads, &mut self.fx).map_err(refused)?;
        if !commands.is_empty() {
            actions.push(Action::Proposed { index: first.0, term: self.term() });
        }
        Ok(())
    }

    /// Keeps a snapshot of what was applied, and lets go of the log below it but for a tail.
    pub(super) fn take_snapshot(&mut self, index: Index, data: Bytes) -> Result<()> {
        if data.len() > SNAPSHOT_BYTES_MAX {
            return Err(Error::TooLarge { bytes: data.len(), bytes_max: SNAPSHOT_BYTES_MAX });
        }
        let is_stale = index > self.applied || index < self.opened_at || index <= self.log.snapshot_index();
        let Some(term) = self.raft.term_at(raft::Index(index)).filter(|_| !is_stale) else { return Ok(()) };
        let config = self.raft.membership_at(raft::Index(index)).clone();
        self.log.apply_snapshot(&Snapshot { index, term: term.0, config, data })?;
        self.compact_behind(index)?;
        self.log.sync()?;
        self.hinted_at = self.hinted_at.max(index);
        self.bytes_since_hint = 0;
        Ok(())
    }

    /// What followers may still need stays, but never more than the tail.
    pub(super) fn compact_behind(&mut self, snapshot: Index) -> Result<()> {
        let tail = snapshot.saturating_sub(self.config.log_tail());
        let needed = self.raft.min_matched().map_or(tail, |matched| matched.0.min(snapshot));
        let through = raft::Index(needed.max(tail));
        if let Some(term) = self.raft.term_at(through).filter(|_| through > self.raft.base().index) {
            self.log.compact(through.0)?;
            let through = LogPos { index: through, term };
            self.raft.step(self.now, raft::Event::Compacted(through), &mut self.fx);
        }
        Ok(())
    }
}

/// What the core's refusals are called here.
pub(super) fn refused(refusal: ProposeRefusal) -> Error {
    match refusal {
        ProposeRefusal::NotLeader(leader) => Error::NotLeader { leader: leader.map(|leader| leader.0) },
        ProposeRefusal::Transferring => Error::Busy { why: "leadership is being handed over" },
        ProposeRefusal::NotReady => Error::Busy { why: "this leader has not applied its first entry" },
        ProposeRefusal::Busy => Error::Busy { why: "too much is proposed and not committed" },
    }
}

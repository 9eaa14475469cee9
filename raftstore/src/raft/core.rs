//! One replica of one group: its state, and where each event goes.

use super::config::{Config, Knobs, Start};
use super::durable::Durable;
use super::effects::{Effects, Role};
use super::election::{ElectionTimer, Votes};
use super::event::{Event, ProposeRefusal, Refusals};
use super::leading::Leading;
use super::log_shape::LogShape;
use super::membership::Membership;
use super::memberships::Memberships;
use super::message::{Body, Message};
use super::mutant::{Build, Mutant};
use super::types::{
    Entry, EntryKind, HardState, Index, LogPos, Payload, ReadId, ReplicaId, Term, Tick, WriteSeq,
};

/// One replica of one group. Events in, effects out; see the [module's page](super).
///
/// Invariants:
/// - `base <= commit <= last`, and `commit` never goes back.
/// - Nothing at or below `commit` is ever truncated.
/// - Everything through `handed` was given to the state machine: it was committed, and durable here.
/// - While `durable.hard_state()` is false, no message that was built since then leaves.
#[derive(Debug)]
pub struct Raft {
    pub(super) config: Knobs,
    pub(super) memberships: Memberships,
    pub(super) log: LogShape,
    pub(super) hard: HardState,
    pub(super) durable: Durable,
    pub(super) state: State,
    /// Means something if `knows_leader`; in two parts, which takes less room.
    pub(super) known_leader: ReplicaId,
    pub(super) commit: Index,
    pub(super) applied: Index,
    pub(super) handed: Index,
    pub(super) blank: bool,
    /// Means something while it is blank only.
    pub(super) unborn: bool,
    pub(super) knows_leader: bool,
    pub(super) witness: bool,
    pub(super) timer: ElectionTimer,
    /// None of them happened where there are none, which is almost everywhere.
    pub(super) refusals: Option<Box<Refusals>>,
    pub(super) build: Build,
    /// The standing that was told last; in four parts, which takes less room.
    reported_role: Role,
    reported_term: Term,
    reported_leader: ReplicaId,
    reported_no_leader: bool,
}

/// What a replica is, with what only that role needs.
#[derive(Debug)]
pub(super) enum State {
    Follower,
    PreCandidate(Box<Votes>),
    Candidate(Box<Votes>),
    Leader(Box<Leading>),
}

impl Raft {
    /// A replica as its shell found it on disk, with a random time to wait for a leader.
    pub fn new(config: Config, start: Start, now: Tick) -> Raft {
        let (seed, config) = (config.seed, Knobs::new(&config));
        let log = LogShape::new(start.base, &start.runs, start.last);
        let last = log.last().index;
        let applied = start.applied.max(log.base().index).min(last);
        let mut brought = start.brought;
        brought.retain(|brought| brought.at.index > applied && log.contains(brought.at));
        let is_witness = |membership: &Membership| membership.is_witness(config.id);
        let witness = start.witness
            || is_witness(&start.membership)
            || brought.iter().any(|brought| is_witness(&brought.membership));
        // A snapshot may have become durable just before a crash, and the term it was received in not.
        let (known, mut durable) = (log.last().term, Durable::new(last));
        let mut hard = start.hard_state;
        if known > hard.term {
            hard = HardState { term: known, vote: None };
            durable.change_hard_state();
        }
        Raft {
            memberships: Memberships::new(start.membership, brought),
            reported_role: Role::Follower,
            reported_term: hard.term,
            reported_leader: config.id,
            reported_no_leader: true,
            hard,
            durable,
            state: State::Follower,
            known_leader: config.id,
            knows_leader: false,
            commit: applied.max(start.committed.min(last)),
            applied,
            handed: applied,
            blank: start.blank,
            unborn: start.blank && start.unborn,
            witness,
            timer: ElectionTimer::new(&config, seed, now),
            refusals: None,
            build: Build::default(),
            log,
            config,
        }
    }

    /// The same replica, built wrong, for tests that must notice it.
    #[cfg(feature = "mutants")]
    pub fn wrong(self, mutant: Option<Mutant>) -> Raft {
        Raft { build: Build::wrong(mutant), ..self }
    }

    /// Takes one event. What it asks for is in `fx` after [`flush`](Raft::flush).
    // Which event it is is mostly known where it is called: then nothing is left of this but one call, and no event is built.
    #[inline(always)]
    pub fn step(&mut self, now: Tick, event: Event, fx: &mut Effects) {
        match event {
            Event::Message(message) => self.on_message(now, message, fx),
            Event::Timeout => self.on_timeout(now, fx),
            Event::Campaign => self.pre_campaign(now, fx),
            Event::LeadFromBirth => self.lead_from_birth(now, fx),
            Event::Persisted(persisted) => self.on_persisted(now, persisted.seq(), fx),
            Event::Compacted(through) => self.on_compacted(through),
            Event::Installed { at, membership, from, term } => {
                self.on_installed(now, at, membership, (from, term), fx);
            }
            Event::SnapshotDone { to, at } => self.on_snapshot_done(to, at),
            Event::Unreachable(replica) => self.on_unreachable(replica),
            Event::TransferLeadership(to) => self.start_transfer(now, to),
            Event::Applied(index) => self.applied = self.applied.max(index.min(self.commit)),
        }
    }

    /// Ends a turn: says what to replicate, what is committed, and under which number to write. Call it once, after all
    /// steps of the turn and before carrying out `fx`.
    pub fn flush(&mut self, now: Tick, fx: &mut Effects) {
        self.flush_leader(now, fx);
        if !matches!(self.state, State::Leader(_)) {
            // Whoever stepped down in this turn would send it as the leader of a term that another one leads.
            fx.snapshot_for.clear();
        }
        self.hand_over_committed(fx);
        self.report_standing(fx);
        if let Some(brought) = self.memberships.take_news() {
            fx.brought = Some(brought);
        }
        if self.durable.hard_state_changed() {
            let is_blind = self.build.is(Mutant::VoteNotWritten);
            let vote = self.hard.vote.filter(|_| !is_blind);
            fx.hard_state = Some(HardState { vote, ..self.hard });
        }
        if fx.hard_state.is_some() || fx.restart.is_some() || !fx.append.is_empty() || !fx.held.is_empty() {
            fx.write = Some(self.durable.issue(self.log.last().index));
        }
    }

    /// Appends `payloads` to a leader's log, in order, and empties the vector. The answer is the index of the first.
    ///
    /// An entry is in the log for good only when it comes back through `fx.apply` with this leader's term. While
    /// `uncommitted_bytes_max` of what was proposed before are not committed, nothing is taken.
    pub fn propose(
        &mut self,
        _now: Tick,
        payloads: &mut Vec<Payload>,
        fx: &mut Effects,
    ) -> Result<Index, ProposeRefusal> {
        self.may_propose()?;
        if self.proposal_room() == 0 && !payloads.is_empty() {
            return Err(ProposeRefusal::Busy);
        }
        debug_assert!(payloads.iter().all(|payload| payload.kind() != EntryKind::Membership));
        let first = self.log.last().index.next();
        self.append_own(payloads.drain(..), fx);
        Ok(first)
    }

    /// Asks for a point of the log that contains everything acknowledged so far (6.4). All reads between two flushes share
    /// one round of messages. A read is forgotten when this replica stops leading: `fx.standing` says so.
    pub fn read(&mut self, _now: Tick, id: ReadId, _fx: &mut Effects) -> Result<(), ProposeRefusal> {
        let (commit, is_hasty) = (self.commit, self.build.is(Mutant::ReadsTooSoon));
        let leading = self.leading_mut()?;
        let own = if is_hasty { commit } else { leading.noop };
        leading.reads.add(id, commit.max(own));
        Ok(())
    }

    /// Adds entries to a leader's own log.
    pub(super) fn append_own(&mut self, payloads: impl ExactSizeIterator<Item = Payload>, fx: &mut Effects) {
        let (term, mut index, mut bytes) = (self.hard.term, self.log.last().index, 0);
        let mut urgent = None;
        self.log.extend(term, payloads.len() as u64);
        fx.append.extend(payloads.map(|payload| {
            index = index.next();
            bytes += payload.bytes().len() as u64;
            if payload.kind() != EntryKind::Command {
                urgent = Some(index);
            }
            Entry { index, term, payload }
        }));
        let bytes_max = self.config.uncommitted_bytes_max();
        if let State::Leader(leading) = &mut self.state {
            leading.uncommitted.add(index, bytes, bytes_max);
            if let Some(urgent) = urgent {
                leading.news.add_urgent(urgent);
            }
        }
    }

    /// Says `body` to `to`, as soon as the term it is said in is durable.
    pub(super) fn say(&self, to: ReplicaId, body: Body, fx: &mut Effects) {
        self.say_in(self.hard.term, to, body, fx);
    }

    /// The same in another term: a pre-vote speaks of the next one.
    pub(super) fn say_in(&self, term: Term, to: ReplicaId, body: Body, fx: &mut Effects) {
        self.durable.post(Message { from: self.config.id, to, term, body }, Index(0), fx);
    }

    /// Acknowledges everything through `matched`, as soon as it is durable.
    pub(super) fn acknowledge(&self, to: ReplicaId, matched: Index, fx: &mut Effects) {
        let body = Body::AppendAccepted { matched };
        let promised = if self.build.is(Mutant::AcknowledgesEarly) { Index(0) } else { matched };
        self.durable.post(Message { from: self.config.id, to, term: self.hard.term, body }, promised, fx);
    }

    /// Counts a message that changes nothing.
    pub(super) fn refuse(&mut self, why: impl FnOnce(&mut Refusals) -> &mut u32) {
        let count = why(self.refusals.get_or_insert_default());
        *count = count.saturating_add(1);
    }

    pub(super) fn set_leader(&mut self, leader: Option<ReplicaId>) {
        self.knows_leader = leader.is_some();
        self.known_leader = leader.unwrap_or(self.known_leader);
    }

    pub(super) fn leading(&self) -> Result<&Leading, ProposeRefusal> {
        match &self.state {
            State::Leader(leading) => Ok(leading),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                Err(ProposeRefusal::NotLeader(self.leader()))
            }
        }
    }

    pub(super) fn leading_mut(&mut self) -> Result<&mut Leading, ProposeRefusal> {
        let leader = self.leader();
        match &mut self.state {
            State::Leader(leading) => Ok(leading),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                Err(ProposeRefusal::NotLeader(leader))
            }
        }
    }

    /// Tells the standing if it is another than the one that was told last.
    fn report_standing(&mut self, fx: &mut Effects) {
        let role = self.role();
        let is_same_leader = self.knows_leader != self.reported_no_leader
            && (!self.knows_leader || self.known_leader == self.reported_leader);
        if !is_same_leader || role != self.reported_role || self.hard.term != self.reported_term {
            (self.reported_role, self.reported_term) = (role, self.hard.term);
            (self.reported_leader, self.reported_no_leader) = (self.known_leader, !self.knows_leader);
            fx.standing = Some(self.standing());
        }
    }

    fn on_timeout(&mut self, now: Tick, fx: &mut Effects) {
        match &self.state {
            State::Leader(_) => self.on_leader_timeout(now, fx),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                if now >= self.timer.deadline() {
                    self.pre_campaign(now, fx);
                }
            }
        }
    }

    fn on_persisted(&mut self, now: Tick, seq: WriteSeq, fx: &mut Effects) {
        self.durable.persisted(seq);
        self.count_own_vote(now, fx);
    }

    fn on_compacted(&mut self, through: LogPos) {
        if through.index <= self.handed {
            self.log.compact(through);
            self.memberships.compact(through.index);
        }
    }

    fn hand_over_committed(&mut self, fx: &mut Effects) {
        let through = self.commit.min(self.durable.through());
        if through > self.handed {
            self.handed = through;
            fx.apply = Some(through);
        }
    }
}

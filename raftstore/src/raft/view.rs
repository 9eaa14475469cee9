//! What a shell may ask a replica, without changing it.

use super::core::{Raft, State};
use super::effects::{Role, Standing};
use super::event::{ProposeRefusal, Refusals};
use super::membership::Membership;
use super::mutant::Mutant;
use super::progress::Progress;
use super::types::{HardState, Index, LogPos, ReplicaId, Term, Tick};

impl Raft {
    /// The next tick at which `Event::Timeout` is worth giving; the last of all ticks if it never is.
    ///
    /// It moves away whenever a leader is heard, so a timer may fire too early, and is then set again.
    pub fn deadline(&self) -> Tick {
        match &self.state {
            State::Leader(leading) => leading.deadline(),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) if self.may_campaign() => {
                self.timer.deadline()
            }
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => Tick(u64::MAX),
        }
    }

    /// Who this is.
    pub const fn id(&self) -> ReplicaId {
        self.config.id
    }

    /// What it is.
    pub const fn role(&self) -> Role {
        match self.state {
            State::Follower => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// The newest term it knows, durable or not.
    pub const fn term(&self) -> Term {
        self.hard.term
    }

    /// Term and vote, durable or not.
    pub const fn hard_state(&self) -> HardState {
        self.hard
    }

    /// Who leads in this term, if it is known.
    pub const fn leader(&self) -> Option<ReplicaId> {
        if self.knows_leader { Some(self.known_leader) } else { None }
    }

    /// Role, term and leader at once.
    pub const fn standing(&self) -> Standing {
        Standing { role: self.role(), term: self.hard.term, leader: self.leader() }
    }

    /// Everything through here is committed, though perhaps not durable here yet.
    pub const fn commit(&self) -> Index {
        self.commit
    }

    /// What the state machine is known to contain.
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// What the log is compacted through.
    pub const fn base(&self) -> LogPos {
        self.log.base()
    }

    /// The first index that is or would be in the log.
    pub const fn first_index(&self) -> Index {
        self.log.first()
    }

    /// The last index of the log, durable or not.
    pub fn last_index(&self) -> Index {
        self.log.last().index
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> Term {
        self.log.last().term
    }

    /// The term at `index`, if the log or its base knows it. O(log terms).
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The last index through which the log is durable here.
    pub const fn durable_index(&self) -> Index {
        self.durable.through()
    }

    /// Who takes part.
    pub fn membership(&self) -> &Membership {
        self.memberships.current()
    }

    /// Who took part at `index`, which is not below what the log is compacted through.
    pub fn membership_at(&self, index: Index) -> &Membership {
        self.memberships.at(index)
    }

    /// Who takes part by what is committed; `None` while a change is under way.
    pub fn settled_membership(&self) -> Option<&Membership> {
        (!self.is_changing() && !self.blank).then(|| self.membership())
    }

    /// Who took part by what the log still holds, and does not by what is committed. Nobody while a change is under way.
    pub fn departed(&self) -> Vec<ReplicaId> {
        let Some(settled) = self.settled_membership() else { return Vec::new() };
        let mut departed: Vec<ReplicaId> =
            self.memberships.from(Index(0)).flat_map(Membership::all).collect();
        departed.retain(|replica| !settled.contains(*replica));
        departed.sort_unstable();
        departed.dedup();
        departed
    }

    /// Whether this replica has no state yet.
    pub const fn is_blank(&self) -> bool {
        self.blank
    }

    /// Whether this replica keeps no data: it says so from the moment on at which it is told its first position.
    pub const fn is_witness(&self) -> bool {
        self.witness
    }

    /// How many messages were refused, and why.
    pub fn refusals(&self) -> Refusals {
        self.refusals.as_deref().copied().unwrap_or_default()
    }

    /// What a leader knows of a follower.
    pub fn progress(&self, of: ReplicaId) -> Option<&Progress> {
        self.leading().ok()?.progress(of)
    }

    /// What the slowest follower durably holds, if this replica leads: below it the log is of no use to anyone else.
    pub fn min_matched(&self) -> Option<Index> {
        let followers = &self.leading().ok()?.progress;
        Some(followers.iter().map(Progress::matched).min().unwrap_or(self.log.last().index))
    }

    /// Bytes of the entries that this leader has proposed and that are not committed yet, about: a little more than there
    /// are. Zero if it does not lead.
    pub fn uncommitted_bytes(&self) -> u64 {
        self.leading().map_or(0, |leading| leading.uncommitted.bytes())
    }

    /// How many bytes of proposals this leader takes until something is committed, and a little more if they come at once;
    /// zero if it does not lead.
    pub fn proposal_room(&self) -> u64 {
        let bytes_max = self.config.uncommitted_bytes_max();
        self.leading().map_or(0, |leading| bytes_max.saturating_sub(leading.uncommitted.bytes()))
    }

    /// What a leader knows of its followers.
    pub fn followers(&self) -> impl Iterator<Item = &Progress> {
        self.leading().into_iter().flat_map(|leading| &leading.progress)
    }

    /// Whether a proposal would be taken now.
    pub fn may_propose(&self) -> Result<(), ProposeRefusal> {
        let leading = self.leading()?;
        if leading.transfer.is_some() {
            return Err(ProposeRefusal::Transferring);
        }
        if self.applied < leading.noop {
            return Err(ProposeRefusal::NotReady);
        }
        Ok(())
    }

    /// Whether this replica, which does not lead, knows everything through `at` to be committed and has it.
    pub fn has_committed(&self, at: LogPos) -> bool {
        !matches!(self.state, State::Leader(_)) && !self.blank && !self.witness && at.index <= self.commit
    }

    /// Whether a snapshot at `at` would bring this replica forward. If not, restoring it would undo what was applied.
    pub fn would_install(&self, at: LogPos) -> bool {
        let leads = matches!(self.state, State::Leader(_));
        let is_newer = at.index > self.commit || self.blank || self.build.is(Mutant::TakesOldSnapshots);
        !leads && at.index > Index(0) && is_newer
    }
}

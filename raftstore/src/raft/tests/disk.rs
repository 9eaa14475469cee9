//! A replica's disk and state machine, in memory: what is written, what of it is durable.

use std::collections::VecDeque;

use crate::raft::{
    Brought, Effects, Entry, HardState, Held, Index, LogPos, Membership, Payload, Persisted, Raft, Start,
    Term, WriteSeq,
};

/// A log and a hard state.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) hard: HardState,
    pub(super) base: LogPos,
    pub(super) entries: Vec<Entry>,
    /// The record of the memberships that entries bring.
    pub(super) brought: Vec<Brought>,
    pub(super) blank: bool,
    pub(super) witness: bool,
}

/// Everything applied, from the first entry on: the state of the dumbest machine.
pub(super) type Machine = Vec<(Term, Payload)>;

/// Who takes part after everything in `machine`.
pub(super) fn membership_of(machine: &[(Term, Payload)], bootstrap: &Membership) -> Membership {
    machine.iter().rev().find_map(|(_, payload)| payload.membership()).unwrap_or_else(|| bootstrap.clone())
}

/// All that a witness has in place of a machine: where it is, and who takes part there. What came before is filled up.
fn placed(at: LogPos, membership: &Membership) -> Machine {
    let Some(before) = at.index.0.checked_sub(1) else { return Machine::new() };
    let mut machine = vec![(Term(0), Payload::no_op().stripped()); before as usize];
    machine.push((at.term, Payload::of_membership(membership)));
    machine
}

/// A write on its way.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) seq: WriteSeq,
    hard: Option<HardState>,
    restart: Option<LogPos>,
    append: Vec<Entry>,
    brought: Option<Vec<Brought>>,
    /// A witness goes on from here.
    place: Option<Machine>,
    held: Held,
}

/// What a replica stands on.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) written: Log,
    pub(super) durable: Log,
    pub(super) machine: Machine,
    pub(super) durable_machine: Machine,
    pub(super) writes: VecDeque<Write>,
}

impl Log {
    pub(super) fn last(&self) -> LogPos {
        self.entries.last().map_or(self.base, |e| LogPos { index: e.index, term: e.term })
    }

    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.base.index.0 + 1)?).ok()?)
    }

    fn write(&mut self, hard: Option<HardState>, restart: Option<LogPos>, append: &[Entry]) {
        self.hard = hard.unwrap_or(self.hard);
        if let Some(at) = restart {
            self.base = at;
            self.entries.clear();
            self.blank = false;
        }
        if let Some(first) = append.first() {
            let kept = first.index.0 - self.base.index.0 - 1;
            assert!(kept <= self.entries.len() as u64, "a gap before {first:?}");
            self.entries.truncate(kept as usize);
            self.entries.extend_from_slice(append);
        }
    }

    pub(super) fn compact(&mut self, to: LogPos) {
        if to.index > self.base.index {
            self.entries.retain(|entry| entry.index > to.index);
            self.base = to;
        }
    }

    /// Who takes part after the last entry, by the entries alone.
    pub(super) fn membership(&self, machine: &Machine, bootstrap: &Membership) -> Membership {
        let brought = self.entries.iter().rev().find_map(|entry| entry.payload.membership());
        brought.unwrap_or_else(|| membership_of(&machine[..self.base.index.0 as usize], bootstrap))
    }

    fn start(&self, applied: u64, membership: Membership) -> Start {
        let mut runs: Vec<(Index, Term)> = Vec::new();
        for entry in &self.entries {
            if runs.last().is_none_or(|run| run.1 != entry.term) {
                runs.push((entry.index, entry.term));
            }
        }
        Start {
            hard_state: self.hard,
            membership,
            brought: self.brought.clone(),
            base: self.base,
            runs,
            last: self.last().index,
            committed: Index(0),
            applied: Index(applied),
            blank: self.blank,
            unborn: false,
            witness: self.witness,
        }
    }
}

impl Disk {
    /// Writes what `fx` asks for, not durably.
    pub(super) fn begin_write(&mut self, raft: &Raft, fx: &mut Effects) {
        assert_eq!(
            fx.write.is_some(),
            fx.hard_state.is_some() || fx.restart.is_some() || !fx.append.is_empty() || !fx.held.is_empty()
        );
        let Some(seq) = fx.write else { return };
        self.written.write(fx.hard_state, fx.restart, &fx.append);
        let place = fx.restart.filter(|_| raft.is_witness());
        let place = place.map(|at| placed(at, raft.membership_at(at.index)));
        if let Some(place) = &place {
            self.machine.clone_from(place);
            self.written.witness = true;
        }
        if let Some(brought) = &fx.brought {
            assert!(!fx.append.is_empty() || fx.restart.is_some(), "memberships come from entries");
            self.written.brought.clone_from(brought);
        }
        let append = fx.append.clone();
        self.writes.push_back(Write {
            seq,
            hard: fx.hard_state,
            restart: fx.restart,
            append,
            brought: fx.brought.clone(),
            place,
            held: fx.held.take(),
        });
    }

    /// The oldest write becomes durable: what it held may leave.
    pub(super) fn complete_write(&mut self) -> Option<(Persisted, Vec<crate::raft::Message>)> {
        let write = self.writes.pop_front()?;
        self.durable.write(write.hard, write.restart, &write.append);
        if let Some(brought) = write.brought {
            self.durable.brought = brought;
        }
        if let Some(place) = write.place {
            self.durable.witness = true;
            if place.len() > self.durable_machine.len() {
                self.durable_machine = place;
            }
        }
        let proof = Persisted::proven(write.seq);
        Some((proof, write.held.release(proof)))
    }

    /// Power is lost: what was not durable is gone.
    pub(super) fn crash(&mut self) {
        self.writes.clear();
        self.written = self.durable.clone();
        self.machine = self.durable_machine.clone();
    }

    /// What a shell finds when it opens the disk. A machine that is ahead of the log, or that the log contradicts, was
    /// restored from a snapshot just before the crash: the log restarts there.
    pub(super) fn open(&mut self, bootstrap: &Membership) -> Start {
        let applied = self.machine.len() as u64;
        let at = LogPos { index: Index(applied), term: self.machine.last().map_or(Term(0), |entry| entry.0) };
        let agrees = self.durable.base == at || self.durable.get(applied).is_some_and(|e| e.term == at.term);
        if !agrees && applied > 0 {
            assert!(self.durable.base.index.0 < applied, "compacted beyond the machine");
            self.durable.write(None, Some(at), &[]);
            self.written = self.durable.clone();
        }
        let membership = if self.durable.blank && applied == 0 {
            Membership::default()
        } else {
            membership_of(&self.machine, bootstrap)
        };
        let mut start = self.durable.start(applied, membership);
        start.blank &= applied == 0;
        start
    }

    /// The machine is made durable and the log forgets what it contains.
    pub(super) fn compact(&mut self) -> Option<LogPos> {
        let &(term, _) = self.machine.last()?;
        let at = LogPos { index: Index(self.machine.len() as u64), term };
        // Records of the durable log appear in order, so it cannot be compacted beyond its end.
        let durable_has =
            self.durable.get(at.index.0).is_some_and(|e| e.term == term) || self.durable.base == at;
        // What a witness has in place of a machine is a part of its log.
        if durable_has || !self.written.witness {
            self.durable_machine = self.machine.clone();
        }
        if !durable_has {
            return None;
        }
        self.written.compact(at);
        self.durable.compact(at);
        Some(at)
    }
}

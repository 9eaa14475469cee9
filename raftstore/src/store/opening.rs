//! Making replicas of what the log and the checkpoints hold.
//!
//! Each stream with a birth record becomes a replica: its machine is restored from its checkpoint, and its log goes on from
//! there. A machine that is ahead of its log, or of another history (a snapshot was adopted, then the lights went out),
//! restarts the log behind it. A region that was split off another one and has no checkpoint yet is vacant: its log and its
//! votes are here, its machine comes from the other region, which is known to have committed the split and applies it
//! again. A replica whose log is damaged, or whose machine cannot be restored, is stopped and says why; `mending.rs` replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use skep_wal::{Batch, Damage, DamagedPart, StreamInfo};

use super::absent::Absent;
use super::birth::{BIRTH, Birth, Descent};
use super::brought::{self, BROUGHT};
use super::error::OpenError;
use super::mending::Mending;
use super::open::Hosted;
use super::orphans::{Found, holds, orphans};
use super::replica::{Condition, Replica, Slot};
use super::worker::{Shared, Worker};
use crate::apply::ApplyPool;
use crate::ids::{Index, RegionId, Term, Tick};
use crate::machine::{Fatal, MachineFactory, StateMachine};
use crate::raft::{Brought, Event, HardState, LogPos, Membership, Start};
use crate::snapshot::{CheckpointInfo, Checkpoints};
use crate::wire::hard_state;

/// With fewer checkpoints than this, threads of their own are not worth starting.
const PARALLEL_MIN: usize = 64;

/// A machine, or none yet.
type MachineResult = Result<Option<Box<dyn StateMachine>>, Fatal>;

/// Regions that have to get their machine from the one that they were split off.
struct Waiting {
    /// By the region that will hand it out: which ones, and by which entry the last. It holds that entry, so that all before it is
    /// committed there as well.
    children: BTreeMap<RegionId, (Vec<RegionId>, Index)>,
    /// Those who wait in vain, each with the region that it waits for.
    in_vain: BTreeMap<RegionId, RegionId>,
}

/// What the replicas are made from.
pub(super) struct Opening<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) pool: &'a Arc<ApplyPool>,
    pub(super) factory: &'a dyn MachineFactory,
    pub(super) checkpoints: &'a Checkpoints,
    pub(super) known: BTreeMap<RegionId, CheckpointInfo>,
}

impl Waiting {
    fn new(
        in_vain: BTreeMap<RegionId, RegionId>,
        found: &[(Birth, StreamInfo)],
        known: &BTreeMap<RegionId, CheckpointInfo>,
    ) -> Waiting {
        let mut children = BTreeMap::<RegionId, (Vec<RegionId>, Index)>::new();
        let waits =
            |birth: &&Birth| !known.contains_key(&birth.region) && !in_vain.contains_key(&birth.region);
        for birth in found.iter().map(|(birth, _)| birth).filter(waits) {
            if let Descent::Split { parent, at } = birth.descent {
                let (children, through) = children.entry(parent).or_default();
                children.push(birth.region);
                *through = at.index.max(*through);
            }
        }
        Waiting { children, in_vain }
    }

    fn why_in_vain(&self, region: RegionId) -> Option<String> {
        let parent = self.in_vain.get(&region)?;
        Some(format!("its state is lost: {parent}, which it was split off, no longer has it"))
    }
}

impl Opening<'_> {
    pub(super) fn host_all(&self, births: &[Birth]) -> Result<(Vec<Worker>, Vec<Hosted>), OpenError> {
        let now = self.shared.clock.now();
        let count = self.shared.inboxes.workers();
        let mut workers: Vec<Worker> =
            (0..count).map(|number| Worker::new(number, self.shared.clone(), now)).collect();
        let mut hosted = Vec::new();
        let mut restarts = Batch::new();
        let campaigners: BTreeSet<RegionId> =
            births.iter().filter(|birth| birth.campaign).map(|birth| birth.region).collect();
        let found = self.found()?;
        let machines = self.machines(&found)?;
        let waiting = Waiting::new(self.orphans(&found, &machines), &found, &self.known);
        for (at, ((birth, info), machine)) in found.into_iter().zip(machines).enumerate() {
            let campaign = campaigners.contains(&birth.region);
            let (replica, restart) = self.replica(birth, &info, machine, &waiting)?;
            if let Some(LogPos { index, term }) = restart {
                restarts.restart(replica.region.stream(), index.0, term.0);
            }
            hosted.push(Hosted { region: replica.region, description: replica.description.clone() });
            let worker = &mut workers[at % count];
            let slot = worker.host(replica);
            begin(worker, slot, campaign, now);
        }
        if !restarts.is_empty() {
            self.shared.wal.append(&mut restarts)?;
            self.shared.wal.sync()?;
        }
        Ok((workers, hosted))
    }

    /// The regions that the log holds. A stream without a birth record is only remembered, unless damage took the record:
    /// then the hard state knows whose it was.
    fn found(&self) -> Result<Vec<(Birth, StreamInfo)>, OpenError> {
        let wal = &self.shared.wal;
        let mut found = Vec::new();
        for stream in wal.streams() {
            let Some(info) = wal.stream(stream) else { continue };
            let region = RegionId(stream.0);
            let birth = match wal.state(stream, BIRTH) {
                Some(record) => Some(Birth::decode(region, Bytes::copy_from_slice(&record))?),
                None if info.damaged.is_some() => lost_birth(region, &info),
                None => None,
            };
            found.extend(birth.map(|birth| (birth, info)));
        }
        Ok(found)
    }

    /// Who waits for a machine that nobody will hand out.
    fn orphans(
        &self,
        found: &[(Birth, StreamInfo)],
        machines: &[MachineResult],
    ) -> BTreeMap<RegionId, RegionId> {
        let found: Vec<Found<'_>> = found
            .iter()
            .zip(machines)
            .map(|((birth, info), machine)| Found {
                birth,
                info,
                checkpoint: self.known.get(&birth.region).map(|checkpoint| checkpoint.at),
                is_whole: self.why_broken(birth, info, machine).is_none(),
            })
            .collect();
        orphans(&found)
    }

    /// Why a replica cannot go on with what it has, if it cannot.
    fn why_broken(&self, birth: &Birth, info: &StreamInfo, machine: &MachineResult) -> Option<String> {
        if let Err(Fatal(why)) = machine {
            return Some(why.clone());
        }
        let applied = self.known.get(&birth.region).map(|checkpoint| checkpoint.at).unwrap_or_default();
        let is_vacant = matches!(machine, Ok(None));
        if info.base_index > applied.index.0 && !(is_vacant && info.base_index == birth.base().index.0) {
            return Some(format!(
                "its log begins after entry {} but its checkpoint ends at {}",
                info.base_index, applied.index
            ));
        }
        info.damaged.as_ref().map(damage_in_words)
    }

    /// The memberships that entries of its log bring.
    fn brought(&self, region: RegionId) -> Result<Vec<Brought>, OpenError> {
        let record = self.shared.wal.state(region.stream(), BROUGHT);
        Ok(record.map(brought::decode).transpose()?.unwrap_or_default())
    }

    /// The machine of each region, restored from its checkpoint; on all cores if there are many to be read.
    fn machines(&self, found: &[(Birth, StreamInfo)]) -> Result<Vec<MachineResult>, OpenError> {
        if self.known.len() < PARALLEL_MIN {
            return Ok(found.iter().map(|(birth, _)| self.machine(birth)).collect());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .build()
            .map_err(|error| OpenError::Thread(std::io::Error::other(error)))?;
        Ok(pool.install(|| found.par_iter().map(|(birth, _)| self.machine(birth)).collect()))
    }

    /// A replica, and where its log has to start over before it runs, if it has to.
    fn replica(
        &self,
        birth: Birth,
        info: &StreamInfo,
        machine: MachineResult,
        waiting: &Waiting,
    ) -> Result<(Replica, Option<LogPos>), OpenError> {
        let region = birth.region;
        if !birth.membership.witnesses.is_empty() {
            return Err(OpenError::Witnesses(region));
        }
        let checkpoint = self.known.get(&region);
        let applied = checkpoint.map(|checkpoint| checkpoint.at).unwrap_or_default();
        let mut start = Start { brought: self.brought(region)?, ..start_of(&birth, info, checkpoint)? };
        let (children, committed) = waiting.children.get(&region).cloned().unwrap_or_default();
        start.committed = committed;
        let why = self.why_broken(&birth, info, &machine).or_else(|| waiting.why_in_vain(region));
        let is_vacant = matches!(machine, Ok(None));
        // Machine first, then log: a snapshot was adopted and the log had not followed yet. What it holds is older, or is
        // another history that the snapshot replaced. Never in doubt: what is damaged is left as it is.
        let is_ahead = applied != LogPos::default() && !holds(info, applied);
        let restart = Some(applied).filter(|_| is_ahead && why.is_none());
        if let Some(base) = restart {
            start = Start { base, runs: Vec::new(), last: base.index, ..start };
        }
        let mut machine = machine.unwrap_or_else(|_| Some(Box::new(Absent)));
        let now = self.shared.clock.now();
        let raft = self.shared.raft(region, birth.replica, start, now);
        let genesis = checkpoint.map_or(birth.genesis, |checkpoint| checkpoint.genesis.clone());
        let description = machine.as_mut().and_then(|machine| machine.take_description());
        let size = machine.as_ref().map_or(0, |machine| machine.size());
        let apply = match machine {
            Some(machine) => self.pool.register(region, machine, applied),
            None => self.pool.register_vacant(region, self.shared.factory.clone()),
        };
        let mut replica = Replica::new(region, raft, apply, genesis);
        replica.condition = why.map_or(Condition::Running, Condition::Stopped);
        replica.is_vacant = is_vacant;
        if !replica.is_stopped() {
            replica.children = children; // one that has stopped hands out nothing any more
        }
        if let (Descent::Split { parent, .. }, None) = (birth.descent, checkpoint) {
            replica.awaited_by = Some(parent);
        }
        (replica.size, replica.description) = (size, description.unwrap_or_default());
        Ok((replica, restart))
    }

    fn machine(&self, birth: &Birth) -> MachineResult {
        let checkpoint = self.checkpoints.load(birth.region).map_err(|error| Fatal(error.to_string()))?;
        let known = self.known.get(&birth.region);
        let (Some(mut reader), Some(known)) = (checkpoint, known) else {
            return match birth.descent {
                Descent::Genesis => self.factory.create(birth.region, &birth.genesis).map(Some),
                Descent::Split { .. } | Descent::Message => Ok(None),
            };
        };
        let mut machine = self.factory.create(birth.region, &known.genesis)?;
        machine.restore(&mut reader)?;
        Ok(Some(machine))
    }
}

/// What a replica begins a life of its store with.
fn begin(worker: &mut Worker, slot: Slot, campaign: bool, now: Tick) {
    let replica = worker.replica(slot);
    if replica.is_stopped() {
        let is_nameless = replica.raft.membership().voters.is_empty();
        let mending = if is_nameless { Mending::Listens } else { Mending::Leaves };
        return worker.mend(slot, mending, now);
    }
    // Who is leaving goes on until what was split off it is durable.
    let (is_leaving, replica) = (worker.leave_if_departed(slot), worker.replica(slot));
    if !is_leaving && !replica.raft.membership().is_voter(replica.id()) {
        worker.mend(slot, Mending::Returns, now);
    }
    let replica = worker.replica(slot);
    // What is known to be committed is applied at once.
    let has_work = replica.raft.commit() > replica.raft.applied();
    if campaign && !replica.is_vacant {
        worker.step_raft(slot, now, Event::Campaign);
    } else {
        worker.arm_raft(slot);
    }
    if has_work {
        worker.make_ready(slot);
    }
}

/// A birth that the log no longer knows, of a replica that will be replaced.
fn lost_birth(region: RegionId, info: &StreamInfo) -> Option<Birth> {
    let (replica, _) = hard_state::decode(&info.hard_state).ok()?;
    let (membership, genesis) = (Membership::default(), Bytes::new());
    Some(Birth { region, replica: replica?, membership, genesis, descent: Descent::Message, campaign: false })
}

fn damage_in_words(damage: &Damage) -> String {
    let what = match damage.what {
        DamagedPart::Entries => "entries",
        DamagedPart::Anything => "entries, and perhaps its vote,",
    };
    format!("{what} of it are damaged in segment {} of the log, at {}", damage.segment, damage.at.0)
}

fn start_of(
    birth: &Birth,
    info: &StreamInfo,
    checkpoint: Option<&CheckpointInfo>,
) -> Result<Start, OpenError> {
    let membership = checkpoint.map_or(&birth.membership, |checkpoint| &checkpoint.membership).clone();
    let hard_state = match info.damaged {
        Some(_) if info.hard_state.is_empty() => HardState::default(), // it is lost, and does not count any more
        _ => hard_state::decode(&info.hard_state)?.1,
    };
    Ok(Start {
        hard_state,
        membership,
        brought: Vec::new(),
        base: LogPos { index: Index(info.base_index), term: Term(info.base_term) },
        runs: info.runs.iter().map(|&(first, term)| (Index(first), Term(term))).collect(),
        last: Index(info.last_index),
        applied: checkpoint.map(|checkpoint| checkpoint.at.index).unwrap_or_default(),
        committed: Index::default(),
        blank: birth.descent == Descent::Message && checkpoint.is_none(),
        // Before it acknowledged anything, its log was made to begin after what it was sent.
        unborn: info.damaged.is_none() && (info.base_index, info.last_index) == (0, 0),
        witness: false,
    })
}

//! Making replicas of what the log and the checkpoints hold.
//!
//! Each stream with a birth record becomes a replica: its machine is restored from its checkpoint, and its log goes on from
//! there. A machine that is ahead of its log, or of another history (a snapshot was adopted, then the lights went out),
//! restarts the log behind it. A replica whose log is damaged, or whose machine cannot be restored, is stopped and says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use skep_wal::{Batch, Damage, DamagedPart, StreamInfo};

use super::absent::Absent;
use super::birth::{BIRTH, Birth};
use super::error::OpenError;
use super::open::Hosted;
use super::replica::{Condition, Replica};
use super::worker::{Shared, Worker};
use crate::apply::ApplyPool;
use crate::ids::{Index, RegionId, ReplicaId, Term, Tick};
use crate::machine::{Fatal, MachineFactory, StateMachine};
use crate::raft::{Config, LogPos, Raft, Standing, Start};
use crate::snapshot::{CheckpointInfo, Checkpoints};
use crate::wire::hard_state;

/// With fewer checkpoints than this, threads of their own are not worth starting.
const PARALLEL_MIN: usize = 64;

type MachineResult = Result<Box<dyn StateMachine>, Fatal>;

/// What the replicas are made from.
pub(super) struct Opening<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) pool: &'a Arc<ApplyPool>,
    pub(super) factory: &'a dyn MachineFactory,
    pub(super) checkpoints: &'a Checkpoints,
    pub(super) known: BTreeMap<RegionId, CheckpointInfo>,
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
        for (at, ((birth, info), machine)) in found.into_iter().zip(machines).enumerate() {
            hosted.push(Hosted { region: birth.region, genesis: birth.genesis.clone() });
            let campaign = campaigners.contains(&birth.region);
            let (replica, restart) = self.replica(birth, &info, machine, now)?;
            if let Some(LogPos { index, term }) = restart {
                restarts.restart(replica.region.stream(), index.0, term.0);
            }
            workers[at % count].host(replica, campaign, now);
        }
        if !restarts.is_empty() {
            self.shared.wal.append(&mut restarts)?;
            self.shared.wal.sync()?;
        }
        Ok((workers, hosted))
    }

    /// The regions that the log holds. A stream without a birth record is only remembered.
    fn found(&self) -> Result<Vec<(Birth, StreamInfo)>, OpenError> {
        let wal = &self.shared.wal;
        let mut found = Vec::new();
        for stream in wal.streams() {
            let (Some(record), Some(info)) = (wal.state(stream, BIRTH), wal.stream(stream)) else { continue };
            found.push((Birth::decode(RegionId(stream.0), Bytes::copy_from_slice(&record))?, info));
        }
        Ok(found)
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
        now: Tick,
    ) -> Result<(Replica, Option<LogPos>), OpenError> {
        let region = birth.region;
        let checkpoint = self.known.get(&region);
        let applied = checkpoint.map(|checkpoint| checkpoint.at).unwrap_or_default();
        let mut start = start_of(&birth, info, checkpoint)?;
        let mut why = info.damaged.as_ref().map(damage_in_words);
        if start.base.index > applied.index {
            why = Some(format!(
                "its log begins after entry {} but its checkpoint ends at {}",
                start.base.index, applied.index
            ));
        }
        // Machine first, then log: a snapshot was adopted and the log had not followed yet. What it holds is older, or is
        // another history that the snapshot replaced. Never in doubt: what is damaged is left as it is.
        let is_ahead = applied != LogPos::default() && !holds(&start, applied);
        let restart = Some(applied).filter(|_| is_ahead && why.is_none());
        if let Some(base) = restart {
            start = Start { base, runs: Vec::new(), last: base.index, ..start };
        }
        let machine = machine.unwrap_or_else(|error| {
            why = Some(error.0);
            Box::new(Absent)
        });
        let condition = why.map_or(Condition::Running, Condition::Stopped);
        let raft = Raft::new(self.raft_config(region, birth.replica), start, now);
        let apply = self.pool.register(region, machine, applied);
        let replica = Replica {
            region,
            standing: Standing { term: raft.term(), ..Standing::default() },
            raft,
            condition,
            apply,
            genesis: birth.genesis,
            effects: None,
            is_ready: false,
            compact: None,
            armed: None,
            lane: None,
            is_lane_armed: false,
            leading: None,
            dispatched: applied.index,
            applied: applied.index,
            log_bytes: 0,
            snapshot_hold: None,
            is_checkpointing: false,
        };
        Ok((replica, restart))
    }

    fn machine(&self, birth: &Birth) -> MachineResult {
        let mut machine = self.factory.create(birth.region, &birth.genesis)?;
        let checkpoint = self.checkpoints.load(birth.region).map_err(|error| Fatal(error.to_string()))?;
        if let Some(mut reader) = checkpoint {
            machine.restore(&mut reader)?;
        }
        Ok(machine)
    }

    fn raft_config(&self, region: RegionId, id: ReplicaId) -> Config {
        let config = &self.shared.config;
        Config {
            id,
            election_ticks_min: config.election_ticks_min,
            election_ticks_max: config.election_ticks_max,
            heartbeat_ticks: config.heartbeat_ticks,
            inflight_messages_max: config.inflight_messages_max,
            entries_per_message_max: config.entries_per_message_max,
            // Another phase for every region, store and life.
            seed: config.seed
                ^ region.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ id.0.rotate_left(32)
                ^ config.life.0,
        }
    }
}

/// Whether a log contains the entry at `pos`, or was compacted through it.
fn holds(start: &Start, pos: LogPos) -> bool {
    let newest_run = start.runs.iter().rev().find(|(first, _)| *first <= pos.index);
    match newest_run {
        _ if pos.index <= start.base.index => pos == start.base,
        Some((_, term)) => pos.index <= start.last && *term == pos.term,
        None => false,
    }
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
    Ok(Start {
        hard_state: hard_state::decode(&info.hard_state)?,
        membership,
        base: LogPos { index: Index(info.base_index), term: Term(info.base_term) },
        runs: info.runs.iter().map(|&(first, term)| (Index(first), Term(term))).collect(),
        last: Index(info.last_index),
        applied: checkpoint.map(|checkpoint| checkpoint.at.index).unwrap_or_default(),
        blank: false,
    })
}

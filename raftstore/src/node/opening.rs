//! What a node finds in its log when it is opened.

use super::config::RaftConfig;
use super::error::Result;
use super::log::{RaftLog, term_runs};
use super::types::{EntryKind, LogEntry};
use crate::raft::{self, Brought, Index, LogPos, Membership, ReplicaId, Start, Term};

/// Entries read at a time, to find those that changed the membership.
const SCAN_ENTRIES: u64 = 1024;

/// What the core is started with.
pub(super) fn start_of(config: &RaftConfig, log: &impl RaftLog) -> Result<Start> {
    let hard = log.hard_state();
    let (at_snapshot, applied) = (log.snapshot_index(), log.snapshot_index().max(config.applied()));
    let (mut membership, mut brought) = (config.bootstrap(), Vec::new());
    if let Some(snapshot) = log.snapshot()? {
        membership = snapshot.config;
    }
    for later in memberships(log, at_snapshot)? {
        if later.at.index.0 <= applied {
            membership = later.membership;
        } else {
            brought.push(later);
        }
    }
    let base = log.base_index();
    Ok(Start {
        hard_state: raft::HardState { term: Term(hard.term), vote: hard.voted_for.map(ReplicaId) },
        membership,
        brought,
        base: LogPos { index: Index(base), term: Term(log.term_at(base).unwrap_or(0)) },
        runs: term_runs(log).into_iter().map(|(first, term)| (Index(first), Term(term))).collect(),
        last: Index(log.last_index()),
        applied: Index(applied),
        committed: Index(0),
        blank: false,
        unborn: false,
        witness: config.is_witness(),
    })
}

/// What entries above `after` bring, in order.
fn memberships(log: &impl RaftLog, after: u64) -> Result<Vec<Brought>> {
    let (mut from, last) = (after + 1, log.last_index());
    let mut found = Vec::new();
    while from <= last {
        let to = last.min(from + SCAN_ENTRIES - 1);
        found.extend(log.entries(from, to)?.into_iter().filter_map(brought_by));
        from = to + 1;
    }
    Ok(found)
}

fn brought_by(entry: LogEntry) -> Option<Brought> {
    if entry.kind() != EntryKind::Config {
        return None;
    }
    let raft::Entry { index, term, payload } = entry.into();
    let membership: Membership = payload.membership()?;
    Some(Brought { at: LogPos { index, term }, membership })
}

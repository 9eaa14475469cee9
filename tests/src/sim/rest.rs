//! What must be so in the end, when no fault has come for long enough: everything is answered, all replicas agree, nothing is half
//! done, and what clients were told has an explanation.

use std::collections::BTreeSet;

use skep_engine::RegionDescriptor;
use skep_raftstore::ids::RegionId;

use super::linear::Verdict;
use super::world::World;
use super::{Violation, invariants, linear, ordered};

/// After the faults everything must have been answered within so many ticks (40 s): elections, retries and the longest
/// wait of a snapshot included.
const HEAL_TICKS_MAX: u64 = 4000;

/// And all replicas must have come to the same state within so many more.
const REST_TICKS_MAX: u64 = 8000;

impl World {
    /// Everyone gets an answer to what is under way, and then to a read of every key through every store.
    pub(super) fn read_everything(&mut self) -> Result<(), Violation> {
        self.until_answered()?;
        let unknown = self.clients.unknown;
        for key in 0..self.clients.keys() {
            for client in 0..self.clients.count().min(self.nodes.len()) {
                let at = self.clients.store_of(client);
                if self.nodes[at].parts.is_some() {
                    self.clients.read(client, key, &self.nodes[at].front);
                }
            }
        }
        self.until_answered()?;
        if self.clients.unknown > unknown {
            return self.broken(format!("a read timed out after everything was healed\n{}", self.picture()));
        }
        Ok(())
    }

    fn until_answered(&mut self) -> Result<(), Violation> {
        let deadline = self.now + HEAL_TICKS_MAX;
        while !self.clients.is_idle() || self.nodes.iter().any(|node| node.parts.is_none()) {
            if self.now >= deadline {
                return self.broken(format!("not healed after {HEAL_TICKS_MAX} ticks\n{}", self.picture()));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// All replicas come to the same state, and their regions tile the key space.
    pub(super) fn agree(&mut self) -> Result<(), Violation> {
        let deadline = self.now + REST_TICKS_MAX;
        while let Some(why) = self.unrest() {
            if self.now >= deadline {
                return self
                    .broken(format!("no rest after {REST_TICKS_MAX} ticks, {why}\n{}", self.picture()));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// What is not as it must be in the end.
    fn unrest(&self) -> Option<String> {
        if self.settings.plan.moves {
            return self.unrest_of_moves();
        }
        let restless = self.regions().into_iter().find(|region| !self.is_at_rest(*region));
        let gap = || {
            let gap = |at| self.gap(at).map(|why| format!("{}: {why}", self.nodes[at].id));
            (0..self.nodes.len()).find_map(gap)
        };
        restless.map(|region| format!("{region} differs from store to store")).or_else(gap)
    }

    /// Every region that any store has.
    pub(super) fn regions(&self) -> BTreeSet<RegionId> {
        let all =
            self.nodes.iter().filter_map(|node| node.parts.as_ref()).flat_map(|parts| parts.region_status());
        all.map(|status| status.region).collect()
    }

    /// Where the regions of a store, by what their machines say, do not tile the key space.
    fn gap(&self, at: usize) -> Option<String> {
        let status = self.nodes[at].parts.as_ref()?.region_status();
        let described = status.iter().map(|status| RegionDescriptor::decode(&status.description));
        match described.collect::<Result<Vec<_>, _>>() {
            Ok(regions) => invariants::gap(regions.iter().collect()),
            Err(error) => Some(format!("a description is {error}")),
        }
    }

    fn is_at_rest(&self, region: RegionId) -> bool {
        let ledger = self.ledger.lock();
        let mut states = self.nodes.iter().map(|node| ledger.state(node.id, region));
        let Some(first) = states.next() else { return true };
        first.is_some() && states.all(|state| state == first)
    }

    /// Every answer that any client got can be explained.
    pub(super) fn explain(&mut self) -> Result<(), Violation> {
        for (key, history) in self.clients.histories() {
            let name = self.clients.key(key).clone();
            if key % 3 == 2
                && let Some(why) = ordered::check(&history)
            {
                return self.broken(format!("{name:?}: {why}"));
            }
            match linear::check(&history) {
                Verdict::Linearizable => {}
                Verdict::TooHard => self.too_hard += 1,
                Verdict::Impossible(at) => {
                    return self.broken(format!("{name:?} is not linearizable:\n{}", told(&history, at)));
                }
            }
        }
        Ok(())
    }

    /// Every replica as it is, for whoever looks for the cause.
    fn picture(&self) -> String {
        let mut lines = Vec::new();
        for node in &self.nodes {
            let Some(parts) = &node.parts else {
                lines.push(format!("{} is down", node.id));
                continue;
            };
            for s in parts.region_status() {
                let state = self.ledger.lock().state(node.id, s.region).map(|(at, _)| at.index.0);
                lines.push(format!(
                    "{} {} {}: {:?} term {} leader {:?} first {} last {} commit {} applied {} machine {state:?} {:?}",
                    node.id,
                    s.region,
                    s.replica,
                    s.role,
                    s.term.0,
                    s.leader,
                    s.first.0,
                    s.last.0,
                    s.commit.0,
                    s.applied.0,
                    (&s.membership, &s.stopped)
                ));
            }
        }
        lines.join("\n")
    }
}

/// The last part of a history up to the operation that cannot be explained.
fn told(history: &[linear::Operation], at: usize) -> String {
    let until = history[at].returned.as_ref().map_or(u64::MAX, |(when, _)| *when);
    let before: Vec<&linear::Operation> = history.iter().filter(|op| op.called <= until).collect();
    let lines = before.iter().skip(before.len().saturating_sub(25)).map(|op| {
        let returned = op.returned.as_ref().map(|(when, answer)| format!("{when} {answer:?}"));
        let returned = returned.unwrap_or_else(|| "unknown".into());
        format!("  client {} called {} {:?} -> {returned}", op.client, op.called, op.command)
    });
    lines.collect::<Vec<_>>().join("\n")
}

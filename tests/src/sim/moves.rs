//! Replicas on the move: who is to have a replica of what, asked for again and again until it is so. And stores that lose
//! everything: a new one comes in their place and is given what they had.
//!
//! Four stores share replicas of which each region has three, so that one store always has none of it. At most one store
//! is missing at a time: two lost disks of three are more than replication can bear.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_engine::RegionDescriptor;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::message::RequestKind;
use skep_raftstore::raft::Membership;
use skep_raftstore::store::{Move, Moved, RegionStatus, Request, Watcher};

use super::world::{REPLICAS, World};

/// Whoever asks for a step asks again after so long, in ticks.
const ASK_AGAIN_TICKS: u64 = 25;
/// What is known of regions is passed on every so many ticks.
const GOSSIP_TICKS: u64 = 20;
/// No store is lost so soon after another, in ticks: what was under way when it was has been seen by then.
const BETWEEN_LOSSES_TICKS: u64 = 600;
/// New stores are named from here on.
const FIRST_NEW_NAME: u32 = 100;

type Answers = Arc<Mutex<Vec<(u64, Moved)>>>;

/// See the page of this file.
#[derive(Default)]
pub(super) struct Moves {
    wanted: Vec<Wanted>,
    answers: Answers,
    /// Each region as anybody was last seen to know it.
    known: BTreeMap<RegionId, Known>,
    /// Stores that lost everything, and the machine that runs another store since.
    lost: Vec<(StoreId, usize)>,
    lost_at: u64,
    number: u64,
    /// Moves that were brought to their end.
    pub(super) done: u64,
}

struct Known {
    membership: Membership,
    version: u64,
    /// The end of the log of whoever was seen: the membership may stand there, and not be committed.
    last: u64,
    description: Bytes,
}

struct Wanted {
    number: u64,
    region: RegionId,
    step: Move,
    ask_at: u64,
}

impl Moves {
    pub(super) fn new(regions: &[RegionDescriptor]) -> Moves {
        let known = |region: &RegionDescriptor| {
            let (membership, description) = (region.membership.clone(), region.encode().into());
            (region.id, Known { membership, version: 0, last: 0, description })
        };
        Moves { known: regions.iter().map(known).collect(), ..Moves::default() }
    }

    /// Takes in what a store says of its replicas.
    pub(super) fn saw<'a>(&mut self, statuses: impl Iterator<Item = &'a RegionStatus>) {
        for status in statuses.filter(|status| !status.membership.is_joint()) {
            let (version, last) = (status.applied.0, status.last.0);
            let is_news = self.known.get(&status.region).is_none_or(|known| {
                let number = status.membership.number;
                let was_overwritten = number < known.membership.number && known.last <= status.commit.0;
                was_overwritten || (known.membership.number, known.version) < (number, version)
            });
            if is_news && !status.membership.voters.is_empty() && !status.description.is_empty() {
                let (membership, description) = (status.membership.clone(), status.description.clone());
                self.known.insert(status.region, Known { membership, version, last, description });
            }
        }
    }

    /// How many stores were lost.
    pub(super) fn losses(&self) -> u64 {
        self.lost.len() as u64
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a region has not the votes to lose one.
    fn has_few_voters(&self) -> bool {
        self.known.values().any(|known| known.membership.voters.len() < REPLICAS)
    }

    /// Everything that is wanted and not so, in words.
    pub(super) fn told(&self) -> String {
        self.wanted.iter().map(|wanted| format!("wanted: {} {:?}\n", wanted.region, wanted.step)).collect()
    }

    fn want(&mut self, region: RegionId, from: StoreId, to: Option<StoreId>) {
        self.number += 1;
        let step = Move { from: Some(from), to };
        self.wanted.push(Wanted { number: self.number, region, step, ask_at: 0 });
    }

    /// Replicas on stores that are lost are wanted on those that came in their place.
    fn want_replacements(&mut self, stores: &[StoreId]) {
        let mut lacking = Vec::new();
        for (region, known) in &self.known {
            let is_wanted = self.wanted.iter().any(|wanted| wanted.region == *region);
            let on = |store: StoreId| known.membership.all().iter().any(|replica| replica.store() == store);
            if let Some((store, at)) = self.lost.iter().find(|(store, _)| on(*store))
                && !is_wanted
            {
                lacking.push((*region, *store, Some(stores[*at])));
            }
        }
        lacking.into_iter().for_each(|(region, from, to)| self.want(region, from, to));
    }

    /// A request for a step may arrive when the move was brought to its end long ago, and undone: then it begins another one,
    /// which nobody goes on with. Its learner is not wanted.
    fn want_no_strays(&mut self) {
        let mut strays = Vec::new();
        for (region, known) in &self.known {
            let is_wanted = self.wanted.iter().any(|wanted| wanted.region == *region);
            let learner = known.membership.learners.first().filter(|_| !is_wanted);
            strays.extend(learner.map(|learner| (*region, learner.store())));
        }
        strays.into_iter().for_each(|(region, store)| self.want(region, store, None));
    }
}

impl World {
    /// A region's replica is wanted on a store that has none.
    pub(super) fn move_replica(&mut self) {
        let regions: Vec<RegionId> = self.moves.known.keys().copied().collect();
        if regions.is_empty() {
            return;
        }
        let region = self.chance.pick(&regions);
        let members: Vec<StoreId> =
            self.moves.known[&region].membership.all().iter().map(|replica| replica.store()).collect();
        let others: Vec<StoreId> =
            self.nodes.iter().map(|node| node.id).filter(|id| !members.contains(id)).collect();
        if !others.is_empty() && !self.moves.wanted.iter().any(|wanted| wanted.region == region) {
            let (from, to) = (self.chance.pick(&members), self.chance.pick(&others));
            self.moves.want(region, from, Some(to));
        }
    }

    /// A store loses everything it had, and a new one begins in its place, if no other is missing.
    pub(super) fn lose_store(&mut self, at: usize) {
        let is_late = self.now >= self.moves.lost_at + BETWEEN_LOSSES_TICKS;
        if !is_late || !self.may_lose_one() {
            return;
        }
        if self.nodes[at].parts.is_some() {
            self.take_down(at);
        }
        let lost = self.nodes[at].id;
        self.note(&format!("{lost} is lost"));
        self.ledger.lock().invariants.lost(lost);
        self.moves.lost.push((lost, at));
        self.moves.lost_at = self.now;
        let name = StoreId(FIRST_NEW_NAME + self.moves.lost.len() as u32);
        let seed = self.chance.bits();
        self.nodes[at].begin_anew(name, seed);
    }

    /// Whether what one store has may be lost or damaged: it must be a minority of every region, by what its leader knows (who leads
    /// may be the one), and the others must have all there is.
    pub(super) fn may_lose_one(&self) -> bool {
        let is_all_whole = (0..self.nodes.len()).all(|node| self.is_whole(node));
        self.moves.is_at_rest() && is_all_whole && !self.moves.has_few_voters()
    }

    /// Whether a store has a replica with a vote of every region that counts it as a member, and nothing about them is half
    /// done. A region that was split off during a change of members begins in the middle of that change: until it is
    /// through, its new members may be all that it has.
    pub(super) fn is_whole(&self, at: usize) -> bool {
        let (id, Some(parts)) = (self.nodes[at].id, &self.nodes[at].parts) else { return false };
        let statuses = parts.region_status();
        let is_member = |known: &Known| known.membership.all().iter().any(|replica| replica.store() == id);
        let mut counted = self.moves.known.iter().filter(|(_, known)| is_member(known));
        let hosts = |region: &RegionId| statuses.iter().any(|status| status.region == *region);
        counted.all(|(region, _)| hosts(region))
            && statuses.iter().all(|status| {
                let membership = &status.membership;
                let has_a_vote = membership.voters.contains(&status.replica);
                status.stopped.is_none() && has_a_vote && !membership.is_joint()
            })
    }

    /// Asks for what is wanted, and passes on what is known.
    pub(super) fn move_on(&mut self) {
        for (number, moved) in std::mem::take(&mut *self.moves.answers.lock()) {
            if moved != Moved::UnderWay {
                let before = self.moves.wanted.len();
                self.moves.wanted.retain(|wanted| wanted.number != number);
                self.moves.done += (before - self.moves.wanted.len()) as u64;
            }
        }
        let stores: Vec<StoreId> = self.nodes.iter().map(|node| node.id).collect();
        self.moves.want_replacements(&stores);
        if self.is_healed && self.nodes.iter().all(|node| node.parts.is_some()) {
            self.moves.want_no_strays();
        }
        for at in 0..self.moves.wanted.len() {
            if self.moves.wanted[at].ask_at <= self.now {
                self.ask_for_step(at);
            }
        }
        if self.now.is_multiple_of(GOSSIP_TICKS) {
            self.gossip();
        }
    }

    fn ask_for_step(&mut self, at: usize) {
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        let wanted = &mut self.moves.wanted[at];
        wanted.ask_at = self.now + ASK_AGAIN_TICKS;
        let (number, answers) = (wanted.number, self.moves.answers.clone());
        let reply = Box::new(move |result: Result<Bytes, _>| {
            if let Some(moved) = result.ok().and_then(|answer| Moved::decode(&answer)) {
                answers.lock().push((number, moved));
            }
        });
        let request = Request { kind: RequestKind::Move, body: wanted.step.encode(), timeout: None, reply };
        if let Some(parts) = &self.nodes[node].parts {
            parts.submit(wanted.region, request);
        }
    }

    /// Every store hears which regions there are, and where those are that it does not host.
    fn gossip(&self) {
        (0..self.nodes.len()).for_each(|at| self.tell_regions(at));
    }

    /// One store hears it.
    pub(super) fn tell_regions(&self, at: usize) {
        let node = &self.nodes[at];
        let Some(parts) = &node.parts else { return };
        for (region, known) in &self.moves.known {
            parts.learn(*region, known.membership.clone());
            node.front.region_is(*region, &known.description);
        }
    }

    /// What is not as it must be in the end.
    pub(super) fn unrest_of_moves(&self) -> Option<String> {
        if !self.moves.is_at_rest() {
            return Some(self.moves.told());
        }
        let restless = self.moves.known.keys().find(|region| !self.is_settled(**region));
        restless.map(|region| format!("the members of {region} differ, or are not settled"))
    }

    /// Whether all members of a region are at the same place, and nothing about them is half done.
    fn is_settled(&self, region: RegionId) -> bool {
        let statuses = self.nodes.iter().filter_map(|node| {
            let parts = node.parts.as_ref()?;
            let status = parts.region_status().into_iter().find(|status| status.region == region)?;
            Some((node.id, status))
        });
        let statuses: BTreeMap<StoreId, RegionStatus> = statuses.collect();
        let Some(leader) = statuses.values().find(|status| status.leader == Some(status.replica)) else {
            return false;
        };
        let membership = &leader.membership;
        let ledger = self.ledger.lock();
        let state = |store: StoreId| ledger.state(store, region);
        !membership.is_joint()
            && membership.learners.is_empty()
            && membership.voters.iter().all(|voter| {
                let store = voter.store();
                statuses.get(&store).is_some_and(|status| status.replica == *voter)
                    && state(store).is_some()
                    && state(store) == state(leader.replica.store())
            })
    }
}

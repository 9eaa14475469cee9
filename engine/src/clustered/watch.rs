//! Where the other stores are: asked at every listed address whose store is not connected.
//!
//! An address is not an identity. A store that comes back at its old address is found by the transport, which dials on; one
//! that comes back elsewhere, or is new at an address, is found here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_raftstore::codec::{Introduction, Stage};
use skep_raftstore::transport::tcp::{PeerState, TcpTransport};

use super::founding::Founding;
use super::judge::{self, Heard};
use super::succession::{self, Scene, Succession};
use super::{Phase, Shared, others, round, status};

/// How long between two rounds while somebody is missing.
const MISSING_PAUSE: Duration = Duration::from_millis(200);
/// How long while everybody is here.
const QUIET_PAUSE: Duration = Duration::from_secs(1);

/// How long one round of replacing a store takes at most: in between, the others are looked after.
const REPLACE_AT_A_TIME: Duration = Duration::from_secs(2);

/// The watch of a store that is open.
pub(super) struct Watch {
    shared: Arc<Shared>,
    own: Introduction,
    founding: Option<Founding>,
    transport: Arc<TcpTransport>,
    /// What each address is now, as far as it was met.
    met: BTreeMap<String, SocketAddr>,
    succession: Succession,
}

impl Watch {
    pub(super) fn new(
        shared: Arc<Shared>,
        own: Introduction,
        founding: Option<Founding>,
        transport: Arc<TcpTransport>,
    ) -> Watch {
        Watch { shared, own, founding, transport, met: BTreeMap::new(), succession: Succession::default() }
    }

    /// The body of the store's thread.
    pub(super) fn run(mut self) {
        while !self.shared.is_stopping() {
            let is_complete = self.look();
            self.settle();
            self.replace_lost();
            self.shared.pause(if is_complete { QUIET_PAUSE } else { MISSING_PAUSE });
        }
    }

    /// Gives the place of a store that is gone for good to the one that came in its stead. Whoever leads a region does it for
    /// that region; that several stores ask does no harm.
    fn replace_lost(&mut self) {
        let Some(engine) = self.shared.engine.get() else { return };
        let (regions, peers) = (engine.region_status(), self.transport.peer_states());
        let (mut replicas, mut votes) = (BTreeMap::new(), BTreeMap::new());
        for region in &regions {
            for store in status::members(std::slice::from_ref(region)) {
                *replicas.entry(store).or_insert(0) += 1;
            }
            for voter in &region.membership.voters {
                *votes.entry(voter.store()).or_insert(0) += 1;
            }
        }
        let own = engine.store_id();
        let listed = others(&self.shared.config).len();
        let scene =
            Scene { own, replicas: &replicas, votes: &votes, regions: regions.len(), peers: &peers, listed };
        for lost in succession::forgotten(&scene) {
            self.transport.remove_peer(lost);
        }
        let patience = self.shared.config.replace_after;
        let Some((lost, new)) = self.succession.next(&scene, Instant::now(), patience) else { return };
        self.shared.tell(format!("store {lost} is gone and {new} has its address: {new} takes its place"));
        let progress = engine.replace_store(lost, new, REPLACE_AT_A_TIME);
        if progress.left.is_empty() {
            self.shared.tell(format!("store {new} has taken the place of {lost}"));
        }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// A store that has joined is open when it has a replica of every region.
    pub(super) fn settle(&self) {
        let Some(engine) = self.shared.engine.get() else { return };
        let (own, all) = (engine.region_status().len(), engine.regions().len());
        self.shared.set_phase(if own >= all || self.own.stage() == Some(Stage::Member) {
            Phase::Open
        } else {
            Phase::Joining(format!("this store is new to the cluster and has {own} of {all} regions so far"))
        });
    }

    /// Asks at the addresses whose store is not connected. Whether there was none.
    pub(super) fn look(&mut self) -> bool {
        let mut asked = others(&self.shared.config);
        for asker in self.transport.heard() {
            // It may be right about where it is; whoever is there says who they are.
            if asker.speaker.identity().cluster == self.own.speaker.identity().cluster
                && asker.address != self.own.address
            {
                asked.push(asker.address);
            }
        }
        let peers = self.transport.peer_states();
        asked.retain(|address| !self.is_connected(address, &peers));
        asked.sort_unstable();
        asked.dedup();
        let heard = round::ask_all(&self.own, &asked);
        self.meet(&heard);
        asked.is_empty()
    }

    fn is_connected(&self, address: &str, peers: &[PeerState]) -> bool {
        self.met.get(address).is_some_and(|at| peers.iter().any(|peer| peer.addr == *at && peer.up))
    }

    /// Takes note of who is where.
    pub(super) fn meet(&mut self, heard: &[Heard]) {
        for Heard { address, says } in heard {
            let Ok(other) = says else { continue };
            match self.stranger(address, other) {
                None => self.greet(address, other),
                Some(why) => self.shared.tell(why),
            }
        }
    }

    fn greet(&mut self, address: &str, other: &Introduction) {
        let who = other.speaker.identity();
        if judge::is_outside(other) {
            return;
        }
        if let Ok(at) = round::resolve(address) {
            self.transport.set_peer(who.store, Some(who.uuid), at);
            self.met.insert(address.to_owned(), at);
        }
        if other.listed != self.own.listed {
            self.shared
                .tell(format!("{address} was given another list of stores: give every store the same list"));
        }
    }

    /// Why whoever is at an address is none of ours, if that is so.
    fn stranger(&self, address: &str, other: &Introduction) -> Option<String> {
        let (us, them) = (self.own.speaker.identity(), other.speaker.identity());
        if !judge::is_outside(other) && us.cluster != them.cluster {
            return Some(format!(
                "{address} belongs to cluster {}, not to {}: correct the list",
                them.cluster, us.cluster
            ));
        }
        let peers = self.transport.peer_states();
        let known = peers.iter().filter_map(|peer| Some((peer.store, peer.uuid?)));
        let founders = self.founding.iter().flat_map(|founding| founding.founders().iter().copied());
        let all = known.chain(founders).chain([(us.store, us.uuid)]);
        let mut same_id = all.filter(|(store, _)| *store == them.store);
        let is_other = |(_, uuid): (_, [u8; 16])| uuid != them.uuid;
        (them.store == us.store || same_id.any(is_other)).then(|| {
            format!("{address} is another store with the id {}, which is taken: remove its directory, so that it gets a new one", them.store)
        })
    }
}

//! A store whose directory was lost, and the new one at its address: who takes whose place, decided without a socket.
//!
//! A store is gone for good if it was away for long while all is known about where it could be: its address has another
//! store, or every listed address has one. Being away alone is no reason: it may come back with all it has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use skep_raftstore::ids::StoreId;
use skep_raftstore::transport::tcp::PeerState;

/// What is known about all of a cluster's stores at one moment.
pub(super) struct Scene<'a> {
    /// This store.
    pub(super) own: StoreId,
    /// How many regions each store has a replica of, as far as this store knows; those with none are not in it.
    pub(super) replicas: &'a BTreeMap<StoreId, usize>,
    /// How many regions each store has a vote in, after a change that is under way. A learner only is on its way.
    pub(super) votes: &'a BTreeMap<StoreId, usize>,
    /// How many regions there are.
    pub(super) regions: usize,
    /// The other stores that were met.
    pub(super) peers: &'a [PeerState],
    /// How many other addresses are listed.
    pub(super) listed: usize,
}

/// Since when stores have been away.
#[derive(Default)]
pub(super) struct Succession {
    away_since: BTreeMap<StoreId, Instant>,
}

impl Succession {
    /// Who has lost its place to whom, if somebody has been away for at least `patience`.
    pub(super) fn next(
        &mut self,
        scene: &Scene<'_>,
        now: Instant,
        patience: Duration,
    ) -> Option<(StoreId, StoreId)> {
        let here: Vec<&PeerState> = scene.peers.iter().filter(|peer| peer.up).collect();
        let is_here = |store: StoreId| store == scene.own || here.iter().any(|peer| peer.store == store);
        let away: BTreeSet<StoreId> =
            scene.replicas.keys().copied().filter(|store| !is_here(*store)).collect();
        self.away_since.retain(|store, _| away.contains(store));
        for store in &away {
            self.away_since.entry(*store).or_insert(now);
        }
        let is_everywhere =
            here.iter().map(|peer| peer.addr).collect::<BTreeSet<SocketAddr>>().len() >= scene.listed;
        let lost = away.into_iter().filter(|store| now.duration_since(self.away_since[store]) >= patience);
        lost.into_iter().find_map(|lost| {
            let place = scene.peers.iter().find(|peer| peer.store == lost).map(|peer| peer.addr);
            let has_room = |peer: &&&PeerState| {
                let has = scene.votes.get(&peer.store).copied().unwrap_or(0);
                has < scene.regions && (place == Some(peer.addr) || is_everywhere)
            };
            here.iter().find(has_room).map(|new| (lost, new.store))
        })
    }
}

/// Stores that need not be known any more: they are away, have no replica, and somebody else is at their address. (One of
/// them that comes back all the same says who and where it is.)
pub(super) fn forgotten(scene: &Scene<'_>) -> Vec<StoreId> {
    let has_heir = |lost: &PeerState| scene.peers.iter().any(|other| other.up && other.addr == lost.addr);
    let lost = scene.peers.iter().filter(|peer| !peer.up && !scene.replicas.contains_key(&peer.store));
    lost.filter(|peer| has_heir(peer)).map(|peer| peer.store).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn peer(store: u32, port: u16, up: bool) -> PeerState {
        PeerState {
            store: StoreId(store),
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            uuid: None,
            life: None,
            up,
            queued_bytes: 0,
            refusal: None,
        }
    }

    fn next(
        succession: &mut Succession,
        peers: &[PeerState],
        replicas: &[(u32, usize)],
        now: Instant,
    ) -> Option<(u32, u32)> {
        next_with_votes(succession, peers, (replicas, replicas), now)
    }

    /// How many regions each store has.
    type Counts<'a> = &'a [(u32, usize)];

    fn next_with_votes(
        succession: &mut Succession,
        peers: &[PeerState],
        (replicas, votes): (Counts<'_>, Counts<'_>),
        now: Instant,
    ) -> Option<(u32, u32)> {
        let named =
            |counts: &[(u32, usize)]| counts.iter().map(|(id, count)| (StoreId(*id), *count)).collect();
        let (replicas, votes) = (named(replicas), named(votes));
        let scene =
            Scene { own: StoreId(1), replicas: &replicas, votes: &votes, regions: 4, peers, listed: 2 };
        succession.next(&scene, now, PATIENCE).map(|(lost, new)| (lost.0, new.0))
    }

    const ALL: [(u32, usize); 3] = [(1, 4), (2, 4), (3, 4)];

    #[test]
    fn a_store_that_is_away_keeps_its_place_while_nobody_is_at_its_address() {
        let (mut succession, begun) = (Succession::default(), Instant::now());
        let peers = [peer(2, 12, true), peer(3, 13, false)];
        for seconds in [0, 30, 3_000] {
            assert_eq!(next(&mut succession, &peers, &ALL, begun + Duration::from_secs(seconds)), None);
        }
    }

    #[test]
    fn whoever_is_at_its_address_follows_after_a_while_and_until_all_is_moved() {
        let (mut succession, begun) = (Succession::default(), Instant::now());
        let peers = [peer(2, 12, true), peer(3, 13, false), peer(9, 13, true)];
        assert_eq!(next(&mut succession, &peers, &ALL, begun), None);
        assert_eq!(next(&mut succession, &peers, &ALL, begun + PATIENCE), Some((3, 9)));
        let half = [(1, 4), (2, 4), (3, 2), (9, 3)];
        assert_eq!(next(&mut succession, &peers, &half, begun + PATIENCE), Some((3, 9)));
        // The new one is everywhere, in one region only as a learner.
        let (all_over, late) = ([(1, 4), (2, 4), (3, 1), (9, 4)], [(1, 4), (2, 4), (3, 1), (9, 3)]);
        let goes_on = next_with_votes(&mut succession, &peers, (&all_over, &late), begun + PATIENCE);
        assert_eq!(goes_on, Some((3, 9)));
        let done = [(1, 4), (2, 4), (9, 4)];
        assert_eq!(next(&mut succession, &peers, &done, begun + PATIENCE), None);
    }

    /// After a restart nobody has met the lost store: all addresses have somebody, and it is none of them.
    #[test]
    fn one_that_was_never_met_is_gone_when_every_address_has_somebody_else() {
        let (mut succession, begun) = (Succession::default(), Instant::now());
        let (some, all) = ([peer(9, 13, true)], [peer(2, 12, true), peer(9, 13, true)]);
        assert_eq!(next(&mut succession, &some, &ALL, begun), None);
        assert_eq!(
            next(&mut succession, &some, &ALL, begun + PATIENCE),
            None,
            "it may be at the other address"
        );
        assert_eq!(next(&mut succession, &all, &ALL, begun + PATIENCE), Some((3, 9)));
    }

    /// Whoever moved its replicas, and whether this store saw that or not.
    #[test]
    fn one_without_a_replica_is_forgotten_when_another_is_at_its_address() {
        let forgets = |peers: &[PeerState], replicas: &[(u32, usize)]| {
            let replicas = replicas.iter().map(|(id, count)| (StoreId(*id), *count)).collect();
            let scene = Scene {
                own: StoreId(1),
                replicas: &replicas,
                votes: &replicas,
                regions: 4,
                peers,
                listed: 2,
            };
            forgotten(&scene)
        };
        let moved = [(1, 4), (2, 4), (9, 4)];
        let peers = [peer(2, 12, true), peer(3, 13, false), peer(9, 13, true)];
        assert_eq!(forgets(&peers, &moved), [StoreId(3)]);
        assert_eq!(forgets(&peers, &[(1, 4), (2, 4), (3, 1), (9, 4)]), [], "not while it has a replica");
        assert_eq!(forgets(&[peer(3, 13, false), peer(9, 13, false)], &moved), [], "nobody is there yet");
        assert_eq!(forgets(&[peer(3, 13, true), peer(9, 14, true)], &[(1, 4)]), [], "it joins");
    }

    #[test]
    fn one_that_comes_back_in_time_keeps_its_place() {
        let (mut succession, begun) = (Succession::default(), Instant::now());
        let away = [peer(2, 12, true), peer(3, 13, false), peer(9, 13, true)];
        let back = [peer(2, 12, true), peer(3, 14, true), peer(9, 13, true)];
        assert_eq!(next(&mut succession, &away, &ALL, begun), None);
        assert_eq!(next(&mut succession, &back, &ALL, begun + PATIENCE), None);
        assert_eq!(next(&mut succession, &away, &ALL, begun + PATIENCE), None, "it counts anew");
    }
}

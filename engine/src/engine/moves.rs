//! Moves replicas between stores: one region at a time for a few regions at once, each asked for until it is so.
//!
//! Nothing is remembered anywhere. Whoever asks again, from any store and however far an earlier one came, goes on from what
//! is so.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Move, Moved};

use super::Engine;
use crate::Error;
use crate::ticket::{Ticket, promise};

/// So many regions move at the same time. Each may mean a snapshot: more of them would take the disk and the network from
/// those who are served.
const REGIONS_AT_A_TIME: usize = 4;

/// A region that is on its way is asked about again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How far moving all regions has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Regions that are as was wanted.
    pub done: usize,
    /// Regions that are not, yet.
    pub left: Vec<RegionId>,
}

impl Engine {
    /// Asks whoever leads `region` to take the next step of a move. Answered at once with how far it has come: ask again until
    /// it is [`Moved::Done`]. Asking twice does no harm.
    pub fn step_move(&self, region: RegionId, wanted: Move) -> Ticket<Moved> {
        let (promise, ticket) = promise();
        let request = (RequestKind::Move, wanted.encode());
        self.inner.ask(region, request, self.inner.request_timeout, move |result| {
            let moved = result.and_then(|answer| {
                Moved::decode(&answer)
                    .ok_or_else(|| Error::Internal("a move was answered as a command".into()))
            });
            promise.keep(moved);
        });
        ticket
    }

    /// Gives every region that has a replica on `lost` one on `new` instead. Blocks for `limit` at most; what is left then goes
    /// on when it is called again, here or on another store. The new store must be known to the others, and empty or on
    /// its way.
    pub fn replace_store(&self, lost: StoreId, new: StoreId, limit: Duration) -> Progress {
        self.move_all(Move { from: Some(lost), to: Some(new) }, limit)
    }

    /// Gives every region a replica on `store`, besides those that it has. Blocks for `limit` at most, as above.
    pub fn add_store(&self, store: StoreId, limit: Duration) -> Progress {
        self.move_all(Move { from: None, to: Some(store) }, limit)
    }

    /// Takes every region's replica off `store`, which goes on serving. Blocks for `limit` at most, as above. A region that has
    /// none elsewhere keeps it, and is left.
    pub fn remove_store(&self, store: StoreId, limit: Duration) -> Progress {
        self.move_all(Move { from: Some(store), to: None }, limit)
    }

    /// A region that is split meanwhile is found by the next call: its pieces are moved then.
    fn move_all(&self, wanted: Move, limit: Duration) -> Progress {
        let deadline = Instant::now() + limit;
        let mut waiting: VecDeque<RegionId> = self
            .regions()
            .iter()
            .filter(|region| is_concerned(region, wanted))
            .map(|region| region.id)
            .collect();
        let (mut moving, mut done) = (Vec::new(), 0);
        loop {
            while moving.len() < REGIONS_AT_A_TIME
                && let Some(next) = waiting.pop_front()
            {
                moving.push(next);
            }
            let is_over = moving.is_empty() || Instant::now() >= deadline || self.failed().is_some();
            if is_over {
                moving.extend(waiting);
                return Progress { done, left: moving };
            }
            let before = moving.len();
            let asked: Vec<_> = moving.iter().map(|region| self.step_move(*region, wanted)).collect();
            let is_left = asked.into_iter().map(|ticket| !matches!(ticket.wait(), Ok(Moved::Done)));
            let is_left: Vec<bool> = is_left.collect();
            let mut is_left = is_left.into_iter();
            moving.retain(|_| is_left.next().unwrap_or(true));
            done += before - moving.len();
            if moving.len() == before {
                std::thread::sleep(ASK_AGAIN);
            }
        }
    }
}

/// Whether a move may change anything for a region, as far as this store knows. If it need not, its leader says so.
fn is_concerned(region: &crate::descriptor::RegionDescriptor, wanted: Move) -> bool {
    let has = |store: Option<StoreId>| {
        region.membership.all().into_iter().any(|replica| Some(replica.store()) == store)
    };
    match (wanted.from, wanted.to) {
        // A region that never was on the lost store is none of its business, one on both is half moved.
        (Some(_), _) => has(wanted.from) || has(wanted.to),
        (None, to) => to.is_some(),
    }
}

//! What can be asked about regions themselves: which there are, where they are led, and to split one or to lead it elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use skep_raftstore::ids::{RegionId, StoreId};
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{RegionStatus, Request};

use super::{Engine, Inner};
use crate::Error;
use crate::change_bytes::{self, Split};
use crate::descriptor::RegionDescriptor;
use crate::limits::{SPLIT_KEY_BYTES_MAX, SPLIT_PIECES_MAX};
use crate::reply_bytes::{self, Reply};
use crate::router::route;
use crate::ticket::{Promise, Ticket, promise};

/// How often a split is asked for again because the region has changed meanwhile.
const HOPS_MAX: u32 = 16;

/// A region, as the replica of one store sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionInfo {
    /// Its name, range, epoch and replicas.
    pub descriptor: RegionDescriptor,
    /// The store that leads it, if that is known here.
    pub leader: Option<StoreId>,
    /// Bytes of its keys and values, approximately.
    pub size: u64,
    /// How the replica on this store fares.
    pub replica: RegionStatus,
}

/// A split that is asked for.
struct Asked {
    key: Bytes,
    began: Instant,
    hops: u32,
    promise: Promise<Vec<RegionDescriptor>>,
}

impl Engine {
    /// The regions that have a replica on this store, in the order of their keys. Waits for its workers, a second at most.
    pub fn region_infos(&self) -> Vec<RegionInfo> {
        let info = |replica: RegionStatus| {
            // Empty as long as it waits for its machine.
            let descriptor = RegionDescriptor::decode(&replica.description).ok()?;
            let leader = replica.leader.map(|leader| leader.store());
            Some(RegionInfo { descriptor, leader, size: replica.size, replica })
        };
        let mut infos: Vec<RegionInfo> = self.region_status().into_iter().filter_map(info).collect();
        infos.sort_by(|a, b| a.descriptor.start.cmp(&b.descriptor.start));
        infos
    }

    /// Splits the region of `key`, so that `key` becomes the first key of a new one; whichever store leads it. The answer
    /// is what came of the region; of one that starts with `key` already, itself.
    pub fn split(&self, key: impl Into<Bytes>) -> Ticket<Vec<RegionDescriptor>> {
        let (promise, ticket) = promise();
        let key = key.into();
        if key.len() > SPLIT_KEY_BYTES_MAX {
            promise.keep(Err(Error::KeyTooLarge { bytes: key.len() }));
            return ticket;
        }
        let region = self.inner.router.table().region_of(&key).clone();
        let asked = Asked { key, began: Instant::now(), hops: 0, promise };
        self.inner.ask_split(&region, asked);
        ticket
    }

    /// Asks whoever leads `region` to hand over to the replica on `store`. Answered when it has begun to: it goes on as soon
    /// as that replica has everything, or is given up.
    pub fn transfer_leader(&self, region: RegionId, store: StoreId) -> Ticket<()> {
        let (promise, ticket) = promise();
        let known = self.regions().into_iter().find(|known| known.id == region);
        let to = known.and_then(|known| {
            known.membership.voters.iter().copied().find(|replica| replica.store() == store)
        });
        match to {
            Some(to) => self.inner.ask(
                region,
                (RequestKind::Lead, Bytes::copy_from_slice(&to.0.to_le_bytes())),
                self.inner.request_timeout,
                move |result| promise.keep(result.map(drop)),
            ),
            None => promise.keep(Err(Error::NoRegion)),
        }
        ticket
    }
}

impl Inner {
    pub(super) fn ask(
        &self,
        region: RegionId,
        (kind, body): (RequestKind, Bytes),
        timeout: Duration,
        reply: impl FnOnce(Result<Bytes, Error>) + Send + 'static,
    ) {
        let reply = Box::new(move |result: Result<_, _>| reply(result.map_err(route::refused)));
        self.store.submit(region, Request { kind, body, timeout: Some(timeout), reply });
    }

    fn ask_split(self: &Arc<Self>, region: &RegionDescriptor, asked: Asked) {
        if region.start == asked.key {
            return asked.promise.keep(Ok(vec![region.clone()]));
        }
        let body = match self.split_body(region, std::slice::from_ref(&asked.key)) {
            Ok(body) => body,
            Err(error) => return asked.promise.keep(Err(error)),
        };
        let (weak, id) = (Arc::downgrade(self), region.id);
        let timeout = self.request_timeout.saturating_sub(asked.began.elapsed());
        self.ask(id, (RequestKind::Change, body), timeout, move |result| {
            match (decoded(result), weak.upgrade()) {
                (Ok(Reply::Regions(regions)), _) => asked.promise.keep(Ok(regions)),
                (Ok(Reply::Stale(regions)), Some(inner)) => inner.ask_split_again(&regions, asked),
                (Ok(Reply::Stale(_)), None) => {
                    asked.promise.keep(Err(Error::StoreStopped("it was closed".into())));
                }
                (Ok(Reply::Rejected(why)), _) => asked.promise.keep(Err(why.into())),
                (Ok(Reply::Failed(why)), _) => asked.promise.keep(Err(Error::RegionStopped(why))),
                (Ok(Reply::Answer(_) | Reply::Keys(_) | Reply::Behind), _) => {
                    asked.promise.keep(Err(unexpected()));
                }
                (Err(error), _) => asked.promise.keep(Err(error)),
            }
        });
    }

    /// The region is something else by now: by what it says itself, or by what this store knows of the key.
    fn ask_split_again(self: &Arc<Self>, regions: &[RegionDescriptor], asked: Asked) {
        self.router.learn(regions);
        if asked.hops >= HOPS_MAX {
            return asked.promise.keep(Err(Error::NoRegion));
        }
        let said = regions.iter().find(|region| region.contains(&asked.key)).cloned();
        let region = said.unwrap_or_else(|| self.router.table().region_of(&asked.key).clone());
        self.ask_split(&region, Asked { hops: asked.hops + 1, ..asked });
    }

    fn split_body(&self, region: &RegionDescriptor, keys: &[Bytes]) -> Result<Bytes, Error> {
        let named = |key: &Bytes| Ok((self.region_ids.take()?, key.clone()));
        let pieces = keys.iter().map(named).collect::<Result<Vec<_>, Error>>()?;
        Ok(Split { epoch: region.epoch, pieces }.encode())
    }

    /// Cuts a region into about so many pieces of about as many bytes. Waits for the answers.
    pub(super) fn split_by_size(&self, region: RegionId, pieces: u32) -> Result<(), Error> {
        let known = self.router.table().regions().into_iter().find(|known| known.id == region);
        let region = known.ok_or(Error::NoRegion)?;
        let query = change_bytes::encode_cuts(region.epoch.version, pieces);
        let mut keys = match self.wait_for(region.id, (RequestKind::Read, query))? {
            Reply::Keys(keys) => keys,
            _ => return Err(Error::NoRegion),
        };
        keys.retain(|key| *key > region.start && region.contains(key));
        keys.truncate(SPLIT_PIECES_MAX);
        if keys.is_empty() {
            return Ok(()); // one large pair cannot be cut
        }
        let body = self.split_body(&region, &keys)?;
        match self.wait_for(region.id, (RequestKind::Change, body))? {
            Reply::Regions(_) => Ok(()),
            _ => Err(Error::NoRegion),
        }
    }

    fn wait_for(&self, region: RegionId, request: (RequestKind, Bytes)) -> Result<Reply, Error> {
        let (promise, ticket) = promise();
        self.ask(region, request, self.request_timeout, move |result| promise.keep(decoded(result)));
        ticket.wait()
    }
}

fn decoded(result: Result<Bytes, Error>) -> Result<Reply, Error> {
    reply_bytes::decode(&result?).map_err(|error| Error::Internal(format!("a reply is {error}")))
}

fn unexpected() -> Error {
    Error::Internal("a split was answered as a command".into())
}

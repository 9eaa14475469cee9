//! Sends a command to the region that has its keys, and again if that region says that it has moved.

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use skep_raftstore::machine::Stamp;
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Request, SubmitError};

use super::crossing::Reply as BoxedReply;
use super::{Router, dividing};
use crate::descriptor::RegionDescriptor;
use crate::directory::{Place, Table};
use crate::reply_bytes::{self, Reply};
use crate::{Answer, Command, Error, command_bytes, limits};

/// How often a command follows a region that has moved. Each answer brings the table up to date, so that more than a
/// few are a sign of something else.
const HOPS_MAX: u32 = 16;

/// Where a command goes, and as what.
pub(super) struct Route {
    pub(super) place: Arc<Place>,
    pub(super) kind: RequestKind,
    pub(super) body: Bytes,
}

/// An answer, and the region that gave it, if one did.
pub(crate) type Answered<'a> = (Result<Answer, Error>, Option<&'a RegionDescriptor>);

/// A command that is under way.
pub(super) struct Pending<F> {
    pub(super) body: Bytes,
    pub(super) kind: RequestKind,
    pub(super) began: Instant,
    /// The order in which the commands of this store were given; the second tells the pieces of one apart.
    pub(super) given: (u64, u64),
    pub(super) hops: u32,
    /// Where it is on its way to.
    pub(super) place: Option<Arc<Place>>,
    /// Whether it is cut where its keys lie in several regions.
    pub(super) is_divisible: bool,
    pub(super) reply: F,
}

impl Router {
    /// Where `command` goes, if it is a possible one.
    pub(super) fn routed(&self, command: &Command) -> Result<Route, Error> {
        self.checked(command)?;
        route(&self.directory.table(), self.asked(), command)
    }

    /// An error if `command` is impossible wherever its keys lie.
    pub(super) fn checked(&self, command: &Command) -> Result<(), Error> {
        limits::check(command)?;
        let (bytes, bytes_max) = (command_bytes::encoded_bytes(command), self.command_bytes_max);
        if bytes > bytes_max {
            return Err(Error::BatchTooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    /// The same for a query that is answered here.
    pub(super) fn routed_here(&self, query: &Command) -> Result<Route, Error> {
        limits::check(query)?;
        route(&self.directory.table(), Stamp(0), query)
    }
}

pub(super) fn route<B: AsRef<[u8]>>(
    table: &Table,
    asked: Stamp,
    command: &Command<B>,
) -> Result<Route, Error> {
    let place = Arc::clone(table.place_of(command.first_key()));
    if !command.all_keys(&mut |key| Arc::ptr_eq(table.place_of(key), &place)) {
        return Err(Error::CrossRegion);
    }
    let kind = if command.is_write() { RequestKind::Write } else { RequestKind::Read };
    let body = command_bytes::encode(place.region.epoch.version, asked, command);
    Ok(Route { place, kind, body })
}

/// Sends a command for the first time.
pub(super) fn submit<F>(router: &Arc<Router>, route: Route, reply: F)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let Route { place, kind, body } = route;
    begin(router, place, Pending::new(router, kind, body, reply));
}

/// The same, of a batch that is cut where its keys lie in several regions, or come to while it is under way.
pub(super) fn submit_divisible<F>(router: &Arc<Router>, asked: Stamp, command: &Command, reply: F)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let table = router.directory.table();
    match route(&table, asked, command) {
        Ok(Route { place, kind, body }) => {
            let pending = Pending::new(router, kind, body, reply);
            begin(router, place, Pending { is_divisible: true, ..pending });
        }
        Err(Error::CrossRegion) => {
            let body = command_bytes::encode(0, asked, command);
            let pending = Pending::new(router, RequestKind::Write, body, reply).boxed();
            dividing::divide(router, &table, Pending { is_divisible: true, ..pending });
        }
        Err(error) => reply((Err(error), None)),
    }
}

/// Sends a command to its place, or waits for that.
pub(super) fn begin<F>(router: &Arc<Router>, place: Arc<Place>, pending: Pending<F>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    if place.flow.enter() {
        send(router, place, pending);
    } else {
        router.wait(pending.boxed());
    }
}

/// Asks the replica that is here; if it has no answer, the region's leader.
pub(super) fn submit_here<F>(router: &Arc<Router>, route: Route, query: Command, reply: F)
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
    let weak = Arc::downgrade(router);
    let answered = move |result| match (outcome(result), weak.upgrade()) {
        (Outcome::Done(Ok(answer)), _) => reply(Ok(answer)),
        (_, None) => reply(Err(closed())),
        (Outcome::Done(Err(_)) | Outcome::Moved(_) | Outcome::Behind, Some(router)) => {
            match router.routed(&query) {
                Ok(route) => submit(&router, route, |(answer, _): Answered<'_>| reply(answer)),
                Err(error) => reply(Err(error)),
            }
        }
    };
    match router.store.get() {
        Some(store) => store.read_here(route.place.region.id, route.body, Box::new(answered)),
        None => answered(Err(SubmitError::NoRegion)),
    }
}

/// Sends a command that has waited, by a table that is about to be in force.
pub(super) fn send_again(router: &Arc<Router>, table: &Table, pending: Pending<BoxedReply>) {
    let again = match command_bytes::decode(&pending.body) {
        _ if pending.hops >= HOPS_MAX => Err(Error::NoRegion),
        Ok(routed) => route(table, routed.asked, &routed.command),
        Err(error) => Err(Error::Internal(format!("a command is {error}"))),
    };
    match again {
        Ok(Route { place, kind, body }) if place.flow.enter() => {
            send(router, place, Pending { body, kind, hops: pending.hops + 1, ..pending });
        }
        // Only this thread closes flows now, and it does not while it sends.
        Ok(_) => (pending.reply)((Err(Error::NoRegion), None)),
        Err(Error::CrossRegion) if pending.is_divisible => dividing::divide(router, table, pending),
        Err(error) => (pending.reply)((Err(error), None)),
    }
}

fn send<F>(router: &Arc<Router>, place: Arc<Place>, mut pending: Pending<F>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let region = place.region.id;
    pending.place = Some(place);
    // Weak: what is under way does not keep a store open whose owner has dropped it.
    let weak = Arc::downgrade(router);
    let request = Request {
        kind: pending.kind,
        body: pending.body.clone(),
        timeout: router.timeout.map(|timeout| timeout.saturating_sub(pending.began.elapsed())),
        reply: Box::new(move |result| finish(&weak, pending, result)),
    };
    router.submit(region, request);
}

/// What an answer means.
enum Outcome {
    Done(Result<Answer, Error>),
    /// Another region has the keys; these may.
    Moved(Vec<RegionDescriptor>),
    /// The region's time has to move on before this query can be answered.
    Behind,
}

fn finish<F>(router: &Weak<Router>, pending: Pending<F>, result: Result<Bytes, SubmitError>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let router = router.upgrade();
    match (outcome(result), router) {
        (Outcome::Done(answer), router) => {
            if let Some(router) = router {
                router.left(&pending.place);
            }
            (pending.reply)((answer, pending.place.as_ref().map(|place| &place.region)));
        }
        (Outcome::Moved(regions), Some(router)) => router.moved(pending.boxed(), &regions),
        (Outcome::Behind, Some(router)) => catch_up(&router, pending.boxed()),
        (Outcome::Moved(_) | Outcome::Behind, None) => (pending.reply)((Err(closed()), None)),
    }
}

fn closed() -> Error {
    Error::StoreStopped("it was closed".into())
}

/// Moves the time of a query's region on, then asks again, to be answered by that time: whatever the clock here says,
/// nothing is behind it any more.
fn catch_up(router: &Arc<Router>, pending: Pending<BoxedReply>) {
    // It does not keep the flow open while it waits for what goes through it.
    router.left(&pending.place);
    let pending = Pending { place: None, ..pending };
    let key = match command_bytes::decode(&pending.body) {
        Ok(routed) => Bytes::copy_from_slice(routed.command.first_key()),
        Err(error) => {
            return (pending.reply)((Err(Error::Internal(format!("a command is {error}"))), None));
        }
    };
    let sweep = route(&router.directory.table(), Stamp(0), &Command::Sweep { key });
    let weak = Arc::downgrade(router);
    let then: BoxedReply = Box::new(move |(swept, _): Answered<'_>| {
        let router = weak.upgrade().ok_or_else(closed);
        let again = swept.and(router).and_then(|router| {
            let routed = command_bytes::decode(&pending.body)
                .map_err(|error| Error::Internal(format!("a command is {error}")))?;
            let route = route(&router.directory.table(), Stamp(0), &routed.command)?;
            Ok((router, route))
        });
        match again {
            Ok((router, Route { place, kind, body })) => {
                begin(&router, place, Pending { body, kind, ..pending })
            }
            Err(error) => (pending.reply)((Err(error), None)),
        }
    });
    match sweep {
        Ok(route) => submit(router, route, then),
        Err(error) => then((Err(error), None)),
    }
}

impl<F: for<'a> FnOnce(Answered<'a>) + Send + 'static> Pending<F> {
    /// One that is given now.
    fn new(router: &Router, kind: RequestKind, body: Bytes, reply: F) -> Pending<F> {
        let given = (router.next_given(), 0);
        Pending { body, kind, began: Instant::now(), given, hops: 0, place: None, is_divisible: false, reply }
    }

    fn boxed(self) -> Pending<BoxedReply> {
        let Pending { body, kind, began, given, hops, place, is_divisible, reply } = self;
        Pending { body, kind, began, given, hops, place, is_divisible, reply: Box::new(reply) }
    }
}

fn outcome(result: Result<Bytes, SubmitError>) -> Outcome {
    let reply = match result {
        Ok(bytes) => reply_bytes::decode(&bytes),
        Err(error) => return Outcome::Done(Err(refused(error))),
    };
    Outcome::Done(match reply {
        Ok(Reply::Answer(answer)) => Ok(answer),
        Ok(Reply::Stale(regions)) => return Outcome::Moved(regions),
        Ok(Reply::Rejected(why)) => Err(why.into()),
        Ok(Reply::Behind) => return Outcome::Behind,
        Ok(Reply::Failed(why)) => Err(Error::RegionStopped(why)),
        Ok(Reply::Regions(_) | Reply::Keys(_)) => {
            Err(Error::Internal("a command was answered as a split".into()))
        }
        Err(error) => Err(Error::Internal(format!("a reply is {error}"))),
    })
}

pub(crate) fn refused(error: SubmitError) -> Error {
    match error {
        SubmitError::TimedOut => Error::TimedOut,
        SubmitError::Busy => Error::Busy,
        SubmitError::DiskFull => Error::DiskFull,
        SubmitError::NoRegion => Error::NoRegion,
        SubmitError::RegionStopped(why) => Error::RegionStopped(why),
        SubmitError::StoreStopped(why) => Error::StoreStopped(why),
    }
}

//! Sends a command to the region that has its keys, and again if that region says that it has moved.

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use skep_raftstore::machine::Stamp;
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Request, SubmitError};

use super::Inner;
use super::crossing::Reply as BoxedReply;
use crate::descriptor::RegionDescriptor;
use crate::directory::{Place, Table};
use crate::reply_bytes::{self, Reply};
use crate::{Answer, Command, Error, clock, command_bytes, limits};

/// How often a command follows a region that has moved. Each answer brings the table up to date, so that more than a
/// few are a sign of something else.
const HOPS_MAX: u32 = 16;

/// Where a command goes, and as what.
pub(super) struct Route {
    place: Arc<Place>,
    kind: RequestKind,
    body: Bytes,
}

/// An answer, and the region that gave it, if one did.
pub(super) type Answered<'a> = (Result<Answer, Error>, Option<&'a RegionDescriptor>);

/// A command that is under way.
pub(super) struct Pending<F> {
    pub(super) body: Bytes,
    pub(super) kind: RequestKind,
    pub(super) began: Instant,
    /// The order in which the commands of this store were given.
    pub(super) given: u64,
    pub(super) hops: u32,
    /// Where it is on its way to.
    pub(super) place: Option<Arc<Place>>,
    pub(super) reply: F,
}

impl Inner {
    /// Where `command` goes, if it is a possible one.
    pub(super) fn routed(&self, command: &Command) -> Result<Route, Error> {
        limits::check(command)?;
        let (bytes, bytes_max) = (command_bytes::encoded_bytes(command), self.command_bytes_max);
        if bytes > bytes_max {
            return Err(Error::BatchTooLarge { bytes, bytes_max });
        }
        route(&self.directory.table(), clock::now(), command)
    }

    /// The same for a query that is answered here.
    pub(super) fn routed_here(&self, query: &Command) -> Result<Route, Error> {
        limits::check(query)?;
        route(&self.directory.table(), Stamp(0), query)
    }
}

fn route<B: AsRef<[u8]>>(table: &Table, asked: Stamp, command: &Command<B>) -> Result<Route, Error> {
    let place = Arc::clone(table.place_of(command.first_key()));
    if !command.all_keys(&mut |key| Arc::ptr_eq(table.place_of(key), &place)) {
        return Err(Error::CrossRegion);
    }
    let kind = if command.is_write() { RequestKind::Write } else { RequestKind::Read };
    let body = command_bytes::encode(place.region.epoch.version, asked, command);
    Ok(Route { place, kind, body })
}

/// Sends a command for the first time.
pub(super) fn submit<F>(inner: &Arc<Inner>, route: Route, reply: F)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let Route { place, kind, body } = route;
    let given = inner.next_given();
    begin(inner, place, Pending { body, kind, began: Instant::now(), given, hops: 0, place: None, reply });
}

fn begin<F>(inner: &Arc<Inner>, place: Arc<Place>, pending: Pending<F>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    if place.flow.enter() {
        send(inner, place, pending);
    } else {
        inner.wait(pending.boxed());
    }
}

/// Asks the replica that is here; if it has no answer, the region's leader.
pub(super) fn submit_here<F>(inner: &Arc<Inner>, route: Route, query: Command, reply: F)
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
    let weak = Arc::downgrade(inner);
    let answered = move |result| match (outcome(result), weak.upgrade()) {
        (Outcome::Done(Ok(answer)), _) => reply(Ok(answer)),
        (_, None) => reply(Err(closed())),
        (Outcome::Done(Err(_)) | Outcome::Moved(_) | Outcome::Behind, Some(inner)) => {
            match inner.routed(&query) {
                Ok(route) => submit(&inner, route, |(answer, _): Answered<'_>| reply(answer)),
                Err(error) => reply(Err(error)),
            }
        }
    };
    inner.store.read_here(route.place.region.id, route.body, Box::new(answered));
}

/// Sends a command that has waited, by a table that is about to be in force.
pub(super) fn send_again(inner: &Arc<Inner>, table: &Table, pending: Pending<BoxedReply>) {
    let again = match command_bytes::decode(&pending.body) {
        _ if pending.hops >= HOPS_MAX => Err(Error::NoRegion),
        Ok(routed) => route(table, routed.asked, &routed.command),
        Err(error) => Err(Error::Internal(format!("a command is {error}"))),
    };
    match again {
        Ok(Route { place, kind, body }) if place.flow.enter() => {
            send(inner, place, Pending { body, kind, hops: pending.hops + 1, ..pending });
        }
        // Only this thread closes flows now, and it does not while it sends.
        Ok(_) => (pending.reply)((Err(Error::NoRegion), None)),
        Err(error) => (pending.reply)((Err(error), None)),
    }
}

fn send<F>(inner: &Arc<Inner>, place: Arc<Place>, mut pending: Pending<F>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let region = place.region.id;
    pending.place = Some(place);
    // Weak: what is under way does not keep a store open whose owner has dropped it.
    let weak = Arc::downgrade(inner);
    let request = Request {
        kind: pending.kind,
        body: pending.body.clone(),
        timeout: Some(inner.request_timeout.saturating_sub(pending.began.elapsed())),
        reply: Box::new(move |result| finish(&weak, pending, result)),
    };
    inner.store.submit(region, request);
}

/// What an answer means.
enum Outcome {
    Done(Result<Answer, Error>),
    /// Another region has the keys; these may.
    Moved(Vec<RegionDescriptor>),
    /// The region's time has to move on before this query can be answered.
    Behind,
}

fn finish<F>(inner: &Weak<Inner>, pending: Pending<F>, result: Result<Bytes, SubmitError>)
where
    F: for<'a> FnOnce(Answered<'a>) + Send + 'static,
{
    let inner = inner.upgrade();
    match (outcome(result), inner) {
        (Outcome::Done(answer), inner) => {
            if let Some(inner) = inner {
                inner.left(&pending.place);
            }
            (pending.reply)((answer, pending.place.as_ref().map(|place| &place.region)));
        }
        (Outcome::Moved(regions), Some(inner)) => inner.moved(pending.boxed(), &regions),
        (Outcome::Behind, Some(inner)) => catch_up(&inner, pending.boxed()),
        (Outcome::Moved(_) | Outcome::Behind, None) => (pending.reply)((Err(closed()), None)),
    }
}

fn closed() -> Error {
    Error::StoreStopped("it was closed".into())
}

/// Moves the time of a query's region on, then asks again, to be answered by that time: whatever the clock here says,
/// nothing is behind it any more.
fn catch_up(inner: &Arc<Inner>, pending: Pending<BoxedReply>) {
    // It does not keep the flow open while it waits for what goes through it.
    inner.left(&pending.place);
    let pending = Pending { place: None, ..pending };
    let key = match command_bytes::decode(&pending.body) {
        Ok(routed) => Bytes::copy_from_slice(routed.command.first_key()),
        Err(error) => {
            return (pending.reply)((Err(Error::Internal(format!("a command is {error}"))), None));
        }
    };
    let sweep = route(&inner.directory.table(), Stamp(0), &Command::Sweep { key });
    let weak = Arc::downgrade(inner);
    let then: BoxedReply = Box::new(move |(swept, _): Answered<'_>| {
        let inner = weak.upgrade().ok_or_else(closed);
        let again = swept.and(inner).and_then(|inner| {
            let routed = command_bytes::decode(&pending.body)
                .map_err(|error| Error::Internal(format!("a command is {error}")))?;
            let route = route(&inner.directory.table(), Stamp(0), &routed.command)?;
            Ok((inner, route))
        });
        match again {
            Ok((inner, Route { place, kind, body })) => {
                begin(&inner, place, Pending { body, kind, ..pending })
            }
            Err(error) => (pending.reply)((Err(error), None)),
        }
    });
    match sweep {
        Ok(route) => submit(inner, route, then),
        Err(error) => then((Err(error), None)),
    }
}

impl<F: for<'a> FnOnce(Answered<'a>) + Send + 'static> Pending<F> {
    fn boxed(self) -> Pending<BoxedReply> {
        let Pending { body, kind, began, given, hops, place, reply } = self;
        Pending { body, kind, began, given, hops, place, reply: Box::new(reply) }
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

/// What a reply says, to a caller that follows nothing.
pub(crate) fn answer(result: Result<Bytes, SubmitError>) -> Result<Answer, Error> {
    match outcome(result) {
        Outcome::Done(answer) => answer,
        Outcome::Moved(_) | Outcome::Behind => Err(Error::NoRegion),
    }
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

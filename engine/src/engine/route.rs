//! Sends a command to the region that has its keys, and again if that region says that it has moved.

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use skep_raftstore::ids::RegionId;
use skep_raftstore::message::RequestKind;
use skep_raftstore::store::{Request, SubmitError};

use super::Inner;
use crate::descriptor::RegionDescriptor;
use crate::directory::Table;
use crate::reply_bytes::{self, Rejection, Reply};
use crate::{Answer, Command, Error, command_bytes, limits};

/// How often a command follows a region that has moved. Each answer brings the table up to date, so that more than a
/// few are a sign of something else.
const HOPS_MAX: u32 = 16;

/// Where a command goes, and as what.
pub(super) struct Route {
    region: RegionId,
    kind: RequestKind,
    body: Bytes,
}

/// A command that is under way.
struct Pending<F> {
    body: Bytes,
    kind: RequestKind,
    began: Instant,
    hops: u32,
    reply: F,
}

impl Inner {
    /// Where `command` goes, if it is a possible one.
    pub(super) fn routed(&self, command: &Command) -> Result<Route, Error> {
        limits::check(command)?;
        let (bytes, bytes_max) = (command_bytes::encoded_bytes(command), self.command_bytes_max);
        if bytes > bytes_max {
            return Err(Error::BatchTooLarge { bytes, bytes_max });
        }
        route(&self.directory.table(), command)
    }
}

fn route<B: AsRef<[u8]>>(table: &Table, command: &Command<B>) -> Result<Route, Error> {
    if let Command::Batch { writes } = command
        && !table.one_region(writes.iter().map(|write| write.key()))
    {
        return Err(Error::CrossRegion);
    }
    let region = table.region_of(command.first_key());
    let kind = if command.is_write() { RequestKind::Write } else { RequestKind::Read };
    Ok(Route { region: region.id, kind, body: command_bytes::encode(region.epoch.version, command) })
}

/// Sends a command for the first time.
pub(super) fn submit<F>(inner: &Arc<Inner>, route: Route, reply: F)
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
    let Route { region, kind, body } = route;
    send(inner, region, Pending { body, kind, began: Instant::now(), hops: 0, reply });
}

fn send<F>(inner: &Arc<Inner>, region: RegionId, pending: Pending<F>)
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
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
}

fn finish<F>(inner: &Weak<Inner>, pending: Pending<F>, result: Result<Bytes, SubmitError>)
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
    match outcome(result) {
        Outcome::Done(answer) => (pending.reply)(answer),
        Outcome::Moved(regions) => match inner.upgrade() {
            Some(inner) => follow(&inner, pending, &regions),
            None => (pending.reply)(Err(Error::StoreStopped("it was closed".into()))),
        },
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
        Ok(Reply::Rejected(why)) => Err(rejected(why)),
        Ok(Reply::Failed(why)) => Err(Error::RegionStopped(why)),
        Err(error) => Err(Error::Internal(format!("a reply is {error}"))),
    })
}

/// What a reply says, to a caller that follows nothing.
pub(crate) fn answer(result: Result<Bytes, SubmitError>) -> Result<Answer, Error> {
    match outcome(result) {
        Outcome::Done(answer) => answer,
        Outcome::Moved(_) => Err(Error::NoRegion),
    }
}

fn refused(error: SubmitError) -> Error {
    match error {
        SubmitError::TimedOut => Error::TimedOut,
        SubmitError::Busy => Error::Busy,
        SubmitError::DiskFull => Error::DiskFull,
        SubmitError::NoRegion => Error::NoRegion,
        SubmitError::RegionStopped(why) => Error::RegionStopped(why),
        SubmitError::StoreStopped(why) => Error::StoreStopped(why),
    }
}

fn rejected(why: Rejection) -> Error {
    match why {
        Rejection::NotAnInteger => Error::NotAnInteger,
        Rejection::Overflow => Error::Overflow,
        Rejection::ValueTooLarge(bytes) => Error::ValueTooLarge { bytes: bytes as usize },
        Rejection::Answered | Rejection::EarlierLife | Rejection::Forgotten => Error::OutcomeUnknown,
        Rejection::Damaged => Error::Internal("a command arrived damaged".into()),
    }
}

/// Sends a command once more, by what `regions` say. Nothing was done so far.
fn follow<F>(inner: &Arc<Inner>, pending: Pending<F>, regions: &[RegionDescriptor])
where
    F: FnOnce(Result<Answer, Error>) + Send + 'static,
{
    regions.iter().for_each(|region| {
        inner.directory.learn(region);
    });
    if pending.hops >= HOPS_MAX || pending.began.elapsed() >= inner.request_timeout {
        return (pending.reply)(Err(Error::NoRegion));
    }
    let again = match command_bytes::decode(&pending.body) {
        Ok((_, command)) => route(&inner.directory.table(), &command),
        Err(error) => Err(Error::Internal(format!("a command is {error}"))),
    };
    match again {
        Ok(Route { region, kind, body }) => {
            send(inner, region, Pending { body, kind, hops: pending.hops + 1, ..pending });
        }
        Err(error) => (pending.reply)(Err(error)),
    }
}

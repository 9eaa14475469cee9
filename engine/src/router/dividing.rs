//! Batches that need not be whole: cut where regions meet, each piece on its own way, one answer for all of them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Router;
use super::crossing::Reply;
use super::route::{self, Answered, Pending, Route};
use crate::command_bytes::Routed;
use crate::directory::{Place, Table};
use crate::{Answer, Command, Error, Write, command_bytes};

/// The answer to a batch, as far as its pieces have been answered.
struct Whole {
    missing: usize,
    /// Pieces that were carried out.
    done: usize,
    error: Option<Error>,
    reply: Option<Reply>,
}

/// Sends a batch on in pieces, each for one region by `table`. They keep the place of the batch among what waits.
pub(super) fn divide(router: &Arc<Router>, table: &Table, pending: Pending<Reply>) {
    let routed = match command_bytes::decode(&pending.body) {
        Ok(Routed { asked, command: Command::Batch { writes }, .. }) => (asked, writes),
        Ok(_) => return (pending.reply)((Err(Error::CrossRegion), None)),
        Err(error) => return (pending.reply)((Err(Error::Internal(format!("a command is {error}"))), None)),
    };
    let (asked, writes) = routed;
    // By places and not by regions: of one region an older version may be known for some of its keys.
    let mut pieces = Vec::<(&Arc<Place>, Vec<Write<&[u8]>>)>::new();
    for write in writes {
        let place = table.place_of(write.key());
        match pieces.iter_mut().rfind(|(known, _)| Arc::ptr_eq(known, place)) {
            Some((_, writes)) => writes.push(write),
            None => pieces.push((place, vec![write])),
        }
    }
    let whole = Whole { missing: pieces.len(), done: 0, error: None, reply: Some(pending.reply) };
    let whole = Arc::new(Mutex::new(whole));
    for (_, writes) in pieces {
        let whole = Arc::clone(&whole);
        let reply: Reply = Box::new(move |(answer, _): Answered<'_>| arrived(&whole, answer));
        match route::route(table, asked, &Command::Batch { writes }) {
            Ok(Route { place, kind, body }) => {
                let given = (pending.given.0, router.next_given());
                let Pending { began, hops, is_divisible, .. } = pending;
                let piece =
                    Pending { body, kind, began, given, hops: hops + 1, place: None, is_divisible, reply };
                route::begin(router, place, piece);
            }
            Err(error) => reply((Err(error), None)),
        }
    }
}

fn arrived(whole: &Mutex<Whole>, answer: Result<Answer, Error>) {
    let mut whole = whole.lock();
    whole.missing -= 1;
    match answer {
        Ok(_) => whole.done += 1,
        Err(error) => whole.error = whole.error.take().or(Some(error)),
    }
    if whole.missing > 0 {
        return;
    }
    let Some(reply) = whole.reply.take() else { return };
    let answer = match whole.error.take() {
        None => Ok(Answer::Done),
        // Nobody may think that nothing was done, and do all of it again.
        Some(Error::Busy | Error::NoRegion) if whole.done > 0 => Err(Error::TimedOut),
        Some(error) => Err(error),
    };
    drop(whole);
    reply((answer, None));
}

//! Questions to several regions: a scan goes through them one after another, a count asks all at once.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Engine;
use super::typed::unexpected;
use crate::ticket::{Promise, Ticket, promise};
use crate::{Answer, Command, Error, ScanShape};

type Pairs = Vec<(Bytes, Bytes)>;

/// A scan on its way through the regions.
struct Scan {
    engine: Engine,
    end: Option<Bytes>,
    limit: usize,
    pairs: Pairs,
    promise: Promise<Pairs>,
}

/// A sum on its way: of several shares of the key space, each of which was one region's when it was begun.
struct Sum {
    question: Question,
    left: usize,
    total: u64,
    done: Option<Done>,
}

/// How many keys of some kind the region of this one has.
type Question = fn(Bytes) -> Command;

pub(super) fn count_keys(key: Bytes) -> Command {
    Command::CountKeys { key }
}

pub(super) fn count_expiring(key: Bytes) -> Command {
    Command::CountExpiring { key }
}

type Done = Box<dyn FnOnce(Result<u64, Error>) + Send>;

impl Engine {
    /// The first `limit` pairs with `start <= key < end`, in order, from as many regions as it takes. Each region's
    /// part is linearizable; together they are not a snapshot.
    pub fn scan(&self, start: impl Into<Bytes>, end: Option<Bytes>, limit: usize) -> Ticket<Pairs> {
        let (promise, ticket) = promise();
        let scan = Scan { engine: self.clone(), end, limit, pairs: Vec::new(), promise };
        scan.ask(start.into());
        ticket
    }

    /// How many keys there are. Each region's part is linearizable; together they are not a snapshot.
    pub fn count_keys(&self) -> Ticket<u64> {
        self.count_all(count_keys)
    }

    /// How many keys have a value that expires, likewise.
    pub fn count_expiring(&self) -> Ticket<u64> {
        self.count_all(count_expiring)
    }

    fn count_all(&self, question: Question) -> Ticket<u64> {
        let (promise, ticket) = promise();
        let shares = self.inner.router.table().shares();
        let sum = Sum::of(question, shares.len(), |total| promise.keep(total));
        for (start, end) in shares {
            count(self.clone(), Arc::clone(&sum), start, end);
        }
        ticket
    }

    /// How many keys the region of `key` has, by what this store knows of it. If it has been split since, those that it had.
    pub(super) fn count_share(
        &self,
        key: Bytes,
        question: Question,
        reply: impl FnOnce(Result<Answer, Error>) + Send + 'static,
    ) {
        let end = self.inner.router.table().region_of(&key).end.clone();
        let sum = Sum::of(question, 1, |total| reply(total.map(|total| Answer::Integer(total as i64))));
        count(self.clone(), sum, key, end);
    }
}

impl Scan {
    fn ask(self, start: Bytes) {
        let limit = (self.limit - self.pairs.len()).try_into().unwrap_or(u32::MAX);
        let shape = ScanShape::default();
        let command = Command::Scan { start, end: self.end.clone(), limit, shape };
        let engine = self.engine.clone();
        engine.execute(command, move |answer| self.answered(answer));
    }

    fn answered(mut self, answer: Result<Answer, Error>) {
        let (pairs, resume) = match answer {
            Ok(Answer::Pairs { pairs, resume }) => (pairs, resume),
            Ok(_) => return self.promise.keep(Err(unexpected())),
            Err(error) => return self.promise.keep(Err(error)),
        };
        self.pairs.extend(pairs);
        match resume {
            Some(start) if self.pairs.len() < self.limit => self.ask(start),
            Some(_) | None => self.promise.keep(Ok(self.pairs)),
        }
    }
}

/// Adds the keys from `start` on and before `end` to a sum. A region that was split since answers for its part of them, and
/// says where it ends: what follows is asked for next.
fn count(engine: Engine, sum: Arc<Mutex<Sum>>, start: Bytes, end: Option<Bytes>) {
    let next = engine.clone();
    let question = sum.lock().question;
    engine.inner.router.execute_knowing(&question(start), move |(answer, region)| {
        let is_before_end = |beyond: &Bytes| end.as_ref().is_none_or(|end| beyond < end);
        let rest = region.and_then(|region| region.end.clone()).filter(is_before_end);
        let kept = sum.lock().add(answer, rest.is_none());
        match (kept, rest) {
            (Some((done, total)), _) => done(total),
            (None, Some(start)) => count(next, sum, start, end),
            (None, None) => {}
        }
    });
}

impl Sum {
    fn of(
        question: Question,
        shares: usize,
        done: impl FnOnce(Result<u64, Error>) + Send + 'static,
    ) -> Arc<Mutex<Sum>> {
        // Held for one addition by whichever region answers.
        Arc::new(Mutex::new(Sum { question, left: shares, total: 0, done: Some(Box::new(done)) }))
    }

    /// Adds an answer, perhaps the last of its share. Whom to tell and what, once that is certain.
    fn add(&mut self, answer: Result<Answer, Error>, is_last: bool) -> Option<(Done, Result<u64, Error>)> {
        self.left -= usize::from(is_last);
        let failed = match answer {
            Ok(Answer::Integer(count)) => {
                self.total += count as u64;
                None
            }
            Ok(_) => Some(unexpected()),
            Err(error) => Some(error),
        };
        match failed {
            Some(error) => self.done.take().map(|done| (done, Err(error))),
            None if self.left == 0 => self.done.take().map(|done| (done, Ok(self.total))),
            None => None,
        }
    }
}

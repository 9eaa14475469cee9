//! Questions to several regions: a scan goes through them one after another, a count asks all at once.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Engine;
use super::typed::unexpected;
use crate::ticket::{Promise, Ticket, promise};
use crate::{Answer, Command, Error};

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
    left: usize,
    total: u64,
    promise: Option<Promise<u64>>,
}

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
        let (promise, ticket) = promise();
        let regions = self.regions();
        let sum = Sum { left: regions.len(), total: 0, promise: Some(promise) };
        // Held for one addition by whichever region answers.
        let sum = Arc::new(Mutex::new(sum));
        for region in regions {
            count(self.clone(), Arc::clone(&sum), region.start, region.end);
        }
        ticket
    }
}

impl Scan {
    fn ask(self, start: Bytes) {
        let limit = (self.limit - self.pairs.len()).try_into().unwrap_or(u32::MAX);
        let command = Command::Scan { start, end: self.end.clone(), limit };
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
    engine.execute_knowing(&Command::CountKeys { key: start }, move |(answer, region)| {
        let is_before_end = |beyond: &Bytes| end.as_ref().is_none_or(|end| beyond < end);
        let rest = region.and_then(|region| region.end.clone()).filter(is_before_end);
        let kept = sum.lock().add(answer, rest.is_none());
        match (kept, rest) {
            (Some((promise, total)), _) => promise.keep(total),
            (None, Some(start)) => count(next, sum, start, end),
            (None, None) => {}
        }
    });
}

impl Sum {
    /// Adds an answer, perhaps the last of its share. The promise and what to keep it with, once that is certain.
    fn add(
        &mut self,
        answer: Result<Answer, Error>,
        is_last: bool,
    ) -> Option<(Promise<u64>, Result<u64, Error>)> {
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
            Some(error) => self.promise.take().map(|promise| (promise, Err(error))),
            None if self.left == 0 => self.promise.take().map(|promise| (promise, Ok(self.total))),
            None => None,
        }
    }
}

//! Commands that cannot go on at once, because the region of their keys is changing hands.
//!
//! A command that its region answers with "not mine" has to go to another one. Others may be on their way to the first region
//! still, and later ones could go to the second directly: each key's order would be lost. So, as soon as a region is
//! known to have another range,
//!
//! 1. nothing more is sent to it as it was: its [flow](crate::flow) is closed, and what comes waits here;
//! 2. what was on its way is answered; what was not done joins those who wait, in the order in which it was first given;
//! 3. when the last is answered, the table is changed, and those who wait go on, in that order, before anything new can.
//!
//! Commands also wait here for a key whose region is not known yet.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::ReentrantMutex;

use super::route::{Answered, Pending};
use super::{Router, route};
use crate::descriptor::RegionDescriptor;
use crate::directory::{Place, Table};
use crate::{Error, command_bytes};

/// How many commands may wait. Beyond, they are answered [`Error::Busy`].
const WAITING_MAX: usize = 1 << 18;

/// Who is answered when a command is.
pub(super) type Reply = Box<dyn for<'a> FnOnce(Answered<'a>) + Send>;

/// See the page of this file.
#[derive(Default)]
pub(super) struct Crossing {
    /// Held while something changes hands: by one thread, which may come back to it while it answers a command that cannot
    /// be sent.
    state: ReentrantMutex<RefCell<State>>,
    /// How many wait, to be looked at without the lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// By the order in which they were given.
    waiting: BTreeMap<(u64, u64), Pending<Reply>>,
    /// What is known and not in the table everywhere.
    news: Vec<RegionDescriptor>,
    is_settling: bool,
    is_stopped: Option<Error>,
}

impl Router {
    /// A region has said what it is.
    pub(crate) fn learn(self: &Arc<Self>, regions: &[RegionDescriptor]) {
        let Some(store) = self.store.get() else {
            return self.cross(|state, table| take_news(state, table, regions));
        };
        let own = store.id();
        let is_elsewhere =
            |region: &&RegionDescriptor| region.membership.all().iter().all(|replica| replica.store() != own);
        for region in regions.iter().filter(is_elsewhere) {
            store.learn(region.id, region.membership.clone());
        }
        self.cross(|state, table| take_news(state, table, regions));
    }

    /// A command has to wait for its key's region.
    pub(super) fn wait(self: &Arc<Self>, pending: Pending<Reply>) {
        self.hold(pending, &[]);
    }

    /// A region did not carry out a command, because it is something else now. The command stands in the flow that it came
    /// from until it is safe here.
    pub(super) fn moved(self: &Arc<Self>, pending: Pending<Reply>, regions: &[RegionDescriptor]) {
        self.hold(pending, regions);
    }

    fn hold(self: &Arc<Self>, pending: Pending<Reply>, regions: &[RegionDescriptor]) {
        let mut refused = None;
        self.cross(|state, table| {
            take_news(state, table, regions);
            match &state.is_stopped {
                Some(error) => refused = Some((pending, error.clone())),
                None if state.waiting.len() >= WAITING_MAX => refused = Some((pending, Error::Busy)),
                None => {
                    if let Some(place) = &pending.place {
                        place.flow.leave();
                    }
                    state.waiting.insert(pending.given, Pending { place: None, ..pending });
                }
            }
        });
        if let Some((pending, error)) = refused {
            self.left(&pending.place);
            (pending.reply)((Err(error), None));
        }
    }

    /// A command is answered that was on its way to `place`.
    pub(super) fn left(self: &Arc<Self>, place: &Option<Arc<Place>>) {
        if place.as_ref().is_some_and(|place| place.flow.leave()) {
            self.cross(|_, _| ());
        }
    }

    /// Gives up those who have waited for too long.
    pub(crate) fn expire(&self) {
        let is_waiting = self.crossing.waiting.load(Ordering::Relaxed) > 0;
        if let Some(limit) = self.timeout.filter(|_| is_waiting) {
            self.give_up(|pending| pending.began.elapsed() >= limit, &Error::NoRegion);
        }
    }

    /// The store has stopped: nobody waits any more.
    pub(crate) fn stop(&self, error: &Error) {
        self.crossing.state.lock().borrow_mut().is_stopped = Some(error.clone());
        self.give_up(|_| true, error);
    }

    fn give_up(&self, is_over: impl Fn(&Pending<Reply>) -> bool, error: &Error) {
        let over: Vec<Pending<Reply>> = {
            let state = self.crossing.state.lock();
            let mut state = state.borrow_mut();
            let over =
                state.waiting.extract_if(.., |_, pending| is_over(pending)).map(|(_, pending)| pending);
            let over = over.collect();
            self.crossing.waiting.store(state.waiting.len(), Ordering::Relaxed);
            over
        };
        over.into_iter().for_each(|pending| (pending.reply)((Err(error.clone()), None)));
    }

    /// Changes something, and then lets go on whoever can.
    fn cross(self: &Arc<Self>, change: impl FnOnce(&mut State, &Table)) {
        let lock = self.crossing.state.lock();
        {
            let mut state = lock.borrow_mut();
            change(&mut state, &self.directory.table());
            if std::mem::replace(&mut state.is_settling, true) {
                return; // whoever settles on this very thread goes on until nothing is left
            }
        }
        while self.settle(&lock) {}
        lock.borrow_mut().is_settling = false;
    }

    /// One round: the table as it may be now, those who can go on with it, and only then the table for everyone.
    fn settle(self: &Arc<Self>, lock: &RefCell<State>) -> bool {
        let mut table = Table::clone(&self.directory.table());
        let ready = {
            let mut state = lock.borrow_mut();
            let State { waiting, news, .. } = &mut *state;
            let before = news.len();
            news.retain(|region| !table.learn(region));
            let has_news = news.len() != before || !news.is_empty();
            let ready: Vec<_> = waiting.extract_if(.., |_, pending| is_open(&table, pending)).collect();
            self.crossing.waiting.store(waiting.len(), Ordering::Relaxed);
            if ready.is_empty() {
                if has_news {
                    self.directory.replace(table);
                }
                return false;
            }
            ready
        };
        for (_, pending) in ready {
            route::send_again(self, &table, pending);
        }
        self.directory.replace(table);
        true
    }
}

/// What a region says of itself may be late: an answer from before a second split, when this store's own replica has told of that
/// one already. No command is for it as it was then, so its old range is nobody's, until those are known who have it now.
fn take_news(state: &mut State, table: &Table, regions: &[RegionDescriptor]) {
    for region in regions {
        let is_newer =
            |known: &RegionDescriptor| known.id == region.id && known.epoch.version > region.epoch.version;
        if state.news.iter().any(is_newer) || table.knows(is_newer) || !table.close_for(region) {
            continue;
        }
        state.news.retain(|known| known.id != region.id || known.epoch.version > region.epoch.version);
        state.news.push(region.clone());
    }
}

/// Whether the place of a command's key takes commands. One that cannot be read goes on to be refused.
fn is_open(table: &Table, pending: &Pending<Reply>) -> bool {
    match command_bytes::decode(&pending.body) {
        Ok(routed) => !table.place_of(routed.command.first_key()).flow.is_closed(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use parking_lot::Mutex;
    use skep_raftstore::ids::{Epoch, RegionId};
    use skep_raftstore::machine::Stamp;
    use skep_raftstore::message::RequestKind;

    use super::*;
    use crate::{Answer, Command};

    fn region(id: u64, start: &'static str, end: Option<&'static str>, version: u64) -> RegionDescriptor {
        RegionDescriptor {
            id: RegionId(id),
            start: Bytes::from_static(start.as_bytes()),
            end: end.map(|end| Bytes::from_static(end.as_bytes())),
            epoch: Epoch { version, membership: 1 },
            membership: Default::default(),
        }
    }

    /// A region is split twice. Its replica here tells of both splits, and only then the answer comes that knows of the first:
    /// the command waits for the second new region. It used to go to the old one, again and again, until it was given up.
    #[test]
    fn an_answer_that_is_late_sends_nobody_to_a_region_as_it_was() {
        let router = Router::new(None, 1 << 20);
        router.learn(&[region(1, "", None, 5)]);
        let answers: Arc<Mutex<Vec<Result<Answer, Error>>>> = Arc::default();
        let place = Arc::clone(router.table().place_of(b"l"));
        assert!(place.flow.enter(), "the command is on its way");
        router.learn(&[region(1, "", Some("k"), 7), region(2, "m", None, 6)]);
        let told = Arc::clone(&answers);
        let pending = Pending::<Reply> {
            body: command_bytes::encode(5, Stamp(0), &Command::Get { key: Bytes::from_static(b"l") }),
            kind: RequestKind::Read,
            began: Instant::now(),
            given: (1, 0),
            hops: 0,
            place: Some(place),
            is_divisible: false,
            reply: Box::new(move |(answer, _)| told.lock().push(answer)),
        };
        router.moved(pending, &[region(1, "", Some("m"), 6)]);
        assert!(router.table().place_of(b"l").flow.is_closed(), "nobody is known to have it");
        assert!(answers.lock().is_empty(), "{answers:?}");
        router.learn(&[region(3, "k", Some("m"), 7)]);
        assert_eq!(router.table().region_of(b"l").id, RegionId(3));
        assert_eq!(*answers.lock(), [Err(Error::NoRegion)], "it went there: there is no store in this test");
    }
}

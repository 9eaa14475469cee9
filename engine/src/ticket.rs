//! A promised answer: waited for, polled as a future, or given a callback.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::Error;

/// The answer to one command, once it is there.
///
/// Dropping a ticket does not call the command back.
///
/// ```
/// # fn shown(engine: &skep_engine::Engine) -> Result<(), skep_engine::Error> {
/// let (first, second) = (engine.put("a", "1"), engine.put("b", "2")); // both are under way
/// first.wait()?;
/// second.wait()?;
/// engine.get("a").on_done(|value| assert!(value.is_ok()));
/// # Ok(())
/// # }
/// ```
#[must_use = "an answer that nobody waits for may be an error that nobody sees"]
pub struct Ticket<T> {
    shared: Arc<Shared<T>>,
}

/// The other end of a [`Ticket`]. Dropped without an answer, it answers that the store has stopped.
pub(crate) struct Promise<T> {
    shared: Option<Arc<Shared<T>>>,
}

struct Shared<T> {
    // Guards the state alone; wakers and callbacks are called after it is released.
    state: Mutex<State<T>>,
    answered: Condvar,
}

type Callback<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

enum State<T> {
    Pending(Option<Waker>),
    Called(Callback<T>),
    Answered(Result<T, Error>),
    Taken,
}

/// Both ends of a promise.
pub(crate) fn promise<T>() -> (Promise<T>, Ticket<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::Pending(None)), answered: Condvar::new() });
    (Promise { shared: Some(Arc::clone(&shared)) }, Ticket { shared })
}

impl<T> Ticket<T> {
    /// Waits for the answer. It comes within the request timeout of the engine, if only as [`Error::TimedOut`].
    pub fn wait(self) -> Result<T, Error> {
        let mut state = self.shared.state.lock();
        loop {
            match take(&mut state) {
                Some(answer) => return answer,
                None => self.shared.answered.wait(&mut state),
            }
        }
    }

    /// Waits for the answer, at most so long; gives the ticket back if it has not come.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<T, Error>, Ticket<T>> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(answer) = take(&mut state) {
                return Ok(answer);
            }
            if self.shared.answered.wait_until(&mut state, deadline).timed_out() {
                let answer = take(&mut state);
                drop(state);
                return answer.ok_or(self);
            }
        }
    }

    /// Calls `callback` with the answer: on a thread of the store, which it must not block, or at once if the answer
    /// is there already.
    pub fn on_done(self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        let mut state = self.shared.state.lock();
        match take(&mut state) {
            Some(answer) => MutexGuard::unlocked(&mut state, || callback(answer)),
            None => *state = State::Called(Box::new(callback)),
        }
    }
}

/// The answer, if it is there. It can be taken once.
fn take<T>(state: &mut State<T>) -> Option<Result<T, Error>> {
    match state {
        State::Answered(_) => match mem::replace(state, State::Taken) {
            State::Answered(answer) => Some(answer),
            State::Pending(_) | State::Called(_) | State::Taken => None,
        },
        State::Pending(_) | State::Called(_) => None,
        State::Taken => Some(Err(Error::Internal("an answer was taken twice".into()))),
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let mut state = self.shared.state.lock();
        if let Some(answer) = take(&mut state) {
            return Poll::Ready(answer);
        }
        *state = State::Pending(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl<T> Promise<T> {
    /// Gives the answer.
    pub(crate) fn keep(mut self, answer: Result<T, Error>) {
        if let Some(shared) = self.shared.take() {
            shared.answer(answer);
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.answer(Err(Error::StoreStopped("it dropped the command unanswered".into())));
        }
    }
}

impl<T> Shared<T> {
    fn answer(&self, answer: Result<T, Error>) {
        let mut state = self.state.lock();
        match mem::replace(&mut *state, State::Taken) {
            State::Called(callback) => {
                drop(state);
                callback(answer);
            }
            State::Pending(waker) => {
                *state = State::Answered(answer);
                drop(state);
                self.answered.notify_all();
                waker.into_iter().for_each(Waker::wake);
            }
            // A promise is kept once: `keep` and `drop` both take its only reference.
            State::Answered(_) | State::Taken => {}
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.shared.state.lock() {
            State::Pending(_) | State::Called(_) => "Ticket(pending)",
            State::Answered(_) => "Ticket(answered)",
            State::Taken => "Ticket(taken)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    #[test]
    fn waited_for_before_and_after_the_answer() {
        let (promise, ticket) = super::promise();
        promise.keep(Ok(1));
        assert_eq!(ticket.wait(), Ok(1));

        let (promise, ticket) = super::promise();
        let waiting = thread::spawn(move || ticket.wait());
        promise.keep(Ok(2));
        assert_eq!(waiting.join().unwrap(), Ok(2));
    }

    #[test]
    fn a_wait_that_ends_gives_the_ticket_back() {
        let (promise, ticket) = super::promise();
        let ticket = ticket.wait_timeout(Duration::from_millis(1)).unwrap_err();
        promise.keep(Ok(3));
        assert_eq!(ticket.wait_timeout(Duration::ZERO).unwrap(), Ok(3));
    }

    #[test]
    fn a_callback_is_called_once_before_and_after_the_answer() {
        for answered_first in [false, true] {
            let calls = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&calls);
            let count = move |answer| {
                assert_eq!(answer, Ok(4));
                counted.fetch_add(1, Ordering::Relaxed);
            };
            let (promise, ticket) = super::promise();
            if answered_first {
                promise.keep(Ok(4));
                ticket.on_done(count);
            } else {
                ticket.on_done(count);
                promise.keep(Ok(4));
            }
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    }

    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn polled_as_a_future() {
        let (promise, mut ticket) = super::promise();
        let woken = Arc::new(Woken(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut ticket).poll(&mut context).is_pending());
        promise.keep(Ok(5));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(Pin::new(&mut ticket).poll(&mut context), Poll::Ready(Ok(5)));
    }

    #[test]
    fn a_promise_that_is_dropped_is_an_answer() {
        let (promise, ticket) = super::promise::<()>();
        drop(promise);
        assert!(matches!(ticket.wait(), Err(Error::StoreStopped(_))));
    }
}

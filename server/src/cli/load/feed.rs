//! Deals the lines of a file out to the senders: those of one key always to the same one, in their order.

use std::io::BufRead;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender as Channel, bounded};

use super::batch::{Batch, KeyHash, Purpose};
use super::lines::{LineError, Lines};
use super::sender::{Judge, Sender, Shared, Trouble};

/// Batches that wait for one sender. With those it has under way, all that is in memory of a file of any size.
const WAITING_MAX: usize = 16;

/// How often somebody who waits for room looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which lines are sent, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    pub(super) purpose: Purpose,
    /// The first so many lines.
    pub(super) lines_max: u64,
    /// Of those, the ones whose key belongs to this part of so many.
    pub(super) part: u64,
    pub(super) parts: u64,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Fed {
    /// All lines through this one are acknowledged.
    pub(super) through: u64,
    /// What is wrong with the file.
    pub(super) bad_line: Option<LineError>,
    /// What is wrong with the server.
    pub(super) trouble: Option<Trouble>,
}

/// Sends the selected lines, with one sender for each judge, and returns when all are acknowledged or it makes no sense to
/// go on.
pub(super) fn feed<R: BufRead, J: Judge + Send>(
    shared: &Shared,
    lines: &mut Lines<R>,
    selection: Selection,
    judges: &mut [J],
) -> Fed {
    let (channels, receivers): (Vec<_>, Vec<_>) = judges.iter().map(|_| bounded(WAITING_MAX)).unzip();
    let mut feeder = Feeder { shared, channels, open: Vec::new() };
    feeder.open.resize_with(judges.len(), Batch::default);
    let (bad_line, ends) = thread::scope(|scope| {
        let send = |(judge, receiver)| scope.spawn(move || send(shared, receiver, judge));
        let threads: Vec<_> = judges.iter_mut().zip(&receivers).map(send).collect();
        let fed = feeder.deal(lines, selection);
        feeder.channels.clear();
        (
            fed.err(),
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect::<Vec<_>>(),
        )
    });
    let waiting = receivers.iter().flat_map(|receiver| receiver.try_iter().next()).chain(feeder.open);
    let waiting = waiting.filter_map(|batch| batch.first_after(0));
    let first = waiting.chain(ends.iter().filter_map(|(_, first)| *first)).min();
    let troubles = ends.into_iter().filter_map(|(end, _)| end.err());
    Fed {
        through: first.map_or(lines.read(), |first| first - 1),
        bad_line,
        // One has a reason; the others ended because of it.
        trouble: troubles.reduce(|one, other| if one == Trouble::Stopped { other } else { one }),
    }
}

/// How it ended, and the first line that was taken and is not acknowledged.
fn send<J: Judge>(
    shared: &Shared,
    batches: &Receiver<Batch>,
    judge: &mut J,
) -> (Result<(), Trouble>, Option<u64>) {
    let mut sender = Sender::new(shared, batches, judge);
    (sender.run(), sender.first_unacknowledged())
}

struct Feeder<'a> {
    shared: &'a Shared,
    /// To each sender.
    channels: Vec<Channel<Batch>>,
    /// The batch that is being filled, for each sender.
    open: Vec<Batch>,
}

impl Feeder<'_> {
    /// An error if a line is wrong; those before it are sent all the same.
    fn deal<R: BufRead>(&mut self, lines: &mut Lines<R>, selection: Selection) -> Result<(), LineError> {
        let Selection { purpose, lines_max, part, parts } = selection;
        let mut result = Ok(());
        while lines.read() < lines_max {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            let key = KeyHash::of(line.key);
            if key.part(parts) != part {
                continue;
            }
            let to = key.connection(self.open.len());
            self.open[to].add(&line, key, purpose);
            if self.open[to].is_full() && !self.hand_over(to) {
                return result;
            }
        }
        for to in 0..self.open.len() {
            if !self.open[to].is_empty() && !self.hand_over(to) {
                break;
            }
        }
        result
    }

    /// Gives a sender its batch when it has room. False if it is over; then the batch is still here.
    fn hand_over(&mut self, to: usize) -> bool {
        let mut batch = std::mem::take(&mut self.open[to]);
        loop {
            match self.channels[to].send_timeout(batch, LOOK_EVERY) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => batch = back,
            }
            if self.shared.is_over.load(Ordering::Relaxed) {
                self.open[to] = batch;
                return false;
            }
        }
    }
}

//! Sends the lines of one connection in order, until each is acknowledged: over new connections, if need be.
//!
//! The last of a repeated key must win, so the order of a key's lines must hold whatever happens:
//!
//! - A key's lines always go through the same sender, and a sender's lines through one connection at a time.
//! - Answers come in order, so what is unacknowledged is always *the end* of what was sent. All of it is sent again, never
//!   a part of it: whatever the first attempt has left behind, the second ends with the same newest lines.
//! - If a line is refused and those behind it are not, they count as unacknowledged with it: sent again without the ones
//!   behind it, the refused line would overwrite them.
//! - What the server still holds of a lost connection cannot come late: a store orders the commands of one region over all
//!   its connections, and after a restart everything from its earlier life is refused. (Behind the one address of
//!   `skep dev` are three stores; there a connection is lost with the process, and all its stores with it.)

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::super::answers::Answer;
use super::super::redis_connection::RedisConnection;
use super::batch::{Batch, Entry};

/// Bytes of lines that are sent and unacknowledged. Half of what a server takes from one connection; one line at least.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// How long to wait before a connection is made again, or refused lines are sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may say nothing while answers are due, before another is tried. Longer than a server takes to
/// say that it cannot answer.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What becomes of a line after its answer.
pub(super) enum Verdict {
    /// It is done.
    Acknowledged,
    /// It may go well later, and the server says why not now.
    Later(String),
    /// It will not.
    Never(Trouble),
}

/// Why a sender ended before its lines did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// Nothing was acknowledged for too long; the last thing that went wrong.
    GaveUp(String),
    /// The server refuses this line for good.
    Refused(u64, String),
    /// More lines differ than are kept in memory.
    TooManyDiffer,
    /// Somebody else ended first, or the user.
    Stopped,
}

/// What all senders share.
pub(super) struct Shared {
    pub(super) address: String,
    /// How long nothing may be acknowledged before a sender gives up.
    pub(super) timeout: Duration,
    /// Lines of one connection that are sent and unacknowledged, at most.
    pub(super) pipeline: usize,
    /// Set by whoever fails: it is over for all.
    pub(super) is_over: Arc<AtomicBool>,
    /// Whether the user knows that there is no connection.
    pub(super) is_loss_told: AtomicBool,
    /// How far all are together, for those who watch.
    pub(super) lines_done: AtomicU64,
    pub(super) bytes_done: AtomicU64,
}

/// See the page of this file.
pub(super) struct Sender<'a, J> {
    shared: &'a Shared,
    batches: &'a Receiver<Batch>,
    judge: &'a mut J,
    /// Batches that are not acknowledged whole, oldest first.
    window: VecDeque<Batch>,
    window_bytes: u64,
    /// How much of the oldest is acknowledged.
    acknowledged: usize,
    /// How many batches of the window this connection has been sent.
    sent: usize,
    /// How many answers this connection owes.
    owed: usize,
    /// Why the oldest line was refused. Nothing is sent until all answers are there, and they do not count.
    refused: Option<String>,
    /// When this connection said something, or was made.
    heard: Instant,
    /// When a line was acknowledged, or there were none.
    progress: Instant,
    went_wrong: String,
}

/// Why a connection is not used any longer.
enum Broken {
    Lost(io::Error),
    Ended(Trouble),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Lost(error)
    }
}

/// Says what an answer means for its line.
pub(super) trait Judge {
    fn judge(&mut self, entry: &Entry, answer: Answer) -> Verdict;
}

impl<'a, J: Judge> Sender<'a, J> {
    /// A sender of what comes from `batches`.
    pub(super) fn new(shared: &'a Shared, batches: &'a Receiver<Batch>, judge: &'a mut J) -> Sender<'a, J> {
        Sender {
            shared,
            batches,
            judge,
            window: VecDeque::new(),
            window_bytes: 0,
            acknowledged: 0,
            sent: 0,
            owed: 0,
            refused: None,
            heard: Instant::now(),
            progress: Instant::now(),
            went_wrong: String::new(),
        }
    }

    /// Sends until there is nothing left to send and all of it is acknowledged.
    pub(super) fn run(&mut self) -> Result<(), Trouble> {
        let result = self.run_to_end();
        if result.is_err() {
            self.shared.is_over.store(true, Ordering::Relaxed);
        }
        result
    }

    /// The first line that was taken and is not acknowledged.
    pub(super) fn first_unacknowledged(&self) -> Option<u64> {
        self.window.front().and_then(|batch| batch.first_after(self.acknowledged))
    }

    fn run_to_end(&mut self) -> Result<(), Trouble> {
        loop {
            match RedisConnection::open(&self.shared.address).map_err(Broken::Lost).and_then(|c| self.talk(c))
            {
                Ok(()) => return Ok(()),
                Err(Broken::Ended(trouble)) => return Err(trouble),
                Err(Broken::Lost(error)) => self.lost(&error)?,
            }
        }
    }

    fn lost(&mut self, error: &io::Error) -> Result<(), Trouble> {
        self.went_wrong = error.to_string();
        // Another password, or another protocol, will not come with time.
        if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData) {
            return Err(Trouble::GaveUp(error.to_string()));
        }
        if !self.shared.is_loss_told.swap(true, Ordering::Relaxed) {
            let Shared { address, timeout, .. } = self.shared;
            tracing::warn!("no connection to {address} ({error}); trying again for {timeout:?}");
        }
        self.pause()
    }

    /// Uses one connection for as long as it lasts.
    fn talk(&mut self, mut connection: RedisConnection) -> Result<(), Broken> {
        (self.sent, self.owed, self.refused) = (0, 0, None);
        self.heard = Instant::now();
        self.shared.is_loss_told.store(false, Ordering::Relaxed);
        loop {
            if self.refused.is_none() {
                self.send(&mut connection)?;
            }
            if self.window.is_empty() {
                return Ok(());
            }
            if self.owed > 0 {
                self.receive(&mut connection)?;
                continue;
            }
            if let Some(why) = self.refused.take() {
                self.went_wrong = why;
                self.sent = 0;
                self.pause().map_err(Broken::Ended)?;
            }
        }
    }

    /// Sends what there is room for.
    fn send(&mut self, connection: &mut RedisConnection) -> Result<(), Broken> {
        while self.owed < self.shared.pipeline && self.window_bytes < WINDOW_BYTES_MAX {
            if self.sent == self.window.len() && !self.take().map_err(Broken::Ended)? {
                return Ok(());
            }
            let skipped = if self.sent == 0 { self.acknowledged } else { 0 };
            let batch = &self.window[self.sent];
            connection.send(batch.commands_after(skipped))?;
            self.owed += batch.lines().len() - skipped;
            self.sent += 1;
        }
        Ok(())
    }

    /// Takes a batch into the window; waits for one if the window is empty. False if there is none now.
    fn take(&mut self) -> Result<bool, Trouble> {
        let batch = match self.batches.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Empty) if self.window.is_empty() => match self.wait()? {
                Some(batch) => batch,
                None => return Ok(false),
            },
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(false),
        };
        if self.window.is_empty() {
            self.progress = Instant::now();
        }
        self.window_bytes += batch.file_bytes;
        self.window.push_back(batch);
        Ok(true)
    }

    /// The next batch; `None` if no more will come.
    fn wait(&self) -> Result<Option<Batch>, Trouble> {
        loop {
            match self.batches.recv_timeout(PAUSE) {
                Ok(batch) => return Ok(Some(batch)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.check_over()?,
            }
        }
    }

    fn receive(&mut self, connection: &mut RedisConnection) -> Result<(), Broken> {
        let Some(answer) = connection.receive()? else {
            self.check_over().map_err(Broken::Ended)?;
            self.check_time().map_err(Broken::Ended)?;
            if self.heard.elapsed() >= SILENCE_MAX {
                return Err(Broken::Lost(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server does not answer",
                )));
            }
            return Ok(());
        };
        self.owed -= 1;
        self.heard = Instant::now();
        if self.refused.is_some() {
            return Ok(());
        }
        let Some(entry) = self.window.front().and_then(|batch| batch.lines().get(self.acknowledged)) else {
            return Err(Broken::Lost(io::Error::other("the server answers what it was not asked")));
        };
        match self.judge.judge(entry, answer) {
            Verdict::Acknowledged => self.count_one(),
            Verdict::Later(why) => self.refused = Some(why),
            Verdict::Never(trouble) => return Err(Broken::Ended(trouble)),
        }
        Ok(())
    }

    fn count_one(&mut self) {
        self.acknowledged += 1;
        self.progress = Instant::now();
        self.shared.lines_done.fetch_add(1, Ordering::Relaxed);
        let is_whole = |batch: &mut Batch| batch.lines().len() == self.acknowledged;
        if let Some(batch) = self.window.pop_front_if(is_whole) {
            self.shared.bytes_done.fetch_add(batch.file_bytes, Ordering::Relaxed);
            self.window_bytes -= batch.file_bytes;
            self.acknowledged = 0;
            self.sent -= 1;
        }
    }

    fn pause(&self) -> Result<(), Trouble> {
        self.check_over()?;
        self.check_time()?;
        thread::sleep(PAUSE);
        Ok(())
    }

    fn check_over(&self) -> Result<(), Trouble> {
        if self.shared.is_over.load(Ordering::Relaxed) { Err(Trouble::Stopped) } else { Ok(()) }
    }

    fn check_time(&self) -> Result<(), Trouble> {
        if self.progress.elapsed() < self.shared.timeout {
            return Ok(());
        }
        let why = if self.went_wrong.is_empty() { "the server does not answer" } else { &self.went_wrong };
        Err(Trouble::GaveUp(why.to_owned()))
    }
}

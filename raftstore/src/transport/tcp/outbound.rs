//! One connection's way out: what is written at once, what waits, and in which order.
//!
//! Always true:
//! - of at most one frame (`started`) some bytes have been written and some not; it goes first;
//! - frames wait only while there is a socket that was full, or one that is being dialed on demand;
//! - what waits is within the limit of its lane.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::{Buf, Bytes};
use mio::Token;

use super::counters::{Counters, add};
use super::limits::TcpLimits;
use super::socket::{is_interrupted, is_not_now};
use crate::codec::Purpose;
use crate::transport::Lane;

/// What one call may write before it lets go of the lock, so that nobody waits long for it.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// How many frames one system call takes.
const SLICES_MAX: usize = 64;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// The kernel has it.
    Written,
    /// It waits for the socket.
    Queued,
    /// It waits, and nothing but the io thread's attention is missing.
    MustFlush,
    /// It waits for a connection that is not being made yet.
    MustDial,
    /// It is lost, and so is this connection.
    Broken(Token),
    /// It is lost.
    Dropped,
}

/// What became of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flushed {
    /// All is written, or the socket is full.
    Enough,
    /// There is more to write, and the socket takes it.
    More,
    /// The connection is lost.
    Broken,
}

/// Where the connection stands.
enum Connection<S> {
    None,
    /// Frames may wait for it.
    OnDemand,
    Up(S, Token),
    /// An error was seen; the io thread has yet to clear it away.
    Broken,
}

/// One connection's queue and socket.
pub(super) struct Outbound<S> {
    connection: Connection<S>,
    purpose: Purpose,
    started: Option<Bytes>,
    urgent: Queue,
    bulk: Queue,
}

struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

impl<S> Outbound<S>
where
    for<'s> &'s S: Write,
{
    pub(super) fn new(purpose: Purpose, limits: &TcpLimits) -> Outbound<S> {
        let bulk_bytes_max = match purpose {
            Purpose::Messages => limits.bulk_bytes_max,
            Purpose::Snapshots => limits.snapshot_bytes_max,
        };
        Outbound {
            connection: Connection::None,
            purpose,
            started: None,
            urgent: Queue::new(limits.urgent_bytes_max),
            bulk: Queue::new(bulk_bytes_max),
        }
    }

    /// Writes `frame` if nothing is before it, else lets it wait, else drops and counts it.
    pub(super) fn send(&mut self, lane: Lane, frame: Bytes, counters: &Counters) -> Sent {
        let idle = self.is_idle();
        match (&self.connection, self.purpose) {
            (Connection::Up(_, token), _) if idle => {
                let token = *token;
                self.started = Some(frame);
                match self.flush(counters) {
                    Flushed::Enough if self.started.is_none() => Sent::Written,
                    Flushed::Enough => Sent::Queued,
                    Flushed::More => Sent::MustFlush,
                    Flushed::Broken => Sent::Broken(token),
                }
            }
            (Connection::Up(..) | Connection::OnDemand, _) => self.queue(lane, frame, counters),
            (Connection::None, Purpose::Snapshots) => match self.queue(lane, frame, counters) {
                Sent::Queued => {
                    self.connection = Connection::OnDemand;
                    Sent::MustDial
                }
                other => other,
            },
            (Connection::None, Purpose::Messages) | (Connection::Broken, _) => {
                counters.dropped(1, frame.len());
                Sent::Dropped
            }
        }
    }

    /// Writes what waits: what is started first, then what is urgent, then the rest.
    pub(super) fn flush(&mut self, counters: &Counters) -> Flushed {
        let mut written = 0;
        while !self.is_idle() {
            if written >= WRITE_BYTES_MAX {
                return Flushed::More;
            }
            match self.write_some(counters) {
                Ok(0) => return self.broken(),
                Ok(bytes) => {
                    written += bytes;
                    self.consume(bytes, counters);
                }
                Err(error) if is_not_now(&error) => return Flushed::Enough,
                Err(error) if is_interrupted(&error) => {}
                Err(_) => return self.broken(),
            }
        }
        Flushed::Enough
    }

    /// The connection is made: frames go through `socket`.
    pub(super) fn connect(&mut self, socket: S, token: Token) {
        self.connection = Connection::Up(socket, token);
    }

    /// Gives up connection and queue.
    pub(super) fn disconnect(&mut self, counters: &Counters) -> Option<S> {
        let frames = self.urgent.frames.len() + self.bulk.frames.len() + usize::from(self.started.is_some());
        counters.dropped(frames as u64, self.queued_bytes());
        self.started = None;
        self.urgent.clear();
        self.bulk.clear();
        match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Up(socket, _) => Some(socket),
            Connection::None | Connection::OnDemand | Connection::Broken => None,
        }
    }

    /// The socket, while there is one.
    pub(super) fn socket(&self) -> Option<&S> {
        match &self.connection {
            Connection::Up(socket, _) => Some(socket),
            Connection::None | Connection::OnDemand | Connection::Broken => None,
        }
    }

    /// Whether frames wait for a connection to be made.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.connection, Connection::OnDemand)
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.started.as_ref().map_or(0, Bytes::len) + self.urgent.bytes + self.bulk.bytes
    }

    fn is_idle(&self) -> bool {
        self.started.is_none() && self.urgent.frames.is_empty() && self.bulk.frames.is_empty()
    }

    fn queue(&mut self, lane: Lane, frame: Bytes, counters: &Counters) -> Sent {
        let queue = match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk | Lane::Snapshot => &mut self.bulk,
        };
        if queue.bytes + frame.len() > queue.bytes_max {
            counters.dropped(1, frame.len());
            return Sent::Dropped;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        Sent::Queued
    }

    fn write_some(&self, counters: &Counters) -> io::Result<usize> {
        let Connection::Up(socket, _) = &self.connection else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        add(&counters.writes, 1);
        let mut waiting = self.started.iter().chain(&self.urgent.frames).chain(&self.bulk.frames);
        if let (Some(only), true) =
            (&self.started, self.urgent.frames.is_empty() && self.bulk.frames.is_empty())
        {
            return (&mut &*socket).write(&only[..only.len().min(WRITE_BYTES_MAX)]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        let mut bytes = 0;
        while used < SLICES_MAX && bytes < WRITE_BYTES_MAX {
            let Some(frame) = waiting.next() else { break };
            slices[used] = IoSlice::new(&frame[..frame.len().min(WRITE_BYTES_MAX - bytes)]);
            bytes += slices[used].len();
            used += 1;
        }
        (&mut &*socket).write_vectored(&slices[..used])
    }

    /// Takes what was written off the front, in the order in which it was offered.
    fn consume(&mut self, mut bytes: usize, counters: &Counters) {
        add(&counters.bytes_sent, bytes as u64);
        while bytes > 0 {
            let next = self.started.take().or_else(|| self.urgent.pop()).or_else(|| self.bulk.pop());
            let Some(mut frame) = next else { return };
            if bytes < frame.len() {
                frame.advance(bytes);
                self.started = Some(frame);
                return;
            }
            bytes -= frame.len();
            add(&counters.frames_sent, 1);
        }
    }

    fn broken(&mut self) -> Flushed {
        self.connection = Connection::Broken;
        Flushed::Broken
    }
}

impl Queue {
    fn new(bytes_max: usize) -> Queue {
        Queue { frames: VecDeque::new(), bytes: 0, bytes_max }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }
}

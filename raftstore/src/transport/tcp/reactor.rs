//! The io thread: waits for sockets, deadlines and commands, and hands each to whoever knows what to do.
//!
//! Readiness is edge-triggered: a socket is read until it is empty and written until it is full, or it is put
//! on the list of those to go on with, after the others had their turn. Sockets are known by tokens that are
//! never reused, so that news of a socket that is gone reaches nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::counters::add;
use super::dial::{Dial, Dialing};
use super::inbound::Inbound;
use super::incoming::Greeting;
use super::limits::TcpLimits;
use super::peers::Shared;
use super::socket::is_interrupted;
use crate::codec::Purpose;
use crate::ids::StoreId;
use crate::transport::chance::Chance;
use crate::transport::{Identity, Receiver};

pub(super) const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const TOKEN_FIRST: usize = 2;
/// How many sockets one system call reports.
const EVENTS_MAX: usize = 256;

/// What the io thread is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    /// What is known of the peer has changed: begin anew with it, if it is still one.
    Renew(StoreId),
    /// Frames wait for a connection that is made on demand.
    Dial(StoreId, Purpose),
    /// Frames wait for a socket that has room.
    Flush(StoreId, Purpose),
    /// Writing to this socket failed.
    Broken(Token),
}

/// Which connection towards a peer.
pub(super) type Towards = (StoreId, Purpose);

/// A socket, by what is expected of it.
pub(super) enum Conn {
    /// We dialed, and are not welcomed yet.
    Dialing(Dialing),
    /// We send; the socket is with the link.
    Outgoing(Towards),
    /// We were dialed, and do not know by whom.
    Greeting(Greeting),
    /// We receive.
    Incoming(Inbound),
}

/// What became ready, or may have.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: Token,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other side will send no more, so that reading goes on until the end is seen.
    pub(super) closing: bool,
}

/// All that the io thread owns.
pub(super) struct Reactor {
    pub(super) shared: Arc<Shared>,
    pub(super) poll: Poll,
    pub(super) listener: TcpListener,
    pub(super) conns: BTreeMap<Token, Conn>,
    pub(super) dials: BTreeMap<Towards, Dial>,
    /// The newest connection from each peer: an older one is closed.
    pub(super) incoming: BTreeMap<Towards, Token>,
    /// Those of `conns` that are greetings, oldest first.
    pub(super) greetings: BTreeSet<Token>,
    /// Sockets that are not done with.
    pub(super) unfinished: Vec<Token>,
    pub(super) chance: Chance,
    /// The earliest deadline of any kind. It may be too early, never too late.
    due: Option<Instant>,
    next_token: usize,
}

impl Reactor {
    pub(super) fn new(
        identity: Identity,
        listener: std::net::TcpListener,
        receiver: Arc<dyn Receiver>,
        limits: TcpLimits,
    ) -> io::Result<(Reactor, Arc<Shared>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let shared = Arc::new(Shared::new(identity, receiver, limits, waker));
        let uuid = u128::from_le_bytes(identity.uuid);
        let reactor = Reactor {
            shared: Arc::clone(&shared),
            poll,
            listener,
            conns: BTreeMap::new(),
            dials: BTreeMap::new(),
            incoming: BTreeMap::new(),
            greetings: BTreeSet::new(),
            unfinished: Vec::new(),
            chance: Chance::new(uuid as u64 ^ (uuid >> 64) as u64 ^ identity.life.0),
            due: None,
            next_token: TOKEN_FIRST,
        };
        Ok((reactor, shared))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Runs until it is told to stop. Dropping the reactor closes everything.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.shared.stopping.load(Ordering::Acquire) {
            add(&self.shared.counters.polls, 1);
            match self.poll.poll(&mut events, self.time_left()) {
                Ok(()) => {}
                Err(error) if is_interrupted(&error) => continue,
                // The poll itself is broken. Peers see closed connections, the store sees that it reaches
                // nobody.
                Err(_) => break,
            }
            for event in &events {
                self.on_event(event);
            }
            for token in std::mem::take(&mut self.unfinished) {
                self.on_ready(Ready { token, readable: true, writable: true, closing: true });
            }
            for command in self.shared.take_commands() {
                self.on_command(command);
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.on_deadlines(Instant::now());
            }
        }
    }

    /// Asks to be woken at `at` at the latest.
    pub(super) fn alarm(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn new_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    fn time_left(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn on_event(&mut self, event: &Event) {
        let closing = event.is_read_closed() || event.is_write_closed() || event.is_error();
        let readable = event.is_readable() || closing;
        self.on_ready(Ready { token: event.token(), readable, writable: event.is_writable(), closing });
    }

    fn on_ready(&mut self, ready: Ready) {
        match (ready.token, self.conns.get(&ready.token)) {
            (LISTENER, _) => self.accept(),
            // It carries nothing: commands are looked at after every wake-up. Others are of sockets that are
            // gone.
            (_, None) => {}
            (token, Some(Conn::Dialing(_))) => self.on_dialing(token),
            (_, Some(Conn::Outgoing(towards))) => self.on_outgoing(*towards, ready),
            (token, Some(Conn::Greeting(_))) => self.on_greeting(token),
            (_, Some(Conn::Incoming(_))) => self.on_incoming(ready),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Renew(store) => self.renew(store),
            Command::Dial(store, purpose) => self.dial_on_demand((store, purpose)),
            Command::Flush(store, purpose) => self.flush((store, purpose)),
            Command::Broken(token) => {
                if let Some(Conn::Outgoing(towards)) = self.conns.get(&token) {
                    self.lost(*towards, Some("the connection broke".into()));
                }
            }
        }
    }

    /// Does what is due, and finds the next deadline: there are a few for each peer, so all are looked at.
    fn on_deadlines(&mut self, now: Instant) {
        self.due = None;
        self.dials_due(now);
        self.greetings_due(now);
        self.unfinished.push(LISTENER);
    }
}

impl Drop for Reactor {
    /// Also when the thread panics: whoever sends must not go on filling queues that nobody empties.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        for dial in self.dials.values() {
            dial.link.outbound.lock().disconnect(&self.shared.counters);
        }
    }
}

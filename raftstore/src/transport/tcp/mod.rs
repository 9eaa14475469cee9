//! Frames over TCP, for one store: one thread reads, dials, accepts and writes what is left over.
//!
//! ```text
//! worker -> send -> [socket has room] ---------------------> socket      (on the worker's own thread)
//!                -> [it has not] -> queue -> io thread ----> socket
//! socket -> io thread -> whole, checked frames -> Receiver::received
//! ```
//!
//! Whoever dials, sends; whoever accepts, receives: a pair of stores has a connection each way, and one more
//! each way once a snapshot is sent. Both ends say who they are before the first frame, and either hangs up,
//! in words, on one that it does not expect; [`TcpTransport::peer_states`] keeps the words.
//!
//! Promises: `send` never waits for the network; an urgent frame overtakes all bulk frames of which no byte
//! has been written; a connection that is lost is dialed again for as long as the peer is known; frames that
//! were queued when a connection was lost are dropped and counted.

mod counters;
mod dial;
mod discovery;
mod greet;
mod handshake;
mod inbound;
mod incoming;
mod limits;
mod outbound;
mod outgoing;
mod peers;
mod reactor;
mod socket;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::counters::TcpCounters;
pub use self::discovery::{Doorman, ask};
pub use self::limits::TcpLimits;
pub use self::peers::PeerState;
pub use super::Identity;
use super::{Lane, Receiver, Transport};
use crate::codec::{Introduction, Purpose};
use crate::ids::StoreId;
use crate::wire::{FRAME_BYTES_MAX, HEADER_BYTES};

use self::outbound::Sent;
use self::peers::Shared;
use self::reactor::{Command, Reactor};

/// One store's connections. Stops when it is dropped.
pub struct TcpTransport {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl TcpTransport {
    /// Listens on `listen` (port 0 takes any free one) and starts the thread. Nobody is dialed yet, and
    /// nobody but peers that were [set](TcpTransport::set_peer) is let in.
    pub fn start(
        identity: Identity,
        listen: SocketAddr,
        receiver: Arc<dyn Receiver>,
        limits: TcpLimits,
    ) -> io::Result<Arc<TcpTransport>> {
        TcpTransport::start_on(identity, TcpListener::bind(listen)?, receiver, limits)
    }

    /// The same, on an address that is bound already.
    pub fn start_on(
        identity: Identity,
        listener: TcpListener,
        receiver: Arc<dyn Receiver>,
        limits: TcpLimits,
    ) -> io::Result<Arc<TcpTransport>> {
        let (reactor, shared) = Reactor::new(identity, listener, receiver, limits)?;
        let local_addr = reactor.local_addr()?;
        let thread = std::thread::Builder::new()
            .name(format!("skep-net-{}", identity.store))
            .spawn(move || reactor.run())?;
        Ok(Arc::new(TcpTransport { shared, local_addr, thread: Mutex::new(Some(thread)) }))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Says where `store` is, and starts to dial it. Said again with another address or uuid, the old
    /// connections are closed. Without a `uuid` the first one met is taken and held to.
    pub fn set_peer(&self, store: StoreId, uuid: Option<[u8; 16]>, addr: SocketAddr) {
        if store != self.shared.identity.store && self.shared.set_peer(store, uuid, addr) {
            self.shared.command(Command::Renew(store));
        }
    }

    /// Forgets `store`: its connections are closed, and it is not let in again.
    pub fn remove_peer(&self, store: StoreId) {
        if self.shared.remove_peer(store) {
            self.shared.command(Command::Renew(store));
        }
    }

    /// Says what is answered to whoever asks who we are. Nobody is answered before.
    pub fn introduce(&self, introduction: Introduction) {
        self.shared.introduce(introduction);
    }

    /// Those who asked since the last call, a few at most. What they say of themselves was not checked.
    pub fn heard(&self) -> Vec<Introduction> {
        self.shared.take_heard()
    }

    /// How each peer fares, in the order of their ids.
    pub fn peer_states(&self) -> Vec<PeerState> {
        self.shared.peer_states()
    }

    /// What was sent and received so far.
    pub fn counters(&self) -> TcpCounters {
        self.shared.counters.read()
    }

    /// Closes everything and waits for the thread to end. Afterwards `send` drops all it is given.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        let Some(thread) = self.thread.lock().take() else { return };
        // A receiver that drops the last handle does so on the very thread that would have to be waited for.
        if thread.thread().id() != std::thread::current().id() {
            // A panic of the thread has been reported by the panic hook, and its sockets are closed either
            // way.
            let _ = thread.join();
        }
    }
}

impl Transport for TcpTransport {
    fn send(&self, to: StoreId, lane: Lane, frame: Bytes) -> bool {
        let bytes = frame.len();
        let purpose = if lane == Lane::Snapshot { Purpose::Snapshots } else { Purpose::Messages };
        let sendable = (HEADER_BYTES..=FRAME_BYTES_MAX).contains(&bytes)
            && !self.shared.stopping.load(Ordering::Relaxed);
        let Some(link) = self.shared.link(to, purpose).filter(|_| sendable) else {
            self.shared.counters.dropped(1, bytes);
            return false;
        };
        let sent = link.outbound.lock().send(lane, frame, &self.shared.counters);
        match sent {
            Sent::Written | Sent::Queued => true,
            Sent::MustFlush => {
                self.shared.command(Command::Flush(to, purpose));
                true
            }
            Sent::MustDial => {
                self.shared.command(Command::Dial(to, purpose));
                true
            }
            Sent::Broken(token) => {
                self.shared.command(Command::Broken(token));
                false
            }
            Sent::Dropped => false,
        }
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;

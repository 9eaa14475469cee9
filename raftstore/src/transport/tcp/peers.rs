//! What the io thread and the senders share: who the peers are, and their ways out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mio::Waker;
use mio::net::TcpStream;
use parking_lot::{Mutex, RwLock};

use super::counters::Counters;
use super::limits::TcpLimits;
use super::outbound::Outbound;
use super::reactor::Command;
use crate::codec::{Introduction, Purpose};
use crate::ids::{Life, StoreId};
use crate::transport::{Identity, Receiver};

/// How a peer fares, for whoever asks what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerState {
    /// Which store.
    pub store: StoreId,
    /// Where it is dialed.
    pub addr: SocketAddr,
    /// Who it must be, once that is known.
    pub uuid: Option<[u8; 16]>,
    /// The newest life of it that was met.
    pub life: Option<Life>,
    /// Whether frames can be sent to it.
    pub up: bool,
    /// Bytes that wait to be sent to it, snapshots included.
    pub queued_bytes: usize,
    /// The last reason why a connection with it was not made or not kept, in words. Not cleared by a success.
    pub refusal: Option<String>,
}

/// The two connections towards a peer, and what is known of it.
pub(super) struct Peer {
    /// Short: read and written by the io thread at handshakes, read by whoever asks for states.
    pub(super) about: Mutex<About>,
    messages: Arc<Link>,
    snapshots: Arc<Link>,
}

pub(super) struct About {
    pub(super) addr: SocketAddr,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) life: Option<Life>,
    pub(super) refusal: Option<String>,
}

/// One connection towards a peer.
pub(super) struct Link {
    pub(super) store: StoreId,
    pub(super) purpose: Purpose,
    /// Held while a frame is written or queued. The io thread takes it to flush; nothing is called from under
    /// it.
    pub(super) outbound: Mutex<Outbound<TcpStream>>,
}

/// Addresses that askers named and nobody has looked at. Beyond, more are not kept: they ask again.
const HEARD_MAX: usize = 16;

pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) limits: TcpLimits,
    pub(super) receiver: Arc<dyn Receiver>,
    pub(super) counters: Counters,
    pub(super) stopping: AtomicBool,
    /// What is answered to whoever asks who we are. Nobody is answered before it is set.
    introduction: Mutex<Option<Introduction>>,
    /// Those who asked, until somebody looks.
    heard: Mutex<Vec<Introduction>>,
    /// Written when a peer comes or goes, read at every send.
    peers: RwLock<BTreeMap<StoreId, Arc<Peer>>>,
    /// What the io thread is asked to do; at most a few for each peer and turn, and emptied at every wake-up.
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

impl Shared {
    pub(super) fn new(
        identity: Identity,
        receiver: Arc<dyn Receiver>,
        limits: TcpLimits,
        waker: Waker,
    ) -> Shared {
        Shared {
            identity,
            limits,
            receiver,
            counters: Counters::default(),
            stopping: AtomicBool::new(false),
            introduction: Mutex::default(),
            heard: Mutex::default(),
            peers: RwLock::default(),
            commands: Mutex::default(),
            waker,
        }
    }

    pub(super) fn introduce(&self, introduction: Introduction) {
        *self.introduction.lock() = Some(introduction);
    }

    pub(super) fn introduction(&self) -> Option<Introduction> {
        self.introduction.lock().clone()
    }

    pub(super) fn hear(&self, asker: Introduction) {
        let mut heard = self.heard.lock();
        if heard.len() < HEARD_MAX {
            heard.push(asker);
        }
    }

    pub(super) fn take_heard(&self) -> Vec<Introduction> {
        std::mem::take(&mut *self.heard.lock())
    }

    /// Whether anything changed.
    pub(super) fn set_peer(&self, store: StoreId, uuid: Option<[u8; 16]>, addr: SocketAddr) -> bool {
        let mut peers = self.peers.write();
        let Some(peer) = peers.get(&store) else {
            peers.insert(store, Arc::new(Peer::new(store, uuid, addr, &self.limits)));
            return true;
        };
        let mut about = peer.about.lock();
        let uuid = uuid.or(about.uuid);
        let changed = (about.addr, about.uuid) != (addr, uuid);
        about.addr = addr;
        about.uuid = uuid;
        changed
    }

    /// Whether it was there. Its links stay with the io thread, which is to close them.
    pub(super) fn remove_peer(&self, store: StoreId) -> bool {
        self.peers.write().remove(&store).is_some()
    }

    pub(super) fn peer(&self, store: StoreId) -> Option<Arc<Peer>> {
        self.peers.read().get(&store).map(Arc::clone)
    }

    pub(super) fn link(&self, store: StoreId, purpose: Purpose) -> Option<Arc<Link>> {
        self.peers.read().get(&store).map(|peer| Arc::clone(peer.link(purpose)))
    }

    pub(super) fn peer_states(&self) -> Vec<PeerState> {
        self.peers.read().iter().map(|(store, peer)| peer.state(*store)).collect()
    }

    /// Keeps the words for whoever asks.
    pub(super) fn note_refusal(&self, store: StoreId, refusal: String) {
        if let Some(peer) = self.peer(store) {
            peer.about.lock().refusal = Some(refusal);
        }
    }

    pub(super) fn command(&self, command: Command) {
        self.commands.lock().push(command);
        self.wake();
    }

    pub(super) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock())
    }

    pub(super) fn wake(&self) {
        // It fails only when the poll it belongs to is gone, and then there is nobody left to wake.
        let _ = self.waker.wake();
    }
}

impl Peer {
    fn new(store: StoreId, uuid: Option<[u8; 16]>, addr: SocketAddr, limits: &TcpLimits) -> Peer {
        let link =
            |purpose| Arc::new(Link { store, purpose, outbound: Mutex::new(Outbound::new(purpose, limits)) });
        let about = Mutex::new(About { addr, uuid, life: None, refusal: None });
        Peer { about, messages: link(Purpose::Messages), snapshots: link(Purpose::Snapshots) }
    }

    pub(super) fn link(&self, purpose: Purpose) -> &Arc<Link> {
        match purpose {
            Purpose::Messages => &self.messages,
            Purpose::Snapshots => &self.snapshots,
        }
    }

    fn state(&self, store: StoreId) -> PeerState {
        let (up, queued_bytes) = {
            let outbound = self.messages.outbound.lock();
            (outbound.socket().is_some(), outbound.queued_bytes())
        };
        let queued_bytes = queued_bytes + self.snapshots.outbound.lock().queued_bytes();
        let about = self.about.lock();
        let refusal = about.refusal.clone();
        PeerState { store, addr: about.addr, uuid: about.uuid, life: about.life, up, queued_bytes, refusal }
    }
}

//! Who is connected, and what each connection chose for itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::commands::{Transaction, Watched};
use crate::connection::outbox::Outbox;
use crate::resp::Protocol;

/// Everyone who is connected.
#[derive(Default)]
pub(crate) struct Clients {
    /// Taken when a connection comes or goes, and by CLIENT.
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
}

/// One connection, as others see it.
pub(crate) struct Client {
    pub(crate) id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    since: Instant,
    outbox: Arc<Outbox>,
    is_killed: AtomicBool,
    /// Read by CLIENT, written by the connection; nobody holds it for longer than a copy.
    told: Mutex<Told>,
}

struct Told {
    name: String,
    library: String,
    library_version: String,
    last_used: Instant,
    last_command: &'static str,
    protocol: Protocol,
}

/// Which commands are answered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum ReplyMode {
    #[default]
    On,
    Off,
    SkipThisAndNext,
    SkipNext,
}

/// How fresh the answers to reads are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Consistency {
    /// As if there were one copy of the data.
    #[default]
    Linearizable,
    /// What the store that the connection talks to has: perhaps a while ago, and without asking another.
    Stale,
}

/// One connection, as it sees itself.
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    pub(crate) protocol: Protocol,
    pub(crate) reply_mode: ReplyMode,
    /// Whether it has given the password, if there is one.
    pub(crate) is_authenticated: bool,
    pub(crate) consistency: Consistency,
    /// What was queued, between MULTI and EXEC.
    pub(crate) transaction: Option<Transaction>,
    /// What is watched until EXEC.
    pub(crate) watched: Vec<Arc<Watched>>,
}

impl Clients {
    pub(crate) fn join(&self, peer: SocketAddr, local: SocketAddr, outbox: Arc<Outbox>) -> Session {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let told = Told {
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            last_used: now,
            last_command: "NULL",
            protocol: Protocol::Resp2,
        };
        let is_killed = AtomicBool::new(false);
        let client =
            Arc::new(Client { id, peer, local, since: now, outbox, is_killed, told: Mutex::new(told) });
        self.connected.lock().insert(id, Arc::clone(&client));
        Session {
            client,
            protocol: Protocol::Resp2,
            reply_mode: ReplyMode::On,
            is_authenticated: false,
            consistency: Consistency::default(),
            transaction: None,
            watched: Vec::new(),
        }
    }

    pub(crate) fn leave(&self, id: u64) {
        self.connected.lock().remove(&id);
    }

    pub(crate) fn count(&self) -> usize {
        self.connected.lock().len()
    }

    /// How many there have been.
    pub(crate) fn total(&self) -> u64 {
        self.last_id.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.connected.lock().values().cloned().collect()
    }
}

impl Client {
    pub(crate) fn name(&self) -> String {
        self.told.lock().name.clone()
    }

    pub(crate) fn set_name(&self, name: &[u8]) {
        self.told.lock().name = String::from_utf8_lossy(name).into_owned();
    }

    /// `option` is `lib-name` or `lib-ver`.
    pub(crate) fn set_library(&self, option: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        let mut told = self.told.lock();
        match option {
            "lib-name" => told.library = value,
            _ => told.library_version = value,
        }
    }

    /// A command came.
    pub(crate) fn used(&self, command: &'static str) {
        self.told.lock().last_command = command;
    }

    /// Bytes came.
    pub(crate) fn heard(&self, now: Instant) {
        self.told.lock().last_used = now;
    }

    pub(crate) fn has_address(&self, address: &[u8]) -> bool {
        self.peer.to_string().as_bytes() == address
    }

    /// Closes the connection, soon.
    pub(crate) fn kill(&self) {
        self.is_killed.store(true, Ordering::Relaxed);
        self.outbox.wake();
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Relaxed)
    }

    /// One line of CLIENT LIST.
    pub(crate) fn line(&self) -> String {
        let told = self.told.lock();
        let resp = if told.protocol == Protocol::Resp3 { 3 } else { 2 };
        format!(
            "id={} addr={} laddr={} name={} age={} idle={} flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 cmd={} \
             user=default redir=-1 resp={resp} lib-name={} lib-ver={}",
            self.id,
            self.peer,
            self.local,
            told.name,
            self.since.elapsed().as_secs(),
            told.last_used.elapsed().as_secs(),
            told.last_command,
            told.library,
            told.library_version,
        )
    }
}

impl Session {
    /// Like a new connection, but for its id.
    pub(crate) fn reset(&mut self) {
        self.set_protocol(Protocol::Resp2);
        self.reply_mode = ReplyMode::On;
        self.is_authenticated = false;
        self.consistency = Consistency::default();
        self.transaction = None;
        self.watched.clear();
        self.client.set_name(b"");
    }

    /// How the command that was just run is to be read for. What a transaction is going to rely on is never stale.
    pub(crate) fn reads(&self) -> Consistency {
        if self.watched.is_empty() { self.consistency } else { Consistency::Linearizable }
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client.told.lock().protocol = protocol;
    }

    /// Whether the command that was just run is answered. Asked once for each command.
    pub(crate) fn next_is_silent(&mut self) -> bool {
        let (is_silent, next) = match self.reply_mode {
            ReplyMode::On => (false, ReplyMode::On),
            ReplyMode::Off => (true, ReplyMode::Off),
            ReplyMode::SkipThisAndNext => (true, ReplyMode::SkipNext),
            ReplyMode::SkipNext => (true, ReplyMode::On),
        };
        self.reply_mode = next;
        is_silent
    }
}

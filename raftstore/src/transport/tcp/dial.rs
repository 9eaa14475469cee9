//! When to dial whom: one connection's attempts, and the pauses between them.

use std::sync::Arc;
use std::time::Instant;

use mio::Token;
use mio::net::TcpStream;

use super::greet::Packet;
use super::limits::TcpLimits;
use super::peers::{Link, Peer};
use crate::transport::chance::Chance;

/// One connection that is to be made, or is.
pub(super) struct Dial {
    pub(super) peer: Arc<Peer>,
    pub(super) link: Arc<Link>,
    pub(super) state: DialState,
    /// Before this, it is not dialed again.
    pub(super) not_before: Instant,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DialState {
    /// Nobody asked for it.
    Idle,
    /// It is dialed at `not_before`.
    Waiting,
    /// A handshake is under way.
    Dialing(Token),
    /// Frames can be sent, since then.
    Up(Token, Instant),
}

/// A handshake that we began.
pub(super) struct Dialing {
    pub(super) stream: TcpStream,
    pub(super) link: Arc<Link>,
    pub(super) deadline: Instant,
    pub(super) hello_sent: bool,
    pub(super) reply: Packet,
}

impl Dial {
    pub(super) fn new(peer: Arc<Peer>, link: Arc<Link>, now: Instant) -> Dial {
        Dial { peer, link, state: DialState::Idle, not_before: now, failures: 0 }
    }

    /// Which connection of the io thread's it has.
    pub(super) fn token(&self) -> Option<Token> {
        match self.state {
            DialState::Idle | DialState::Waiting => None,
            DialState::Dialing(token) | DialState::Up(token, _) => Some(token),
        }
    }

    /// The connection is lost or was not made. A connection that lasted wipes out the failures before it.
    pub(super) fn pause(&mut self, now: Instant, limits: &TcpLimits, chance: &mut Chance) {
        if matches!(self.state, DialState::Up(_, since) if now - since > limits.redial_pause_max) {
            self.failures = 0;
        }
        let longest = limits.redial_pause_min * 2_u32.saturating_pow(self.failures.min(16));
        let micros = longest.min(limits.redial_pause_max).as_micros() as u64;
        let pause = chance.within(&(micros / 2..=micros));
        self.failures += 1;
        self.not_before = now + std::time::Duration::from_micros(pause);
    }
}

//! What the io thread does for connections that we dial: connect, greet, flush, notice the end, try again.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::counters::add;
use super::dial::{Dial, DialState, Dialing};
use super::greet::{self, Packet, Reading};
use super::handshake::{judge_reply, remember};
use super::outbound::Flushed;
use super::reactor::{Conn, Reactor, Ready, Towards};
use super::socket::{is_interrupted, is_not_now, tune};
use crate::codec::{self, Hello, HelloReply, Purpose};
use crate::ids::StoreId;

impl Reactor {
    /// Drops what there is with `store`, and dials it if it is a peer.
    pub(super) fn renew(&mut self, store: StoreId) {
        let now = Instant::now();
        for purpose in [Purpose::Messages, Purpose::Snapshots] {
            self.lost((store, purpose), None);
            self.dials.remove(&(store, purpose));
        }
        let peer = self.shared.peer(store);
        self.close_incoming_unless_of(store, peer.as_ref().map(|peer| peer.about.lock().uuid));
        let Some(peer) = peer else { return };
        for purpose in [Purpose::Messages, Purpose::Snapshots] {
            let link = Arc::clone(peer.link(purpose));
            let mut dial = Dial::new(Arc::clone(&peer), link, now);
            if purpose == Purpose::Messages || dial.link.outbound.lock().is_wanted() {
                dial.state = DialState::Waiting;
            }
            self.dials.insert((store, purpose), dial);
        }
        self.alarm(now);
    }

    /// A connection that is made on demand is wanted.
    pub(super) fn dial_on_demand(&mut self, towards: Towards) {
        let Some(dial) = self.dials.get_mut(&towards) else { return };
        if dial.state == DialState::Idle {
            dial.state = DialState::Waiting;
            let at = dial.not_before;
            self.alarm(at);
        }
    }

    /// Dials whom it is time to dial, gives up handshakes that take too long, asks to be woken for the rest.
    pub(super) fn dials_due(&mut self, now: Instant) {
        let all: Vec<Towards> = self.dials.keys().copied().collect();
        for towards in all {
            let Some(dial) = self.dials.get(&towards) else { continue };
            match dial.state {
                DialState::Waiting if dial.not_before <= now => self.dial(towards, now),
                DialState::Waiting => self.alarm(dial.not_before),
                DialState::Dialing(token) => match self.conns.get(&token) {
                    Some(Conn::Dialing(dialing)) if dialing.deadline <= now => {
                        self.lost(towards, Some("no answer to our greeting".into()));
                    }
                    Some(Conn::Dialing(dialing)) => self.alarm(dialing.deadline),
                    _ => {}
                },
                DialState::Idle | DialState::Up(..) => {}
            }
        }
    }

    /// The dialed socket is connected, or has an answer, or failed.
    pub(super) fn on_dialing(&mut self, token: Token) {
        let Some(Conn::Dialing(dialing)) = self.conns.get_mut(&token) else { return };
        let towards = (dialing.link.store, dialing.link.purpose);
        if !dialing.hello_sent {
            match dialing.stream.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => {
                    return self.lost(towards, Some(format!("cannot connect: {error}")));
                }
            }
            if dialing.stream.peer_addr().is_err() {
                return;
            }
            let hello = codec::encode(&Hello::new(self.shared.identity, towards.0, dialing.link.purpose));
            let sent = hello.is_ok_and(|hello| greet::write(&mut dialing.stream, &hello).is_ok());
            if !sent {
                return self.lost(towards, Some("cannot greet: the connection broke".into()));
            }
            dialing.hello_sent = true;
        }
        match dialing.reply.read(&mut dialing.stream) {
            Reading::Partial => {}
            Reading::Whole(packet) => self.on_reply(token, towards, &packet),
            Reading::Closed => self.lost(towards, Some("hung up on our greeting".into())),
            Reading::Garbage(error) => {
                add(&self.shared.counters.garbage, 1);
                self.lost(towards, Some(format!("its answer to our greeting cannot be read: {error}")));
            }
        }
    }

    /// The socket that we send through has room, or was closed.
    pub(super) fn on_outgoing(&mut self, towards: Towards, ready: Ready) {
        if ready.readable
            && let Some(reason) = self.end_of(towards)
        {
            return self.lost(towards, Some(reason));
        }
        if ready.writable {
            self.flush(towards);
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, towards: Towards) {
        let Some(dial) = self.dials.get(&towards) else { return };
        let flushed = dial.link.outbound.lock().flush(&self.shared.counters);
        match flushed {
            Flushed::Enough => {}
            Flushed::More => self.unfinished.extend(dial.token()),
            Flushed::Broken => self.lost(towards, Some("the connection broke".into())),
        }
    }

    /// A connection that we dialed is no more, or never was: what waits for it is dropped, and the next
    /// attempt is set.
    pub(super) fn lost(&mut self, towards: Towards, reason: Option<String>) {
        let Some(dial) = self.dials.get_mut(&towards) else { return };
        let was_up = matches!(dial.state, DialState::Up(..));
        if let Some(token) = dial.token() {
            self.conns.remove(&token);
        }
        dial.link.outbound.lock().disconnect(&self.shared.counters);
        dial.pause(Instant::now(), &self.shared.limits, &mut self.chance);
        dial.state = match towards.1 {
            Purpose::Messages => DialState::Waiting,
            Purpose::Snapshots => DialState::Idle,
        };
        if let Some(reason) = reason {
            dial.peer.about.lock().refusal = Some(reason);
        }
        let at = dial.not_before;
        self.alarm(at);
        if was_up && towards.1 == Purpose::Messages {
            self.shared.receiver.peer(towards.0, false);
        }
    }

    fn dial(&mut self, towards: Towards, now: Instant) {
        let token = self.new_token();
        let Some(dial) = self.dials.get_mut(&towards) else { return };
        let addr = dial.peer.about.lock().addr;
        let stream = TcpStream::connect(addr).and_then(|mut stream| {
            tune(&stream, &self.shared.limits)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, interest)?;
            Ok(stream)
        });
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return self.lost(towards, Some(format!("cannot dial {addr}: {error}"))),
        };
        dial.state = DialState::Dialing(token);
        let link = Arc::clone(&dial.link);
        let deadline = now + self.shared.limits.handshake_time_max;
        let dialing = Dialing { stream, link, deadline, hello_sent: false, reply: Packet::default() };
        self.conns.insert(token, Conn::Dialing(dialing));
        self.alarm(deadline);
    }

    fn on_reply(&mut self, token: Token, towards: Towards, packet: &[u8]) {
        let Some(dial) = self.dials.get_mut(&towards) else { return };
        let verdict =
            codec::decode::<HelloReply>(packet).map_err(|error| error.to_string()).and_then(|reply| {
                let mut about = dial.peer.about.lock();
                judge_reply(self.shared.identity, &reply, towards.0, &about)?;
                remember(&mut about, reply.speaker.identity());
                Ok(())
            });
        if let Err(reason) = verdict {
            add(&self.shared.counters.refused, 1);
            return self.lost(towards, Some(reason));
        }
        let Some(Conn::Dialing(dialing)) = self.conns.remove(&token) else { return };
        dial.link.outbound.lock().connect(dialing.stream, token);
        dial.state = DialState::Up(token, Instant::now());
        self.conns.insert(token, Conn::Outgoing(towards));
        add(&self.shared.counters.dialed, 1);
        if towards.1 == Purpose::Messages {
            self.shared.receiver.peer(towards.0, true);
        }
        self.flush(towards);
    }

    /// Why the connection is over, if it is. Nothing is ever said in this direction after the handshake.
    fn end_of(&self, towards: Towards) -> Option<String> {
        let outbound = self.dials.get(&towards)?.link.outbound.lock();
        loop {
            match (&mut outbound.socket()?).read(&mut [0; 16]) {
                Ok(0) => return Some("the connection was closed by the other side".into()),
                Ok(_) => {
                    add(&self.shared.counters.garbage, 1);
                    return Some("spoke where it should listen".into());
                }
                Err(error) if is_not_now(&error) => return None,
                Err(error) if is_interrupted(&error) => {}
                Err(error) => return Some(format!("the connection broke: {error}")),
            }
        }
    }
}

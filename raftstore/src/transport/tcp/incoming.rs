//! What the io thread does for connections that others dial: accept, ask who they are, receive.

use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::counters::add;
use super::dial::DialState;
use super::greet::{self, Packet, Reading};
use super::handshake::{Verdict, judge_hello, remember};
use super::inbound::Inbound;
use super::peers::Shared;
use super::reactor::{Conn, LISTENER, Reactor, Ready};
use super::socket::{is_given_up, is_interrupted, is_not_now, tune};
use crate::codec::{self, Answer, Hello, HelloReply, Purpose, Question};
use crate::ids::StoreId;
use crate::transport::Identity;
use crate::wire::WireError;

/// How many connections are accepted before others have their turn.
const ACCEPTS_MAX: usize = 64;
/// How much is read from one connection before others have their turn.
const READ_BYTES_MAX: usize = 1 << 20;

/// Somebody who has not said who they are.
pub(super) struct Greeting {
    stream: TcpStream,
    deadline: Instant,
    hello: Packet,
}

impl Reactor {
    /// Takes new connections. None is trusted with more than a few KiB and a little time before it has
    /// greeted.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => self.greet(stream),
                Err(error) if is_not_now(&error) => return,
                Err(error) if is_interrupted(&error) || is_given_up(&error) => {}
                // No more file descriptors, most likely. No news will come of those that wait: look again in
                // a while.
                Err(_) => {
                    let again = Instant::now() + self.shared.limits.redial_pause_max;
                    return self.alarm(again);
                }
            }
        }
        self.unfinished.push(LISTENER);
    }

    /// Closes greetings that take too long.
    pub(super) fn greetings_due(&mut self, now: Instant) {
        for token in self.greetings.clone() {
            match self.conns.get(&token) {
                Some(Conn::Greeting(greeting)) if greeting.deadline > now => self.alarm(greeting.deadline),
                _ => {
                    add(&self.shared.counters.garbage, 1);
                    self.close_greeting(token);
                }
            }
        }
    }

    /// More of a greeting has come.
    pub(super) fn on_greeting(&mut self, token: Token) {
        let Some(Conn::Greeting(greeting)) = self.conns.get_mut(&token) else { return };
        match greeting.hello.read(&mut greeting.stream) {
            Reading::Partial => {}
            Reading::Closed => drop(self.close_greeting(token)),
            Reading::Whole(packet) if codec::is::<Question>(&packet) => self.introduce(token, &packet),
            Reading::Whole(packet) => match codec::decode::<Hello>(&packet) {
                Ok(hello) => self.answer(token, &hello),
                Err(error) => self.answer_garbage(token, error),
            },
            Reading::Garbage(error) => self.answer_garbage(token, error),
        }
    }

    /// Reads frames and hands them on.
    pub(super) fn on_incoming(&mut self, ready: Ready) {
        let Some(Conn::Incoming(inbound)) = self.conns.get_mut(&ready.token) else { return };
        let shared = &self.shared;
        let mut read_bytes = 0;
        let end = loop {
            if read_bytes >= READ_BYTES_MAX {
                self.unfinished.push(ready.token);
                return;
            }
            let full = match inbound.read(&shared.counters) {
                Ok((0, _)) => break None,
                Ok((bytes, full)) => {
                    read_bytes += bytes;
                    full
                }
                Err(error) if is_not_now(&error) => return,
                Err(error) if is_interrupted(&error) => continue,
                Err(_) => break None,
            };
            if let Err(error) = deliver(inbound, shared) {
                break Some(error);
            }
            // A short read has emptied the socket: what comes next is announced. Only an end is not, if it
            // was before.
            if !full && !ready.closing {
                return;
            }
        };
        let (from, purpose) = (inbound.from, inbound.purpose);
        if let Some(error) = end {
            add(&shared.counters.garbage, 1);
            shared.note_refusal(from, format!("sent a frame that was refused: {error}"));
        }
        self.conns.remove(&ready.token);
        if self.incoming.get(&(from, purpose)) == Some(&ready.token) {
            self.incoming.remove(&(from, purpose));
        }
    }

    /// Closes what comes from `store` unless it is still a peer, with the uuid that it greeted with.
    pub(super) fn close_incoming_unless_of(&mut self, store: StoreId, peer: Option<Option<[u8; 16]>>) {
        for purpose in [Purpose::Messages, Purpose::Snapshots] {
            let Some(token) = self.incoming.get(&(store, purpose)).copied() else { continue };
            let Some(Conn::Incoming(inbound)) = self.conns.get(&token) else { continue };
            let stays = peer.is_some_and(|uuid| uuid.is_none_or(|uuid| uuid == inbound.uuid));
            if !stays {
                self.conns.remove(&token);
                self.incoming.remove(&(store, purpose));
            }
        }
    }

    fn greet(&mut self, mut stream: TcpStream) {
        if self.greetings.len() >= self.shared.limits.greetings_max
            && let Some(oldest) = self.greetings.first().copied()
        {
            add(&self.shared.counters.garbage, 1);
            self.close_greeting(oldest);
        }
        let token = self.new_token();
        let tuned = tune(&stream, &self.shared.limits);
        let registered = self.poll.registry().register(&mut stream, token, Interest::READABLE);
        if tuned.and(registered).is_err() {
            return;
        }
        let deadline = Instant::now() + self.shared.limits.handshake_time_max;
        self.conns.insert(token, Conn::Greeting(Greeting { stream, deadline, hello: Packet::default() }));
        self.greetings.insert(token);
        self.alarm(deadline);
    }

    fn close_greeting(&mut self, token: Token) -> Option<TcpStream> {
        self.greetings.remove(&token);
        match self.conns.remove(&token) {
            Some(Conn::Greeting(greeting)) => Some(greeting.stream),
            _ => None,
        }
    }

    /// Tells who we are to somebody who wants to know no more, and hangs up.
    fn introduce(&mut self, token: Token, packet: &[u8]) {
        let asker = match codec::decode::<Question>(packet) {
            Ok(Question(asker)) => asker,
            Err(error) => return self.answer_garbage(token, error),
        };
        let Some(mut stream) = self.close_greeting(token) else { return };
        self.shared.hear(asker);
        let Some(own) = self.shared.introduction() else { return };
        if let Ok(answer) = codec::encode(&Answer(own)) {
            // Whoever has hung up in the meantime asks again.
            let _ = greet::write(&mut stream, &answer);
        }
    }

    fn answer(&mut self, token: Token, hello: &Hello) {
        let verdict = self.judge(hello);
        let Some(mut stream) = self.close_greeting(token) else { return };
        let refusal = verdict.as_ref().err().cloned();
        let welcomed = write_reply(&self.shared.identity, &mut stream, refusal);
        let who = hello.speaker.identity();
        match verdict {
            Ok(purpose) if welcomed => {
                let inbound = Inbound::new(stream, &who, purpose);
                self.conns.insert(token, Conn::Incoming(inbound));
                if let Some(older) = self.incoming.insert((who.store, purpose), token) {
                    self.conns.remove(&older);
                }
                add(&self.shared.counters.accepted, 1);
                // It may have said more, or hung up, before it was answered.
                self.unfinished.push(token);
            }
            Ok(_) => {}
            Err(reason) => {
                add(&self.shared.counters.refused, 1);
                self.shared.note_refusal(who.store, format!("refused here: {reason}"));
            }
        }
    }

    fn judge(&mut self, hello: &Hello) -> Verdict<Purpose> {
        let who = hello.speaker.identity();
        let Some(peer) = self.shared.peer(who.store) else {
            return judge_hello(self.shared.identity, hello, None);
        };
        let (purpose, life_before) = {
            let mut about = peer.about.lock();
            let purpose = judge_hello(self.shared.identity, hello, Some(&about))?;
            (purpose, remember(&mut about, who))
        };
        if life_before.is_some_and(|life| life < who.life) {
            self.leave_earlier_life(who.store);
        }
        Ok(purpose)
    }

    /// What we dialed is a life that is over, and a machine that lost its power does not hang up.
    fn leave_earlier_life(&mut self, store: StoreId) {
        for towards in [(store, Purpose::Messages), (store, Purpose::Snapshots)] {
            if self.dials.get(&towards).is_some_and(|dial| matches!(dial.state, DialState::Up(..))) {
                self.lost(towards, Some("a later life of it greeted us".into()));
            }
        }
    }

    /// Another release is told which one this is; with others there is nothing to talk about.
    fn answer_garbage(&mut self, token: Token, error: WireError) {
        let Some(mut stream) = self.close_greeting(token) else { return };
        if matches!(error, WireError::Newer { .. } | WireError::Older { .. }) {
            add(&self.shared.counters.refused, 1);
            write_reply(&self.shared.identity, &mut stream, Some(error.to_string()));
        } else {
            add(&self.shared.counters.garbage, 1);
        }
    }
}

fn deliver(inbound: &mut Inbound, shared: &Shared) -> Result<(), WireError> {
    while let Some(frame) = inbound.next_frame()? {
        add(&shared.counters.frames_received, 1);
        add(&shared.counters.bytes_received, frame.len() as u64);
        shared.receiver.received(inbound.from, frame);
    }
    Ok(())
}

/// Whether the answer is out.
fn write_reply(own: &Identity, stream: &mut TcpStream, refusal: Option<String>) -> bool {
    let reply = codec::encode(&HelloReply::new(*own, refusal));
    reply.is_ok_and(|reply| greet::write(stream, &reply).is_ok())
}

//! Who is behind an address: asked by whoever looks for the stores of a cluster, answered before there is one.
//!
//! A store that is open answers on the thread of its transport. Before that its address is kept by a [`Doorman`], who
//! answers nothing else and hands the address over when the store opens.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::codec::{self, Answer, Control, HEADER_BYTES, Introduction, Question};

/// How long the doorman waits for the words of whoever has connected. One at a time: nobody who means it is slow.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often the doorman looks whether somebody is there.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks who is behind `addr`, saying who asks. Waits at most twice `patience`.
pub fn ask(addr: SocketAddr, own: &Introduction, patience: Duration) -> io::Result<Introduction> {
    let mut stream = TcpStream::connect_timeout(&addr, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&packet(&Question(own.clone()))?)?;
    let Answer(introduction) = read(&mut stream)?;
    Ok(introduction)
}

/// Keeps a store's address until the store is open.
pub struct Doorman {
    listener: TcpListener,
    /// What is answered; replaced by the owner, copied for each answer.
    introduction: Arc<Mutex<Introduction>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Doorman {
    /// Begins to answer at the address that `listener` has.
    pub fn start(listener: TcpListener, introduction: Introduction) -> io::Result<Doorman> {
        listener.set_nonblocking(true)?;
        let mut doorman = Doorman {
            listener,
            introduction: Arc::new(Mutex::new(introduction)),
            stopping: Arc::default(),
            thread: None,
        };
        let listener = doorman.listener.try_clone()?;
        let (introduction, stopping) = (Arc::clone(&doorman.introduction), Arc::clone(&doorman.stopping));
        let body = move || {
            while !stopping.load(Ordering::Acquire) {
                match listener.accept() {
                    // Whoever says nothing that can be understood gets no answer.
                    Ok((stream, _)) => drop(answer(stream, &introduction)),
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        };
        doorman.thread = Some(std::thread::Builder::new().name("skep-doorman".into()).spawn(body)?);
        Ok(doorman)
    }

    /// Says something else from now on: no answer that is begun afterwards says what was said before.
    pub fn says(&self, introduction: Introduction) {
        *self.introduction.lock() = introduction;
    }

    /// Ends. The address stays bound, and whoever connects waits for its next keeper.
    pub fn hand_over(mut self) -> io::Result<TcpListener> {
        self.end();
        self.listener.try_clone()
    }

    fn end(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        self.end();
    }
}

fn answer(mut stream: TcpStream, introduction: &Mutex<Introduction>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Question(_) = read(&mut stream)?;
    let own = introduction.lock().clone();
    stream.write_all(&packet(&Answer(own))?)
}

fn packet<C: Control>(control: &C) -> io::Result<Vec<u8>> {
    codec::encode(control).map_err(io::Error::other)
}

fn read<C: Control>(stream: &mut TcpStream) -> io::Result<C> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let length = codec::packet_length(&header).map_err(io::Error::other)?;
    let mut packet = header.to_vec();
    packet.resize(length, 0);
    stream.read_exact(&mut packet[HEADER_BYTES..])?;
    codec::decode(&packet).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ids::{ClusterId, Life, StoreId};
    use crate::transport::Identity;
    use crate::transport::tcp::{TcpLimits, TcpTransport};

    const SECOND: Duration = Duration::from_secs(1);

    fn introduction(store: u32) -> Introduction {
        Introduction::new(Identity {
            cluster: ClusterId(0),
            store: StoreId(store),
            uuid: [store as u8; 16],
            life: Life(1),
        })
    }

    struct Deaf;
    impl crate::transport::Receiver for Deaf {
        fn received(&self, _: StoreId, _: bytes::Bytes) {}
        fn peer(&self, _: StoreId, _: bool) {}
    }

    /// The doorman answers, then the transport on the same socket: somebody who connects in between waits a moment.
    #[test]
    fn an_address_is_answered_for_before_and_after_its_store_opens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let doorman = Doorman::start(listener, introduction(7)).unwrap();
        assert_eq!(ask(addr, &introduction(1), SECOND).unwrap(), introduction(7));
        doorman.says(introduction(8));
        assert_eq!(ask(addr, &introduction(1), SECOND).unwrap(), introduction(8));

        let listener = doorman.hand_over().unwrap();
        let waiting = std::thread::spawn(move || ask(addr, &introduction(2), 5 * SECOND));
        std::thread::sleep(Duration::from_millis(50));
        let identity = introduction(9).speaker.identity();
        let transport =
            TcpTransport::start_on(identity, listener, Arc::new(Deaf), TcpLimits::default()).unwrap();
        transport.introduce(introduction(9));
        assert_eq!(ask(addr, &introduction(3), SECOND).unwrap(), introduction(9));
        // It came before the transport knew what to say, and may have been hung up on.
        if let Ok(answer) = waiting.join().unwrap() {
            assert_eq!(answer, introduction(9));
        }
        let heard: Vec<u32> = transport.heard().iter().map(|who| who.speaker.identity().store.0).collect();
        assert_eq!(heard.last(), Some(&3));
        assert!(transport.heard().is_empty());
    }

    #[test]
    fn who_says_nothing_is_not_waited_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let _doorman = Doorman::start(listener, introduction(7)).unwrap();
        let _silent = TcpStream::connect(addr).unwrap();
        let begun = Instant::now();
        assert_eq!(ask(addr, &introduction(1), 5 * SECOND).unwrap(), introduction(7));
        assert!(begun.elapsed() < 3 * SECOND);
        let mut babbler = TcpStream::connect(addr).unwrap();
        babbler.write_all(&[7; 64]).unwrap();
        assert_eq!(ask(addr, &introduction(1), SECOND).unwrap(), introduction(7));
    }
}

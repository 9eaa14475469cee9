//! TCP between stores on loopback: what gets through, who is let in, and what those who are not can do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::codec::{self, Hello, HelloReply};
use crate::ids::{ClusterId, Life, RegionId};
use crate::message::{Replies, StoreMessage};
use crate::wire::{FrameWriter, decode};

/// What a store got: the number in each frame, in order of arrival.
#[derive(Default)]
struct Seen {
    numbers: Mutex<Vec<u64>>,
    peers: Mutex<Vec<(StoreId, bool)>>,
    /// While set, the receiver does not come back.
    stuck: AtomicBool,
}

impl Receiver for Seen {
    fn received(&self, _: StoreId, frame: Bytes) {
        while self.stuck.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        for message in decode(frame).unwrap() {
            let StoreMessage::Replies(replies) = message else { panic!("only replies are sent here") };
            let (number, body) = &replies.results[0];
            assert!(body.iter().all(|byte| *byte == *number as u8), "altered");
            self.numbers.lock().push(*number);
        }
    }

    fn peer(&self, store: StoreId, up: bool) {
        self.peers.lock().push((store, up));
    }
}

struct Node {
    seen: Arc<Seen>,
    transport: Arc<TcpTransport>,
}

fn identity(store: u32) -> Identity {
    Identity { cluster: ClusterId(0xc), store: StoreId(store), uuid: [store as u8; 16], life: Life(1) }
}

fn start(identity: Identity, limits: TcpLimits) -> Node {
    let seen = Arc::new(Seen::default());
    let listen = "127.0.0.1:0".parse().unwrap();
    let transport = TcpTransport::start(identity, listen, seen.clone(), limits).unwrap();
    Node { seen, transport }
}

/// Quick to give up and to try again.
fn limits() -> TcpLimits {
    let second = Duration::from_secs(1);
    TcpLimits { handshake_time_max: second / 5, redial_pause_max: second / 10, ..TcpLimits::default() }
}

fn pair() -> (Node, Node) {
    let (one, two) = (start(identity(1), limits()), start(identity(2), limits()));
    one.knows(&two, 2);
    two.knows(&one, 1);
    one.waits_for(2);
    two.waits_for(1);
    (one, two)
}

impl Node {
    fn knows(&self, other: &Node, store: u32) {
        self.transport.set_peer(StoreId(store), Some([store as u8; 16]), other.transport.local_addr());
    }

    fn state(&self, store: u32) -> PeerState {
        self.transport.peer_states().into_iter().find(|state| state.store == StoreId(store)).unwrap()
    }

    fn waits_for(&self, store: u32) {
        wait("a connection", || self.state(store).up);
    }

    fn waits_for_refusal(&self, store: u32, words: &str) {
        wait(words, || self.state(store).refusal.is_some_and(|refusal| refusal.contains(words)));
    }

    fn send(&self, to: u32, lane: Lane, number: u64, bytes: usize) -> bool {
        self.transport.send(StoreId(to), lane, frame(number, bytes))
    }

    fn numbers(&self) -> Vec<u64> {
        self.seen.numbers.lock().clone()
    }
}

fn frame(number: u64, bytes: usize) -> Bytes {
    let results = vec![(number, Bytes::from(vec![number as u8; bytes]))];
    let mut writer = FrameWriter::new();
    writer.push(&StoreMessage::Replies(Replies { region: RegionId(1), results }));
    writer.finish()
}

#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_hundred_thousand_frames_go_both_ways_at_once_whole_and_in_order() {
    const FRAMES: u64 = 100_000;
    let (one, two) = pair();
    std::thread::scope(|scope| {
        for (node, to) in [(&one, 2), (&two, 1)] {
            scope.spawn(move || {
                for number in 0..FRAMES {
                    let bytes = (number % 257) as usize;
                    while !node.send(to, Lane::Bulk, number, bytes) {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    for node in [&one, &two] {
        wait("all frames", || node.seen.numbers.lock().len() as u64 == FRAMES);
        assert_eq!(node.numbers(), (0..FRAMES).collect::<Vec<_>>());
        // Who sends may count what arrived a moment later.
        wait("the counters", || node.transport.counters().frames_sent == FRAMES);
        let counters = node.transport.counters();
        assert_eq!(counters.frames_received, FRAMES);
        assert!(counters.reads < FRAMES / 2, "frames are read many at a time: {counters:?}");
    }
}

/// A store that lost its directory has another name now, and others go on looking for the old one where it was.
#[test]
fn who_looks_for_somebody_else_at_an_address_does_not_disturb_whom_it_knows_there() {
    let (one, two) = pair();
    one.transport.set_peer(StoreId(9), Some([9; 16]), two.transport.local_addr());
    one.waits_for_refusal(9, "we looked for s00000009 and found s00000002");
    for number in 0..200 {
        assert!(one.send(2, Lane::Bulk, number, 10), "{number}");
        std::thread::sleep(Duration::from_millis(2));
    }
    wait("all frames", || two.seen.numbers.lock().len() == 200);
    assert!(one.transport.counters().refused > 3, "it was looked for all the time");
    assert_eq!(*one.seen.peers.lock(), [(StoreId(2), true)], "never lost");
}

#[test]
fn a_frame_of_16_mib_goes_through_and_one_that_is_too_long_is_dropped() {
    let (one, two) = pair();
    assert!(one.send(2, Lane::Bulk, 1, 16 << 20));
    assert!(!one.send(2, Lane::Bulk, 2, FRAME_BYTES_MAX));
    assert!(one.send(2, Lane::Bulk, 3, 10));
    wait("both frames", || two.numbers() == [1, 3]);
    assert_eq!(one.transport.counters().frames_dropped, 1);
}

#[test]
fn snapshots_get_a_connection_of_their_own_on_first_use() {
    let (one, two) = pair();
    assert_eq!(one.transport.counters().dialed, 1);
    (0..10).for_each(|number| assert!(one.send(2, Lane::Snapshot, number, 1 << 20)));
    wait("all chunks", || two.numbers() == (0..10).collect::<Vec<_>>());
    assert_eq!(one.transport.counters().dialed, 2);
    assert_eq!(two.transport.counters().accepted, 2);
}

#[test]
fn an_urgent_frame_overtakes_the_bulk_that_waits_and_a_full_queue_drops_what_is_new() {
    let tight = TcpLimits { bulk_bytes_max: 16 << 20, urgent_bytes_max: 1000, ..limits() };
    let (one, two) = (start(identity(1), tight), start(identity(2), limits()));
    one.knows(&two, 2);
    two.knows(&one, 1);
    one.waits_for(2);
    two.seen.stuck.store(true, Ordering::Relaxed);
    let bulk = fill(&one);
    let dropped = one.transport.counters().frames_dropped;
    assert!(one.send(2, Lane::Urgent, 1000, 10));
    assert!(!one.send(2, Lane::Urgent, 1001, 1000), "no room");
    assert!(!one.send(2, Lane::Bulk, 1002, 1 << 20), "no room");
    assert_eq!(one.transport.counters().frames_dropped, dropped + 2);
    assert!(one.state(2).queued_bytes <= (17 << 20) + 2000);
    two.seen.stuck.store(false, Ordering::Relaxed);
    wait("everything", || two.seen.numbers.lock().len() as u64 == bulk + 1);
    let place = two.numbers().iter().position(|number| *number == 1000).unwrap() as u64;
    assert!(place + 8 < bulk, "the urgent frame came as number {place} of {bulk}");
}

/// Sends bulk to store 2, which does not read, until neither kernel nor queue takes any more. How many frames
/// they took.
fn fill(node: &Node) -> u64 {
    let mut sent = 0;
    loop {
        let before = sent;
        while node.send(2, Lane::Bulk, sent, 1 << 20) {
            sent += 1;
            assert!(sent < 400, "the queue has no limit");
        }
        if sent == before {
            return sent;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_peer_that_comes_back_on_another_port_is_found_when_we_are_told() {
    let (one, two) = pair();
    two.transport.stop();
    drop(two);
    wait("the loss", || !one.state(2).up);
    assert!(!one.send(2, Lane::Bulk, 1, 10), "no connection");
    let next = start(Identity { life: Life(2), ..identity(2) }, limits());
    next.knows(&one, 1);
    one.knows(&next, 2);
    one.waits_for(2);
    assert!(one.send(2, Lane::Bulk, 2, 10));
    wait("a frame", || next.numbers() == [2]);
    assert_eq!(one.state(2).life, Some(Life(2)));
    let peer = StoreId(2);
    wait("the news", || *one.seen.peers.lock() == [(peer, true), (peer, false), (peer, true)]);
}

#[test]
fn a_peer_that_comes_back_on_the_same_port_is_found_by_dialing() {
    let (one, two) = pair();
    let addr = two.transport.local_addr();
    two.transport.stop();
    wait("the loss", || !one.state(2).up);
    let seen = Arc::new(Seen::default());
    let again = TcpTransport::start(identity(2), addr, seen, limits()).unwrap();
    again.set_peer(StoreId(1), None, one.transport.local_addr());
    one.waits_for(2);
}

#[test]
fn those_who_do_not_belong_here_are_told_why() {
    let (one, _two) = pair();
    let foreign = start(Identity { cluster: ClusterId(0xbad), ..identity(2) }, limits());
    foreign.knows(&one, 1);
    foreign.waits_for_refusal(1, "s00000001 refused us: s00000002 is of cluster c0000000000000bad");
    let impostor = start(Identity { uuid: [9; 16], ..identity(2) }, limits());
    impostor.knows(&one, 1);
    impostor.waits_for_refusal(1, "its uuid differs");
    let stranger = start(identity(3), limits());
    stranger.knows(&one, 1);
    stranger.waits_for_refusal(1, "s00000003 is not a peer of s00000001");
    assert!(!foreign.state(1).up && !impostor.state(1).up && !stranger.state(1).up);
}

#[test]
fn one_who_answers_in_the_place_of_a_peer_is_not_sent_anything() {
    let (one, other) = (start(identity(1), limits()), start(identity(3), limits()));
    other.knows(&one, 1);
    one.transport.set_peer(StoreId(2), None, other.transport.local_addr());
    one.waits_for_refusal(2, "we looked for s00000002 and found s00000003");
    assert!(!one.send(2, Lane::Bulk, 1, 1));
}

#[test]
fn a_life_that_is_over_is_not_let_in_again() {
    let one = start(identity(1), limits());
    let newer = start(Identity { life: Life(7), ..identity(2) }, limits());
    one.knows(&newer, 2);
    newer.knows(&one, 1);
    newer.waits_for(1);
    let older = start(Identity { life: Life(6), ..identity(2) }, limits());
    older.knows(&one, 1);
    older.waits_for_refusal(1, "life 6 of s00000002 is over");
}

#[test]
fn a_peer_that_is_removed_is_cut_off_and_may_be_set_again() {
    let (one, two) = pair();
    one.transport.remove_peer(StoreId(2));
    wait("the cut", || !two.state(1).up);
    assert!(!one.send(2, Lane::Bulk, 1, 1));
    two.waits_for_refusal(1, "is not a peer of");
    one.knows(&two, 2);
    one.waits_for(2);
    two.waits_for(1);
}

#[test]
fn when_a_later_life_greets_us_the_connection_to_the_earlier_one_is_given_up() {
    let one = start(identity(1), limits());
    // A life that answers its greeting and is never heard of again.
    let earlier = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    one.transport.set_peer(StoreId(2), None, earlier.local_addr().unwrap());
    let (mut stream, _) = earlier.accept().unwrap();
    read_packet(&mut stream);
    stream.write_all(&codec::encode(&HelloReply::new(identity(2), None)).unwrap()).unwrap();
    one.waits_for(2);
    let later = start(Identity { life: Life(2), ..identity(2) }, limits());
    later.knows(&one, 1);
    later.waits_for(1);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(is_hung_up_on(&stream));
    one.waits_for_refusal(2, "a later life of it greeted us");
}

fn dial(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Whether the other side hangs up, by an end or a reset.
fn is_hung_up_on(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn garbage_and_those_who_say_nothing_are_hung_up_on_and_hurt_nobody() {
    let (one, two) = pair();
    let addr = two.transport.local_addr();
    let silent: Vec<TcpStream> = (0..200).map(|_| dial(addr)).collect();
    for start in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"SKPC\x02\x01\xff\xff\0\0\0\0"] {
        let mut stream = dial(addr);
        stream.write_all(start).unwrap();
        assert!(is_hung_up_on(&stream));
    }
    (0..1000).for_each(|number| assert!(one.send(2, Lane::Bulk, number, 100)));
    wait("the frames", || two.seen.numbers.lock().len() == 1000);
    assert!(silent.iter().all(is_hung_up_on));
    wait("the count", || two.transport.counters().garbage >= 203);
    assert!(one.state(2).up && two.state(1).up);
}

#[test]
fn one_of_another_release_is_told_who_is_to_be_upgraded() {
    let one = start(identity(1), limits());
    let cases = [(3, "knows versions up to 2: upgrade it"), (1, "from 2 on: upgrade whoever sent it")];
    for (version, words) in cases {
        let mut stream = dial(one.transport.local_addr());
        let mut hello = codec::encode(&Hello::new(identity(2), StoreId(1), Purpose::Messages)).unwrap();
        hello[4] = version;
        stream.write_all(&hello).unwrap();
        let reply: HelloReply = codec::decode(&read_packet(&mut stream)).unwrap();
        let refusal = reply.refusal.unwrap();
        assert!(refusal.contains(&format!("a handshake of version {version}")), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
        assert!(is_hung_up_on(&stream));
    }
}

/// Whoever dials a store of another release says so where the operator looks.
#[test]
fn an_answer_of_another_release_is_told() {
    let one = start(identity(1), limits());
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    one.transport.set_peer(StoreId(2), None, other.local_addr().unwrap());
    let (mut stream, _) = other.accept().unwrap();
    read_packet(&mut stream);
    let mut reply = codec::encode(&HelloReply::new(identity(2), None)).unwrap();
    reply[4] = 1;
    stream.write_all(&reply).unwrap();
    one.waits_for_refusal(2, "a handshake of version 1, but this release knows versions from 2 on");
}

/// A connection that greeted as store 1.
fn greeted(addr: SocketAddr) -> TcpStream {
    let mut stream = dial(addr);
    stream
        .write_all(&codec::encode(&Hello::new(identity(1), StoreId(2), Purpose::Snapshots)).unwrap())
        .unwrap();
    let reply: HelloReply = codec::decode(&read_packet(&mut stream)).unwrap();
    assert_eq!(reply.refusal, None);
    stream
}

fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; codec::HEADER_BYTES];
    stream.read_exact(&mut header).unwrap();
    let mut rest = vec![0; codec::packet_length(&header).unwrap() - header.len()];
    stream.read_exact(&mut rest).unwrap();
    [&header[..], &rest].concat()
}

#[test]
fn a_peer_that_greets_well_and_then_sends_garbage_is_hung_up_on_in_words() {
    let (_one, two) = pair();
    let good = frame(5, 100).to_vec();
    let mut altered = good.clone();
    altered[60] ^= 1;
    let mut endless = good.clone();
    endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut newer = good.clone();
    newer[12] = 2;
    let cases = [(altered, "checksum"), (endless, "a frame of 4294967295 bytes"), (newer, "upgrade it")];
    for (bytes, words) in cases {
        let mut stream = greeted(two.transport.local_addr());
        stream.write_all(&bytes).unwrap();
        assert!(is_hung_up_on(&stream));
        two.waits_for_refusal(1, words);
    }
    let mut slow = greeted(two.transport.local_addr());
    for byte in good {
        slow.write_all(&[byte]).unwrap();
    }
    wait("the good one", || two.numbers() == [5]);
}

#[test]
fn after_a_stop_nothing_is_sent_and_nobody_listens() {
    let (one, two) = pair();
    two.transport.stop();
    two.transport.stop();
    for lane in [Lane::Urgent, Lane::Bulk, Lane::Snapshot] {
        assert!(!two.send(1, lane, 1, 1));
    }
    assert!(TcpStream::connect(two.transport.local_addr()).is_err());
    wait("the loss", || !one.state(2).up);
}

//! Many clients of a server on one thread, each with some operations under way; what is done is measured.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::super::answers::{self, Answer};
use super::super::bench_load::{LATENCY_US_MAX, histogram, key};
use super::super::redis_connection::{PASSWORD_VARIABLE, lay_out};
use super::workload::{Operation, Source};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// How the clients look.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) address: String,
    pub(super) clients: u32,
    pub(super) pipeline: usize,
    pub(super) value_bytes: usize,
}

/// What was seen.
pub(super) struct Measured {
    pub(super) latency_us: Histogram<u64>,
    pub(super) errors: u64,
    /// The first of the errors.
    pub(super) error: Option<String>,
}

/// What all clients share. They are on one thread.
pub(super) struct Shared {
    shape: Shape,
    source: RefCell<Source>,
    measured: RefCell<Measured>,
    is_over: Cell<bool>,
}

/// An operation that waits for its answer.
struct UnderWay {
    began: Instant,
    /// What is to be written when the answer is there.
    then: Option<u64>,
}

impl Shared {
    pub(super) fn new(shape: Shape, source: Source) -> Rc<Shared> {
        let measured = Measured { latency_us: histogram(), errors: 0, error: None };
        Rc::new(Shared {
            shape,
            source: RefCell::new(source),
            measured: RefCell::new(measured),
            is_over: Cell::new(false),
        })
    }

    /// What was seen until now; it does not count any longer.
    pub(super) fn take(&self) -> Measured {
        let fresh = Measured { latency_us: histogram(), errors: 0, error: None };
        self.measured.replace(fresh)
    }

    /// Nothing new is begun.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    fn record(&self, began: Instant, now: Instant, answer: Answer) {
        let mut measured = self.measured.borrow_mut();
        if let Answer::Error(why) = answer {
            measured.errors += 1;
            measured.error.get_or_insert(why);
        } else {
            let latency_us = (now.duration_since(began).as_micros() as u64).clamp(1, LATENCY_US_MAX);
            measured.latency_us.saturating_record(latency_us);
        }
    }
}

/// Runs the clients until there is nothing left to do and all is answered; beside them `beside`.
pub(super) async fn run(shared: &Rc<Shared>, beside: impl Future<Output = ()> + 'static) -> io::Result<()> {
    let local = LocalSet::new();
    let clients: Vec<_> =
        (0..shared.shape.clients).map(|_| local.spawn_local(client(Rc::clone(shared)))).collect();
    local.spawn_local(beside);
    local
        .run_until(async {
            for client in clients {
                client.await.map_err(io::Error::other)??;
            }
            Ok(())
        })
        .await
}

async fn client(shared: Rc<Shared>) -> io::Result<()> {
    let mut stream = TcpStream::connect(&shared.shape.address).await?;
    stream.set_nodelay(true)?;
    let mut client = Client { shared, under_way: VecDeque::new(), out: Vec::new() };
    if let Some(password) = std::env::var_os(PASSWORD_VARIABLE) {
        lay_out(&mut client.out, &[b"AUTH", password.as_encoded_bytes()]);
        client.under_way.push_back(UnderWay { began: Instant::now(), then: None });
    }
    let (mut buffer, mut given) = (Vec::with_capacity(READ_BYTES), 0);
    loop {
        client.fill();
        if !client.out.is_empty() {
            stream.write_all(&client.out).await?;
            client.out.clear();
        }
        if client.under_way.is_empty() {
            return Ok(());
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        let now = Instant::now();
        while let Some((answer, bytes)) =
            answers::parse(&buffer[given..]).map_err(|error| io::Error::other(error.to_string()))?
        {
            given += bytes;
            client.answered(answer, now);
        }
        buffer.drain(..given);
        given = 0;
    }
}

struct Client {
    shared: Rc<Shared>,
    under_way: VecDeque<UnderWay>,
    /// Commands that are not sent yet.
    out: Vec<u8>,
}

impl Client {
    /// Begins as many operations as there is room for.
    fn fill(&mut self) {
        let began = Instant::now();
        while self.under_way.len() < self.shared.shape.pipeline && !self.shared.is_over.get() {
            let Some(operation) = self.shared.source.borrow_mut().next() else { return };
            let then = match operation {
                Operation::Read(record) => {
                    self.get(record);
                    None
                }
                Operation::ReadModifyWrite(record) => {
                    self.get(record);
                    Some(record)
                }
                Operation::Update(record) | Operation::Insert(record) => {
                    self.set(record);
                    None
                }
                Operation::Scan(record, count) => {
                    let limit = count.to_string();
                    lay_out(&mut self.out, &[b"KV.RANGE", &key(record), b"", b"LIMIT", limit.as_bytes()]);
                    None
                }
            };
            self.under_way.push_back(UnderWay { began, then });
        }
    }

    fn get(&mut self, record: u64) {
        lay_out(&mut self.out, &[b"GET", &key(record)]);
    }

    fn set(&mut self, record: u64) {
        let value = self.shared.source.borrow_mut().value(self.shared.shape.value_bytes);
        lay_out(&mut self.out, &[b"SET", &key(record), &value]);
    }

    /// The oldest operation is over, or half over.
    fn answered(&mut self, answer: Answer, now: Instant) {
        let Some(UnderWay { began, then }) = self.under_way.pop_front() else { return };
        match then {
            Some(record) if !matches!(answer, Answer::Error(_)) => {
                self.set(record);
                self.under_way.push_back(UnderWay { began, then: None });
            }
            Some(_) | None => self.shared.record(began, now, answer),
        }
    }
}

//! One connection: bytes in, commands in order, replies in order, bytes out. One task each.
//!
//! The task parses what has come, submits it, writes what has been answered, and sleeps until one of these
//! can go on. The stores answer on threads of their own, into the [`outbox`], which wakes the task.
//!
//! **Order.** Replies leave in the order of the commands. What the commands of one connection do, they do in
//! that order, too, as far as anyone can see: commands on one key, and writes of one region. Writes are submitted
//! at once, one behind the other, and keep their order in each region; a read is submitted at once and sees the
//! writes before it. A write could overtake an unanswered read, which only a read of its key can notice: so it waits
//! for the answers of those, and of reads that concern all keys. A command of several keys is submitted whole, part
//! by part, before the one behind it. What walks through all regions holds up writes until it is done, and a FLUSHALL
//! everything. INFO alone counts keys beside this order.
//!
//! **Limits.** A connection that has too much unanswered, or does not take its replies, is not read until
//! that changes; a client that takes nothing for a long time is closed. Values are asked for only as far as there
//! is room for them. A command for which a store has no room waits here, with everything behind it, and is tried
//! again until its time is over.

mod gathering;
pub(crate) mod outbox;
mod output;
mod part;
mod submit;
mod under_way;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::clients::Session;
use crate::commands::{self, Context, Outcome, errors};
use crate::limits::{
    OUTPUT_BYTES_MAX, OUTPUT_STALL_MAX, READ_BYTES, UNANSWERED_BYTES_MAX, UNANSWERED_MAX, WRITE_BYTES,
};
use crate::resp::{Parser, Reply, Request};
use crate::server::{Server, Stopping, Totals};
use outbox::{Form, Outbox};
use output::Output;
use submit::Submitter;

/// What a connection reads at once before it has shown that it sends more.
const READ_BYTES_AT_FIRST: usize = 4 << 10;

struct Connection {
    server: Arc<Server>,
    session: Session,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    parser: Parser,
    input: BytesMut,
    read_bytes: usize,
    outbox: Arc<Outbox>,
    submitter: Submitter,
    taken: Vec<(Form, Reply)>,
    output: Output,
    /// Since when nothing could be written although too much is waiting.
    stalled: Option<Instant>,
    /// The client sends nothing more; what it has sent is still carried out.
    is_input_over: bool,
    /// Nothing more is read or parsed; what is unanswered is still answered.
    is_ending: bool,
    counts: Totals,
}

/// Serves one client until it leaves, is killed, or the server stops. It has its place among the clients at
/// once.
pub(crate) fn serve(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> {
    // Replies are written whole; waiting for more to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().unwrap_or(server.listen);
    let stopping = server.stopping();
    let mut connection = Connection::new(Arc::clone(&server), stream, peer, local);
    async move {
        let id = connection.session.client.id;
        if let Err(error) = connection.run(stopping).await {
            tracing::debug!(client = id, %error, "connection lost");
        }
        server.count(connection.counts);
        server.clients.leave(id);
    }
}

impl Connection {
    fn new(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, local: SocketAddr) -> Connection {
        let outbox = Arc::new(Outbox::default());
        let session = server.clients.join(peer, local, Arc::clone(&outbox));
        let submitter = Submitter::new(&server, Arc::clone(&outbox));
        let (reader, writer) = stream.into_split();
        Connection {
            server,
            session,
            reader,
            writer,
            parser: Parser::default(),
            input: BytesMut::new(),
            read_bytes: READ_BYTES_AT_FIRST,
            outbox,
            submitter,
            taken: Vec::new(),
            output: Output::default(),
            stalled: None,
            is_input_over: false,
            is_ending: false,
            counts: Totals::default(),
        }
    }

    /// The life of the connection.
    async fn run(&mut self, mut stopping: Stopping) -> io::Result<()> {
        loop {
            self.take_on();
            let is_more_ready = self.write_ready()?;
            self.server.count(std::mem::take(&mut self.counts));
            if self.session.client.is_killed() || (self.is_ending && self.is_finished()) {
                return Ok(());
            }
            if is_more_ready {
                // A large reply is written piece by piece; others have a turn in between.
                tokio::task::yield_now().await;
            } else {
                self.wait(&mut stopping).await?;
            }
        }
    }

    /// Submits what waits and runs what was received, as far as there is room.
    fn take_on(&mut self) {
        while self.submitter.submit(&self.server) && !self.is_ending && self.has_room() {
            match self.parser.next(&mut self.input) {
                Ok(Some(Request::Command(arguments))) => self.run_command(&arguments),
                Ok(Some(Request::TooLarge)) => self.reply(errors::too_large()),
                Ok(None) => {
                    self.is_ending |= self.is_input_over;
                    break;
                }
                Err(error) => {
                    self.reply(Reply::error(format!("ERR {error}")));
                    self.is_ending = true;
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        let load = self.outbox.load();
        load.unanswered < UNANSWERED_MAX
            && load.unanswered_bytes < UNANSWERED_BYTES_MAX
            && load.ready_bytes + load.gathered_bytes + self.output.len() < OUTPUT_BYTES_MAX
    }

    fn run_command(&mut self, arguments: &[bytes::Bytes]) {
        self.counts.commands += 1;
        let engine = self.submitter.engine();
        let mut context = Context { server: &self.server, engine, session: &mut self.session };
        match commands::run(&mut context, arguments) {
            Outcome::Reply(reply) => self.reply(reply),
            Outcome::Work(work) => {
                let bytes = arguments.iter().map(bytes::Bytes::len).sum();
                let form = self.form();
                self.submitter.take(work, self.session.reads(), self.outbox.reserve(form, bytes));
            }
            Outcome::Later(reply) => {
                let form = self.form();
                let ticket = self.outbox.reserve(form, 0);
                tokio::spawn(async move { ticket.fill(reply.await) });
            }
            Outcome::Close(reply) => {
                self.reply(reply);
                self.is_ending = true;
            }
            Outcome::Drop => self.is_ending = true,
        }
    }

    fn reply(&mut self, reply: Reply) {
        let form = self.form();
        self.outbox.push(form, reply);
    }

    /// How the command that was just run is answered.
    fn form(&mut self) -> Form {
        Form { is_silent: self.session.next_is_silent(), protocol: self.session.protocol }
    }

    /// Writes what is answered. True if there is more than is written at once.
    fn write_ready(&mut self) -> io::Result<bool> {
        let mut written = 0;
        while written < WRITE_BYTES {
            if self.output.len() < WRITE_BYTES {
                self.encode_ready();
            }
            if self.output.is_empty() {
                return Ok(false);
            }
            match self.output.write_to(&self.writer) {
                Ok(bytes) => {
                    written += bytes;
                    self.counts.output_bytes += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.blocked().map(|()| false);
                }
                Err(error) => return Err(error),
            }
            self.stalled = None;
        }
        Ok(true)
    }

    /// The client does not take its replies: they pile up here, up to a limit, because it may be one that
    /// writes everything before it reads.
    fn blocked(&mut self) -> io::Result<()> {
        while self.output.len() < OUTPUT_BYTES_MAX && self.encode_ready() {}
        if self.output.len() < OUTPUT_BYTES_MAX {
            self.stalled = None;
            return Ok(());
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if since.elapsed() < OUTPUT_STALL_MAX {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its replies"))
    }

    /// False if nothing was answered since.
    fn encode_ready(&mut self) -> bool {
        let is_some = self.outbox.take_ready(WRITE_BYTES, &mut self.taken);
        for (form, reply) in self.taken.drain(..).filter(|(form, _)| !form.is_silent) {
            reply.encode(form.protocol, self.output.end());
        }
        is_some
    }

    fn is_finished(&self) -> bool {
        let load = self.outbox.load();
        load.unanswered == 0 && load.ready_bytes == 0 && self.output.is_empty()
    }

    /// Sleeps until something can go on.
    async fn wait(&mut self, stopping: &mut Stopping) -> io::Result<()> {
        let wants_input =
            !self.is_ending && !self.is_input_over && self.submitter.is_idle() && self.has_room();
        let wants_output = !self.output.is_empty();
        let alarm = [self.submitter.retry_at(), self.stalled.map(|since| since + OUTPUT_STALL_MAX)];
        let alarm = alarm.into_iter().flatten().min();
        let wants_alarm = alarm.is_some();
        let alarm = tokio::time::sleep_until(alarm.unwrap_or_else(Instant::now).into());
        let Connection { reader, writer, input, read_bytes, outbox, .. } = self;
        tokio::select! {
            received = poll_fn(|cx| poll_read(reader, input, *read_bytes, cx)), if wants_input => {
                self.received(received?);
            }
            writable = writer.writable(), if wants_output => writable?,
            () = outbox.woken() => {}
            () = alarm, if wants_alarm => {}
            () = stopping.asked(), if !self.is_ending => self.is_ending = true,
        }
        Ok(())
    }

    fn received(&mut self, bytes: usize) {
        self.session.client.heard(Instant::now());
        self.counts.input_bytes += bytes as u64;
        if bytes >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES);
        }
        self.is_input_over = bytes == 0;
    }
}

/// Reads once, with room made only when there is something to read: an idle connection holds none.
fn poll_read(
    reader: &mut OwnedReadHalf,
    input: &mut BytesMut,
    bytes: usize,
    cx: &mut TaskContext<'_>,
) -> Poll<io::Result<usize>> {
    ready!(reader.as_ref().poll_read_ready(cx))?;
    input.reserve(bytes);
    pin!(reader.read_buf(input)).poll(cx)
}

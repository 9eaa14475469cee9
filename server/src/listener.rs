//! Takes clients in: one task for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection;
use crate::limits::DRAIN_EXTRA;
use crate::server::{Server, Totals};

/// How long to wait when a connection cannot be accepted, for instance because there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is told, while that goes on.
const TELL_PAUSE: Duration = Duration::from_secs(10);

/// How often it is looked whether there is a store.
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Serves clients until the server stops, then until their commands are answered.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut stopping = server.stopping();
    if let Some(advice) = server.open_files.advice() {
        tracing::warn!("{advice}");
    }
    let mut told = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(&server, &mut connections, stream, peer),
                Err(error) => pause(&error, &mut told).await,
            },
            Some(_) = connections.join_next() => {}
            () = stopping.asked() => break,
        }
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.request_timeout + DRAIN_EXTRA, all_closed).await.is_err() {
        tracing::warn!("some clients were disconnected before they had taken their replies");
    }
}

fn admit(server: &Arc<Server>, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
    if connections.len() < server.open_files.clients_max {
        if server.hosted().engines().is_empty() {
            connections.spawn(serve_when_open(Arc::clone(server), stream, peer));
        } else {
            connections.spawn(connection::serve(Arc::clone(server), stream, peer));
        }
        return;
    }
    server.count(Totals { rejected: 1, ..Totals::default() });
    // A fresh socket has room for these bytes; if not, the client sees the closing alone.
    let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
}

/// A client that comes before there is a store waits as long as a command may take, and is told then.
async fn serve_when_open(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let began = Instant::now();
    while server.hosted().engines().is_empty() {
        if began.elapsed() >= server.request_timeout {
            // As above.
            let _ = stream
                .try_write(b"-LOADING the store is not open yet: `skep status` says what it waits for\r\n");
            // What the client has sent is taken: left lying, it would make the system throw the answer away.
            while matches!(stream.try_read(&mut [0; 4096]), Ok(1..)) {}
            return;
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
    connection::serve(server, stream, peer).await;
}

/// Whoever waits is tried again soon; that it waits is told now and then.
async fn pause(error: &io::Error, told: &mut Option<Instant>) {
    if told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
        tracing::warn!(%error, "connections cannot be accepted");
        *told = Some(Instant::now());
    }
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

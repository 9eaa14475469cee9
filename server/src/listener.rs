//! Takes clients in: one task for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection;
use crate::limits::{CONNECTIONS_MAX, DRAIN_EXTRA};
use crate::server::{Server, Totals};

/// How long to wait when a connection cannot be accepted, for instance because there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until the server stops, then until their commands are answered.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut stopping = server.stopping();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(&server, &mut connections, stream, peer),
                Err(error) => pause(&error).await,
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
    if connections.len() < CONNECTIONS_MAX {
        connections.spawn(connection::serve(Arc::clone(server), stream, peer));
        return;
    }
    server.count(Totals { rejected: 1, ..Totals::default() });
    // A fresh socket has room for these bytes; if not, the client sees the closing alone.
    let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

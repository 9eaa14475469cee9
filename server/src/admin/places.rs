//! So many connections at a time and no more: nobody who opens them without end takes the file descriptors of the stores, and nobody
//! who says nothing keeps a place.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_SILENCE_MAX};

/// A listener that takes a connection when there is a place for it.
pub(super) struct Places {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

/// A connection in its place.
pub(super) struct Placed {
    stream: TcpStream,
    /// When it is closed, unless something is said before.
    silent_until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn of(listener: TcpListener) -> Places {
        Places { listener, free: Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX)) }
    }
}

impl Listener for Places {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        let place = Arc::clone(&self.free).acquire_owned().await.expect("nobody closes the semaphore");
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Placed { stream, silent_until: Box::pin(sleep(ADMIN_SILENCE_MAX)), _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.silent_until.as_mut().reset(Instant::now() + ADMIN_SILENCE_MAX);
        } else if self.silent_until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(stream: &mut TcpStream) -> bool {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.ends_with("here")
    }

    /// Time that stands still moves on when everybody waits for it.
    #[tokio::test(start_paused = true)]
    async fn those_who_say_nothing_make_room_for_those_who_ask() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(async move { axum::serve(Places::of(listener), router).await });
        let began = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..ADMIN_CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(&mut TcpStream::connect(address).await.unwrap()).await);
        assert!(began.elapsed() >= ADMIN_SILENCE_MAX, "there was no place before");
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it was closed");
        }
    }
}

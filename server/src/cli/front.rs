//! What `skep dev` and `skep serve` have in common: addresses, clients, probes, the end.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::signals::StopSignals;
use super::{Failure, say};
use crate::limits::RUNTIME_THREADS;
use crate::{Server, admin, listener};

/// How often stores are looked at, to tell when one has failed.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// An address that this process has.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// Takes an address. `setting` is what to change if that is not possible.
pub(super) fn bind(address: &str, setting: &str) -> Result<Bound, Failure> {
    let bound = address.to_socket_addrs().and_then(|resolved| {
        let listener = TcpListener::bind(&resolved.collect::<Vec<_>>()[..])?;
        listener.set_nonblocking(true)?;
        Ok(Bound { address: listener.local_addr()?, listener })
    });
    bound.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
            io::ErrorKind::InvalidInput => "write it as HOST:PORT, such as 127.0.0.1:6379".to_owned(),
            _ => error.to_string(),
        };
        Failure::not_begun(format!(
            "cannot listen on {address}: {why}; choose another address with {setting}"
        ))
    })
}

/// Another process is not to blame if two settings name one port.
pub(super) fn check_differs(address: &str, taken: SocketAddr, settings: &str) -> Result<(), Failure> {
    // What cannot be resolved is told by `bind`.
    let mut resolved = address.to_socket_addrs().into_iter().flatten();
    let is_same = |other: SocketAddr| {
        let (one, other_ip) = (taken.ip(), other.ip());
        other.port() == taken.port() && (one == other_ip || one.is_unspecified() || other_ip.is_unspecified())
    };
    if resolved.any(is_same) {
        return Err(Failure::not_begun(format!("{settings} need different addresses")));
    }
    Ok(())
}

/// Whoever can reach the clients' address from elsewhere can do everything, unless there is a password.
pub(super) fn check_exposure(listen: SocketAddr, is_allowed: bool, remedy: &str) -> Result<(), Failure> {
    if listen.ip().is_loopback() || is_allowed {
        return Ok(());
    }
    Err(Failure::not_begun(format!(
        "others could reach {listen} and change everything without a password: {remedy}"
    )))
}

/// The threads that serve connections.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("skep-io")
        .enable_all()
        .build()
        .map_err(|error| Failure::not_begun(format!("the runtime cannot be started: {error}")))
}

/// A server and its two addresses.
pub(super) struct Front {
    pub(super) server: Arc<Server>,
    pub(super) listen: Bound,
    pub(super) admin: Bound,
}

impl Front {
    /// Serves until somebody asks to stop, or no store is left; then everything is closed. Clients are taken in when `ready`
    /// has come to its end.
    pub(super) fn serve(
        self,
        runtime: Runtime,
        ready: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        let server = Arc::clone(&self.server);
        let result = runtime.block_on(self.until_asked(ready));
        runtime.shutdown_timeout(Duration::from_secs(1));
        let closed = server.hosted().close();
        result?;
        closed.map_err(|error| Failure::not_done(format!("not closed cleanly: {error}")))?;
        say("stopped; all data is on disk");
        Ok(())
    }

    async fn until_asked(self, ready: impl Future<Output = ()> + Send + 'static) -> Result<(), Failure> {
        let Front { server, listen, admin } = self;
        let failed = |error: io::Error| Failure::not_done(format!("cannot serve: {error}"));
        let mut signals = StopSignals::listen().map_err(failed)?;
        let clients = tokio::net::TcpListener::from_std(listen.listener).map_err(failed)?;
        let probes = tokio::net::TcpListener::from_std(admin.listener).map_err(failed)?;
        tokio::spawn(admin::serve(Arc::clone(&server), probes));
        let clients = tokio::spawn(serve_clients(Arc::clone(&server), clients, ready));
        let result = tokio::select! {
            () = signals.asked() => Ok(()),
            why = all_failed(&server) => Err(Failure::all_failed(why)),
        };
        signals.exit_at_once_when_asked_again();
        server.stop();
        let _ = clients.await;
        result
    }
}

async fn serve_clients(
    server: Arc<Server>,
    clients: tokio::net::TcpListener,
    ready: impl Future<Output = ()> + Send + 'static,
) {
    let mut stopping = server.stopping();
    tokio::select! {
        () = ready => {}
        () = stopping.asked() => return,
    }
    listener::serve(server, clients).await;
}

/// Reports what stores have to say, and each that fails; returns when none is left.
async fn all_failed(server: &Server) -> String {
    let mut reported = 0;
    let mut troubles = BTreeSet::new();
    loop {
        let hosted = server.hosted();
        hosted.news().iter().for_each(|news| tracing::warn!("{news}"));
        let now: BTreeSet<String> = hosted.troubles().into_iter().collect();
        now.difference(&troubles).for_each(|trouble| tracing::warn!("{trouble}"));
        troubles = now;
        let failures = hosted.failures();
        for why in failures.iter().skip(reported) {
            tracing::error!("a store has failed: {why}");
        }
        reported = failures.len();
        if hosted.is_lost() {
            return match &failures[..] {
                [why] => format!("the store has failed: {why}"),
                all => format!("all stores have failed; they say: {}", all.join("; ")),
            };
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

//! `skep dev`: three stores in this process, served to Redis clients.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use skep_engine::{LocalCluster, LocalConfig, Opened};
use tokio::runtime::Runtime;

use super::signals::StopSignals;
use super::{Failure, say};
use crate::limits::RUNTIME_THREADS;
use crate::units::{parse_duration, parse_size};
use crate::{Server, ServerConfig, admin, listener};

/// How many regions a new directory is cut into unless asked otherwise.
const REGIONS: u32 = 16;

/// How long elections and the reading of logs may take before the user is told what is going on.
const READY_MAX: Duration = Duration::from_secs(60);

/// How often stores are looked at, to tell when one has failed.
const WATCH_EVERY: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(super) struct DevArgs {
    /// Where the data is. Made if it does not exist; each store has a directory of its own in it.
    #[arg(long, default_value = "./skep-data", value_name = "DIR")]
    data: PathBuf,
    /// Where Redis clients connect. Port 0: any free one.
    #[arg(long, default_value = "127.0.0.1:6379", value_name = "HOST:PORT")]
    listen: String,
    /// Where probes and `skep status` connect, over HTTP. Port 0: any free one.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "HOST:PORT")]
    admin: String,
    /// How many regions a new directory is cut into [default: 16]. An existing one keeps its regions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(skep_engine::REGIONS_MAX)))]
    regions: Option<u32>,
    /// A region whose keys and values take more than this is split.
    #[arg(long, default_value = "64MiB", value_name = "SIZE", value_parser = parse_size)]
    split_bytes: u64,
    /// How long a command may wait for a leader before its client is told.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    request_timeout: Duration,
}

pub(super) fn run(args: DevArgs) -> Result<(), Failure> {
    // Both addresses first: whoever cannot be reached should not have touched the data.
    let listen = bind(&args.listen, "--listen")?;
    check_differs(&args.admin, listen.address)?;
    let admin = bind(&args.admin, "--admin")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("skep-io")
        .enable_all()
        .build()
        .map_err(|error| Failure::not_begun(format!("the runtime cannot be started: {error}")))?;
    let cluster = open(&args)?;
    say(&about_data(&args, cluster.opened()));
    let result = serve(&runtime, Arc::clone(&cluster), &args, listen, admin);
    runtime.shutdown_timeout(Duration::from_secs(1));
    let closed = cluster.close().map_err(|error| Failure::not_done(format!("not closed cleanly: {error}")));
    result?;
    closed?;
    say("stopped; all data is on disk");
    Ok(())
}

/// One of the two addresses.
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

fn bind(address: &str, flag: &str) -> Result<Bound, Failure> {
    let bound = address.to_socket_addrs().and_then(|resolved| {
        let listener = TcpListener::bind(&resolved.collect::<Vec<_>>()[..])?;
        listener.set_nonblocking(true)?;
        Ok(Bound { address: listener.local_addr()?, listener })
    });
    bound.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
            std::io::ErrorKind::InvalidInput => "write it as HOST:PORT, such as 127.0.0.1:6379".to_owned(),
            _ => error.to_string(),
        };
        Failure::not_begun(format!("cannot listen on {address}: {why}; choose another address with {flag}"))
    })
}

/// Another process is not to blame if both flags name one port.
fn check_differs(admin: &str, listen: SocketAddr) -> Result<(), Failure> {
    // What cannot be resolved is told by `bind`.
    let mut resolved = admin.to_socket_addrs().into_iter().flatten();
    let is_same = |other: SocketAddr| {
        let (one, other_ip) = (listen.ip(), other.ip());
        other.port() == listen.port()
            && (one == other_ip || one.is_unspecified() || other_ip.is_unspecified())
    };
    if resolved.any(is_same) {
        return Err(Failure::not_begun("--listen and --admin need different addresses"));
    }
    Ok(())
}

fn open(args: &DevArgs) -> Result<Arc<LocalCluster>, Failure> {
    let mut config = LocalConfig::new(args.data.clone());
    config.regions = args.regions.unwrap_or(REGIONS);
    config.split_bytes = args.split_bytes;
    config.request_timeout = args.request_timeout;
    let opened = LocalCluster::open(config);
    opened.map(Arc::new).map_err(|error| Failure::not_begun(error.to_string()))
}

fn about_data(args: &DevArgs, opened: Opened) -> String {
    let data = args.data.display();
    match opened {
        Opened::New { regions } => format!("new data directory {data}: 3 stores, {regions} regions"),
        Opened::Existing { regions } => {
            let asked = args.regions.is_some_and(|asked| asked != regions);
            let note = if asked { "; --regions counts only in a new one" } else { "" };
            format!("existing data directory {data}: 3 stores, keeps its {regions} regions{note}")
        }
    }
}

/// Serves until somebody asks to stop, or no store is left.
fn serve(
    runtime: &Runtime,
    cluster: Arc<LocalCluster>,
    args: &DevArgs,
    listen: Bound,
    admin: Bound,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::not_done(format!("cannot serve: {error}"));
    let config = ServerConfig {
        listen: listen.address,
        data: args.data.clone(),
        request_timeout: args.request_timeout,
        password: None,
    };
    let server = Arc::new(Server::new(cluster, config));
    runtime.block_on(async {
        let mut signals = StopSignals::listen().map_err(failed)?;
        let clients = tokio::net::TcpListener::from_std(listen.listener).map_err(failed)?;
        let probes = tokio::net::TcpListener::from_std(admin.listener).map_err(failed)?;
        tokio::spawn(admin::serve(Arc::clone(&server), probes));
        let clients = tokio::spawn(serve_clients(Arc::clone(&server), clients, admin.address));
        let result = tokio::select! {
            () = signals.asked() => Ok(()),
            why = all_failed(&server) => Err(Failure::all_failed(why)),
        };
        signals.exit_at_once_when_asked_again();
        server.stop();
        let _ = clients.await;
        result
    })
}

/// Takes clients in once every region serves, and tells the user so. Whoever connects earlier waits to be taken in: the
/// time that the stores need to read their logs does not count against anybody's request timeout.
async fn serve_clients(server: Arc<Server>, listener: tokio::net::TcpListener, admin: SocketAddr) {
    let mut stopping = server.stopping();
    let asked = Arc::clone(&server);
    tokio::select! {
        ready = tokio::task::spawn_blocking(move || wait_until_serving(&asked)) => {
            if !matches!(ready, Ok(true)) {
                tracing::warn!("some regions do not serve yet: see `skep status --admin {admin}`");
            }
        }
        () = stopping.asked() => return,
    }
    announce(server.listen, admin);
    listener::serve(server, listener).await;
}

/// A region may have a leader and still be reading its log: only an answer shows that it serves.
fn wait_until_serving(server: &Server) -> bool {
    let end = Instant::now() + READY_MAX;
    if server.hosted().wait_ready(READY_MAX).is_err() {
        return false;
    }
    // Each question has the request timeout of its own, which paces this loop.
    while server.choose_store().count_keys().wait().is_err() {
        if Instant::now() >= end || server.stores().iter().all(|store| store.failed().is_some()) {
            return false;
        }
    }
    true
}

/// Tells the user what to do next.
fn announce(listen: SocketAddr, admin: SocketAddr) {
    let (host, port) = (listen.ip(), listen.port());
    say(&format!(
        "redis   {listen}\nadmin   http://{admin}\ntry     redis-cli -h {host} -p {port} set hello world"
    ));
}

/// Reports each store that fails; returns when none is left.
async fn all_failed(server: &Server) -> String {
    let mut reported = 0;
    loop {
        let failures: Vec<String> = server.stores().iter().filter_map(|store| store.failed()).collect();
        for why in failures.iter().skip(reported) {
            tracing::error!("a store has failed: {why}");
        }
        reported = failures.len();
        if reported == server.stores().len() {
            return format!("all stores have failed; the last one says: {}", failures.join("; "));
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

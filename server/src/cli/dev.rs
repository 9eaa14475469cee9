//! `skep dev`: three stores in this process, served to Redis clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use skep_engine::{LocalCluster, LocalConfig, Opened};

use super::front::{self, Front};
use super::{Failure, say};
use crate::units::{parse_duration, parse_size};
use crate::{Password, Server, ServerConfig};

/// How many regions a new directory is cut into unless asked otherwise.
const REGIONS: u32 = 16;

/// How long elections and the reading of logs may take before the user is told what is going on.
const READY_MAX: Duration = Duration::from_secs(60);

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
    /// What clients must give: AUTH, or HELLO with AUTH. Nothing unless it is set.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Let clients connect from elsewhere without a password.
    #[arg(long)]
    insecure: bool,
    /// How long a command may wait for a leader before its client is told.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    request_timeout: Duration,
    /// Let FLUSHALL and FLUSHDB delete all keys. Otherwise they are refused.
    #[arg(long)]
    allow_flush: bool,
    /// How much memory the data of each store may take. Beyond, what would add to it is refused; reads and deletes go on.
    /// [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory_limit: Option<u64>,
}

pub(super) fn run(args: DevArgs) -> Result<(), Failure> {
    // Both addresses first: whoever cannot be reached should not have touched the data.
    let listen = front::bind(&args.listen, "--listen")?;
    front::check_differs(&args.admin, listen.address, "--listen and --admin")?;
    let admin = front::bind(&args.admin, "--admin")?;
    let password = args.password.as_deref().and_then(Password::new);
    let is_allowed = password.is_some() || args.insecure;
    front::check_exposure(listen.address, is_allowed, "choose a --password, or say --insecure")?;
    let runtime = front::runtime()?;
    let cluster = open(&args)?;
    say(&about_data(&args, cluster.opened()));
    let config = ServerConfig {
        listen: listen.address,
        data: args.data,
        request_timeout: args.request_timeout,
        password,
        allow_flush: args.allow_flush,
    };
    let server = Arc::new(Server::new(cluster, config));
    let ready = until_serving(Arc::clone(&server), admin.address);
    Front { server, listen, admin }.serve(runtime, ready)
}

fn open(args: &DevArgs) -> Result<Arc<LocalCluster>, Failure> {
    let mut config = LocalConfig::new(args.data.clone());
    config.regions = args.regions.unwrap_or(REGIONS);
    config.split_bytes = args.split_bytes;
    config.request_timeout = args.request_timeout;
    config.memory_limit = args.memory_limit;
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

/// Returns once every region serves, and the user was told. Whoever connects earlier waits to be taken in: the time that the
/// stores need to read their logs does not count against anybody's request timeout.
async fn until_serving(server: Arc<Server>, admin: SocketAddr) {
    let asked = Arc::clone(&server);
    let ready = tokio::task::spawn_blocking(move || wait_until_serving(&asked)).await;
    if !matches!(ready, Ok(true)) {
        tracing::warn!("some regions do not serve yet: see `skep status --admin {admin}`");
    }
    announce(server.listen, admin);
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

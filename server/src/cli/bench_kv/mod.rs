//! `skep bench kv`: what clients of the Redis protocol get from a server, and what it costs.

mod clients;
mod workload;
mod zipf;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use skep_engine::{LocalCluster, LocalConfig};
use tokio::runtime::Runtime;

use self::clients::{Shape, Shared};
use self::workload::{Mix, Source, Ycsb, parse_mix};
use super::Failure;
use super::answers::Answer;
use super::bench::{Costs, FreshDirectory, LOOK_EVERY, NOT_MEASURED, WARM_UP, value_size, wait_ready};
use super::bench_report::{Report, Spent};
use super::redis_connection::RedisConnection;
use super::signals::StopSignals;
use crate::limits::RUNTIME_THREADS;
use crate::{Server, ServerConfig, listener};

/// Bytes of a value, unless asked otherwise: what `bench engine` writes, and what YCSB's records have.
const VALUE_BYTES: u64 = 16;
const YCSB_VALUE_BYTES: u64 = 1_000;

/// How long a command may take in a cluster of our own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Prints the object of `bench engine`. With `--addr`, what it costs the server is not known: those fields are null.
#[derive(Args, Debug)]
pub(super) struct KvArgs {
    /// A server to measure. [default: three stores of its own, in this process]
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["regions", "data"])]
    addr: Option<String>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// How long to measure, after 2 s of warm-up.
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many clients there are, each with a connection.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9_000))]
    clients: u32,
    /// How many operations each client has under way.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pipeline: u32,
    /// The size of a value; its bytes are random. [default: 16; with --workload 1000]
    #[arg(long, value_name = "SIZE", value_parser = value_size)]
    value_bytes: Option<u64>,
    /// How many records there are, key:000000000000 and so on. Written first if they are read afterwards.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    records: u64,
    /// Reads to writes, of records drawn evenly. [default: 0:1, writes alone]
    #[arg(long, value_name = "R:W", value_parser = parse_mix, conflicts_with = "workload")]
    mix: Option<Mix>,
    /// A core workload of YCSB: A 50% reads 50% updates, B 95:5, C reads, D 95% reads of the latest 5% inserts, E 95% scans
    /// 5% inserts, F 50% reads 50% read-modify-writes.
    #[arg(long, value_enum, value_name = "A..F", ignore_case = true)]
    workload: Option<Ycsb>,
    /// How many regions the keys of its own cluster are spread over.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(skep_engine::REGIONS_MAX)))]
    regions: u32,
    /// Where its own cluster puts its data, in a fresh directory that is removed afterwards. Not in memory.
    #[arg(long, default_value = ".", value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn run(args: &KvArgs) -> Result<(), Failure> {
    let is_asked_to_stop = StopSignals::as_flag()
        .map_err(|error| Failure::not_begun(format!("signals cannot be listened to: {error}")))?;
    let report = match &args.addr {
        Some(address) => measure(args, (address, None), &is_asked_to_stop)?,
        None => measure_own(args, &is_asked_to_stop)?,
    };
    report.say(args.json, &args.about())
}

/// Against three stores in this process, with a server in front of them.
fn measure_own(args: &KvArgs, is_asked_to_stop: &Arc<AtomicBool>) -> Result<Report, Failure> {
    let directory = FreshDirectory::below(&args.data)?;
    let mut config = LocalConfig::new(directory.path().to_owned());
    config.regions = args.regions;
    let cluster = LocalCluster::open(config).map_err(|error| Failure::not_begun(error.to_string()))?;
    let cluster = Arc::new(cluster);
    let report = wait_ready(&cluster, is_asked_to_stop).and_then(|()| {
        let serving = Serving::start(Arc::clone(&cluster), directory.path().to_owned())
            .map_err(|error| Failure::not_done(format!("cannot serve: {error}")))?;
        let report = measure(args, (&serving.address, Some(&cluster)), is_asked_to_stop);
        serving.stop();
        report
    });
    let closed = cluster.close().map_err(|error| Failure::not_done(format!("not closed cleanly: {error}")));
    let report = report?;
    closed.map(|()| report)
}

/// A server on a free port.
struct Serving {
    runtime: Runtime,
    server: Arc<Server>,
    address: String,
}

impl Serving {
    fn start(cluster: Arc<LocalCluster>, data: PathBuf) -> std::io::Result<Serving> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("skep-io")
            .enable_all()
            .build()?;
        let socket = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let listen = socket.local_addr()?;
        let config = ServerConfig {
            listen,
            data,
            request_timeout: REQUEST_TIMEOUT,
            password: None,
            allow_flush: false,
        };
        let server = Arc::new(Server::new(cluster, config));
        runtime.spawn(listener::serve(Arc::clone(&server), socket));
        Ok(Serving { runtime, server, address: listen.to_string() })
    }

    fn stop(self) {
        self.server.stop();
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Fills the server if there must be something to read, warms it up, measures.
fn measure(
    args: &KvArgs,
    (address, cluster): (&str, Option<&Arc<LocalCluster>>),
    is_asked_to_stop: &Arc<AtomicBool>,
) -> Result<Report, Failure> {
    args.check_server(address)?;
    if args.reads() {
        let filling = Shared::new(args.shape(address), Source::fill(args.records));
        drive(&filling, Rc::clone(&filling), address, |shared| {
            until_asked(shared, Arc::clone(is_asked_to_stop))
        })?;
        let filled = filling.take();
        if let Some(why) = filled.error {
            return Err(Failure::not_done(format!("{} of the records were refused: {why}", filled.errors)));
        }
    }
    let measuring = Shared::new(args.shape(address), args.source());
    let found = Rc::new(std::cell::RefCell::new(None));
    let (shown, cluster, asked) = (Rc::clone(&found), cluster.cloned(), Arc::clone(is_asked_to_stop));
    let duration = Duration::from_secs(args.seconds);
    drive(&measuring, Rc::clone(&measuring), address, |shared| async move {
        *shown.borrow_mut() = watch(&shared, cluster.as_ref(), &asked, duration).await;
        shared.end();
    })?;
    let Some((report, error)) = found.take() else { return Err(Failure::interrupted(NOT_MEASURED)) };
    if let Some(error) = error {
        tracing::warn!("the first of the errors: {error}");
    }
    Ok(report)
}

/// Runs the clients, and `beside` them what watches them.
fn drive<B: Future<Output = ()> + 'static>(
    shared: &Rc<Shared>,
    watched: Rc<Shared>,
    address: &str,
    beside: impl FnOnce(Rc<Shared>) -> B,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::not_done(format!("{address} cannot be measured ({error}): see that a server answers there"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(clients::run(shared, beside(watched))).map_err(failed)
}

/// Ends the clients when somebody asks to stop.
async fn until_asked(shared: Rc<Shared>, is_asked_to_stop: Arc<AtomicBool>) {
    while !is_asked_to_stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    shared.end();
}

/// What was measured, and the first error; nothing if somebody asked to stop.
async fn watch(
    shared: &Shared,
    cluster: Option<&Arc<LocalCluster>>,
    is_asked_to_stop: &AtomicBool,
    duration: Duration,
) -> Option<(Report, Option<String>)> {
    sleep(WARM_UP, is_asked_to_stop).await?;
    let before = cluster.map(|cluster| Costs::now(cluster));
    let began = Instant::now();
    drop(shared.take());
    sleep(duration, is_asked_to_stop).await?;
    let measured = shared.take();
    let seconds = began.elapsed().as_secs_f64();
    let after = cluster.map(|cluster| Costs::now(cluster));
    let spent: Option<Spent> = before.zip(after).map(|(before, after)| after.since(&before));
    let report = Report::new(&measured.latency_us, measured.errors, seconds, spent);
    Some((report, measured.error))
}

/// `None` if somebody asked to stop meanwhile.
async fn sleep(duration: Duration, is_asked_to_stop: &AtomicBool) -> Option<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        if is_asked_to_stop.load(Ordering::Relaxed) {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY.min(end - Instant::now())).await;
    }
    Some(())
}

impl KvArgs {
    fn reads(&self) -> bool {
        self.workload.is_some() || self.mix.is_some_and(|mix| mix.reads > 0)
    }

    fn value_bytes(&self) -> u64 {
        let usual = if self.workload.is_some() { YCSB_VALUE_BYTES } else { VALUE_BYTES };
        self.value_bytes.unwrap_or(usual)
    }

    fn shape(&self, address: &str) -> Shape {
        Shape {
            address: address.to_owned(),
            clients: self.clients,
            pipeline: self.pipeline as usize,
            value_bytes: self.value_bytes() as usize,
        }
    }

    fn source(&self) -> Source {
        match (self.workload, self.mix) {
            (Some(workload), _) => Source::ycsb(workload, self.records),
            (None, mix) => Source::mix(mix.unwrap_or(Mix { reads: 0, writes: 1 }), self.records),
        }
    }

    /// Whether there is a server that knows what it will be asked.
    fn check_server(&self, address: &str) -> Result<(), Failure> {
        let scans = self.workload == Some(Ycsb::E);
        let question: &[&[u8]] = if scans { &[b"COMMAND", b"INFO", b"KV.RANGE"] } else { &[b"PING"] };
        let answer = RedisConnection::open(address).and_then(|mut connection| connection.ask(question));
        match answer {
            Err(error) => Err(Failure::not_done(format!(
                "no server answers on {address} ({error}): start one with `skep dev`, or leave --addr out"
            ))),
            Ok(Answer::Error(why)) => {
                Err(Failure::not_done(format!("the server on {address} refuses: {why}")))
            }
            Ok(Answer::Array(known)) if known == [Answer::Value(None)] => Err(Failure::not_done(format!(
                "the server on {address} has no KV.RANGE, which workload E needs"
            ))),
            Ok(Answer::Array(_) | Answer::Status(_) | Answer::Integer(_) | Answer::Value(_)) => Ok(()),
        }
    }

    fn about(&self) -> String {
        let KvArgs { clients, pipeline, records, seconds, regions, .. } = self;
        let what = match (self.workload, self.mix) {
            (Some(workload), _) => format!("YCSB {workload:?}"),
            (None, Some(Mix { reads, writes })) => format!("{reads}:{writes} reads to writes"),
            (None, None) => "writes".to_owned(),
        };
        let place = match &self.addr {
            Some(address) => address.clone(),
            None => format!("{regions} regions, 3 stores"),
        };
        let bytes = self.value_bytes();
        format!(
            "{clients} clients x {pipeline}, {what}, {records} records of {bytes} bytes, {place}, {seconds} s"
        )
    }
}

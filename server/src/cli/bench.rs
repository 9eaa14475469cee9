//! `skep bench engine`: how many durable writes three stores in this process make, and what they cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use skep_engine::{LocalCluster, LocalConfig};

use super::Failure;
use super::bench_load::{Load, Shape};
use super::bench_report::{Report, Spent};
use super::signals::StopSignals;
use crate::units::parse_size;

/// How long the load runs before it is measured: connections, caches and the log's first segments settle.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);

/// How long the first elections may take.
const READY_MAX: Duration = Duration::from_secs(60);

/// How long the last commands may take: longer than they are given before they time out.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How often somebody who waits for elections looks whether it is time to stop.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What one store takes before it answers that it is busy: writes, and bytes of them. Beyond, the errors of stores
/// that refuse would be measured.
const STORE_WRITES_MAX: u64 = 1 << 18;
const STORE_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a write beside its value, at most: its key and what commands are wrapped in.
const WRITE_OVERHEAD_BYTES: u64 = 128;

/// Stores of the cluster that is measured; the writes are spread over them.
const STORES: u64 = 3;

/// What is said when somebody asks to stop before there is a result.
pub(super) const NOT_MEASURED: &str = "interrupted; nothing was measured";

/// What file systems that keep everything in memory call themselves: tmpfs and ramfs.
const MEMORY_FILE_SYSTEMS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

#[derive(Args, Debug)]
pub(super) struct EngineArgs {
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// How long to measure, after 2 s of warm-up.
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many clients write at the same time.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// How many writes each client has under way.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pipeline: u32,
    /// The size of a value; its bytes are random.
    #[arg(long, default_value = "16", value_name = "SIZE", value_parser = value_size)]
    value_bytes: u64,
    /// How many regions the keys are spread over.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(skep_engine::REGIONS_MAX)))]
    regions: u32,
    /// Where to put the data, in a fresh directory that is removed afterwards. Not in memory.
    #[arg(long, default_value = ".", value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn value_size(written: &str) -> Result<u64, String> {
    let bytes = parse_size(written).map_err(|error| error.to_string())?;
    let max = skep_engine::VALUE_BYTES_MAX as u64;
    if bytes <= max { Ok(bytes) } else { Err(format!("a value has at most {max} bytes")) }
}

pub(super) fn run(args: &EngineArgs) -> Result<(), Failure> {
    check_size(args)?;
    let is_asked_to_stop = StopSignals::as_flag()
        .map_err(|error| Failure::not_begun(format!("signals cannot be listened to: {error}")))?;
    let directory = FreshDirectory::below(&args.data)?;
    let mut config = LocalConfig::new(directory.0.clone());
    config.regions = args.regions;
    let cluster = LocalCluster::open(config).map_err(|error| Failure::not_begun(error.to_string()))?;
    let report =
        wait_ready(&cluster, &is_asked_to_stop).and_then(|()| measure(args, &cluster, is_asked_to_stop));
    let closed = cluster.close().map_err(|error| Failure::not_done(format!("not closed cleanly: {error}")));
    drop(cluster);
    drop(directory);
    let report = report?;
    closed?;
    report.say(args.json, &about(args))
}

/// Refuses a load that stores would refuse.
fn check_size(args: &EngineArgs) -> Result<(), Failure> {
    let EngineArgs { clients, pipeline, value_bytes, .. } = args;
    let writes = (u64::from(*clients) * u64::from(*pipeline)).div_ceil(STORES);
    if writes <= STORE_WRITES_MAX && writes * (value_bytes + WRITE_OVERHEAD_BYTES) <= STORE_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::not_begun(format!(
        "{clients} clients with {pipeline} writes of {value_bytes} bytes each are more than three stores take at one \
         time ({STORE_WRITES_MAX} writes and {} MiB each): choose fewer --clients, a smaller --pipeline or smaller \
         --value-bytes",
        STORE_BYTES_MAX >> 20
    )))
}

pub(super) fn wait_ready(cluster: &LocalCluster, is_asked_to_stop: &AtomicBool) -> Result<(), Failure> {
    let end = Instant::now() + READY_MAX;
    loop {
        let Err(error) = cluster.wait_ready(LOOK_EVERY) else { return Ok(()) };
        if is_asked_to_stop.load(Ordering::Relaxed) {
            return Err(Failure::interrupted(NOT_MEASURED));
        }
        if Instant::now() >= end {
            return Err(Failure::not_done(error.to_string()));
        }
    }
}

fn measure(
    args: &EngineArgs,
    cluster: &LocalCluster,
    is_asked_to_stop: Arc<AtomicBool>,
) -> Result<Report, Failure> {
    let shape = Shape { outstanding: args.clients * args.pipeline, value_bytes: args.value_bytes as usize };
    let mut load = Load::new(cluster.engines(), shape, is_asked_to_stop);
    if !load.run_for(WARM_UP) {
        return Err(Failure::interrupted(NOT_MEASURED));
    }
    load.forget();
    let before = Costs::now(cluster);
    if !load.run_for(Duration::from_secs(args.seconds)) {
        return Err(Failure::interrupted(NOT_MEASURED));
    }
    let after = Costs::now(cluster);
    let measured = load.finish(DRAIN_MAX).map_err(Failure::not_done)?;
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    Ok(Report::new(&measured.latency_us, measured.errors, seconds, Some(after.since(&before))))
}

/// What had been spent at a moment.
pub(super) struct Costs {
    at: Instant,
    cpu: Duration,
    entries: u64,
    syncs: u64,
}

impl Costs {
    /// What was spent from then to now.
    pub(super) fn since(&self, before: &Costs) -> Spent {
        Spent {
            cpu_us: (self.cpu - before.cpu).as_secs_f64() * 1e6,
            syncs: self.syncs - before.syncs,
            entries: self.entries - before.entries,
        }
    }

    pub(super) fn now(cluster: &LocalCluster) -> Costs {
        let stores = cluster.status().stores.into_iter().filter_map(|store| store.own).collect::<Vec<_>>();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Costs {
            at: Instant::now(),
            cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32),
            entries: stores.iter().map(|store| store.entries_appended).sum(),
            syncs: stores.iter().map(|store| store.syncs).sum(),
        }
    }
}

fn about(args: &EngineArgs) -> String {
    let EngineArgs { clients, pipeline, value_bytes, regions, seconds, .. } = args;
    format!(
        "{clients} clients x {pipeline} writes of {value_bytes} bytes, {regions} regions, 3 stores, {seconds} s"
    )
}

/// A directory of this run alone; removed when dropped.
pub(super) struct FreshDirectory(PathBuf);

impl FreshDirectory {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn below(parent: &Path) -> Result<FreshDirectory, Failure> {
        let shown = parent.display();
        let failed =
            |error: &dyn std::fmt::Display| Failure::not_begun(format!("cannot use {shown}: {error}"));
        let kind = rustix::fs::statfs(parent).map_err(|error| failed(&error))?.f_type;
        #[allow(clippy::unnecessary_cast, reason = "the type of this field differs between platforms")]
        if MEMORY_FILE_SYSTEMS.contains(&(kind as i64)) {
            let why = "it is in memory (tmpfs), so nothing written there is durable and the result would mean nothing";
            return Err(Failure::not_begun(format!(
                "cannot measure in {shown}: {why}; choose another with --data"
            )));
        }
        let path = parent.join(format!("skep-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| failed(&error))?;
        Ok(FreshDirectory(path))
    }
}

impl Drop for FreshDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, directory = %self.0.display(), "not removed");
        }
    }
}

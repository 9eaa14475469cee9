//! Memory, allocations, bytes on the device, and how long an append waits while the disk is always syncing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_wal::{Batch, RealDisk, StreamId, Wal, WalConfig};

use crate::measure::cost_on;
use crate::peer::{Result, directory};
use crate::report::{Report, Target};
use crate::skep::{fill, open};
use crate::work::{Payloads, REGIONS, REGIONS_PER_BATCH, ROUNDS};

const BATCHES: u64 = 1_000;
/// Headers, heads and lists of a frame with one record.
const FRAME_OVERHEAD_BYTES: usize = 64 + 48 + 24 + 8;
const PAGES_PER_FRAME: usize = 8;
/// Frames in each round of those that are counted on the device.
const FRAMES: u64 = 500;

pub(crate) fn all(report: &mut Report) -> Result<()> {
    let payloads = Payloads::new();
    allocations(report, &payloads)?;
    idle_memory(report)?;
    device_bytes(report)?;
    append_while_syncing(report, &payloads)
}

fn roomy(directory: &std::path::Path) -> Result<Wal> {
    let wal = open(directory, WalConfig { prepared_segments: 4, ..WalConfig::default() })?;
    wal.maintain()?;
    Ok(wal)
}

fn allocations(report: &mut Report, payloads: &Payloads) -> Result<()> {
    let directory = directory()?;
    let wal = roomy(directory.path())?;
    let mut batch = Batch::new();
    let warm = REGIONS / REGIONS_PER_BATCH * 2;
    let mut failed = Ok(());
    let mut append = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            fill(&mut batch, number, 8, payloads);
            if let Err(error) = wal.append(&mut batch) {
                failed = Err(error);
            }
        }
    };
    append(0..warm);
    let found = allocation_counter::measure(|| append(warm..warm + BATCHES));
    failed?;
    let entries = (BATCHES * REGIONS_PER_BATCH * 8) as f64;
    report.row(
        "allocations per entry, runs of 8",
        (found.count_total as f64 / entries, ""),
        Target::AtMost(0.01),
    );
    report.row(
        "index memory per entry, runs of 8",
        (found.bytes_current as f64 / entries, "B"),
        Target::AtMost(4.0),
    );
    Ok(())
}

fn idle_memory(report: &mut Report) -> Result<()> {
    const STREAMS: u64 = 100_000;
    let directory = directory()?;
    let wal = roomy(directory.path())?;
    let mut batch = Batch::new();
    let mut failed = Ok(());
    let found = allocation_counter::measure(|| {
        for region in 0..STREAMS {
            batch.entries(StreamId(region), 1, 1, [[7; 128].as_slice()]);
            batch.hard_state(StreamId(region), &[1; 16]);
            if region % 64 == 63
                && let Err(error) = wal.append(&mut batch)
            {
                failed = Err(error);
            }
        }
    });
    failed?;
    let bytes = found.bytes_current as f64 / STREAMS as f64;
    report.row("memory of an idle region with one entry and its state", (bytes, "B"), Target::AtMost(160.0));
    Ok(())
}

fn device_bytes(report: &mut Report) -> Result<()> {
    let directory = directory()?;
    let wal = roomy(directory.path())?;
    let mut batch = Batch::new();
    let payload = vec![7; PAGES_PER_FRAME * 4096 - FRAME_OVERHEAD_BYTES];
    let mut ratios = Vec::new();
    for round in 0..ROUNDS as u64 {
        let begun = wal.appended_lsn();
        let (done, cost) = cost_on(directory.path(), || -> Result<()> {
            for index in round * FRAMES + 1..=(round + 1) * FRAMES {
                batch.entries(StreamId(1), index, 1, [payload.as_slice()]);
                wal.append(&mut batch)?;
                wal.sync()?;
            }
            Ok(())
        });
        done?;
        ratios.push(cost.device_bytes as f64 / (wal.appended_lsn().0 - begun.0) as f64);
    }
    // The device counts for everybody who writes to it: others can only add.
    let least = ratios.into_iter().fold(f64::INFINITY, f64::min);
    report.row("device bytes per byte, frames of whole pages", (least, "ratio"), Target::AtMost(1.1));
    Ok(())
}

fn append_while_syncing(report: &mut Report, payloads: &Payloads) -> Result<()> {
    let directory = directory()?;
    let disk = std::sync::Arc::new(RealDisk::open(directory.path())?);
    let wal = Wal::open(disk, WalConfig { prepared_segments: 6, ..WalConfig::default() })?.0;
    wal.maintain()?;
    let is_done = AtomicBool::new(false);
    let mut waits: Vec<Duration> = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| while !is_done.load(Ordering::Relaxed) && wal.sync().is_ok() {});
        let mut batch = Batch::new();
        for number in 0..8 * BATCHES {
            fill(&mut batch, number, 1, payloads);
            let begun = Instant::now();
            let appended = wal.append(&mut batch);
            waits.push(begun.elapsed());
            if appended.is_err() {
                break;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        is_done.store(true, Ordering::Relaxed);
        Ok(())
    })?;
    waits.sort();
    for (name, part) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
        let wait = waits[waits.len() * part / 1000];
        report.peer(format!("skep: append under constant syncing, {name}"), (wait.as_secs_f64() * 1e6, "us"));
    }
    Ok(())
}

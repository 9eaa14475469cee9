//! Memory, allocations, bytes on the device, and how long an append waits while the disk is always syncing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_wal::{Batch, StreamId, Wal, WalConfig};

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
    append_while_syncing(report, &payloads)?;
    append_while_reclaiming(report)
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
    let (mut bytes, mut flushes) = (f64::NAN, f64::NAN);
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
        // The device counts for everybody who uses it: others can only add.
        bytes = bytes.min(cost.device.bytes / (wal.appended_lsn().0 - begun.0) as f64);
        flushes = flushes.min(cost.device.flushes / FRAMES as f64);
    }
    report.row("device bytes per byte, frames of whole pages", (bytes, "ratio"), Target::AtMost(1.1));
    report.row("flushes of the device per sync", (flushes, ""), Target::AtMost(1.0));
    Ok(())
}

fn append_while_syncing(report: &mut Report, payloads: &Payloads) -> Result<()> {
    let directory = directory()?;
    let wal = open(directory.path(), WalConfig { prepared_segments: 6, ..WalConfig::default() })?;
    wal.maintain()?;
    let waits = waits(&wal, 8 * BATCHES, |batch, number| fill(batch, number, 1, payloads))?;
    for (name, part) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
        report.peer(format!("skep: append under constant syncing, {name}"), (at(&waits, part), "us"));
    }
    Ok(())
}

/// A busy region beside 10,000 that wrote once: first with nothing to reclaim, then with segments that come free only because
/// what the idle regions have in them is carried forward.
fn append_while_reclaiming(report: &mut Report) -> Result<()> {
    const BUSY: StreamId = StreamId(u64::MAX);
    let payload = [7; 16_000];
    for (name, slack_segments) in [("nothing to reclaim", usize::MAX >> 8), ("reclaiming", 4)] {
        let directory = directory()?;
        let config = WalConfig { slack_segments, prepared_segments: 4, ..WalConfig::default() };
        let wal = open(directory.path(), config)?;
        wal.maintain()?;
        let mut batch = Batch::new();
        for region in 0..REGIONS {
            batch.entries(StreamId(region), 1, 1, [[7; 128].as_slice()]);
            batch.hard_state(StreamId(region), &[1; 16]);
            if region % 64 == 63 {
                wal.append(&mut batch)?;
            }
        }
        wal.append(&mut batch)?;
        let waits = waits(&wal, 30 * BATCHES, |batch, number| {
            batch.entries(BUSY, number + 1, 1, [payload.as_slice()]);
            batch.compact(BUSY, number.saturating_sub(8).max(1), 1);
        })?;
        report.peer(format!("skep: append beside 10,000 idle regions, {name}, p50"), (at(&waits, 500), "us"));
        report.peer(format!("skep: append beside 10,000 idle regions, {name}, p99"), (at(&waits, 990), "us"));
        let usage = wal.usage();
        let segments = usage.live_bytes as f64 * 2.0 / usage.segment_bytes as f64 + 4.0;
        report.peer(format!("skep: segments at its end, {name}"), (usage.segments as f64, "segments"));
        report.peer(format!("skep: twice what is live, and four, {name}"), (segments, "segments"));
    }
    Ok(())
}

/// How long appends take while the log is synced all the time and its chores are done, sorted, in microseconds.
fn waits(wal: &Wal, count: u64, fill: impl Fn(&mut Batch, u64)) -> Result<Vec<f64>> {
    let is_done = AtomicBool::new(false);
    let (mut batch, mut waits) = (Batch::new(), Vec::new());
    let done = std::thread::scope(|scope| {
        scope.spawn(|| while !is_done.load(Ordering::Relaxed) && wal.sync().is_ok() {});
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) && wal.maintain().is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let done = (0..count).try_for_each(|number| {
            fill(&mut batch, number);
            let begun = Instant::now();
            wal.append(&mut batch)?;
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
            std::thread::sleep(Duration::from_micros(50));
            Ok(())
        });
        is_done.store(true, Ordering::Relaxed);
        done
    });
    waits.sort_by(f64::total_cmp);
    done.map(|()| waits)
}

/// The wait at so many thousandths.
fn at(sorted: &[f64], part: usize) -> f64 {
    sorted.get(sorted.len() * part / 1000).copied().unwrap_or(f64::NAN)
}

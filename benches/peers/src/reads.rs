//! Reading and opening.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use skep_wal::{Batch, LogEntry, StreamId, Wal, WalConfig};

use crate::measure::median;
use crate::peer::{Result, directory};
use crate::report::{Report, Target};
use crate::skep::{fill, open};
use crate::work::{Payloads, REGIONS, REGIONS_PER_BATCH, ROUNDS};

/// Entries of each region in the log that is read: runs of 8, more than the hot window holds of them if it is small.
const RUNS: u64 = 8;
const READS: u64 = 50_000;
/// What the log that is opened holds, in batches of 512 entries: about 1.1 GB.
const OPEN_BATCHES: u64 = 13_500;
const IDLE_REGIONS: u64 = 100_000;

pub(crate) fn all(report: &mut Report) -> Result<()> {
    let payloads = Payloads::new();
    let directory = directory()?;
    let batches = REGIONS * RUNS / REGIONS_PER_BATCH;
    let wal = written(
        directory.path(),
        (batches, WalConfig { hot_segments: 64, ..WalConfig::default() }),
        &payloads,
    )?;
    let hot = per_entry(&wal, 1)?;
    report.row("read one entry from the hot window", (hot, "us"), Target::AtMost(1.1));
    report.row("read a run of 64, per entry", (per_entry(&wal, 64)?, "us"), Target::AtMost(0.12));
    drop(wal);
    let wal = open(directory.path(), WalConfig::default())?;
    report.row(
        "read one entry from an old segment, checked",
        (per_entry(&wal, 1)?, "us"),
        Target::AtMost(1.6),
    );
    report.peer("raw: pread of 192 bytes", (raw_pread(directory.path())?, "us"));
    opening(report, &payloads)?;
    idle_regions(report)
}

fn written(
    directory: &std::path::Path,
    (batches, config): (u64, WalConfig),
    payloads: &Payloads,
) -> Result<Wal> {
    let wal = open(directory, config)?;
    let mut batch = Batch::new();
    for number in 0..batches {
        fill(&mut batch, number, 8, payloads);
        wal.append(&mut batch)?;
        if number % 256 == 255 {
            wal.sync()?;
            wal.maintain()?;
        }
    }
    wal.rest()?;
    Ok(wal)
}

/// The median of a few rounds of reads at random places.
fn per_entry(wal: &Wal, run: u64) -> Result<f64> {
    let mut out: Vec<LogEntry> = Vec::new();
    let mut rounds = Vec::new();
    let mut random = 1u64;
    for _ in 0..ROUNDS {
        let reads = READS / run;
        let begun = Instant::now();
        for _ in 0..reads {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let region = (random >> 33) % REGIONS;
            let last = RUNS * 8;
            let first = if run == last { 1 } else { (random >> 20) % (last - run) + 1 };
            out.clear();
            wal.read(StreamId(region), first, first + run - 1, usize::MAX, &mut out)?;
        }
        rounds.push(begun.elapsed().as_secs_f64() * 1e6 / (reads * run) as f64);
    }
    Ok(median(rounds))
}

fn raw_pread(directory: &std::path::Path) -> Result<f64> {
    let path = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.metadata().is_ok_and(|meta| meta.len() > 1 << 20));
    let Some(path) = path else { return Ok(f64::NAN) };
    let file = std::fs::File::open(path)?;
    let (mut buffer, mut random) = ([0; 192], 1u64);
    let begun = Instant::now();
    for _ in 0..READS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        file.read_at(&mut buffer, (random >> 40) % (32 << 20))?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / READS as f64)
}

/// A large log after a clean stop, in the page cache: every checksum is checked and the index built.
fn opening(report: &mut Report, payloads: &Payloads) -> Result<()> {
    let directory = directory()?;
    drop(written(directory.path(), (OPEN_BATCHES, WalConfig::default()), payloads)?);
    let mut rates = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let disk = std::sync::Arc::new(skep_wal::RealDisk::open(directory.path())?);
        let (wal, found) = Wal::open(disk, WalConfig::default())?;
        rates.push(found.bytes as f64 / 1e9 / begun.elapsed().as_secs_f64());
        drop(wal);
    }
    report.row("open 1.1 GB after a clean stop", (median(rates), "GB/s"), Target::AtLeast(3.0));
    Ok(())
}

fn idle_regions(report: &mut Report) -> Result<()> {
    let directory = directory()?;
    let wal = open(directory.path(), WalConfig::default())?;
    let mut batch = Batch::new();
    for region in 0..IDLE_REGIONS {
        batch.entries(StreamId(region), 1, 1, [[7; 128].as_slice()]);
        batch.hard_state(StreamId(region), &[1; 16]);
        if region % 64 == 63 {
            wal.append(&mut batch)?;
        }
    }
    wal.append(&mut batch)?;
    wal.maintain()?;
    wal.rest()?;
    drop(wal);
    let mut seconds = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let wal = open(directory.path(), WalConfig::default())?;
        seconds.push(begun.elapsed().as_secs_f64());
        assert_eq!(wal.streams().len() as u64, IDLE_REGIONS);
    }
    report.row("open 100,000 regions of one entry each", (median(seconds), "s"), Target::AtMost(0.15));
    Ok(())
}

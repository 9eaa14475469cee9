//! `skep wal`: looks at the log of a store that has stopped, and says in words what is there.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use skep_engine::RegionId;
use skep_engine::stopped_log::{
    DamagedPart, Inspection, Reached, RegionLog, SegmentState, StoppedLogError, inspect_log, region_log,
};

use super::{Failure, say};

/// How much of an entry is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 24;

/// How many damaged regions are named one by one.
const DAMAGED_SHOWN_MAX: usize = 20;

#[derive(Args, Debug)]
pub(super) struct WalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say which segments there are, and what in them is live, reclaimable, torn or damaged.
    Inspect(Store),
    /// Check every byte. Exit code 1 if anything is damaged.
    Verify(Store),
    /// Show what the log holds of a region.
    Dump {
        #[command(flatten)]
        store: Store,
        /// The number of the region.
        #[arg(long, value_name = "N")]
        region: u64,
    },
}

#[derive(Args, Debug)]
struct Store {
    /// The directory of a store that is not running, for example skep-data/store-1. Nothing in it is changed.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &WalArgs) -> Result<(), Failure> {
    match &args.what {
        What::Inspect(store) => {
            let found = open(store)?;
            say(&format!("{}\n{}", segments(&found), verdict(&found)));
            Ok(())
        }
        What::Verify(store) => {
            let found = open(store)?;
            say(&verdict(&found));
            if is_damaged(&found) {
                return Err(Failure::not_done("the log is damaged; what was hit is named above"));
            }
            Ok(())
        }
        What::Dump { store, region } => {
            let found = open(store)?;
            let log = region_log(&found, RegionId(*region)).ok_or_else(|| {
                Failure::not_done(format!(
                    "the log holds nothing of region {region}: `skep wal inspect` names those it has"
                ))
            })?;
            say(&dump(*region, &log));
            Ok(())
        }
    }
}

fn open(store: &Store) -> Result<Inspection, Failure> {
    inspect_log(&store.directory).map_err(|error| match error {
        StoppedLogError::NoLog(_) | StoppedLogError::InUse(_) => Failure::not_begun(error.to_string()),
        StoppedLogError::Io(..) | StoppedLogError::Refused(_) => Failure::not_done(error.to_string()),
    })
}

fn is_damaged(found: &Inspection) -> bool {
    let report = &found.report;
    !report.damaged.is_empty()
        || report.nameless.is_some()
        || !report.unreadable.is_empty()
        || !report.blemishes.is_empty()
}

fn segments(found: &Inspection) -> String {
    let mut text = String::new();
    let regions = found.log.streams();
    let _ = writeln!(
        text,
        "{} segments of {} bytes, {} files free, {} regions ({})",
        found.segments.len(),
        found.segment_bytes,
        found.free.len(),
        regions.len(),
        listed(&regions.iter().map(|stream| stream.0).collect::<Vec<_>>()),
    );
    for segment in &found.segments {
        let state = match segment.state {
            SegmentState::Live { items, bytes } => {
                format!("live: {items} things of {bytes} bytes in it are needed")
            }
            SegmentState::Reclaimable => "reclaimable: nothing in it is needed".to_owned(),
            SegmentState::OldEnd => {
                "old end: what is whole in it is written again when the store starts".to_owned()
            }
        };
        let (number, file, start) = (segment.number, &segment.file, segment.start.0);
        let _ = writeln!(text, "segment {number} ({file}), from position {start}: {state}");
    }
    text.trim_end().to_owned()
}

fn verdict(found: &Inspection) -> String {
    let report = &found.report;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} bytes of log checked; durable through position {}, as the log itself proves",
        report.bytes, found.proven.0
    );
    match report.torn_tail {
        Some(at) => {
            let _ = writeln!(
                text,
                "torn at position {}: nothing behind it was ever acknowledged, and it is cut when the store starts",
                at.0
            );
        }
        None => text.push_str("not torn\n"),
    }
    if report.rewritten_bytes > 0 {
        let _ = writeln!(
            text,
            "{} bytes behind the proven position are whole; they are made durable when the store starts",
            report.rewritten_bytes
        );
    }
    if report.reached == Reached::Cache {
        text.push_str(
            "the file system has no direct reads: after a failed sync, reboot before you believe this\n",
        );
    }
    damage(found, &mut text);
    text.trim_end().to_owned()
}

fn damage(found: &Inspection, text: &mut String) {
    let report = &found.report;
    for file in &report.unreadable {
        let _ = writeln!(text, "damaged: the header of {file} cannot be read, so every region is in doubt");
    }
    if let Some(at) = report.nameless {
        let _ = writeln!(
            text,
            "damaged: durable bytes at position {} name nobody, so every region is in doubt, and some may be missing",
            at.0
        );
    }
    for stream in report.damaged.iter().take(DAMAGED_SHOWN_MAX) {
        let Some(hit) = found.log.stream(*stream).and_then(|info| info.damaged) else { continue };
        let what = match hit.what {
            DamagedPart::Entries => "entries; its vote is whole",
            DamagedPart::Anything => "entries, and perhaps its vote",
        };
        let _ = writeln!(
            text,
            "damaged: region {} lost {what} (segment {}, position {})",
            stream.0, hit.segment, hit.at.0
        );
    }
    if report.damaged.len() > DAMAGED_SHOWN_MAX {
        let _ = writeln!(text, "damaged: {} more regions", report.damaged.len() - DAMAGED_SHOWN_MAX);
    }
    for at in &report.blemishes {
        let _ = writeln!(text, "blemish at position {}: bytes rotted that nothing was lost with", at.0);
    }
    if !is_damaged(found) {
        text.push_str("nothing is damaged\n");
    }
}

fn dump(region: u64, log: &RegionLog) -> String {
    let info = &log.info;
    let mut text = format!(
        "region {region}: entries {} to {}, after base {} of term {}\nhard state {}\n",
        info.base_index + 1,
        info.last_index,
        info.base_index,
        info.base_term,
        hex(&info.hard_state),
    );
    for (name, bytes) in &log.states {
        let _ = writeln!(text, "state {name}: {bytes} bytes");
    }
    for entry in &log.entries {
        let length = entry.payload.len();
        let _ =
            writeln!(text, "{:>10} term {} {length} bytes {}", entry.index, entry.term, hex(&entry.payload));
    }
    if let Some(error) = &log.unreadable {
        let _ = writeln!(text, "the rest cannot be read: {error}");
    }
    text.trim_end().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(SHOWN_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN_BYTES_MAX { format!("{shown}...") } else { shown }
}

fn listed(numbers: &[u64]) -> String {
    let shown: Vec<String> = numbers.iter().take(DAMAGED_SHOWN_MAX).map(u64::to_string).collect();
    let rest = if numbers.len() > DAMAGED_SHOWN_MAX { ", ..." } else { "" };
    format!("{}{rest}", shown.join(", "))
}

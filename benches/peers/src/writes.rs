//! Writing: each workload by each peer, in alternating rounds.

use crate::measure::{Cost, median};
use crate::peer::{Make, Result, run};
use crate::report::{Report, Target};
use crate::work::{Payloads, ROUNDS, Work};
use crate::{raw, skep, tikv, waldb};

const PEERS: [(&str, Make); 5] = [
    ("raw", raw::make),
    ("skep", skep::make),
    ("raft-engine", tikv::make_plain),
    ("raft-engine, compressing", tikv::make_compressing),
    ("wal-db", waldb::make),
];

/// Medians of one peer.
struct Medians {
    entries_per_second: f64,
    cpu_ns: f64,
    device_bytes_per_entry: Option<f64>,
}

pub(crate) fn all(report: &mut Report) -> Result<()> {
    let payloads = Payloads::new();
    for (entries_per_region, batches, cpu_target) in [(1, 1600, 110.0), (8, 800, 75.0)] {
        let work = Work { entries_per_region, batches, is_synced: true };
        let name = format!("{entries_per_region} per region, synced");
        let found = rounds(&work, &payloads)?;
        let ratio = found[1].entries_per_second / found[0].entries_per_second;
        report.row(format!("{name}: entries/s against raw"), (ratio, "ratio"), Target::AtLeast(0.95));
        if entries_per_region == 1 {
            let ratio = found[1].cpu_ns / found[0].cpu_ns;
            report.row(format!("{name}: CPU per entry against raw"), (ratio, "ratio"), Target::AtMost(1.2));
        }
        peers(report, &name, &found);

        let work = Work { batches: batches * 2, is_synced: false, ..work };
        let name = format!("{entries_per_region} per region, no sync");
        let found = rounds(&work, &payloads)?;
        report.row(format!("{name}: CPU per entry"), (found[1].cpu_ns, "ns"), Target::AtMost(cpu_target));
        let ratio = found[1].cpu_ns / found[0].cpu_ns;
        report.peer(format!("{name}: skep, CPU per entry against raw"), (ratio, "ratio"));
        peers(report, &name, &found);
    }
    Ok(())
}

fn rounds(work: &Work, payloads: &Payloads) -> Result<Vec<Medians>> {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); PEERS.len()];
    for _ in 0..ROUNDS {
        for ((_, make), costs) in PEERS.iter().zip(&mut costs) {
            costs.push(run(*make, work, payloads)?);
        }
    }
    let entries = work.entries() as f64;
    let medians = costs.into_iter().map(|costs| {
        let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
        Medians {
            entries_per_second: entries / of(|cost| cost.wall.as_secs_f64()),
            cpu_ns: of(|cost| cost.cpu.as_nanos() as f64) / entries,
            // What was not synced reaches the device some time later.
            device_bytes_per_entry: work.is_synced.then(|| of(|cost| cost.device.bytes) / entries),
        }
    });
    Ok(medians.collect())
}

fn peers(report: &mut Report, name: &str, found: &[Medians]) {
    for ((peer, _), found) in PEERS.iter().zip(found) {
        report.peer(format!("{name}: {peer}"), (found.entries_per_second, "entries/s"));
        report.peer(format!("{name}: {peer}, CPU per entry"), (found.cpu_ns, "ns"));
        if let Some(bytes) = found.device_bytes_per_entry {
            report.peer(format!("{name}: {peer}, written by the device"), (bytes, "B/entry"));
        }
    }
}

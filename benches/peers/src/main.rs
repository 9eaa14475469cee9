//! Skep's log and its core beside their peers: the same work, batches and payloads, side by side in one run.
//!
//! `cargo run --release -- wal` (or `core`) prints a table, with `--json` one object and nothing else. Rounds alternate
//! between the peers and medians are shown, so that what else the machine does hits all of them. `SKEP_PEERS_DIR` says on
//! which file system logs are written (default: the directory for temporary files; a tmpfs would measure memory).

mod core;
mod measure;
mod peer;
mod raw;
mod reads;
mod report;
mod skep;
mod space;
mod tikv;
mod waldb;
mod work;
mod writes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let mut report = report::Report::default();
    let done = match arguments.first().map(String::as_str) {
        Some("wal") => writes::all(&mut report)
            .and_then(|()| reads::all(&mut report))
            .and_then(|()| space::all(&mut report)),
        Some("core") => core::all(&mut report),
        _ => {
            eprintln!("usage: skep-peers <wal | core> [--json]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => {
            print!("{}", if is_json { report.to_json() } else { report.to_table() });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("skep-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

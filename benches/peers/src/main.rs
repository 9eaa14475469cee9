//! Skep's log and its peers: the same work, batches and payloads, side by side in one run.
//!
//! `cargo run --release -- wal` prints a table, with `--json` one object and nothing else. Rounds alternate between the
//! peers and medians are shown, so that what else the machine does hits all of them. `SKEP_PEERS_DIR` says on which file
//! system (default: the directory for temporary files; a tmpfs would measure memory).

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
    if arguments.first().map(String::as_str) != Some("wal") {
        eprintln!("usage: skep-peers wal [--json]");
        return ExitCode::from(2);
    }
    let mut report = report::Report::default();
    let done = writes::all(&mut report)
        .and_then(|()| reads::all(&mut report))
        .and_then(|()| space::all(&mut report));
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

//! The `skep` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    skep_server::cli::run()
}

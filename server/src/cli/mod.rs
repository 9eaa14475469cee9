//! The command line: what can be asked for, and how it ends.

mod answers;
mod bench;
mod bench_load;
mod dev;
mod load;
mod redis_connection;
mod signals;
mod status;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; a server was asked to stop and has
  1    not done: no server there, or it could not do it; what was compared differs
  2    not begun: a mistake on the command line, an address that is in use, or a data directory that cannot be used;
       nothing was touched
  3    all stores of the server have failed
  130  stopped at once, by a second Ctrl-C; a measurement or a load also by the first

Sizes are bytes or 64KiB, 1MiB, 2GiB; durations are 500ms, 5s, 2m, 1h.";

/// Many small Raft groups, one ordered key space, one log: a replicated store that Redis clients can talk to.
#[derive(Parser, Debug)]
#[command(name = "skep", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    /// How much to say on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogLevel::Warn, value_name = "LEVEL")]
    log: LogLevel,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run three stores in this process and serve Redis clients.
    #[command(after_help = EXIT_CODES)]
    Dev(dev::DevArgs),
    /// Say how a running server is: first of all, how many stores may be lost.
    #[command(after_help = EXIT_CODES)]
    Status(status::StatusArgs),
    /// Put a file of keys and values into a running server, or check that it is there.
    #[command(after_help = EXIT_CODES)]
    Load(load::LoadArgs),
    /// Measure.
    #[command(after_help = EXIT_CODES, arg_required_else_help = true)]
    Bench(BenchArgs),
}

#[derive(Args, Debug)]
struct BenchArgs {
    #[command(subcommand)]
    what: Bench,
}

#[derive(Subcommand, Debug)]
enum Bench {
    /// Durable writes of three stores in this process over TCP on loopback.
    #[command(after_help = EXIT_CODES)]
    Engine(bench::EngineArgs),
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Something that was begun, or needs a server that is not there.
    pub(crate) fn not_done(text: impl Into<String>) -> Failure {
        Failure { code: 1, text: text.into() }
    }

    /// Nothing was touched.
    pub(crate) fn not_begun(text: impl Into<String>) -> Failure {
        Failure { code: 2, text: text.into() }
    }

    /// Somebody asked to stop before there was a result.
    pub(crate) fn interrupted(text: impl Into<String>) -> Failure {
        Failure { code: 130, text: text.into() }
    }

    /// There is no store left to serve.
    pub(crate) fn all_failed(text: impl Into<String>) -> Failure {
        Failure { code: 3, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Does what the command line asks for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log);
    let result = match cli.command {
        Command::Dev(args) => dev::run(args),
        Command::Status(args) => status::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Bench(BenchArgs { what: Bench::Engine(args) }) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "skep: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Prints to standard output. Whoever closed it does not want to know.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn units_are_read_everywhere_and_mistakes_explained() {
        let good = ["skep", "bench", "engine", "--value-bytes", "1KiB", "--seconds", "3", "--json"];
        assert!(Cli::try_parse_from(good).is_ok());
        assert!(
            Cli::try_parse_from(["skep", "dev", "--request-timeout", "500ms", "--listen", "127.0.0.1:0"])
                .is_ok()
        );
        for bad in [["skep", "dev", "--request-timeout", "5"], ["skep", "dev", "--request-timeout", "5sec"]] {
            let error = Cli::try_parse_from(bad).expect_err("no unit").to_string();
            assert!(error.contains("is not a duration: write a number with ms, s, m or h"), "{error}");
        }
    }
}

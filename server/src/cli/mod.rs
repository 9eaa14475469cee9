//! The command line: what can be asked for, and how it ends.

mod answers;
mod bench;
mod bench_kv;
mod bench_load;
mod bench_report;
mod config;
mod dev;
mod front;
mod http;
mod load;
mod redis_connection;
mod region;
mod serve;
mod signals;
mod status;
mod wal;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::prelude::*;

use crate::config::LogConfig;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; a server was asked to stop and has
  1    not done: no server there, or it could not do it; what was compared differs
  2    not begun: a mistake on the command line or in the configuration, an address that is in use, a data directory that
       cannot be used, or a store that does not fit the others of its cluster; nothing was touched
  3    the store, or all stores, of the server have failed
  130  stopped at once, by a second Ctrl-C; a measurement or a load also by the first

Sizes are bytes or 64KiB, 1MiB, 2GiB; durations are 500ms, 5s, 2m, 1h.";

/// Many small Raft groups, one ordered key space, one log: a replicated store that Redis clients can talk to.
#[derive(Parser, Debug)]
#[command(name = "skep", version = VERSION, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

/// Version, commit if it was known, and what it was built for.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("SKEP_COMMIT"), " (", env!("SKEP_TARGET"), ")");

const SERVE_EXAMPLE: &str = "\
Three stores on one machine, to try; on three machines, leave out the ports of the others:

  LIST=127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103
  for N in 1 2 3; do
    skep serve --cluster-stores $LIST --store-data ./store-$N --store-listen 127.0.0.1:710$N \\
      --client-listen 127.0.0.1:637$N --admin-listen 127.0.0.1:707$N &
  done
  redis-cli -p 6371 set hello world; redis-cli -p 6372 get hello; skep status --admin 127.0.0.1:7073

None must start first. `skep config default` prints a file with all of this and the reasons for it.

Exit codes: 0 stopped when asked to; 1 not closed cleanly; 2 not begun, nothing was touched; 3 the store has failed, and the
last line says why.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run three stores in this process and serve Redis clients.
    #[command(after_help = EXIT_CODES)]
    Dev(dev::DevArgs),
    /// Run one store of a cluster in this process and serve Redis clients.
    #[command(after_help = SERVE_EXAMPLE)]
    Serve(serve::ServeArgs),
    /// Print a configuration for `serve`, or check one.
    #[command(after_help = EXIT_CODES, arg_required_else_help = true)]
    Config(config::ConfigArgs),
    /// Say how a running server is: first of all, how many stores may be lost.
    #[command(after_help = EXIT_CODES)]
    Status(status::StatusArgs),
    /// Show regions, split one, have one led elsewhere.
    #[command(after_help = EXIT_CODES, arg_required_else_help = true)]
    Region(region::RegionArgs),
    /// Put a file of keys and values into a running server, or check that it is there.
    #[command(after_help = EXIT_CODES)]
    Load(load::LoadArgs),
    /// Look at the log of a store that has stopped.
    #[command(after_help = EXIT_CODES, arg_required_else_help = true)]
    Wal(wal::WalArgs),
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
    /// Reads and writes of Redis clients, on a server or on three stores in this process.
    #[command(after_help = EXIT_CODES)]
    Kv(bench_kv::KvArgs),
}

/// What is said on standard error.
#[derive(Args, Debug)]
struct LogArgs {
    /// How much to say on standard error: error, warn, info, debug or trace; also by part, such as warn,skep_server=debug
    /// [default: warn].
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How to say it: text for people, or json, one object a line, for machines [default: text].
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl LogArgs {
    /// Begins to say things, as the flags want, or as a configuration does.
    fn start(&self, otherwise: &LogConfig) -> Result<(), Failure> {
        let format = self.log_format.as_deref().unwrap_or(if otherwise.is_json { "json" } else { "text" });
        let level = self.log.clone().unwrap_or_else(|| otherwise.filter.to_string());
        let LogConfig { filter, is_json } = LogConfig::new(&level, format).map_err(Failure::not_begun)?;
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = if is_json { lines.json().boxed() } else { lines.boxed() };
        tracing_subscriber::registry().with(lines.with_filter(filter)).init();
        Ok(())
    }
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
    let result = match &cli.command {
        // What it says depends on its configuration.
        Command::Serve(args) => serve::run(args, &cli.log),
        _ => LogConfig::new("warn", "text").map_err(Failure::not_begun).and_then(|log| cli.log.start(&log)),
    };
    let result = result.and_then(|()| match cli.command {
        Command::Serve(_) => Ok(()),
        Command::Config(args) => config::run(&args),
        Command::Dev(args) => dev::run(args),
        Command::Status(args) => status::run(&args),
        Command::Region(args) => region::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Wal(args) => wal::run(&args),
        Command::Bench(BenchArgs { what: Bench::Engine(args) }) => bench::run(&args),
        Command::Bench(BenchArgs { what: Bench::Kv(args) }) => bench_kv::run(&args),
    });
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
        assert!(
            Cli::try_parse_from([
                "skep",
                "serve",
                "--config",
                "f",
                "--wal-segment-bytes",
                "1MiB",
                "--log",
                "info"
            ])
            .is_ok()
        );
        for bad in [["skep", "dev", "--request-timeout", "5"], ["skep", "dev", "--request-timeout", "5sec"]] {
            let error = Cli::try_parse_from(bad).expect_err("no unit").to_string();
            assert!(error.contains("is not a duration: write a number with ms, s, m or h"), "{error}");
        }
    }
}

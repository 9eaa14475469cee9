//! `skep load`: puts a file of keys and values into a server, or checks that it is there.

mod batch;
mod feed;
mod lines;
mod progress;
mod sender;
#[cfg(test)]
mod tests;
mod verdict;
mod verify;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::batch::Purpose;
use self::feed::{Fed, Selection, feed};
use self::lines::Lines;
use self::sender::{Shared, Trouble};
use self::verdict::Writing;
use self::verify::Differences;
use super::signals::StopSignals;
use super::{Failure, say};
use crate::units::parse_duration;

/// Bytes of the file that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Keys that are remembered because what was found differs: about 50 MB of them.
const DIFFERENCES_MAX: usize = 1 << 20;

/// In how many parts a file is gone through at most, when many keys differ from earlier lines.
const PARTS_MAX: u64 = 1 << 10;

#[derive(Args, Debug)]
pub(super) struct LoadArgs {
    /// The file: lines of key<TAB>value, of which the last of a repeated key wins. No escapes: a key ends at the first TAB,
    /// a value at the end of its line. `-` is standard input.
    file: PathBuf,
    /// Where the server answers Redis clients. (A password is taken from the variable REDISCLI_AUTH.)
    #[arg(long, default_value = "127.0.0.1:6379", value_name = "HOST:PORT")]
    addr: String,
    /// How long to go on without an acknowledgement, connecting again and again, before giving up.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    timeout: Duration,
    /// Write nothing: read everything back and compare. (A line beyond --lines counts where it is found: it may have been
    /// written without having been acknowledged.)
    #[arg(long)]
    verify: bool,
    /// Only the first N lines.
    #[arg(long, value_name = "N")]
    lines: Option<u64>,
    /// How many connections to use. The lines of one key always go through the same one.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// How many lines each connection has under way, about.
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pipeline: u32,
}

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let is_over = StopSignals::as_flag()
        .map_err(|error| Failure::not_begun(format!("signals cannot be listened to: {error}")))?;
    let shared = args.shared(is_over);
    let (file_bytes, _) = open(&args.file)?;
    let began = Instant::now();
    let is_done = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let watching = scope.spawn(|| progress::show(&shared, file_bytes, &is_done));
        let result = if args.verify {
            verify(args, &shared, DIFFERENCES_MAX).map_err(|failure| (None, failure))
        } else {
            write(args, &shared).map_err(|(through, failure)| (Some(through), failure))
        };
        is_done.store(true, Ordering::Release);
        watching.thread().unpark();
        result
    });
    let lines = result.map_err(|(through, failure)| {
        if let Some(through) = through {
            say(&format!("acknowledged through line {through}"));
        }
        failure
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let rate = lines as f64 / seconds.max(0.001);
    say(&match args.verify {
        true => format!("verified {lines} lines, all are there: {seconds:.1} s, {rate:.0} lines per second"),
        false => format!("loaded {lines} lines: {seconds:.1} s, {rate:.0} lines per second"),
    });
    Ok(())
}

impl LoadArgs {
    fn shared(&self, is_over: Arc<AtomicBool>) -> Shared {
        Shared {
            address: self.addr.clone(),
            timeout: self.timeout,
            pipeline: self.pipeline as usize,
            is_over,
            is_loss_told: AtomicBool::new(false),
            lines_done: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
        }
    }

    fn selection(&self, purpose: Purpose, (part, parts): (u64, u64)) -> Selection {
        Selection { purpose, lines_max: self.lines.unwrap_or(u64::MAX), part, parts }
    }
}

/// The lines of a file or of standard input.
type AnyLines = Lines<Box<dyn BufRead>>;

/// The file, and how long it is if that is known.
fn open(path: &Path) -> Result<(Option<u64>, AnyLines), Failure> {
    if is_standard_input(path) {
        return Ok((None, Lines::new(Box::new(io::stdin().lock()))));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (about, file) =
        opened.map_err(|error| Failure::not_begun(format!("{} cannot be read: {error}", path.display())))?;
    if about.is_dir() {
        return Err(Failure::not_begun(format!("{} is a directory: name a file", path.display())));
    }
    let bytes = about.is_file().then_some(about.len());
    Ok((bytes, Lines::new(Box::new(BufReader::with_capacity(READ_BYTES, file)))))
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How many lines were written; or through which all are acknowledged, and what went wrong.
fn write(args: &LoadArgs, shared: &Shared) -> Result<u64, (u64, Failure)> {
    let (_, mut lines) = open(&args.file).map_err(|failure| (0, failure))?;
    let mut judges: Vec<Writing> = (0..args.clients).map(|_| Writing).collect();
    let fed = feed(shared, &mut lines, args.selection(Purpose::Write, (0, 1)), &mut judges);
    let through = fed.through;
    failure(args, fed).map_or(Ok(through), |failure| Err((through, failure)))
}

/// How many lines were compared and found.
fn verify(args: &LoadArgs, shared: &Shared, differences_max: usize) -> Result<u64, Failure> {
    let mut parts = 1;
    loop {
        match verify_in_parts(args, shared, (parts, differences_max))? {
            Some(lines) => return Ok(lines),
            None if is_standard_input(&args.file) => {
                return Err(Failure::not_done(format!(
                    "more than {differences_max} lines differ from what the server has, and standard input cannot be read \
                     twice to see whether later lines replace them: name a file"
                )));
            }
            None if parts >= PARTS_MAX => {
                return Err(Failure::not_done(format!(
                    "more than {} lines differ",
                    parts * differences_max as u64
                )));
            }
            None => parts *= 4,
        }
    }
}

/// `None` if more lines differ than may be remembered.
fn verify_in_parts(
    args: &LoadArgs,
    shared: &Shared,
    (parts, differences_max): (u64, usize),
) -> Result<Option<u64>, Failure> {
    let mut compared = 0;
    for part in 0..parts {
        let (_, mut lines) = open(&args.file)?;
        let each = differences_max.div_ceil(args.clients as usize);
        let mut judges: Vec<Differences> = (0..args.clients).map(|_| Differences::new(each)).collect();
        let fed = feed(shared, &mut lines, args.selection(Purpose::Verify, (part, parts)), &mut judges);
        if fed.trouble == Some(Trouble::TooManyDiffer) {
            shared.is_over.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        compared = fed.through;
        if let Some(failure) = failure(args, fed) {
            return Err(failure);
        }
        let mut differences = Differences::merged(judges);
        differences.read_on(&mut lines).map_err(|error| Failure::not_done(error.to_string()))?;
        if let Some(first) = differences.first() {
            let count = differences.count();
            let what = if first.found.is_some() {
                "the server has another value"
            } else {
                "the server has no such key"
            };
            return Err(Failure::not_done(format!(
                "{count} of {compared} lines differ from what the server has; the first is line {}: {what}",
                first.line
            )));
        }
    }
    Ok(Some(compared))
}

/// What went wrong, in words.
fn failure(args: &LoadArgs, fed: Fed) -> Option<Failure> {
    let LoadArgs { addr, timeout, .. } = args;
    match fed.trouble {
        Some(Trouble::GaveUp(why)) => Some(Failure::not_done(format!(
            "gave up after {timeout:?} without an acknowledgement from {addr} ({why}): see that the server runs, then load the \
             file again; it does no harm"
        ))),
        Some(Trouble::Refused(line, why)) => {
            Some(Failure::not_done(format!("the server refuses line {line}: {why}")))
        }
        Some(Trouble::TooManyDiffer) => Some(Failure::not_done("too many lines differ")),
        Some(Trouble::Stopped) => Some(Failure::interrupted("interrupted")),
        None => fed.bad_line.map(|error| Failure::not_done(error.to_string())),
    }
}

//! Shows on standard error how far a load is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::sender::Shared;

/// How often the bar moves.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Characters of the bar.
const BAR_CHARS: usize = 30;

/// Shows how far it is until `is_done`; whoever sets that should wake this thread.
pub(super) fn show(shared: &Shared, file_bytes: Option<u64>, is_done: &AtomicBool) {
    let is_terminal = io::stderr().is_terminal();
    let pace = if is_terminal { BAR_EVERY } else { LINE_EVERY };
    let began = Instant::now();
    let mut due = began + pace;
    while !is_done.load(Ordering::Acquire) {
        let now = Instant::now();
        if now < due {
            thread::park_timeout(due - now);
            continue;
        }
        due = now + pace;
        let lines = shared.lines_done.load(Ordering::Relaxed);
        let fraction =
            file_bytes.map(|all| shared.bytes_done.load(Ordering::Relaxed) as f64 / all.max(1) as f64);
        let text = text(lines, fraction, began.elapsed());
        // Nobody can be told that standard error is closed.
        let _ = match is_terminal {
            true => write!(io::stderr(), "\r{}{text}\x1b[K", bar(fraction)),
            false => writeln!(io::stderr(), "{text}"),
        };
    }
    if is_terminal {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

fn text(lines: u64, fraction: Option<f64>, since: Duration) -> String {
    let rate = lines as f64 / since.as_secs_f64().max(0.001);
    let percent = fraction.map_or(String::new(), |fraction| format!("{:3.0}%, ", 100.0 * fraction.min(1.0)));
    format!("{percent}{lines} lines, {rate:.0} lines per second")
}

fn bar(fraction: Option<f64>) -> String {
    let Some(fraction) = fraction else { return String::new() };
    let filled = (fraction.clamp(0.0, 1.0) * BAR_CHARS as f64) as usize;
    format!("[{}{}] ", "#".repeat(filled), " ".repeat(BAR_CHARS - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_from_the_left_and_never_overflows() {
        assert_eq!(bar(Some(0.0)), format!("[{}] ", " ".repeat(30)));
        assert_eq!(bar(Some(0.5)), format!("[{}{}] ", "#".repeat(15), " ".repeat(15)));
        assert_eq!(bar(Some(7.0)), format!("[{}] ", "#".repeat(30)));
        assert_eq!(bar(None), "");
        assert_eq!(text(500, Some(0.25), Duration::from_secs(2)), " 25%, 500 lines, 250 lines per second");
        assert_eq!(text(500, None, Duration::from_secs(2)), "500 lines, 250 lines per second");
    }
}

//! How many files, sockets among them, the process may have open (`ulimit -n`), and how many clients that leaves room for.
//!
//! A log that cannot open its next segment stands still, so clients never get the last descriptors: a part of the limit is kept for
//! the stores.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_MAX, FILES_KEPT};

/// What the limit comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenFiles {
    /// The limit of the process.
    limit: u64,
    /// Connections of clients at one time.
    pub(crate) clients_max: usize,
}

impl OpenFiles {
    /// Lifts the limit to what is wanted, or as far as the system lets a process do that.
    pub(crate) fn lift() -> OpenFiles {
        let limit = getrlimit(Resource::Nofile);
        let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
        let lifted = wanted().min(maximum);
        if current >= lifted {
            return OpenFiles::of(current);
        }
        let new = Rlimit { current: Some(lifted), maximum: limit.maximum };
        // Where even this is not allowed, fewer clients are served.
        OpenFiles::of(if setrlimit(Resource::Nofile, new).is_ok() { lifted } else { current })
    }

    fn of(limit: u64) -> OpenFiles {
        let rest = limit - FILES_KEPT.min(limit / 2);
        OpenFiles { limit, clients_max: CONNECTIONS_MAX.min(usize::try_from(rest).unwrap_or(usize::MAX)) }
    }

    /// What to do if there is room for fewer clients than there could be.
    pub(crate) fn advice(self) -> Option<String> {
        (self.clients_max < CONNECTIONS_MAX).then(|| {
            format!(
                "{} files may be open: at most {} clients are served at a time; `ulimit -n {}` makes room for {CONNECTIONS_MAX}",
                self.limit,
                self.clients_max,
                wanted()
            )
        })
    }
}

fn wanted() -> u64 {
    CONNECTIONS_MAX as u64 + FILES_KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_files_for_the_stores() {
        for (limit, clients) in [(256, 128), (1024, 512), (4096, 2048), (8192, 6144), (12_048, 10_000)] {
            assert_eq!(OpenFiles::of(limit).clients_max, clients, "of {limit}");
        }
        assert_eq!(OpenFiles::of(u64::MAX).clients_max, CONNECTIONS_MAX);
        assert_eq!(OpenFiles::of(wanted()).advice(), None);
        let advice = OpenFiles::of(1024).advice().unwrap();
        assert!(advice.contains("at most 512 clients") && advice.contains("ulimit -n 12048"), "{advice}");
    }
}

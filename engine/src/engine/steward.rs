//! The steward: the one thread of an engine that does what nobody asked for: it splits regions that have become large,
//! and gives up commands that have waited too long for a region.
//!
//! It sleeps until a region that this store leads has grown beyond `split_bytes`; regions in which nothing is written cost
//! it nothing.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use skep_raftstore::ids::RegionId;

use super::Inner;
use crate::Error;
use crate::limits::SPLIT_PIECES_MAX;

/// How often it looks for commands that have waited too long.
const ROUND: Duration = Duration::from_millis(100);
/// A split that failed is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// So often at most; then the region has to grow on.
const TRIES_MAX: u32 = 8;

/// What it is asked for.
pub(crate) enum Errand {
    /// A region that this store leads has so many bytes.
    Split { region: RegionId, bytes: u64 },
    /// The engine closes.
    Stop,
}

/// A split that is to be tried.
struct Try {
    region: RegionId,
    bytes: u64,
    tries: u32,
    at: Instant,
}

/// Starts the thread. It ends with the engine, or when that closes.
pub(super) fn start(inner: &Arc<Inner>, errands: Receiver<Errand>) -> Result<(), Error> {
    let weak = Arc::downgrade(inner);
    let name = format!("{}-steward", inner.store.id());
    let spawned = thread::Builder::new().name(name).spawn(move || run(&weak, &errands));
    spawned.map(drop).map_err(|error| Error::Open(format!("no thread could be started: {error}")))
}

fn run(inner: &Weak<Inner>, errands: &Receiver<Errand>) {
    let mut tries: Vec<Try> = Vec::new();
    loop {
        match errands.recv_timeout(ROUND) {
            Ok(Errand::Split { region, bytes }) => {
                tries.retain(|known| known.region != region);
                tries.push(Try { region, bytes, tries: 0, at: Instant::now() });
            }
            Ok(Errand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.router.expire();
        if let Some(why) = inner.store.failed() {
            inner.router.stop(&Error::StoreStopped(why));
        }
        let now = Instant::now();
        let due: Vec<Try> = tries.extract_if(.., |one| one.at <= now).collect();
        for one in due {
            let pieces = pieces(one.bytes, inner.split_bytes);
            if inner.split_by_size(one.region, pieces).is_err() && one.tries < TRIES_MAX {
                tries.push(Try { tries: one.tries + 1, at: now + RETRY, ..one });
            }
        }
    }
}

/// Pieces of half the size at which a region is split: then each can grow as much again.
fn pieces(bytes: u64, split_bytes: u64) -> u32 {
    let halves = bytes / (split_bytes / 2).max(1);
    halves.clamp(2, SPLIT_PIECES_MAX as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_room_to_grow() {
        assert_eq!(pieces(65, 64), 2);
        assert_eq!(pieces(160, 64), 5);
        assert_eq!(pieces(u64::MAX, 64), SPLIT_PIECES_MAX as u32);
    }
}

//! What time it is, for people: the one place of the engine that looks at a wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use skep_raftstore::machine::Stamp;

/// Now, in milliseconds since 1970.
pub(crate) fn now() -> Stamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

//! What time it is, for people: the one place of the server that looks at a wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Since 1970.
pub(crate) fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Since 1970, in milliseconds.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(now().as_millis()).unwrap_or(i64::MAX)
}

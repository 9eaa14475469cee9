//! How much memory the data of a store takes, and whether it takes a write that adds to it.
//!
//! The regions of a store count what they hold, once for each batch that they apply. The store that takes a command asks
//! before the command is sent anywhere. Nothing is decided when a command is applied: what is in the log of a quorum
//! takes effect on every replica, whatever their limits are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::growth::growth;
use crate::{Command, Error};

/// The data of one store.
#[derive(Default, Debug)]
pub(crate) struct MemoryUse {
    limit: Option<u64>,
    /// Of all regions, as far as they have applied.
    used: AtomicU64,
    /// What was taken and is not answered may add.
    under_way: AtomicU64,
}

impl MemoryUse {
    /// Bytes of data, at most; no limit if `None`.
    pub(crate) fn new(limit: Option<u64>) -> Arc<MemoryUse> {
        Arc::new(MemoryUse { limit, ..MemoryUse::default() })
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Keeps room for what `command` may add, until it is answered.
    pub(crate) fn reserve(self: &Arc<MemoryUse>, command: &Command) -> Result<Reserved, Error> {
        let nothing = Reserved { of: None, bytes: 0 };
        let Some(limit) = self.limit else { return Ok(nothing) };
        let Some(bytes) = growth(command) else { return Ok(nothing) };
        let before = self.under_way.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Reserved { of: Some(Arc::clone(self)), bytes };
        if self.used() + before + bytes > limit { Err(Error::OutOfMemory { limit }) } else { Ok(reserved) }
    }
}

/// Room for one command. Given back when dropped.
pub(crate) struct Reserved {
    of: Option<Arc<MemoryUse>>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(memory) = &self.of {
            memory.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What one region holds of it. Given back when dropped.
#[derive(Default, Debug)]
pub(crate) struct Share {
    of: Arc<MemoryUse>,
    bytes: u64,
}

impl Share {
    /// Of a region that holds nothing yet.
    pub(crate) fn of(memory: &Arc<MemoryUse>) -> Share {
        Share { of: Arc::clone(memory), bytes: 0 }
    }

    /// Of a region of the same store that holds so much.
    pub(crate) fn sibling(&self, bytes: u64) -> Share {
        let mut share = Share::of(&self.of);
        share.set(bytes);
        share
    }

    /// It holds so much now.
    pub(crate) fn set(&mut self, bytes: u64) {
        // Two steps that others may see between: they see too much rather than less than nothing.
        self.of.used.fetch_add(bytes, Ordering::Relaxed);
        self.of.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::growth::PAIR_BYTES;
    use crate::{Condition, Expiry, Write};

    fn put(bytes: usize) -> Command {
        let value = Bytes::from(vec![0; bytes]);
        Command::Put {
            key: "key".into(),
            value,
            condition: Condition::Always,
            expiry: Expiry::Never,
            return_old: false,
        }
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_answered() {
        let memory = MemoryUse::new(Some(1000 + 2 * PAIR_BYTES));
        let mut region = Share::of(&memory);
        let first = memory.reserve(&put(490)).ok();
        let refused = memory.reserve(&put(520)).err();
        assert_eq!(refused, Some(Error::OutOfMemory { limit: 1000 + 2 * PAIR_BYTES }));
        assert!(memory.reserve(&put(490)).is_ok(), "what was refused keeps no room");
        drop(first);
        assert!(memory.reserve(&put(520)).is_ok());
        region.set(700);
        assert!(memory.reserve(&put(520)).is_err());
        drop(region);
        assert_eq!((memory.used(), memory.reserve(&put(520)).is_ok()), (0, true));
    }

    #[test]
    fn a_full_store_takes_what_adds_nothing() {
        let memory = MemoryUse::new(Some(10));
        let mut region = Share::of(&memory);
        region.set(5000);
        let key = Bytes::from("key");
        let delete = Write::Delete { key: key.clone() };
        let put_one = Write::Put { key: key.clone(), value: key.clone() };
        for command in [
            Command::Get { key: key.clone() },
            Command::CountKeys { key: key.clone() },
            Command::Delete { key: key.clone(), return_old: true },
            Command::Batch { writes: vec![delete.clone()] },
        ] {
            assert!(memory.reserve(&command).is_ok(), "{command:?}");
        }
        for command in [
            put(0),
            Command::Append { key: key.clone(), value: key.clone() },
            Command::Increment { key, by: 1 },
            Command::Batch { writes: vec![delete, put_one] },
        ] {
            assert!(memory.reserve(&command).is_err(), "{command:?}");
        }
    }

    #[test]
    fn without_a_limit_everything_is_taken() {
        let memory = MemoryUse::new(None);
        Share::of(&memory).set(u64::MAX / 2);
        assert!(memory.reserve(&put(1 << 20)).is_ok());
    }
}

//! Counts what a TCP transport did, from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What one store's transport did since it was started.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct TcpCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> TcpCounters {
                TcpCounters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Frames given to the kernel in full.
    frames_sent,
    /// Bytes given to the kernel.
    bytes_sent,
    /// Frames handed to the receiver.
    frames_received,
    /// Their bytes.
    bytes_received,
    /// Frames not sent: no connection, no room, too long, or queued when a connection was lost.
    frames_dropped,
    /// Their bytes.
    bytes_dropped,
    /// Connections that were dialed and welcomed.
    dialed,
    /// Connections that were accepted and welcomed.
    accepted,
    /// Greetings refused, by us or by the other side.
    refused,
    /// Connections closed because of what came through them: nothing that this protocol says.
    garbage,
    /// System calls that write.
    writes,
    /// System calls that read.
    reads,
    /// System calls that wait for sockets.
    polls,
}

impl Counters {
    pub(super) fn dropped(&self, frames: u64, bytes: usize) {
        add(&self.frames_dropped, frames);
        add(&self.bytes_dropped, bytes as u64);
    }
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

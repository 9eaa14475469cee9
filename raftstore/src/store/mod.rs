//! The driver: many regions on few threads, over one log.
//!
//! A command's way, each word a file:
//!
//! ```text
//! submit (handle) -> inbox -> collect -> step -> persist + send -> [quorum] -> commit -> apply -> respond
//! ```
//!
//! [`StoreParts::open`] makes the pieces; [`StoreParts::spawn`] gives them threads and returns the [`Store`]. The
//! simulator steps the same pieces by hand. A worker owns its regions: nobody else touches them, there are no locks
//! around them, and everything reaches them through the worker's inbox.

mod absent;
mod birth;
mod brought;
mod clock;
mod collect;
mod commit;
mod committed_log;
mod config;
mod control;
mod error;
mod footprint;
mod handle;
mod inbox;
mod lane;
mod lanes;
mod leading;
mod members;
mod mending;
mod mutant;
mod newborn;
#[cfg(test)]
mod one_store;
mod open;
mod opening;
mod orphans;
mod outbox;
mod outcomes;
mod persist;
mod removal;
mod replica;
mod request;
mod respond;
mod send;
mod space;
mod split;
mod status;
mod step;
mod strangers;
mod submitter;
mod sync;
mod tail;
mod timers;
mod troubles;
mod watcher;
mod wheel;
mod windows;
mod worker;

pub use birth::{Birth, Descent, GENESIS_BYTES_MAX};
pub use clock::{Clock, SystemClock};
pub use config::{StoreConfig, TICK};
pub use error::OpenError;
pub use footprint::Footprint;
pub use handle::Store;
pub use inbox::{Inboxes, Turned};
pub use members::{Move, Moved};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use open::{Disks, Hosted, StoreParts, Surroundings};
pub use request::{Reply, Request, SubmitError};
pub use status::{Counters, RegionNews, RegionStatus, StoreStatus};
pub use submitter::Submitter;
pub use sync::Syncer;
pub use watcher::{NoWatcher, Watcher};
pub use worker::Worker;

//! An ordered, sharded key space on top of many Raft groups: the part of Skep that knows keys.
//!
//! A key space is cut into regions, ranges of keys, and each region is replicated by a Raft group of its own. An
//! [`Engine`] is one store's front: it takes commands for any key and sees that they reach the region that has it.
//! [`LocalCluster`] runs several stores in one process, [`ClusteredStore`]
//! one store of a cluster whose others run elsewhere.
//!
//! A write, read as a list of files:
//!
//! ```text
//! execute (engine) -> route (directory) -> bytes (command_bytes) -> [log of a quorum: raftstore]
//!     -> region (sessions, route, evaluate) -> machine -> reply (reply_bytes) -> ticket
//! ```
//!
//! The answer to a write comes when a quorum has made it durable; a read is linearizable.

pub use skep_raftstore::ids::{RegionId, StoreId};
pub use skep_raftstore::store::{Move, Moved};

pub use cluster_status::{ClusterStatus, MemberCondition, MemberStatus};
pub use clustered::{ClusteredStore, Phase, STORES_MAX};
pub use command::{Answer, Command, Condition, Expiry, ExpiryCondition, ScanShape, Write};
pub use config::{ClusteredConfig, EngineConfig, LocalConfig, Opened, Timing};
pub use descriptor::RegionDescriptor;
pub use engine::{Engine, Progress, RegionInfo};
pub use error::Error;
pub use layout::Unreadable;
pub use limits::{
    ANSWERS_BYTES_MAX, ANY_KEY_MAX, ATOMIC_COMMANDS_MAX, COMMAND_BYTES_MAX, KEY_BYTES_MAX, REGIONS_MAX,
    SCAN_BYTES_MAX, SPLIT_KEY_BYTES_MAX, SWEEP_KEYS_MAX, VALUE_BYTES_MAX,
};
pub use local::LocalCluster;
pub use skep_raftstore::machine::Stamp;
pub use store_dir::{DirectoryError, Problem};
pub use ticket::Ticket;

pub mod by_hand;
pub mod machine;
pub mod region;
pub mod stopped_log;

mod agenda;
mod assemble;
mod boundaries;
mod change_bytes;
mod clock;
mod cluster_status;
mod clustered;
mod command;
mod command_bytes;
mod config;
mod descriptor;
mod directory;
mod draw;
mod engine;
mod error;
mod flow;
mod growth;
mod layout;
mod limits;
mod local;
mod memory_use;
mod plan;
mod region_ids;
mod reply_bytes;
mod router;
mod sessions;
mod store_dir;
mod sweeper;
mod ticket;

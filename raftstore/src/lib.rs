//! Thousands of Raft groups in one process: a pure protocol core, and the driver that runs many of it over one log.
//!
//! Knows no keys: what a region's entries mean is the business of its [`machine::StateMachine`].
//!
//! ```text
//! submit -> inbox -> step -> persist (log) + send -> [quorum] -> commit -> apply -> respond
//! ```
//!
//! Each of these words is a file of [`store`], called in this order by one short function, `turn`.

pub mod apply;
pub mod codec;
pub mod ids;
pub mod machine;
pub mod message;
pub mod node;
pub mod raft;
pub mod snapshot;
pub mod store;
pub mod transport;
pub mod wire;

//! The server of Skep: RESP for Redis clients, HTTP for probes and state, and the command line.
//!
//! ```text
//! bytes -> resp::Parser -> commands (table) -> connection (order, limits) -> skep_engine -> replies -> bytes
//! ```

pub mod admin;
pub mod cli;
pub mod config;
pub mod key_text;
pub mod limits;
pub mod listener;
pub mod regions;
pub mod resp;
pub mod status;
pub mod units;

mod clients;
mod clock;
mod commands;
mod connection;
mod cursors;
mod hosted;
mod open_files;
mod password;
mod server;

pub use hosted::Hosted;
pub use password::Password;
pub use server::{Server, ServerConfig};

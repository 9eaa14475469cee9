//! The simulator, and what the black-box tests of the binary share.

pub mod cluster;
pub mod history;
pub mod server;
pub mod sim;
pub mod tools;

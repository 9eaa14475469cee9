//! The server from outside: what clients get, byte by byte, and what the command line says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod command_line;
mod commands;
mod password;
mod pipelines;
mod support;
mod transactions;

//! The Redis serialization protocol, versions 2 and 3: bytes to commands, replies to bytes. Knows no
//! commands.

mod encode;
mod inline;
mod number;
mod parse;

pub use encode::{Protocol, Reply};
pub use number::parse_integer;
pub use parse::{Parser, ProtocolError, Request};

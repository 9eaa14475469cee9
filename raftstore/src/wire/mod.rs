//! Every byte that stores exchange, and the envelope of a log entry: laid out by hand, free of I/O.
//!
//! ```text
//! frame   := magic u32 | length u32 | crc32 u32 | version u8 | 0 0 0 | count u32 | message * count
//! message := kind u8 | region u64 | what the kind says
//! entry   := kind u8 | stamp u64 | store u32 | life u64 | seq u64 | lowest u64 | body       (a command)
//! ```
//!
//! Little-endian throughout. Kind zero is never valid. `docs/PROTOCOL.md` has the tables and says what each
//! message promises.
//!
//! Decoding checks before it allocates: a count is compared with the bytes that are left, a length with the
//! frame. What is decoded shares the frame's memory, so a payload that is kept for long should be copied by
//! whoever keeps it.

mod cursor;
pub mod entry;
mod error;
pub mod frame;
pub mod hard_state;
pub mod membership;
mod message;
pub(crate) mod node;
mod raft;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use error::WireError;
pub use frame::{FRAME_BYTES_MAX, FrameWriter, HEADER_BYTES, decode};

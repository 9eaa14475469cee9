//! The log as its users see it, on a disk that may crash, rot, fill up and lie.

#![allow(clippy::unwrap_used)] // All of this is tests.

mod damage;
mod half_opened;
mod limits;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod space;
mod twin;
mod written_over;

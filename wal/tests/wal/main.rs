//! The log as its users see it, on a disk that may crash, rot, fill up and lie.

#![allow(clippy::unwrap_used)] // All of this is tests.

mod ahead;
mod damage;
mod golden;
mod half_opened;
mod hook;
mod images;
mod inspecting;
mod limits;
mod medium;
mod misplaced;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod piecewise;
mod shadow;
mod space;
mod twin;
mod world;
mod written_over;

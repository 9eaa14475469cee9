//! The simulator, and what the black-box tests of the binary share.

pub mod sim;

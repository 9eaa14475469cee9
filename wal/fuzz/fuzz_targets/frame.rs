//! Arbitrary bytes as a frame of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| skep_wal::fuzzing::frame(input));

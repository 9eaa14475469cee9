//! What tests of the binary have in common: programs that talk to the server, where they are there, and how a test ends.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Says that it is over, also when a check has failed: else whoever writes would go on for ever.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether one of Debian's redis-tools is there. With SKEP_TEST_REQUIRE_TOOLS=1 it must be.
pub fn has_tool(name: &str) -> bool {
    if Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok() {
        return true;
    }
    let is_required = std::env::var("SKEP_TEST_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(
        !is_required,
        "{name} is missing (Debian: redis-tools), and SKEP_TEST_REQUIRE_TOOLS=1 requires it"
    );
    eprintln!("skipped: {name} is missing (Debian: redis-tools)");
    false
}

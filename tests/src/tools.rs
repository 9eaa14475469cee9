//! Programs that tests talk to the server with, where they are there.

use std::process::{Command, Stdio};

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

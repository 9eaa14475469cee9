//! Tells the binary what it was built from and for, so that `skep --version` can say it.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit =
        git(&["rev-parse", "--short=12", "HEAD"]).map(|commit| format!("-{commit}")).unwrap_or_default();
    println!("cargo:rustc-env=SKEP_COMMIT={commit}");
    println!("cargo:rustc-env=SKEP_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
    // Every commit is noted there. Where there is no such file, the commit is not known.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
}

/// What git says, if there is a git and this is a repository of it.
fn git(arguments: &[&str]) -> Option<String> {
    let said = Command::new("git").args(arguments).output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

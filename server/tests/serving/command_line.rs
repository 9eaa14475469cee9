//! The binary, as a user meets it: one sentence and an exit code for each mistake, and a clean stop.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn skep(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(words);
    command
}

fn run(words: &[&str]) -> Output {
    skep(words).output().unwrap()
}

#[track_caller]
fn fails(output: &Output, code: i32, sentence: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(sentence), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    assert!(output.stdout.is_empty());
}

/// A running `skep dev` on any free ports.
struct Dev {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Dev {
    fn start(data: &Path, more: &[&str]) -> (Dev, Vec<String>) {
        let mut command = skep(&["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]);
        let mut child = command.arg(data).args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.by_ref().take(4).map(Result::unwrap).collect();
        (Dev { child, lines }, said)
    }

    fn stop(mut self) -> (Option<i32>, Vec<String>) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_address_in_use_is_told_before_anything_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    for flag in ["--listen", "--admin"] {
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let output = run(&["dev", "--data", data.to_str().unwrap(), flag, &taken, other, "127.0.0.1:0"]);
        fails(&output, 2, &format!("cannot listen on {taken}: another process listens there"));
        assert!(!data.exists());
    }
}

#[test]
fn a_directory_is_used_once_at_a_time_and_keeps_its_regions() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let (dev, said) = Dev::start(&data, &["--regions", "4"]);
    assert!(said[0].ends_with("3 stores, 4 regions"), "{said:?}");
    let second =
        run(&["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    fails(&second, 2, "is in use by another process");

    let admin = said[2].rsplit('/').next().unwrap();
    let status = run(&["status", "--admin", admin, "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["regions"], 4);
    let text = run(&["status", "--admin", admin]);
    assert!(text.stdout.starts_with(b"healthy: 1 of 3 stores may be lost"));

    let redis = said[1].rsplit(' ').next().unwrap();
    fails(&run(&["status", "--admin", redis]), 1, "is not Skep's admin address");

    let (code, rest) = dev.stop();
    assert_eq!(code, Some(0), "{rest:?}");
    fails(&run(&["status", "--admin", admin]), 1, "start one with `skep dev`");

    let (dev, said) = Dev::start(&data, &["--regions", "9"]);
    assert!(said[0].contains("keeps its 4 regions; --regions counts only in a new one"), "{said:?}");
    assert_eq!(dev.stop().0, Some(0));
    let one = data.join("store-1");
    let output =
        run(&["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", one.to_str().unwrap()]);
    fails(&output, 2, "choose the directory that it lies in");
}

#[test]
fn mistakes_in_addresses_are_named() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let data = data.to_str().unwrap();
    let same = run(&["dev", "--data", data, "--listen", "127.0.0.1:17923", "--admin", "127.0.0.1:17923"]);
    fails(&same, 2, "--listen and --admin need different addresses");
    let nonsense = run(&["dev", "--data", data, "--listen", "nonsense", "--admin", "127.0.0.1:0"]);
    fails(&nonsense, 2, "write it as HOST:PORT");
}

#[test]
fn a_bench_that_no_store_takes_is_refused_and_an_interrupted_one_leaves_nothing() {
    let parent = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let data = parent.path().to_str().unwrap();
    let output = run(&["bench", "engine", "--value-bytes", "8MiB", "--data", data]);
    fails(&output, 2, "choose fewer --clients");

    let mut words =
        skep(&["bench", "engine", "--seconds", "60", "--clients", "4", "--regions", "4", "--data"]);
    let mut child = words.arg(data).stderr(Stdio::null()).spawn().unwrap();
    while std::fs::read_dir(parent.path()).unwrap().count() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn the_bench_prints_one_object_and_leaves_nothing() {
    let parent = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let data = parent.path().to_str().unwrap();
    let output = run(&[
        "bench",
        "engine",
        "--json",
        "--seconds",
        "1",
        "--clients",
        "4",
        "--regions",
        "4",
        "--data",
        data,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = [
        "ops_per_second",
        "p50_us",
        "p99_us",
        "p999_us",
        "cpu_us_per_op",
        "syncs_per_second",
        "entries_per_sync",
    ];
    for name in names {
        assert!(report[name].as_f64().unwrap() > 0.0, "{name}: {report}");
    }
    assert_eq!(report["errors"], 0);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

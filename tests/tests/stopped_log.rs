//! `skep wal`: the log of a store that has stopped, whole, torn and damaged, and one that is in use.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use skep_tests::server::{Server, binary, run};
use tempfile::TempDir;

/// What is looked for in the files: nothing else there has these bytes.
const VALUE: &[u8] = b"a value that is easily found again";

/// What stands before the first frame of a segment.
const HEADER_BYTES: u64 = 4096;

/// What `skep wal` says of the log in a directory, and how it ends.
fn look(what: &[&str], store: &Path) -> (ExitStatus, String, String) {
    run(Command::new(binary()).arg("wal").arg(what[0]).arg(store).args(&what[1..]))
}

fn said(what: &[&str], store: &Path) -> String {
    let (status, out, err) = look(what, store);
    assert!(status.success(), "{what:?}: {out}{err}");
    out
}

/// A server of one region, with a few keys, stopped properly.
fn stopped() -> (TempDir, PathBuf) {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let server = Server::start(dir.path(), &["--regions", "1"]);
    let mut client = server.connect(false);
    for number in 0..20 {
        let key = format!("key:{number}");
        redis::cmd("SET").arg(key).arg(VALUE).exec(&mut client).expect("it is written");
    }
    let store = dir.path().join("store-1");
    let (status, _, err) = look(&["inspect"], &store);
    assert!(status.code() == Some(2) && err.contains("in use"), "while it runs: {status} {err}");
    assert!(server.interrupt().success());
    (dir, store)
}

/// The number of the one region, as `inspect` names it.
fn region(inspected: &str) -> String {
    let after = inspected.split("1 regions (").nth(1).expect("there is one region");
    after.split(')').next().unwrap_or_default().to_owned()
}

/// The places of all values in the files of the log.
fn values(store: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for file in fs::read_dir(store.join("wal")).expect("a log").map(|entry| entry.expect("a file").path()) {
        let bytes = fs::read(&file).expect("its bytes");
        let places = bytes.windows(VALUE.len()).enumerate().filter(|(_, bytes)| *bytes == VALUE);
        found.extend(places.map(|(at, _)| (file.clone(), at as u64)));
    }
    found
}

#[test]
fn what_is_whole_is_shown_and_nothing_is_changed() {
    let (_dir, store) = stopped();
    let before = values(&store);
    let inspected = said(&["inspect"], &store);
    let region = &region(&inspected);
    assert!(inspected.contains("are needed"), "{inspected}");
    let verified = said(&["verify"], &store);
    assert!(verified.contains("not torn\nnothing is damaged"), "{verified}");
    let dumped = said(&["dump", "--region", region], &store);
    assert!(
        dumped.starts_with(&format!("region {region}: entries 1 to ")) && dumped.contains("hard state "),
        "{dumped}"
    );
    assert!(dumped.lines().filter(|line| line.contains(" term ")).count() > 20, "{dumped}");
    let (status, _, err) = look(&["dump", "--region", "77"], &store);
    assert!(status.code() == Some(1) && err.contains("`skep wal inspect` names those it has"), "{err}");
    let (status, _, err) = look(&["verify"], Path::new("no/such/store"));
    assert!(status.code() == Some(2) && err.contains("no/such/store"), "{err}");
    assert_eq!(values(&store), before);
}

/// What was on its way when the server was stopped is either not in the log, or durable and said to be.
#[test]
fn a_server_that_is_stopped_while_clients_write_leaves_its_log_at_rest() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    for _ in 0..3 {
        let server = Server::start(dir.path(), &["--regions", "4"]);
        let clients: Vec<_> = (0..4).map(|_| server.connect(false)).collect();
        thread::scope(|scope| {
            for (number, mut client) in clients.into_iter().enumerate() {
                let key = format!("key:{number}");
                scope.spawn(
                    move || {
                        while redis::cmd("SET").arg(&key).arg(VALUE).exec(&mut client).is_ok() {}
                    },
                );
            }
            thread::sleep(Duration::from_millis(300));
            assert!(server.interrupt().success());
        });
        for store in ["store-1", "store-2", "store-3"] {
            let verified = said(&["verify"], &dir.path().join(store));
            assert!(verified.contains("not torn\nnothing is damaged"), "{store}: {verified}");
        }
    }
}

#[test]
fn what_is_damaged_is_named() {
    let (_dir, store) = stopped();
    let all = values(&store);
    let (file, at) = &all[all.len() / 2];
    let segment = fs::File::options().write(true).open(file).expect("a segment");
    segment.write_all_at(b"X", at + 3).expect("a byte rots");
    let (status, out, err) = look(&["verify"], &store);
    assert!(status.code() == Some(1) && err.contains("the log is damaged"), "{status} {err}");
    let inspected = said(&["inspect"], &store);
    let named = format!("damaged: region {} lost entries; its vote is whole (segment ", region(&inspected));
    assert!(out.contains(&named) && inspected.contains(&named), "{out}\n{inspected}");
}

/// Whoever asks how a store is hears of the damage while it runs, and after its region got another replica.
#[test]
fn a_store_that_runs_on_a_damaged_log_says_so() {
    let (dir, store) = stopped();
    let all = values(&store);
    let (file, at) = &all[all.len() / 2];
    let segment = fs::File::options().write(true).open(file).expect("a segment");
    segment.write_all_at(b"X", at + 3).expect("a byte rots");
    let region: u64 = region(&said(&["inspect"], &store)).parse().expect("a number");
    let server = Server::start(dir.path(), &["--regions", "1"]);
    let told = run(Command::new(binary()).args(["status", "--admin", &server.admin])).1;
    let trouble = told.lines().find(|line| line.contains("its log is damaged"));
    assert!(trouble.is_some_and(|line| line.contains(&format!("(r{region:x})"))), "{told}");
    let json = run(Command::new(binary()).args(["status", "--json", "--admin", &server.admin])).1;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let troubles = |store: usize| json["store_list"][store]["troubles"].as_array().expect("troubles").len();
    assert_eq!((troubles(0), troubles(1), troubles(2)), (1, 0, 0), "{json}");
}

#[test]
fn what_is_torn_is_told_from_damage() {
    let (dir, store) = stopped();
    // The last frame only says that all before it is durable; nothing says so of the frame itself.
    let verified = said(&["verify"], &store);
    let end: u64 =
        verified.split(' ').next().and_then(|bytes| bytes.parse().ok()).expect("how long the log is");
    let (file, _) = values(&store).remove(0);
    let segment = fs::File::options().write(true).open(file).expect("a segment");
    segment.write_all_at(&[0; 16], HEADER_BYTES + end - 16).expect("it did not reach the disk whole");
    let verified = said(&["verify"], &store);
    assert!(verified.contains("torn at position ") && verified.contains("nothing is damaged"), "{verified}");
    let server = Server::start(dir.path(), &["--regions", "1"]);
    let mut client = server.connect(false);
    for number in 0..20 {
        let found: Vec<u8> =
            redis::cmd("GET").arg(format!("key:{number}")).query(&mut client).expect("an answer");
        assert_eq!(found, VALUE);
    }
}

//! `skep region` as its users meet it: regions are listed, found by a key, split, and led elsewhere while clients write.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use skep_tests::server::{Server, binary, run};
use skep_tests::tools::Over;
use tempfile::TempDir;

/// A directory of its own, on a real disk.
fn fresh() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// What it says, or what it complains about.
fn region(server: &Server, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(binary());
    let (status, said, complaint) = run(command.arg("region").args(words).args(["--admin", &server.admin]));
    match status.code() {
        Some(0) => Ok(said),
        Some(1) if said.is_empty() && complaint.trim_end().lines().count() == 1 => Err(complaint),
        other => panic!("{other:?}: {said}{complaint}"),
    }
}

fn json(server: &Server, words: &[&str]) -> Value {
    let said = region(server, &[words, &["--json"]].concat()).expect("it is done");
    serde_json::from_str(&said).expect("one JSON value and nothing else")
}

fn leader(region: &Value) -> String {
    region["leader"].as_str().unwrap_or_default().to_owned()
}

/// While somebody writes to both sides of it, a region is split at a key of any bytes; then each part is led elsewhere.
#[test]
fn a_region_is_split_and_led_elsewhere_while_clients_write() {
    let dir = fresh();
    let server = Server::start(dir.path(), &["--regions", "2"]);
    let is_over = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut client = server.connect(false);
            let mut written = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let (low, high) = (format!("a{written}"), format!("b{written}"));
                let mut pipe = redis::pipe();
                pipe.cmd("SET").arg(low).arg(written).cmd("SET").arg(high).arg(written);
                let said: Vec<String> = pipe.query(&mut client).expect("no error while regions change");
                assert_eq!(said, ["OK", "OK"]);
                written += 1;
            }
            written
        });
        let over = Over(&is_over);
        let listed = json(&server, &["ls"]);
        let before = listed.as_array().expect("a list");
        assert_eq!(before.len(), 2);
        assert_eq!((before[0]["start"].as_str(), before[1]["end"].as_str()), (Some(""), None));
        assert_eq!(before[0]["voters"].as_array().map(Vec::len), Some(3));

        let parts = json(&server, &["split", r"b\x00\xff"]);
        let starts: Vec<&str> =
            parts.as_array().expect("a list").iter().filter_map(|part| part["start"].as_str()).collect();
        assert_eq!(starts, ["", r"b\x00\xff"], "{parts}");
        assert_eq!(parts[0]["id"], before[0]["id"], "the lower part keeps its name");
        let again = json(&server, &["split", r"b\x00\xff"]);
        assert_eq!(
            again.as_array().map(Vec::len),
            Some(1),
            "there is nothing to split at its first key: {again}"
        );
        let shown = json(&server, &["show", "b7"]);
        assert_eq!(shown["id"], parts[1]["id"]);
        assert_eq!(json(&server, &["show", shown["id"].as_str().expect("an id")])["start"], r"b\x00\xff");

        let id = shown["id"].as_str().expect("an id").to_owned();
        let voters: Vec<String> = shown["voters"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect();
        let other = voters.into_iter().find(|voter| *voter != leader(&shown)).expect("there are three");
        let said = region(&server, &["transfer-leader", &id, &other]).expect("it leads");
        assert_eq!(said.trim(), format!("{other} leads {id}"));
        assert_eq!(leader(&json(&server, &["show", &id])), other);
        drop(over);
        writing.join().expect("no panic")
    });
    let mut client = server.connect(false);
    let count: u64 = redis::cmd("DBSIZE").query(&mut client).expect("a number");
    assert_eq!(count, 2 * written);
    let table = region(&server, &["ls"]).expect("a table");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.lines().nth(2).is_some_and(|line| line.contains(r"b\x00\xff")), "{table}");
    assert!(region(&server, &["show", "b7"]).is_ok_and(|text| text.contains("leader  s")));
}

#[test]
fn what_cannot_be_done_is_told_in_one_sentence() {
    let dir = fresh();
    let server = Server::start(dir.path(), &["--regions", "2"]);
    let shown = json(&server, &["show", "a"]);
    let id = shown["id"].as_str().expect("an id");
    let error = region(&server, &["transfer-leader", id, "s12345678"]).expect_err("no such store");
    assert!(error.contains("choose one of s"), "{error}");
    let error = region(&server, &["transfer-leader", "r5", "s12345678"]).expect_err("no such region");
    assert!(error.contains("`skep region ls` shows which there are"), "{error}");
    let error = region(&server, &["split", &"k".repeat(70_000)]).expect_err("no key is so long");
    assert!(error.contains("at most"), "{error}");
    let (status, _, complaint) =
        run(Command::new(binary()).args(["region", "split", r"bad\y", "--admin", &server.admin]));
    assert_eq!(status.code(), Some(2));
    assert!(complaint.contains("is not a key"), "{complaint}");
    let admin = server.admin.clone();
    server.kill();
    let (status, _, complaint) = run(Command::new(binary()).args(["region", "ls", "--admin", &admin]));
    assert_eq!(status.code(), Some(1));
    assert!(complaint.contains("no server answers on"), "{complaint}");
}

//! Times, transactions and cursors as stock clients use them, also over a restart.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Commands, Connection, ExistenceCheck, SetExpiry, SetOptions};
use skep_tests::server::{Server, run};
use skep_tests::tools::has_tool;
use tempfile::TempDir;

/// A directory of its own, on a real disk.
fn fresh() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn ask<T: redis::FromRedisValue>(client: &mut Connection, words: &[&str]) -> T {
    let (name, arguments) = words.split_first().expect("a command");
    redis::cmd(name).arg(arguments).query(client).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[test]
fn a_stock_client_sets_times_and_runs_transactions() {
    let dir = fresh();
    let server = Server::start(dir.path(), &["--allow-flush"]);
    for resp3 in [false, true] {
        let mut client = server.connect(resp3);
        let options =
            SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::EX(100));
        let set: Option<String> = client.set_options("t", "1", options.clone()).expect("set");
        assert_eq!(set.as_deref(), Some("OK"));
        let again: Option<String> = client.set_options("t", "2", options).expect("not set");
        assert_eq!(again, None);
        let left: i64 = client.ttl("t").expect("a time");
        assert!((98..=100).contains(&left), "{left}");
        let kept: bool = client.persist("t").expect("an answer");
        assert!(kept);

        let (sum, value): (i64, String) = redis::pipe()
            .atomic()
            .cmd("INCRBY")
            .arg("t")
            .arg(41)
            .cmd("GET")
            .arg("t")
            .query(&mut client)
            .expect("a transaction");
        assert_eq!((sum, value.as_str()), (42, "42"));
        ask::<()>(&mut client, &["WATCH", "t"]);
        ask::<()>(&mut server.connect(false), &["SET", "t", "changed"]);
        let lost: Option<(String,)> =
            redis::pipe().atomic().cmd("SET").arg("t").arg("lost").query(&mut client).expect("null");
        assert_eq!(lost, None);

        for number in 0..300 {
            ask::<()>(&mut client, &["SET", &format!("s:{number}"), "v"]);
        }
        let found: Vec<String> =
            client.scan_match::<_, String>("s:*").expect("a scan").map(|key| key.expect("a key")).collect();
        assert_eq!(found.len(), 300);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 300);
        ask::<()>(&mut client, &["FLUSHALL"]);
        assert_eq!(ask::<i64>(&mut client, &["DBSIZE"]), 0);
    }
}

#[test]
fn flushall_is_refused_unless_the_server_allows_it() {
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect(false);
    ask::<()>(&mut client, &["SET", "kept", "1"]);
    let refused = redis::cmd("FLUSHALL").query::<()>(&mut client).expect_err("it is switched off");
    assert!(refused.to_string().contains("--allow-flush"), "{refused}");
    assert_eq!(ask::<i64>(&mut client, &["DBSIZE"]), 1);
}

/// What has expired stays away, and what has not keeps its time, whether it comes back from a checkpoint or the log.
#[test]
fn times_survive_kill_9() {
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect(false);
    let began = Instant::now();
    for number in 0..50 {
        ask::<()>(&mut client, &["SET", &format!("long:{number}"), "v", "PX", "3600000"]);
        ask::<()>(&mut client, &["SET", &format!("short:{number}"), "v", "PX", "900"]);
        ask::<()>(&mut client, &["SET", &format!("ever:{number}"), "v"]);
    }
    server.kill();
    thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect(false);
    let passed = began.elapsed().as_millis() as i64;
    for number in 0..50 {
        assert_eq!(ask::<Option<String>>(&mut client, &["GET", &format!("short:{number}")]), None);
        assert_eq!(ask::<i64>(&mut client, &["PTTL", &format!("ever:{number}")]), -1);
        let left = ask::<i64>(&mut client, &["PTTL", &format!("long:{number}")]);
        assert!((3_590_000 - passed..=3_600_000).contains(&left), "{left} ms left");
    }
    assert_eq!(ask::<i64>(&mut client, &["DBSIZE"]), 100);
}

/// A connection that asks for it is answered by the replica of its own store, which comes to know every write.
#[test]
fn stale_reads_are_a_choice() {
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect(false);
    ask::<()>(&mut client, &["SET", "k", "v"]);
    ask::<()>(&mut client, &["CONSISTENCY", "stale"]);
    let end = Instant::now() + Duration::from_secs(10);
    while ask::<Option<String>>(&mut client, &["GET", "k"]).as_deref() != Some("v") {
        assert!(Instant::now() < end, "its replica never caught up");
    }
    assert_eq!(ask::<String>(&mut client, &["CONSISTENCY"]), "stale");
    ask::<()>(&mut client, &["READWRITE"]);
    assert_eq!(ask::<String>(&mut client, &["CONSISTENCY"]), "linearizable");
}

/// What redis-cli prints when it is started like this, with `input` typed in.
fn cli(server: &Server, arguments: &[&str], input: &str) -> String {
    let (host, port) = server.host_and_port();
    let mut command = Command::new("redis-cli");
    command.args(["-h", host, "-p", port]).args(arguments);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("redis-cli starts");
    let mut typed = process.stdin.take().expect("its input");
    typed.write_all(input.as_bytes()).expect("typed in");
    drop(typed);
    let output = process.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn redis_cli_finds_its_way_about() {
    if !has_tool("redis-cli") {
        return;
    }
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let typed = "set greeting hello\nget greeting\nmulti\nincr n\nexec\nhelp kv.range\n";
    let said = cli(&server, &[], typed);
    assert!(said.contains("hello") && said.contains("QUEUED"), "{said}");
    assert!(said.contains("Keys and values in order"), "COMMAND DOCS is what it helps with: {said}");

    let mut client = server.connect(false);
    for number in 0..500 {
        let value = "v".repeat(number % 90 + 1);
        ask::<()>(&mut client, &["SET", &format!("key:{:012}", number * 200), &value]);
    }
    let scanned = cli(&server, &["--scan", "--pattern", "key:*"], "");
    assert_eq!(scanned.lines().collect::<BTreeSet<_>>().len(), 500, "{scanned}");
    let big = cli(&server, &["--bigkeys"], "");
    assert!(big.contains("Sampled 502 keys") && big.contains("has 90 bytes"), "{big}");
    let memory = cli(&server, &["--memkeys"], "");
    assert!(memory.contains("Sampled 502 keys") && memory.contains("502 strings with"), "{memory}");
}

#[test]
fn redis_cli_watches_the_server() {
    if !has_tool("redis-cli") {
        return;
    }
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    ask::<()>(&mut server.connect(false), &["MSET", "a", "1", "b", "2", "c", "3"]);
    let (host, port) = server.host_and_port();
    // It goes on for ever, and into a pipe it writes only when its buffer is full.
    let mut command = Command::new("timeout");
    command.args(["2", "stdbuf", "-oL", "redis-cli", "-h", host, "-p", port, "--stat", "-i", "0.3"]);
    let (_, out, complaint) = run(&mut command);
    let rows: Vec<&str> = out.lines().filter(|line| line.starts_with('3')).collect();
    assert!(rows.len() >= 3, "{out}{complaint}");
    let row: Vec<&str> = rows[1].split_whitespace().collect();
    // Keys, memory, clients, blocked, requests, connections.
    assert!(row[1].ends_with(['B', 'K', 'M']) && row[2] == "1" && row[3] == "0", "{row:?}");
    assert!(row[4].parse::<u64>().is_ok_and(|requests| requests > 0), "{row:?}");
}

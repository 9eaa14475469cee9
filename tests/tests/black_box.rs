//! The binary as its users meet it: a real client talks to a real process, which is killed, stopped and refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use redis::Value;
use skep_tests::server::{self, Server, binary, dev, run};
use skep_tests::tools::{Over, has_tool};
use tempfile::TempDir;

/// A directory of its own, on a real disk.
fn fresh() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

#[test]
fn a_stock_client_finds_what_it_expects() {
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    for resp3 in [false, true] {
        let mut client = server.connect(resp3);
        let key = |name: &str| format!("{name}-{resp3}");
        let one = |client: &mut redis::Connection, command: &[&str]| -> Value {
            let (name, arguments) = command.split_first().expect("a command");
            redis::cmd(name).arg(arguments).query(client).expect("an answer")
        };
        let text = |value: Value| redis::from_redis_value::<String>(value).expect("text");
        let number = |value: Value| redis::from_redis_value::<i64>(value).expect("a number");
        assert_eq!(text(one(&mut client, &["PING"])), "PONG");
        assert_eq!(text(one(&mut client, &["SET", &key("a"), "1"])), "OK");
        assert_eq!(number(one(&mut client, &["INCR", &key("a")])), 2);
        assert_eq!(number(one(&mut client, &["APPEND", &key("a"), "x"])), 2);
        assert_eq!(text(one(&mut client, &["GET", &key("a")])), "2x");
        assert_eq!(number(one(&mut client, &["STRLEN", &key("a")])), 2);
        assert_eq!(number(one(&mut client, &["SETNX", &key("a"), "y"])), 0);
        assert_eq!(one(&mut client, &["GET", &key("nothing")]), Value::Nil);
        assert_eq!(text(one(&mut client, &["MSET", &key("b"), "b", &key("c"), "c"])), "OK");
        let many: Vec<Option<String>> =
            redis::from_redis_value(one(&mut client, &["MGET", &key("b"), &key("nothing"), &key("c")]))
                .expect("a list");
        assert_eq!(many, [Some("b".into()), None, Some("c".into())]);
        assert_eq!(number(one(&mut client, &["DEL", &key("b"), &key("c"), &key("nothing")])), 2);
        assert_eq!(number(one(&mut client, &["EXISTS", &key("a"), &key("b")])), 1);
        assert_eq!(text(one(&mut client, &["GETDEL", &key("a")])), "2x");
        let refused = redis::cmd("NOSUCH").query::<Value>(&mut client).expect_err("no such command");
        assert!(refused.to_string().to_lowercase().contains("unknown command"), "{refused}");
        let hello = one(&mut client, &["HELLO"]);
        assert_eq!(matches!(hello, Value::Map(_)), resp3, "{hello:?}");
    }
}

#[test]
fn replies_come_in_the_order_of_the_commands() {
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect(true);
    // Keys of many regions, so that the answers come from many leaders.
    let keys: Vec<String> = (0..40).map(|number| format!("key:{:012}", number * 2_500)).collect();
    for round in 1..=10_i64 {
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("INCR").arg(key);
            pipe.cmd("GET").arg(key);
            pipe.cmd("ECHO").arg(format!("{key}/{round}"));
        }
        let answers: Vec<(i64, String, String)> = {
            let flat: Vec<Value> = pipe.query(&mut client).expect("answers");
            flat.chunks(3)
                .map(|three| redis::from_redis_value(Value::Array(three.to_vec())).expect("three"))
                .collect()
        };
        for (key, answer) in keys.iter().zip(answers) {
            assert_eq!(answer, (round, round.to_string(), format!("{key}/{round}")));
        }
    }
}

/// What one writer knows: each of its keys with the number of the last write that was acknowledged, and the last that
/// was sent.
type Known = BTreeMap<String, (u64, u64)>;

const WRITERS: u64 = 4;
const KEYS_PER_WRITER: u64 = 300;

fn value(key: &str, number: u64) -> String {
    format!("{key}={number}:{}", "v".repeat((number % 200) as usize))
}

/// Writes 16 commands at a time until the server is gone. A write counts when its answer has come.
fn write_until_gone(server_address: &str, writer: u64, known: &mut Known, stop: &AtomicBool) {
    let client = redis::Client::open(format!("redis://{server_address}/")).expect("an address");
    let Ok(mut connection) = client.get_connection() else { return };
    let mut number = known.values().map(|(_, sent)| *sent).max().unwrap_or(0);
    while !stop.load(Ordering::Relaxed) {
        let mut pipe = redis::pipe();
        let mut batch = Vec::new();
        for _ in 0..16 {
            number += 1;
            let key = format!("w{writer}:{}", number * 7 % KEYS_PER_WRITER);
            pipe.cmd("SET").arg(&key).arg(value(&key, number));
            known.entry(key.clone()).or_insert((0, 0)).1 = number;
            batch.push((key, number));
        }
        if pipe.query::<Vec<String>>(&mut connection).is_err() {
            return;
        }
        for (key, number) in batch {
            known.entry(key).or_insert((0, 0)).0 = number;
        }
    }
}

/// Every key holds the write that was acknowledged last, or a later one that was sent and not answered.
fn check(server: &Server, known: &Known) {
    let mut client = server.connect(false);
    let keys: Vec<&String> = known.keys().collect();
    for some in keys.chunks(100) {
        let found: Vec<Option<String>> = redis::cmd("MGET").arg(some).query(&mut client).expect("values");
        for (key, found) in some.iter().zip(found) {
            let (acknowledged, sent) = known[*key];
            let Some(found) = found else {
                assert_eq!(acknowledged, 0, "{key} is gone; write {acknowledged} was acknowledged");
                continue;
            };
            let number = found.split(['=', ':']).rev().nth(1).and_then(|number| number.parse::<u64>().ok());
            let number = number.unwrap_or_else(|| panic!("{key} holds {found:?}"));
            assert_eq!(found, value(key, number), "{key} was altered");
            assert!(
                (acknowledged..=sent).contains(&number),
                "{key}: {acknowledged} was acknowledged, found {number}"
            );
        }
    }
}

#[test]
fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let dir = fresh();
    let mut known: Vec<Known> = vec![Known::new(); WRITERS as usize];
    for round in 0..5 {
        let server = Server::start(dir.path(), &[]);
        known.iter().for_each(|known| check(&server, known));
        let stop = AtomicBool::new(false);
        let address = server.redis.clone();
        thread::scope(|scope| {
            let _over = Over(&stop);
            for (writer, known) in known.iter_mut().enumerate() {
                let (address, stop) = (&address, &stop);
                scope.spawn(move || write_until_gone(address, writer as u64, known, stop));
            }
            thread::sleep(Duration::from_millis(700 + 150 * round));
            server.kill();
        });
        let acknowledged: usize =
            known.iter().flat_map(|known| known.values()).filter(|(a, _)| *a > 0).count();
        assert!(acknowledged > 0, "nothing was written in round {round}");
    }
    let server = Server::start(dir.path(), &[]);
    known.iter().for_each(|known| check(&server, known));
    assert!(server.interrupt().success());
}

#[test]
fn ctrl_c_ends_well_and_keeps_everything() {
    let dir = fresh();
    let server = Server::start(dir.path(), &["--regions", "5"]);
    assert!(server.said.iter().any(|line| line.contains("5 regions")), "{:?}", server.said);
    let mut client = server.connect(false);
    for number in 0..200 {
        redis::cmd("SET").arg(format!("k{number}")).arg(number).query::<()>(&mut client).expect("OK");
    }
    assert_eq!(server.interrupt().code(), Some(0));
    let server = Server::start(dir.path(), &["--regions", "9"]);
    assert!(server.said.iter().any(|line| line.contains("keeps its 5 regions")), "{:?}", server.said);
    let mut client = server.connect(false);
    for number in 0..200 {
        let found: i64 = redis::cmd("GET").arg(format!("k{number}")).query(&mut client).expect("a value");
        assert_eq!(found, number);
    }
}

/// Every file below a directory, with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return all };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    all
}

/// It ends with code 2 and one sentence that says `what`, and `data` is as it was.
fn refuses(command: &mut Command, data: &Path, what: &str) {
    let before = contents(data);
    let (status, out, complaint) = run(command);
    assert_eq!(status.code(), Some(2), "{complaint}");
    assert!(complaint.contains(what), "{complaint:?} does not say {what:?}");
    assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    assert_eq!(out, "");
    assert!(contents(data) == before, "something was touched");
}

#[test]
fn what_cannot_work_is_refused_and_nothing_is_touched() {
    let (dir, other) = (fresh(), fresh());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let unmade = dir.path().join("unmade");
    refuses(&mut dev(&unmade, &taken, "127.0.0.1:0"), &unmade, "another process listens there");
    refuses(&mut dev(&unmade, "127.0.0.1:0", &taken), &unmade, "another process listens there");
    assert!(!unmade.exists());
    drop(listener);

    let (data, data_of_other) = (dir.path().join("data"), other.path().join("data"));
    let any = "127.0.0.1:0";
    let server = Server::start(&data, &[]);
    let (status, _, complaint) = run(&mut dev(&data, any, any));
    assert_eq!(status.code(), Some(2));
    assert!(complaint.contains("in use by another process"), "{complaint}");
    assert!(server.interrupt().success());
    assert!(Server::start(&data_of_other, &[]).interrupt().success());

    // One of the stores of another cluster.
    let own = data.join("store-2");
    fs::rename(&own, other.path().join("own")).expect("renamed");
    fs::rename(data_of_other.join("store-2"), &own).expect("renamed");
    refuses(&mut dev(&data, any, any), &data, "belongs to");
    fs::remove_dir_all(&own).expect("removed");
    fs::rename(other.path().join("own"), &own).expect("renamed");

    // A newer format, in either of the two files that say which it is.
    for file in [data.join("cluster"), own.join("identity")] {
        let bytes = fs::read(&file).expect("a file");
        let mut newer = bytes.clone();
        newer[8] = 0xff;
        fs::write(&file, newer).expect("written");
        refuses(&mut dev(&data, any, any), &data, "newer version");
        fs::write(&file, bytes).expect("written");
    }
    assert!(Server::start(&data, &[]).interrupt().success());
}

#[test]
fn status_says_first_how_many_stores_may_be_lost() {
    let dir = fresh();
    let server = Server::start(dir.path(), &["--regions", "7"]);
    let status =
        |more: &[&str]| run(Command::new(binary()).args(["status", "--admin", &server.admin]).args(more));
    let (code, out, complaint) = status(&["--json"]);
    assert!(code.success(), "{complaint}");
    let json: serde_json::Value = serde_json::from_str(&out).expect("one JSON value");
    assert_eq!((json["stores"].as_u64(), json["regions"].as_u64()), (Some(3), Some(7)));
    assert!(json["leaders"].as_u64().is_some() && json["verdict"].is_string(), "{json}");
    let (code, text, _) = status(&[]);
    assert!(code.success());
    let verdict = json["verdict"].as_str().expect("a string");
    assert!(
        text.starts_with(verdict) || text.lines().next().is_some_and(|line| line.contains("store")),
        "{text}"
    );
    let admin = server.admin.clone();
    server.kill();
    let (code, _, complaint) = run(Command::new(binary()).args(["status", "--admin", &admin]));
    assert_eq!(code.code(), Some(1), "{complaint}");
}

#[test]
fn the_load_tool_prints_one_json_object() {
    let dir = fresh();
    let mut command = Command::new(binary());
    command.args(["bench", "engine", "--json", "--seconds", "1", "--clients", "8", "--data"]).arg(dir.path());
    let (status, out, complaint) = run(&mut command);
    assert!(status.success(), "{complaint}");
    let json: serde_json::Value = serde_json::from_str(&out).expect("one JSON object and nothing else");
    for field in [
        "ops_per_second",
        "p50_us",
        "p99_us",
        "p999_us",
        "cpu_us_per_op",
        "syncs_per_second",
        "entries_per_sync",
    ] {
        assert!(json[field].as_f64().is_some_and(|number| number > 0.0), "{field} in {json}");
    }
    assert_eq!(json["errors"].as_u64(), Some(0));
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0, "it cleans up behind itself");
}

/// A generated file goes in through `redis-cli --pipe`, and comes back equal, also after kill -9.
#[test]
fn redis_cli_pipes_a_file_in() {
    if !has_tool("redis-cli") {
        return;
    }
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let records: Vec<(String, String)> = (0..2000)
        .map(|number| (format!("record {number}"), format!("{number}\r\n{}", "x".repeat(number % 700))))
        .collect();
    let mut file = Vec::new();
    for (key, value) in &records {
        let (k, v) = (key.len(), value.len());
        write!(file, "*3\r\n$3\r\nSET\r\n${k}\r\n{key}\r\n${v}\r\n{value}\r\n").expect("memory takes it");
    }
    let path = dir.path().with_extension("resp");
    fs::write(&path, file).expect("written");
    let (host, port) = server.host_and_port();
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", host, "-p", port, "--pipe"]).stdin(fs::File::open(&path).expect("the file"));
    let (status, out, complaint) = run(&mut cli);
    fs::remove_file(&path).expect("removed");
    assert!(status.success() && out.contains("errors: 0, replies: 2000"), "{out}{complaint}");
    let read_back = |server: &Server| {
        let mut client = server.connect(false);
        for some in records.chunks(200) {
            let keys: Vec<&String> = some.iter().map(|(key, _)| key).collect();
            let values: Vec<String> = redis::cmd("MGET").arg(keys).query(&mut client).expect("values");
            assert!(some.iter().map(|(_, value)| value).eq(values.iter()));
        }
    };
    read_back(&server);
    server.kill();
    read_back(&Server::start(dir.path(), &[]));
}

#[test]
fn redis_benchmark_runs_without_an_error() {
    if !has_tool("redis-benchmark") {
        return;
    }
    let dir = fresh();
    let server = Server::start(dir.path(), &[]);
    let (host, port) = server.host_and_port();
    for more in [["-P", "16"].as_slice(), &["-P", "1"], &["-P", "4", "-3"]] {
        let mut command = Command::new("redis-benchmark");
        command.args([
            "-h",
            host,
            "-p",
            port,
            "-t",
            "ping,set,get,incr,mset",
            "-n",
            "2000",
            "-r",
            "1000",
            "-c",
            "20",
        ]);
        let (status, out, complaint) = server::run(command.args(more).arg("-q"));
        assert!(status.success(), "{more:?}: {complaint}");
        assert!(!out.to_lowercase().contains("err") && complaint.is_empty(), "{more:?}: {out}{complaint}");
    }
}

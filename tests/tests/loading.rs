//! `skep load` and `skep bench kv` as their users meet them: a real file goes in while the server is killed, and all that was
//! acknowledged is there; a measurement is one object.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use skep_tests::server::{Server, binary, run};
use tempfile::TempDir;

/// A directory of its own, on a real disk.
fn fresh() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// The records of the machine's package index, each on a line; made up where there is none. Some keys are repeated.
fn records() -> Vec<String> {
    let index =
        Command::new("apt-cache").arg("dumpavail").output().map(|output| output.stdout).unwrap_or_default();
    let index = String::from_utf8_lossy(&index).into_owned();
    let record = |text: &str| {
        let name = text.strip_prefix("Package: ")?.lines().next()?;
        Some(format!("{name}\t{}\n", text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")))
    };
    let mut records: Vec<String> = index.split("\n\n").filter_map(record).collect();
    let made_up = |number: u64| format!("package-{number}\t{}\n", format!("line {number};").repeat(60));
    records.extend((records.len() as u64..60_000).map(made_up));
    for number in 0..1_000 {
        let (name, _) = records[number * 7].split_once('\t').expect("it was made so");
        records.push(format!("{name}\ta newer record {number}\n"));
    }
    records
}

fn load(address: &str, file: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("load").arg(file).args(["--addr", address]).args(more);
    command
}

fn verify(server: &Server, file: &Path, more: &[&str]) -> (ExitStatus, String, String) {
    run(load(&server.redis, file, &["--verify"]).args(more))
}

/// A load that is given its lines one by one.
fn load_from_pipe(address: &str, timeout: &str) -> Child {
    let mut command = load(address, Path::new("-"), &["--timeout", timeout]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started")
}

fn give(child: &mut Child, lines: &[String]) {
    let input = child.stdin.as_mut().expect("its input was asked for");
    for line in lines {
        if input.write_all(line.as_bytes()).is_err() {
            return; // it has given up
        }
    }
}

fn wait_for_keys(server: &Server, count: u64) {
    let mut client = server.connect(false);
    while redis::cmd("DBSIZE").query::<u64>(&mut client).expect("a number") < count {
        thread::sleep(Duration::from_millis(10));
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// How many regions the server has.
fn regions(server: &Server) -> u64 {
    let (status, out, complaint) =
        run(Command::new(binary()).args(["status", "--json", "--admin", &server.admin]));
    assert!(status.success(), "{complaint}");
    let status: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    status["regions"].as_u64().expect("a number")
}

/// The load does not notice more than a pause, although what it fills is cut all the time. Everything is there, also after
/// another kill -9.
#[test]
fn a_load_goes_on_when_the_server_comes_back() {
    let (dir, files) = (fresh(), fresh());
    let (records, file) = (records(), files.path().join("index.tsv"));
    fs::write(&file, records.concat()).expect("written");
    let address = free_address();
    let flags = ["--regions", "1", "--split-bytes", "1MiB"];
    let server = Server::start_at(&address, dir.path(), &flags);
    let mut loading = load_from_pipe(&address, "60s");
    let (half, rest) = records.split_at(records.len() / 2);
    give(&mut loading, half);
    wait_for_keys(&server, half.len() as u64 / 2);
    server.kill();
    let feeding = thread::scope(|scope| {
        let feeding = scope.spawn(|| give(&mut loading, rest));
        let server = Server::start_at(&address, dir.path(), &flags);
        feeding.join().expect("no panic");
        server
    });
    let output = loading.wait_with_output().expect("it ends");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaint}");
    assert!(said.starts_with(&format!("loaded {} lines: ", records.len())), "{said}");
    assert_eq!(said.lines().count(), 1, "nothing but the result: {said}");
    assert!(complaint.contains("no connection"), "it was told: {complaint}");

    println!("one region became {}", regions(&feeding));
    feeding.kill();
    let server = Server::start(dir.path(), &flags);
    assert!(regions(&server) >= 16, "one region became {}", regions(&server));
    let (status, said, complaint) = verify(&server, &file, &[]);
    assert!(status.success(), "{complaint}");
    assert!(said.starts_with(&format!("verified {} lines, all are there", records.len())), "{said}");
}

/// The server stays away: the load says how far it came. That far, everything is there; then the rest is loaded, too.
#[test]
fn a_load_that_gives_up_says_how_far_it_came() {
    let (dir, files) = (fresh(), fresh());
    let (records, file) = (records(), files.path().join("index.tsv"));
    fs::write(&file, records.concat()).expect("written");
    let server = Server::start(dir.path(), &[]);
    let mut loading = load_from_pipe(&server.redis, "1s");
    let (half, rest) = records.split_at(records.len() / 2);
    give(&mut loading, half);
    wait_for_keys(&server, half.len() as u64 / 2);
    server.kill();
    give(&mut loading, rest);
    let output = loading.wait_with_output().expect("it ends");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{complaint}");
    assert!(complaint.contains("gave up after 1s without an acknowledgement"), "{complaint}");
    let through = said.trim().strip_prefix("acknowledged through line ").expect("how far it came");
    let count: u64 = through.parse().expect("a number");
    assert!(count > half.len() as u64 / 4 && count < records.len() as u64, "{count}");

    let server = Server::start(dir.path(), &[]);
    let (status, _, complaint) = verify(&server, &file, &["--lines", through]);
    assert!(status.success(), "{complaint}");
    let (status, _, complaint) = verify(&server, &file, &[]);
    assert_eq!(status.code(), Some(1), "the rest is not there");
    assert!(complaint.contains("lines differ from what the server has; the first is line"), "{complaint}");

    let (status, said, complaint) = run(&mut load(&server.redis, &file, &[]));
    assert!(status.success() && said.starts_with("loaded"), "{complaint}");
    assert!(verify(&server, &file, &[]).0.success());
    let (name, _) = records[4321].split_once('\t').expect("a line");
    redis::cmd("SET").arg(name).arg("something else").query::<()>(&mut server.connect(false)).expect("OK");
    let (status, said, complaint) = verify(&server, &file, &[]);
    assert_eq!((status.code(), said.as_str()), (Some(1), ""));
    assert!(complaint.contains("the first is line 4322: the server has another value"), "{complaint}");
}

/// The same object as that of `bench engine`; what a server elsewhere does not tell is null.
#[test]
fn a_measurement_over_the_protocol_is_one_object() {
    let dir = fresh();
    let measure = |more: &[&str]| {
        let usual = ["bench", "kv", "--json", "--seconds", "1", "--clients", "4", "--records", "1000"];
        let (status, said, complaint) = run(Command::new(binary()).args(usual).args(more));
        assert!(status.success(), "{more:?}: {complaint}");
        let found: serde_json::Value = serde_json::from_str(&said).expect("one JSON object and nothing else");
        assert_eq!(found["errors"].as_u64(), Some(0), "{more:?}: {found}{complaint}");
        for field in ["ops_per_second", "p50_us", "p99_us", "p999_us"] {
            assert!(found[field].as_f64().is_some_and(|number| number > 0.0), "{more:?}: {field} in {found}");
        }
        found
    };
    let data = dir.path().to_str().expect("text");
    let own = measure(&["--data", data, "--regions", "4"]);
    let spent = ["cpu_us_per_op", "syncs_per_second", "entries_per_sync"];
    assert!(spent.iter().all(|field| own[field].as_f64().is_some_and(|number| number > 0.0)), "{own}");
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0, "it cleans up behind itself");

    let server = Server::start(&dir.path().join("data"), &["--regions", "4"]);
    for workload in ["A", "b", "C", "D", "E", "F"] {
        let found = measure(&["--addr", &server.redis, "--workload", workload, "--value-bytes", "100"]);
        assert!(spent.iter().all(|field| found[field].is_null()), "{found}");
    }
    measure(&["--addr", &server.redis, "--mix", "9:1", "--pipeline", "1"]);
    let mut command = Command::new(binary());
    let (status, _, complaint) = run(command.args(["bench", "kv", "--mix", "1:1", "--workload", "A"]));
    assert_eq!(status.code(), Some(2), "{complaint}");
}

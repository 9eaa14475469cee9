//! A cluster of `skep serve` processes on this machine: started in any order, killed, stopped, frozen, wiped.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::server::{binary, run, wait};

/// How long anything may take that has no limit of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// Directories and addresses of the stores of one cluster.
pub struct Place {
    dir: TempDir,
    /// Of each store: for stores, for clients, for probes.
    addresses: Vec<[String; 3]>,
    more: Vec<String>,
}

/// A `skep serve` process. Killed when dropped.
pub struct Store {
    child: Child,
    /// Where Redis clients connect.
    pub redis: String,
    /// Where `skep status` connects.
    pub admin: String,
}

impl Place {
    /// In a directory of its own in `above`, for `count` stores that are started with these flags besides.
    pub fn new(above: &str, count: usize, more: &[&str]) -> Place {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let bound: Vec<[TcpListener; 3]> = (0..count).map(|_| [bind(), bind(), bind()]).collect();
        let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
        let addresses = bound.iter().map(|three| [0, 1, 2].map(|at| address(&three[at]))).collect();
        let dir = TempDir::new_in(above).expect("a directory");
        Place { dir, addresses, more: more.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// Where a store's data is.
    pub fn data(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("store-{at}"))
    }

    /// Where other stores reach a store.
    pub fn address(&self, at: usize) -> &str {
        &self.addresses[at][0]
    }

    /// The store's command line, not started yet. `listed` is what it is told about the others.
    pub fn command(&self, at: usize, listed: &[&str]) -> Command {
        let [store, redis, admin] = &self.addresses[at];
        let mut command = Command::new(binary());
        command.arg("serve").args(["--cluster-stores", &listed.join(",")]);
        command.arg("--store-data").arg(self.data(at)).args(["--store-listen", store]);
        command.args(["--client-listen", redis, "--admin-listen", admin]).args(&self.more);
        command
    }

    /// Starts a store with the list that all are given.
    pub fn start(&self, at: usize) -> Store {
        let listed: Vec<&str> = self.addresses.iter().map(|three| three[0].as_str()).collect();
        let log = fs::File::options().create(true).append(true).open(self.log(at)).expect("a file");
        let mut command = self.command(at, &listed);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let [_, redis, admin] = self.addresses[at].clone();
        Store { child: command.spawn().expect("the store can be started"), redis, admin }
    }

    /// What a store said, all of its lives together.
    pub fn log(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("log-{at}"))
    }

    /// Starts all stores and waits until any of them may be lost.
    pub fn start_all(&self) -> Vec<Store> {
        let stores: Vec<Store> = (0..self.addresses.len()).map(|at| self.start(at)).collect();
        stores.iter().for_each(Store::waits_until_healthy);
        stores
    }
}

impl Store {
    /// What `skep status --json` says, once it says something.
    pub fn status(&self) -> Option<serde_json::Value> {
        let (status, out, _) = run(Command::new(binary()).args(["status", "--json", "--admin", &self.admin]));
        status.success().then(|| serde_json::from_str(&out).expect("JSON"))
    }

    /// Waits until this store knows that one store may be lost.
    pub fn waits_until_healthy(&self) {
        self.waits_until("one store may be lost", |status| status["stores_losable"] == 1);
    }

    /// Waits until the status is as wanted.
    pub fn waits_until(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        while !self.status().is_some_and(|status| is_so(&status)) {
            assert!(begun.elapsed() < PATIENCE, "waited too long until {what}: {:?}", self.status());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A connection that gives up after `patience`.
    pub fn connect(&self, patience: Duration) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}/", self.redis)).expect("an address");
        let connection = client.get_connection_with_timeout(PATIENCE).expect("the store takes connections");
        connection.set_read_timeout(Some(patience)).expect("a time limit");
        connection.set_write_timeout(Some(patience)).expect("a time limit");
        connection
    }

    /// kill -9: the process is gone at once.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop: how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait(&mut self.child)
    }

    /// Whether the process is no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_some()
    }

    /// Waits until it has ended by itself: how.
    pub fn ended(mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The most memory that it has held, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(Path::new(&path)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") >> 10
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one writer knows: its keys with the number of the write that was acknowledged last, and the longest time for which
/// nothing was.
#[derive(Default, Debug)]
pub struct Written {
    /// By key.
    pub acknowledged: BTreeMap<String, u64>,
    /// Between two acknowledgements.
    pub longest_pause: Duration,
}

/// A key of one of the regions that a new directory is cut into, spread over all of them.
pub fn key(writer: &str, number: u64) -> String {
    format!("key:{:012}:{writer}", number % 64 * 1_562)
}

/// Writes one command at a time until it is told to stop. An error ends it: with one store lost, there is none.
pub fn write_until(store: &Store, writer: &str, stop: impl Fn() -> bool) -> Written {
    let mut connection = store.connect(PATIENCE);
    let (mut written, mut number, mut last) = (Written::default(), 0, Instant::now());
    while !stop() {
        number += 1;
        let key = key(writer, number);
        redis::cmd("SET").arg(&key).arg(number).exec(&mut connection).expect("a write is answered");
        written.acknowledged.insert(key, number);
        written.longest_pause = written.longest_pause.max(last.elapsed());
        last = Instant::now();
    }
    written
}

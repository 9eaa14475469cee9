//! The `skep` binary as its users meet it: built once per run, started as a process, stopped in every way there is.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, built with the profile that this test was built with.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// This test runs from `target/[triple/]profile/deps`; that says how to build its like.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it runs from");
    let profile_dir = test.ancestors().nth(2).expect("a test lies in its profile's directory");
    let above = profile_dir.parent().expect("which lies in the target directory");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut cargo = Command::new(env!("CARGO"));
    // With a test beside it, and all packages: then it is made of what a run of all tests has compiled already.
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "skep", "--test", "full"]);
    match name(profile_dir).as_str() {
        "debug" => {}
        profile => drop(cargo.args(["--profile", profile])),
    }
    if above.join("CACHEDIR.TAG").exists() {
        cargo.arg("--target-dir").arg(above);
    } else {
        let target = above.parent().expect("a triple lies in the target directory");
        cargo.arg("--target-dir").arg(target).args(["--target", &name(above)]);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the binary was not built: {status}");
    profile_dir.join(format!("skep{}", std::env::consts::EXE_SUFFIX))
}

/// A running `skep dev`. Killed when dropped.
pub struct Server {
    child: Child,
    /// Where Redis clients connect.
    pub redis: String,
    /// Where `skep status` connects.
    pub admin: String,
    /// What it said before it was ready.
    pub said: Vec<String>,
}

impl Server {
    /// Starts a server on `data`, on free ports, and waits until it is ready.
    pub fn start(data: &Path, more: &[&str]) -> Server {
        Server::start_at("127.0.0.1:0", data, more)
    }

    /// The same, for Redis clients that know where to connect.
    pub fn start_at(listen: &str, data: &Path, more: &[&str]) -> Server {
        let mut command = dev(data, listen, "127.0.0.1:0");
        command.args(more);
        Server::of(&mut command)
    }

    /// One that may have so many files open, and no more.
    pub fn start_with_files(data: &Path, open_files: u64) -> Server {
        let dev = dev(data, "127.0.0.1:0", "127.0.0.1:0");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\"")]);
        Server::of(command.arg(dev.get_program()).args(dev.get_args()))
    }

    fn of(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server can be started");
        let out = child.stdout.take().expect("its output was asked for");
        let mut server = Server { child, redis: String::new(), admin: String::new(), said: Vec::new() };
        let mut lines = BufReader::new(out).lines();
        while server.redis.is_empty() || server.admin.is_empty() {
            let line = lines.next().expect("the server ended before it was ready").expect("a line");
            if let Some(address) = line.strip_prefix("redis ") {
                server.redis = address.trim().to_owned();
            } else if let Some(address) = line.strip_prefix("admin ") {
                server.admin = address.trim().trim_start_matches("http://").to_owned();
            } else {
                server.said.push(line);
            }
        }
        // Whatever it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        server
    }

    /// A connection that speaks RESP2, or RESP3.
    pub fn connect(&self, resp3: bool) -> redis::Connection {
        let protocol = if resp3 { "?protocol=resp3" } else { "" };
        let client = redis::Client::open(format!("redis://{}/{protocol}", self.redis)).expect("an address");
        let connection = client.get_connection_with_timeout(PATIENCE).expect("the server takes connections");
        connection.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        connection
    }

    /// Where Redis clients connect, in two parts.
    pub fn host_and_port(&self) -> (&str, &str) {
        self.redis.rsplit_once(':').expect("an address has a port")
    }

    /// kill -9: the process is gone at once.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Ctrl-C: how it ended.
    pub fn interrupt(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it can be interrupted");
        wait(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `skep dev` with these addresses, not started yet.
pub fn dev(data: &Path, listen: &str, admin: &str) -> Command {
    let mut command = Command::new(binary());
    command.arg("dev").arg("--data").arg(data).args(["--listen", listen, "--admin", admin]);
    command
}

/// Runs something to its end: how it ended, what it said, and what it complained about.
pub fn run(command: &mut Command) -> (ExitStatus, String, String) {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command can be started");
    let mut out = child.stdout.take().expect("its output was asked for");
    let mut err = child.stderr.take().expect("its errors were asked for");
    let reader = thread::spawn(move || read_all(&mut out));
    let complaints = thread::spawn(move || read_all(&mut err));
    let status = wait(&mut child);
    (status, reader.join().expect("no panic"), complaints.join().expect("no panic"))
}

fn read_all(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("text");
    text
}

/// How a process ended.
pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("its state is known") {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("the process did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

//! A server with three stores in this process, and a client that shows every byte of a reply.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use skep_engine::{LocalCluster, LocalConfig};
use skep_server::{Password, Server, ServerConfig, admin, listener};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) server: Arc<Server>,
    runtime: Runtime,
    listening: Option<JoinHandle<()>>,
    _data: TempDir,
}

impl Running {
    pub(crate) fn start() -> Running {
        Running::start_with_password("")
    }

    /// An empty password is none.
    pub(crate) fn start_with_password(password: &str) -> Running {
        let data = tempfile::tempdir().unwrap();
        let mut config = LocalConfig::new(data.path().join("data"));
        config.segment_bytes = 32 << 20;
        config.regions = 8;
        let cluster = Arc::new(LocalCluster::open(config).unwrap());
        cluster.wait_ready(Duration::from_secs(30)).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (clients, address) = bind(&runtime);
        let (probes, admin) = bind(&runtime);
        let password = Password::new(password);
        let request_timeout = Duration::from_secs(5);
        let config = ServerConfig {
            listen: address,
            data: data.path().to_owned(),
            request_timeout,
            password,
            allow_flush: true,
        };
        let server = Arc::new(Server::new(cluster, config));
        let listening = Some(runtime.spawn(listener::serve(Arc::clone(&server), clients)));
        runtime.spawn(admin::serve(Arc::clone(&server), probes));
        Running { address, admin, server, runtime, listening, _data: data }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::to(self.address)
    }

    /// Stops taking clients, and returns when all are gone.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
        if let Some(listening) = self.listening.take() {
            self.runtime.block_on(listening).unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.server.hosted().close().unwrap();
    }
}

fn bind(runtime: &Runtime) -> (tokio::net::TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let _guard = runtime.enter();
    (tokio::net::TcpListener::from_std(listener).unwrap(), address)
}

pub(crate) struct Client(pub(crate) TcpStream);

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: &[u8]) {
        let mut got = vec![0; wanted.len()];
        let mut length = 0;
        while length < wanted.len() && got[..length] == wanted[..length] {
            match self.0.read(&mut got[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) => {
                    panic!("{error} after {:?} of {:?}", lossy(&got[..length]), lossy(wanted));
                }
            }
        }
        if got != wanted {
            let mut more = [0; 256];
            got.truncate(length);
            let count = self.0.read(&mut more).unwrap_or(0);
            got.extend_from_slice(&more[..count]);
            panic!("{:?} instead of {:?}", lossy(&got), lossy(wanted));
        }
    }

    /// One inline command and its whole reply.
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str, reply: &str) {
        self.send(format!("{line}\r\nECHO end-of-reply\r\n").as_bytes());
        self.expect(format!("{reply}$12\r\nend-of-reply\r\n").as_bytes());
    }

    /// All that comes until the server closes.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Says that nothing more will come.
    pub(crate) fn ends(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

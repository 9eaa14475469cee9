//! Clients without end, where few files may be open: they are refused in words, and the stores go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use skep_tests::server::{Server, binary, run};
use tempfile::TempDir;

/// Connects so many and leaves them open.
fn connect(address: &str, count: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let stream = TcpStream::connect(address).expect("the system takes connections");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        stream
    };
    (0..count).map(connect).collect()
}

fn status(server: &Server) -> bool {
    run(Command::new(binary()).args(["status", "--admin", &server.admin])).0.success()
}

#[test]
fn clients_never_get_the_last_files() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let server = Server::start_with_files(dir.path(), 1024);
    let mut writer = server.connect(false);
    // More than have a place; the others wait.
    let admins = connect(&server.admin, 150);
    let clients = connect(&server.redis, 600);
    let (mut served, mut refused) = (0, 0);
    for mut client in &clients {
        client.write_all(b"PING\r\n").expect("it is connected");
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("an answer, and not silence");
        match &answer {
            b"+PONG" => served += 1,
            b"-ERR " => refused += 1,
            other => panic!("{:?}", String::from_utf8_lossy(other)),
        }
    }
    // Half of 1,024, with the writer.
    assert_eq!((served, refused), (511, 89));
    let info: String = redis::cmd("INFO").arg("clients").query(&mut writer).expect("an answer");
    assert!(info.contains("maxclients:512"), "{info}");
    // Enough for more segments of the log than were prepared.
    let value = vec![b'x'; 1 << 20];
    for number in 0..200 {
        let key = format!("key:{}", number % 20);
        redis::cmd("SET").arg(key).arg(&value).exec(&mut writer).expect("the stores have files left");
    }
    drop(admins);
    drop(clients);
    assert!(status(&server), "whoever asks how it is waits until there is a place, and no longer");
    server.connect(true);
}

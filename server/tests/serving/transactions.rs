//! MULTI, EXEC and WATCH, and values that expire, as clients see them.

use std::time::{Duration, Instant};

use super::support::{Client, Running};

#[test]
fn transactions() {
    let running = Running::start();
    let mut client = running.connect();
    let mut rival = running.connect();
    whole(&mut client);
    aborted(&mut client);
    watched(&mut client, &mut rival);
    in_one_go(&mut client);
}

/// Replies to commands that are all queued, and to EXEC.
fn queued(client: &mut Client, lines: &[&str], reply: &str) {
    client.send(b"MULTI\r\n");
    client.expect(b"+OK\r\n");
    for line in lines {
        client.send(format!("{line}\r\n").as_bytes());
        client.expect(b"+QUEUED\r\n");
    }
    client.send(b"EXEC\r\n");
    client.expect(reply.as_bytes());
}

fn whole(client: &mut Client) {
    queued(client, &[], "*0\r\n");
    queued(client, &["PING", "ECHO hi"], "*2\r\n+PONG\r\n$2\r\nhi\r\n");
    queued(
        client,
        &[
            "SET k 1",
            "INCR k",
            "GET k",
            "MSET k1 a k2 b",
            "MGET k k1 k9",
            "DEL k1 k2",
            "TTL k",
            "APPEND k x",
            "INCR k",
        ],
        "*9\r\n+OK\r\n:2\r\n$1\r\n2\r\n+OK\r\n*3\r\n$1\r\n2\r\n$1\r\na\r\n$-1\r\n:2\r\n:-1\r\n:2\r\n\
         -ERR value is not an integer or out of range\r\n",
    );
    queued(client, &["SET k 1 WHAT", "SET k 1"], "*2\r\n-ERR syntax error\r\n+OK\r\n");
    queued(client, &["KEYS *"], "*1\r\n-ERR this command cannot be part of a transaction\r\n");
    let elsewhere = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    queued(client, &["SET k 2", "SET key:000000099999 2"], elsewhere);
    client.says("GET k", "$1\r\n1\r\n");
}

fn aborted(client: &mut Client) {
    client.says("EXEC", "-ERR EXEC without MULTI\r\n");
    client.says("DISCARD", "-ERR DISCARD without MULTI\r\n");
    client.send(b"MULTI\r\nMULTI\r\nWATCH k\r\nSET k 5\r\nDISCARD\r\nGET k\r\n");
    client.expect(b"+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n");
    client.expect(b"+QUEUED\r\n+OK\r\n$1\r\n1\r\n");
    client.send(b"MULTI\r\nSET k 5\r\nNOSUCH\r\nSET k 6\r\nEXEC\r\nGET k\r\n");
    client.expect(
        b"+OK\r\n+QUEUED\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n+QUEUED\r\n",
    );
    client.expect(b"-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n");
    client.send(b"MULTI\r\nGET\r\nEXEC\r\n");
    client.expect(b"+OK\r\n-ERR wrong number of arguments for 'get' command\r\n");
    client.expect(b"-EXECABORT Transaction discarded because of previous errors.\r\n");
}

fn watched(client: &mut Client, rival: &mut Client) {
    client.says("WATCH k k9", "+OK\r\n");
    queued(client, &["SET k 2"], "*1\r\n+OK\r\n");
    for change in ["SET k 3", "DEL k", "SETNX k9 1", "EXPIRE k 1000", "DEL k9"] {
        client.says("SETNX k 2", if change == "SETNX k9 1" { ":1\r\n" } else { ":0\r\n" });
        client.says("WATCH k k9", "+OK\r\n");
        rival.send(format!("{change}\r\n").as_bytes());
        rival.expect(if change.starts_with("SET ") { b"+OK\r\n" } else { b":1\r\n" });
        queued(client, &["SET k lost"], "*-1\r\n");
        queued(client, &["STRLEN k"], if change == "DEL k" { "*1\r\n:0\r\n" } else { "*1\r\n:1\r\n" });
    }
    client.says("WATCH k", "+OK\r\n");
    rival.says("SET k 9", "+OK\r\n");
    client.says("UNWATCH", "+OK\r\n");
    queued(client, &["GET k"], "*1\r\n$1\r\n9\r\n");
    client.says("WATCH k", "+OK\r\n");
    rival.says("SET k 8", "+OK\r\n");
    queued(client, &["PING"], "*-1\r\n");
}

/// The watched key's look is still unknown when EXEC comes.
fn in_one_go(client: &mut Client) {
    client.send(b"SET g 1\r\nWATCH g\r\nMULTI\r\nINCR g\r\nEXEC\r\nGET g\r\n");
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n$1\r\n2\r\n");
    client.send(b"WATCH g\r\nINCR g\r\nMULTI\r\nINCR g\r\nEXEC\r\nGET g\r\n");
    client.expect(b"+OK\r\n:3\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n3\r\n");
}

/// Nobody writes to the region of the value, and still it goes away at its time: for whoever asks, and then out of memory.
#[test]
fn a_value_expires_in_a_region_that_is_idle() {
    let running = Running::start();
    let mut client = running.connect();
    client.says("MSET a 1 key:000000099999 2", "+OK\r\n");
    // Long enough for a machine that has much else to do.
    client.says("SET e v PX 4000", "+OK\r\n");
    let began = Instant::now();
    client.says("GET e", "$1\r\nv\r\n");
    client.says("DBSIZE", ":3\r\n");
    std::thread::sleep(Duration::from_millis(4010).saturating_sub(began.elapsed()));
    client.says("GET e", "$-1\r\n");
    client.says("DBSIZE", ":2\r\n");
    client.says("SETNX e again", ":1\r\n");
    client.says("TTL e", ":-1\r\n");
    client.says("KEYS ?", "*2\r\n$1\r\na\r\n$1\r\ne\r\n");

    // What nobody asks for is swept away: one entry to set it, one to sweep it. (What has expired when its entry is applied
    // is not kept at all.)
    let entries = || running.server.hosted().engines()[0].store_status().entries_appended;
    let (before, end) = (entries(), Instant::now() + Duration::from_secs(30));
    client.says("SET s v PX 500", "+OK\r\n");
    while entries() < before + 2 {
        assert!(Instant::now() < end, "no sweep was sent");
        std::thread::sleep(Duration::from_millis(50));
    }
}

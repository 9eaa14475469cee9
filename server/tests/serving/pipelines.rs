//! Deep pipelines, impatient clients and a server that stops: replies stay in order and nothing is forgotten.

use std::io::{BufRead, BufReader, Read};

use super::support::{Running, command};

#[test]
fn one_connections_commands_take_effect_in_order() {
    // Given a pipeline in which each command depends on those before it, in regions far apart
    let running = Running::start();
    let mut client = running.connect();
    let keys = ["aaa", "key:000000000001", "key:000000090000", "zzz"];
    let mut sent = Vec::new();
    let mut wanted = Vec::new();
    for round in 0..200 {
        for key in keys {
            sent.extend(
                format!("SET {key} {round}\r\nGET {key}\r\nINCR {key}\r\nAPPEND {key} 0\r\n").into_bytes(),
            );
            let (value, next) = (round.to_string(), round + 1);
            let length = next.to_string().len() + 1;
            wanted.extend(
                format!("+OK\r\n${}\r\n{value}\r\n:{next}\r\n:{length}\r\n", value.len()).into_bytes(),
            );
        }
        sent.extend(format!("MGET {}\r\n", keys.join(" ")).into_bytes());
        let value = format!("{}0", round + 1);
        let bulk = format!("${}\r\n{value}\r\n", value.len());
        wanted.extend(format!("*4\r\n{}", bulk.repeat(4)).into_bytes());
    }
    // When all of it is sent at once
    client.send(&sent);
    // Then each reply is what it would be if they had been sent one by one
    client.expect(&wanted);
}

#[test]
fn more_commands_than_may_be_under_way_are_all_answered() {
    let running = Running::start();
    let client = running.connect();
    let count = 20_000;
    let mut sender = client.0.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut sender, "INCR counter\r\n".repeat(count).as_bytes()).unwrap();
    });
    let mut lines = BufReader::new(client.0).lines();
    for number in 1..=count {
        assert_eq!(lines.next().unwrap().unwrap(), format!(":{number}"));
    }
    sending.join().unwrap();
}

#[test]
fn a_client_may_write_everything_before_it_reads() {
    let running = Running::start();
    let mut client = running.connect();
    let value = vec![b'v'; 1 << 20];
    client.send(&command(&[b"SET", b"k", &value]));
    client.expect(b"+OK\r\n");
    // 40 MiB of replies fit no socket's buffer.
    client.send("GET k\r\n".repeat(40).as_bytes());
    std::thread::sleep(std::time::Duration::from_millis(200));
    for _ in 0..40 {
        client.expect(b"$1048576\r\n");
        client.expect(&value);
        client.expect(b"\r\n");
    }
}

#[test]
fn a_client_that_ends_or_quits_gets_its_answers_first() {
    let running = Running::start();
    let mut client = running.connect();
    client.send(b"SET k 1\r\nINCR k\r\nGET k\r\nSET k unfini");
    client.ends();
    assert_eq!(client.rest(), "+OK\r\n:2\r\n$1\r\n2\r\n");

    let mut client = running.connect();
    client.send(b"INCR k\r\nQUIT\r\nINCR k\r\n");
    assert_eq!(client.rest(), ":3\r\n+OK\r\n");

    let mut client = running.connect();
    client.send(b"GET k\r\n*1\r\n$x\r\nGET k\r\n");
    assert_eq!(client.rest(), "$1\r\n3\r\n-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn what_was_sent_before_the_end_is_all_carried_out() {
    let running = Running::start();
    let mut client = running.connect();
    let count = 20_000;
    client.send("INCR n\r\n".repeat(count).as_bytes());
    client.ends();
    let wanted: String = (1..=count).map(|number| format!(":{number}\r\n")).collect();
    assert!(client.rest() == wanted, "commands were lost");
}

#[test]
fn many_keys_in_one_command_and_large_values_cost_bounded_memory() {
    let running = Running::start();
    let mut client = running.connect();
    let value = vec![b'v'; 8 << 20];
    client.send(&command(&[b"SET", b"big", &value]));
    client.expect(b"+OK\r\n");
    client.send(format!("EXISTS{}\r\n", " big".repeat(10_000)).as_bytes());
    client.expect(b":10000\r\n");
    client.send(format!("MGET{}\r\n", " big".repeat(100)).as_bytes());
    client.expect(b"-ERR the values have more than 67108864 bytes together: ask for fewer keys at once\r\n");
    client.says("DEL big", ":1\r\n");
}

#[test]
fn a_client_that_is_killed_is_gone() {
    let running = Running::start();
    let (mut one, mut other) = (running.connect(), running.connect());
    one.says("CLIENT ID", ":1\r\n");
    other.says("PING", "+PONG\r\n");
    other.says("CLIENT KILL ID 1", ":1\r\n");
    let mut rest = Vec::new();
    one.0.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    other.says("CLIENT KILL ID 1", ":0\r\n");
}

#[test]
fn a_server_that_stops_answers_what_it_has_taken() {
    let mut running = Running::start();
    let mut client = running.connect();
    client.says("SET k 0", "+OK\r\n");
    client.send("INCR k\r\n".repeat(100).as_bytes());
    client.expect(b":1\r\n");
    running.stop();
    let rest = client.rest();
    let answered = rest.lines().count();
    for (line, number) in rest.lines().zip(2..) {
        assert_eq!(line, format!(":{number}"));
    }
    // Commands that had arrived may have been left unread, but none was carried out and left unanswered.
    let value = running.server.hosted().engines()[0].get("k").wait().unwrap().unwrap();
    assert_eq!(value, (answered + 1).to_string());
}

//! A client that looks at every byte finds the answers that Redis gives.

use super::support::{Client, Running, command};

#[test]
fn every_command_answers_as_redis_does() {
    let running = Running::start();
    let mut client = running.connect();
    values(&mut client);
    numbers(&mut client);
    many_keys(&mut client);
    mistakes(&mut client);
    connection(&mut client);
    version_3(&mut client);
    sizes(&mut client);
    admin(&running);
}

fn values(client: &mut Client) {
    client.says("GET missing", "$-1\r\n");
    client.says("SET k \"a b\"", "+OK\r\n");
    client.says("GET k", "$3\r\na b\r\n");
    client.says("STRLEN k", ":3\r\n");
    client.says("STRLEN missing", ":0\r\n");
    client.says("APPEND k !", ":4\r\n");
    client.says("APPEND fresh xy", ":2\r\n");
    client.says("TYPE k", "+string\r\n");
    client.says("TYPE missing", "+none\r\n");
    client.says("SETNX k other", ":0\r\n");
    client.says("SETNX nx v", ":1\r\n");
    client.says("SET k other NX", "$-1\r\n");
    client.says("SET missing v XX", "$-1\r\n");
    client.says("SET k other XX GET", "$4\r\na b!\r\n");
    client.says("SET k more get nx", "$5\r\nother\r\n");
    client.says("GETSET k last", "$5\r\nother\r\n");
    client.says("GETDEL k", "$4\r\nlast\r\n");
    client.says("GETDEL k", "$-1\r\n");
    client.says("SET empty \"\"", "+OK\r\n");
    client.says("GET empty", "$0\r\n\r\n");
    client.says(
        "SET k v EX 10",
        "-ERR EX, PX, EXAT, PXAT and KEEPTTL are not supported yet; nothing was set\r\n",
    );
    client.says("GET k", "$-1\r\n");
}

fn numbers(client: &mut Client) {
    let overflow = "-ERR increment or decrement would overflow\r\n";
    let not_an_integer = "-ERR value is not an integer or out of range\r\n";
    client.says("INCR n", ":1\r\n");
    client.says("INCRBY n 41", ":42\r\n");
    client.says("DECR n", ":41\r\n");
    client.says("DECRBY n 51", ":-10\r\n");
    client.says("GET n", "$3\r\n-10\r\n");
    client.says("INCRBY n x", not_an_integer);
    client.says("INCRBY n 01", not_an_integer);
    client.says("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n");
    client.says("SET n 9223372036854775807", "+OK\r\n");
    client.says("INCR n", overflow);
    client.says("SET n text", "+OK\r\n");
    client.says("INCR n", not_an_integer);
}

fn many_keys(client: &mut Client) {
    // The keys lie in several regions; the last pair of a key that is named twice counts.
    let keys = "key:000000000001 1 key:000000050000 2 key:000000099999 3 zebra 4 key:000000000001 5";
    client.says(&format!("MSET {keys}"), "+OK\r\n");
    client.says(
        "MGET key:000000000001 missing key:000000099999 zebra",
        "*4\r\n$1\r\n5\r\n$-1\r\n$1\r\n3\r\n$1\r\n4\r\n",
    );
    client.says("EXISTS zebra zebra missing key:000000050000", ":3\r\n");
    client.says("DBSIZE", ":8\r\n");
    client.says("DEL zebra zebra missing key:000000050000", ":2\r\n");
    client.says("UNLINK key:000000000001", ":1\r\n");
    client.says("DBSIZE", ":5\r\n");
    client.says("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n");
}

fn mistakes(client: &mut Client) {
    client.says("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n");
    client.says("GET", "-ERR wrong number of arguments for 'get' command\r\n");
    client.says("set k", "-ERR wrong number of arguments for 'set' command\r\n");
    client.says("SET k v WHAT", "-ERR syntax error\r\n");
    client.says("SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n");
    client.says("COMMAND HELP", "-ERR unknown subcommand 'HELP'. COMMAND knows COUNT, DOCS, INFO, LIST.\r\n");
    let long = vec![b'k'; (64 << 10) + 1];
    client.send(&command(&[b"MSET", b"fine", b"1", b"also", b"1", b"key:000000099999", b"2", &long, b"2"]));
    client.expect(b"-ERR key exceeds maximum allowed size (65536 bytes)\r\n");
    client.says("EXISTS fine also", ":0\r\n");
    client.says("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n");
    client.says("SELECT 1", "-ERR DB index is out of range\r\n");
    client.says("SELECT x", "-ERR value is not an integer or out of range\r\n");
    client.says("AUTH default x", "+OK\r\n");
    client.says("AUTH bob x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    client.says("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    client.says("HELLO 3 WHAT", "-ERR Syntax error in HELLO option 'WHAT'\r\n");
}

fn connection(client: &mut Client) {
    client.says("PING", "+PONG\r\n");
    client.says("PING hi", "$2\r\nhi\r\n");
    client.says("SELECT 0", "+OK\r\n");
    client.says("CLIENT GETNAME", "$-1\r\n");
    client.says("CLIENT SETNAME bob", "+OK\r\n");
    client.says("CLIENT GETNAME", "$3\r\nbob\r\n");
    client.says(
        "CLIENT SETNAME \"b o b\"",
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    client.says("CLIENT SETINFO LIB-NAME tests", "+OK\r\n");
    client.says("CLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON", "+OK\r\n");
    client.says(
        "CONFIG GET save appendonly",
        "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$4\r\nsave\r\n$0\r\n\r\n",
    );
    client.says("COMMAND COUNT", ":30\r\n");
    client.says("INFO replication", "$48\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n");
}

fn version_3(client: &mut Client) {
    client.send(b"HELLO 3 SETNAME three\r\n");
    client.expect(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n");
    client.expect(b"$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n");
    client
        .expect(b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    client.says("GET missing", "_\r\n");
    client.says("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
    client.says("CLIENT GETNAME", "$5\r\nthree\r\n");
    client.says("RESET", "+RESET\r\n");
    client.says("GET missing", "$-1\r\n");
}

fn sizes(client: &mut Client) {
    let value = vec![b'v'; 8 << 20];
    client.send(&command(&[b"SET", b"big", &value]));
    client.expect(b"+OK\r\n");
    client.says("STRLEN big", ":8388608\r\n");
    client.says("APPEND big x", "-ERR string exceeds maximum allowed size (8388608 bytes)\r\n");
    client.send(&command(&[b"SET", b"big", &[&value[..], b"x"].concat()]));
    client.expect(b"-ERR string exceeds maximum allowed size (8388608 bytes)\r\n");
    client.send(&command(&[b"GET", &vec![b'k'; (64 << 10) + 1]]));
    client.expect(b"-ERR key exceeds maximum allowed size (65536 bytes)\r\n");
    client.says("DEL big", ":1\r\n");
}

fn admin(running: &Running) {
    let page = |path: &str| {
        let mut client = Client::to(running.admin);
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        client.rest()
    };
    assert!(page("/livez").starts_with("HTTP/1.0 200 OK"));
    assert!(page("/readyz").starts_with("HTTP/1.0 200 OK"));
    let status = page("/api/v1/status");
    let (_, body) = status.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(
        status["verdict"].as_str().unwrap().starts_with("healthy: 1 of 3 stores may be lost"),
        "{status}"
    );
    let numbers = ["stores", "regions", "leaders"].map(|name| status[name].as_u64().unwrap());
    assert_eq!(numbers, [3, 8, 8]);
}

//! A client that looks at every byte finds the answers that Redis gives.

use super::support::{Client, Running, command};

#[test]
fn every_command_answers_as_redis_does() {
    let running = Running::start();
    let mut client = running.connect();
    values(&mut client);
    numbers(&mut client);
    many_keys(&mut client);
    times(&mut client);
    parts(&mut client);
    moves(&mut client);
    walks(&mut client);
    about_the_server(&mut client);
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

fn times(client: &mut Client) {
    client.says("SET t v EX 100", "+OK\r\n");
    client.says("TTL t", ":100\r\n");
    client.says("SET t w KEEPTTL", "+OK\r\n");
    client.says("TTL t", ":100\r\n");
    client.says("SET t v", "+OK\r\n");
    client.says("PTTL t", ":-1\r\n");
    client.says("TTL missing", ":-2\r\n");
    client.says("EXPIREAT t 4000000000", ":1\r\n");
    client.says("EXPIRETIME t", ":4000000000\r\n");
    client.says("PEXPIRETIME t", ":4000000000000\r\n");
    client.says("PEXPIREAT t 4000000000001 LT", ":0\r\n");
    client.says("EXPIRE t 100 GT", ":0\r\n");
    client.says("EXPIRE t 100 NX", ":0\r\n");
    client.says(
        "EXPIRE t 100 NX XX",
        "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n",
    );
    client.says("GETEX t PERSIST", "$1\r\nv\r\n");
    client.says("PERSIST t", ":0\r\n");
    client.says("GETEX t EX 50", "$1\r\nv\r\n");
    client.says("PERSIST t", ":1\r\n");
    client.says("GETEX missing EX 0", "$-1\r\n");
    client.says("GETEX t EX 0", "-ERR invalid expire time in 'getex' command\r\n");
    client.says("SETEX t 0 v", "-ERR invalid expire time in 'setex' command\r\n");
    client.says("EXPIRE t 0", ":1\r\n");
    client.says("EXISTS t", ":0\r\n");
}

fn parts(client: &mut Client) {
    client.says("SETRANGE p 3 abc", ":6\r\n");
    client.says("GETRANGE p 0 -1", "$6\r\n\0\0\0abc\r\n");
    client.says("SUBSTR p -2 -1", "$2\r\nbc\r\n");
    client.says("GETRANGE missing 0 1", "$0\r\n\r\n");
    client.says("SETRANGE p -1 x", "-ERR offset is out of range\r\n");
    client.says("SETRANGE p 8388608 x", "-ERR string exceeds maximum allowed size (8388608 bytes)\r\n");
    client.says("SETRANGE p 9999999999 x", "-ERR string exceeds maximum allowed size (8388608 bytes)\r\n");
    client.says("SETRANGE missing 9999999999 \"\"", ":0\r\n");
    client.says("INCRBYFLOAT f 10.5", "$4\r\n10.5\r\n");
    client.says("INCRBYFLOAT f 0.1", "$4\r\n10.6\r\n");
    client.says("INCRBYFLOAT f x", "-ERR value is not a valid float\r\n");
    client.says("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity\r\n");
    client.says("KV.CAS f 10.6 11", ":1\r\n");
    client.says("KV.CAS f 10.6 12", ":0\r\n");
    client.says("KV.CAS missing \"\" 12", ":0\r\n");
    client.says("DEL p f", ":2\r\n");
}

fn moves(client: &mut Client) {
    let elsewhere = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    client.says("MSETNX m1 1 m2 2", ":1\r\n");
    client.says("MSETNX m3 3 m2 2", ":0\r\n");
    client.says("MSETNX m3 3 key:000000000001 3", elsewhere);
    client.says("EXISTS m3", ":0\r\n");
    client.says("RENAME m1 m3", "+OK\r\n");
    client.says("RENAME m1 m3", "-ERR no such key\r\n");
    client.says("RENAME m3 key:000000000001", elsewhere);
    client.says("RENAMENX m3 m2", ":0\r\n");
    client.says("RENAMENX m3 m4", ":1\r\n");
    client.says("COPY m4 m5", ":1\r\n");
    client.says("COPY m4 m2", ":0\r\n");
    client.says("COPY m4 m2 REPLACE", ":1\r\n");
    client.says("MGET m2 m4 m5", "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n");
    client.says("DEL m2 m4 m5", ":3\r\n");
}

fn walks(client: &mut Client) {
    client.says("FLUSHALL", "+OK\r\n");
    client.says("RANDOMKEY", "$-1\r\n");
    client.says("MSET w:1 1 w:2 2 key:000000000001 3 key:000000099999 4", "+OK\r\n");
    client.says("KEYS w:*", "*2\r\n$3\r\nw:1\r\n$3\r\nw:2\r\n");
    client.says("KEYS [kw]*1", "*2\r\n$16\r\nkey:000000000001\r\n$3\r\nw:1\r\n");
    client.says("SCAN 0 MATCH w:* COUNT 10", "*2\r\n$1\r\n0\r\n*2\r\n$3\r\nw:1\r\n$3\r\nw:2\r\n");
    client.says("SCAN 7", "-ERR invalid cursor\r\n");
    client.says("SCAN x", "-ERR invalid cursor\r\n");
    client.says("SCAN 0 COUNT 0", "-ERR syntax error\r\n");
    client.says("KV.RANGE w \"\" LIMIT 1", "*1\r\n*2\r\n$3\r\nw:1\r\n$1\r\n1\r\n");
    let backwards = "*4\r\n$3\r\nw:2\r\n$3\r\nw:1\r\n$16\r\nkey:000000099999\r\n$16\r\nkey:000000000001\r\n";
    client.says("KV.RANGE \"\" \"\" REV KEYSONLY", backwards);
    client.says("KV.RANGE w:1 w:2 REV", "*1\r\n*2\r\n$3\r\nw:1\r\n$1\r\n1\r\n");
    client.says("KV.RANGE \"\" w:2 REV LIMIT 2 KEYSONLY", "*2\r\n$3\r\nw:1\r\n$16\r\nkey:000000099999\r\n");
    client.says("KV.RANGE b a", "*0\r\n");
    client.says("FLUSHDB NOW", "-ERR syntax error\r\n");
    client.says("DBSIZE", ":4\r\n");
    // All of it in one go: what comes behind FLUSHALL is not deleted by it.
    client.says("SET w:3 3\r\nFLUSHALL\r\nSET w:4 4\r\nKEYS *", "+OK\r\n+OK\r\n+OK\r\n*1\r\n$3\r\nw:4\r\n");
    client.says("RANDOMKEY", "$3\r\nw:4\r\n");
    client.says("DEL w:4", ":1\r\n");
}

fn about_the_server(client: &mut Client) {
    client.says("CLUSTER INFO", "-ERR This instance has cluster support disabled\r\n");
    client.says("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    client.says("WAIT 1 0", ":1\r\n");
    client.says("SET o 12", "+OK\r\n");
    client.says("OBJECT ENCODING o", "$3\r\nint\r\n");
    client.says("MEMORY USAGE o", ":75\r\n");
    client.says("MEMORY USAGE missing", "$-1\r\n");
    client.says("COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    client.says("CONSISTENCY", "$12\r\nlinearizable\r\n");
    client.says("READONLY", "+OK\r\n");
    client.says("CONSISTENCY", "$5\r\nstale\r\n");
    client.says("CONSISTENCY linearizable", "+OK\r\n");
    client.says("CONSISTENCY eventual", "-ERR consistency is linearizable or stale\r\n");
    client.says("DEL o", ":1\r\n");
}

fn mistakes(client: &mut Client) {
    client.says("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n");
    client.says("GET", "-ERR wrong number of arguments for 'get' command\r\n");
    client.says("set k", "-ERR wrong number of arguments for 'set' command\r\n");
    client.says("SET k v WHAT", "-ERR syntax error\r\n");
    client.says("SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n");
    client.says(
        "COMMAND HELP",
        "-ERR unknown subcommand 'HELP'. COMMAND knows COUNT, DOCS, GETKEYS, INFO, LIST.\r\n",
    );
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
    client.says("COMMAND COUNT", ":71\r\n");
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

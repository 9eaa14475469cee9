//! A server with a password answers nobody who has not given it, in the words that clients of Redis know.

use super::support::{Client, Running};

const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

#[test]
fn nothing_is_done_before_the_password_is_given() {
    let running = Running::start_with_password("secret");
    let mut client = running.connect();
    answers(&mut client, "GET k", NOAUTH);
    answers(&mut client, "PING", NOAUTH);
    answers(&mut client, "CONFIG GET *", NOAUTH);
    answers(
        &mut client,
        "HELLO 3",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n",
    );
    answers(&mut client, "AUTH wrong", WRONG);
    answers(&mut client, "AUTH bob secret", WRONG);
    answers(&mut client, "HELLO 2 AUTH default wrong", WRONG);
    answers(&mut client, "GET k", NOAUTH);
    answers(&mut client, "AUTH secret", "+OK\r\n");
    answers(&mut client, "SET k v", "+OK\r\n");
    answers(&mut client, "CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$5\r\n(set)\r\n");
    answers(&mut client, "RESET", "+RESET\r\n");
    answers(&mut client, "GET k", NOAUTH);
    answers(&mut client, "AUTH default secret", "+OK\r\n");
    answers(&mut client, "GET k", "$1\r\nv\r\n");

    // Another connection has to give it, too.
    let mut other = running.connect();
    answers(&mut other, "GET k", NOAUTH);
    answers(&mut other, "NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
    answers(&mut other, "QUIT", "+OK\r\n");
}

#[track_caller]
fn answers(client: &mut Client, line: &str, reply: &str) {
    client.send(format!("{line}\r\n").as_bytes());
    client.expect(reply.as_bytes());
}

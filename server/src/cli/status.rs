//! `skep status`: asks a running server how it is.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;

use super::{Failure, say};
use crate::status::Status;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the answer may have, in bytes: a guard against something else that listens there.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How much of what something else says is shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The admin address of the server.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "HOST:PORT")]
    admin: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let admin = &args.admin;
    let answer = get(admin, "/api/v1/status").map_err(|error| {
        Failure::not_done(format!(
            "no server answers on {admin} ({error}): start one with `skep dev`, or name its admin address with --admin"
        ))
    })?;
    let page = body(&answer).map_err(|answer| {
        Failure::not_done(format!(
            "what answers on {admin} is not Skep's admin address (it says '{answer}'): name that with --admin; `skep \
             dev` prints it"
        ))
    })?;
    let status: Status = serde_json::from_slice(page).map_err(|error| {
        Failure::not_done(format!("what answers on {admin} is not a Skep server of this version: {error}"))
    })?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&status).map_err(|error| Failure::not_done(error.to_string()))?;
        say(&text);
    } else {
        say(status.to_text().trim_end());
    }
    Ok(())
}

/// Whatever answers, whole. By hand, because one question without redirects, TLS or reuse is a request line in
/// HTTP/1.0; a client library would be the largest dependency of this crate.
fn get(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let unknown = || io::Error::other("the address has no such host");
    let resolved = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The page in a good answer; else the first line, which says what is wrong.
fn body(answer: &[u8]) -> Result<&[u8], String> {
    let first_line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let is_ok = first_line.starts_with(b"HTTP/1.") && first_line.ends_with(b" 200 OK");
    let end_of_head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    match end_of_head {
        Some(at) if is_ok => Ok(&answer[at + 4..]),
        _ => Err(String::from_utf8_lossy(first_line).chars().take(SHOWN_CHARS_MAX).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\na: b\r\n\r\n{}").expect("a body"), b"{}");
        let error = body(b"HTTP/1.1 404 Not Found\r\n\r\n").expect_err("no body");
        assert_eq!(error, "HTTP/1.1 404 Not Found");
        assert!(body(b"-ERR unknown command\r\n").is_err());
        assert!(body(b"").is_err());
    }
}

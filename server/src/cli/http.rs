//! One question to the admin address of a server, over HTTP.
//!
//! By hand, because one question without redirects, TLS or reuse is a few lines in HTTP/1.0; a client library would be the
//! largest dependency of this crate.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::admin::Refusal;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the answer may have, in bytes: a guard against something else that listens there.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How much of what something else says is shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Asks for what stands at `path`.
pub(super) fn get<T: DeserializeOwned>(admin: &str, path: &str) -> Result<T, Failure> {
    understood(admin, &exchange(admin, &format!("GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n"))?)
}

/// Asks for something to be done.
pub(super) fn post<T: DeserializeOwned>(
    admin: &str,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Failure> {
    let body = serde_json::to_string(body).map_err(|error| Failure::not_done(error.to_string()))?;
    let head = format!("POST {path} HTTP/1.0\r\nHost: {admin}\r\nContent-Type: application/json\r\n");
    understood(admin, &exchange(admin, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))?)
}

/// Text for a place in a path.
pub(super) fn in_path(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b':' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}

/// Whatever answers, whole.
fn exchange(admin: &str, question: &str) -> Result<Vec<u8>, Failure> {
    talk(admin, question).map_err(|error| {
        Failure::not_done(format!(
            "no server answers on {admin} ({error}): start one with `skep dev`, or name its admin address with --admin"
        ))
    })
}

fn talk(address: &str, question: &str) -> io::Result<Vec<u8>> {
    let unknown = || io::Error::other("the address has no such host");
    let resolved = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn understood<T: DeserializeOwned>(admin: &str, answer: &[u8]) -> Result<T, Failure> {
    let page = body(answer).map_err(|wrong| match wrong {
        Wrong::Refused(error) => Failure::not_done(error),
        Wrong::Foreign(answer) => Failure::not_done(format!(
            "what answers on {admin} is not Skep's admin address (it says '{answer}'): name that with --admin; `skep \
             dev` prints it"
        )),
    })?;
    serde_json::from_slice(page).map_err(|error| {
        Failure::not_done(format!("what answers on {admin} is not a Skep server of this version: {error}"))
    })
}

/// An answer that is not a good one.
#[derive(PartialEq, Eq, Debug)]
enum Wrong {
    /// A server of ours says why.
    Refused(String),
    /// The first line, which says what is wrong.
    Foreign(String),
}

/// The page in a good answer.
fn body(answer: &[u8]) -> Result<&[u8], Wrong> {
    let first_line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let is_http = first_line.starts_with(b"HTTP/1.");
    let end_of_head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let page = end_of_head.filter(|_| is_http).map(|at| &answer[at + 4..]);
    match page {
        Some(page) if first_line.ends_with(b" 200 OK") => Ok(page),
        Some(page) if serde_json::from_slice::<Refusal>(page).is_ok() => Err(Wrong::Refused(
            serde_json::from_slice(page).map_or_else(|_| String::new(), |r: Refusal| r.error),
        )),
        Some(_) | None => {
            Err(Wrong::Foreign(String::from_utf8_lossy(first_line).chars().take(SHOWN_CHARS_MAX).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), Ok(&b"{}"[..]));
        let foreign = |answer: &str| Err(Wrong::Foreign(answer.into()));
        assert_eq!(body(b"HTTP/1.1 404 Not Found\r\n\r\n"), foreign("HTTP/1.1 404 Not Found"));
        let refused = body(b"HTTP/1.1 404 Not Found\r\n\r\n{\"error\": \"no such region\"}");
        assert_eq!(refused, Err(Wrong::Refused("no such region".into())));
        assert_eq!(body(b"-ERR unknown command\r\n"), foreign("-ERR unknown command"));
        assert_eq!(body(b""), foreign(""));
    }

    #[test]
    fn paths_hold_any_key() {
        assert_eq!(in_path(r"a/b\x00 %?"), "a%2Fb%5Cx00%20%25%3F");
    }
}

//! A connection to a server that speaks the Redis protocol, as the tools of the command line use it: blocking, and
//! interrupted now and then so that its owner can look at the clock.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::answers::{self, Answer};

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a write may be stuck before the connection counts as lost.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// How long one wait for an answer lasts; then the owner looks whether it is time to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Where the password for servers that want one is taken from: the variable that redis-cli takes it from, too, since a
/// command line is shown to everybody on the machine.
pub(super) const PASSWORD_VARIABLE: &str = "REDISCLI_AUTH";

/// See the page of this file.
pub(super) struct RedisConnection {
    stream: TcpStream,
    /// What came and was not given out, from `given` on.
    buffer: Vec<u8>,
    given: usize,
}

impl RedisConnection {
    /// Connects, and logs in if there is a password.
    pub(super) fn open(address: &str) -> io::Result<RedisConnection> {
        let unknown = || io::Error::other("the address has no such host");
        let resolved = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
        let stream = TcpStream::connect_timeout(&resolved, CONNECT_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        stream.set_write_timeout(Some(WRITE_MAX))?;
        let mut connection = RedisConnection { stream, buffer: Vec::new(), given: 0 };
        if let Some(password) = std::env::var_os(PASSWORD_VARIABLE) {
            connection.log_in(password.as_encoded_bytes())?;
        }
        Ok(connection)
    }

    fn log_in(&mut self, password: &[u8]) -> io::Result<()> {
        match self.ask(&[b"AUTH", password])? {
            Answer::Error(why) => {
                let text = format!("the password in {PASSWORD_VARIABLE} is not taken: {why}");
                Err(io::Error::new(ErrorKind::PermissionDenied, text))
            }
            Answer::Status(_) | Answer::Integer(_) | Answer::Value(_) | Answer::Array(_) => Ok(()),
        }
    }

    /// Sends commands that are laid out already.
    pub(super) fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        self.stream.write_all(commands)
    }

    /// The next answer; `None` if none came for a moment.
    pub(super) fn receive(&mut self) -> io::Result<Option<Answer>> {
        loop {
            let parsed = answers::parse(&self.buffer[self.given..]);
            let parsed = parsed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
            if let Some((answer, bytes)) = parsed {
                self.given += bytes;
                return Ok(Some(answer));
            }
            self.buffer.drain(..self.given);
            self.given = 0;
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Sends one command and waits for its answer, for as long as a stuck write may take.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Answer> {
        let mut command = Vec::new();
        lay_out(&mut command, words);
        self.send(&command)?;
        for _ in 0..WRITE_MAX.as_millis() / LOOK_EVERY.as_millis() {
            if let Some(answer) = self.receive()? {
                return Ok(answer);
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Reads once. False if nothing came.
    fn read(&mut self) -> io::Result<bool> {
        let filled = self.buffer.len();
        // A value that is on its way is read in pieces that grow with it, so that it is not looked at again and again.
        self.buffer.resize(filled + READ_BYTES.max(filled), 0);
        let read = self.stream.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(false),
                _ => Err(error),
            },
        }
    }
}

/// Lays a command out behind what is in `out`.
pub(super) fn lay_out(out: &mut Vec<u8>, words: &[&[u8]]) {
    let number = |out: &mut Vec<u8>, kind: u8, number: usize| {
        out.push(kind);
        // Writing to memory cannot fail.
        let _ = write!(out, "{number}\r\n");
    };
    number(out, b'*', words.len());
    for word in words {
        number(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_laid_out_as_servers_expect() {
        let mut out = b"before".to_vec();
        lay_out(&mut out, &[b"SET", b"", b"\r\n\0"]);
        assert_eq!(out, b"before*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n");
    }
}

//! One control packet, read from a socket in as many pieces as it comes in.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use super::socket::{is_interrupted, is_not_now};
use crate::codec::{self, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::wire::WireError;

/// Bytes of a packet that is not complete.
#[derive(Default)]
pub(super) struct Packet {
    bytes: Vec<u8>,
}

/// What reading came to.
#[derive(Debug)]
pub(super) enum Reading {
    /// A whole packet, and nothing after it.
    Whole(Vec<u8>),
    /// The rest has yet to come.
    Partial,
    /// The other side hung up.
    Closed,
    /// What came is no packet of ours.
    Garbage(WireError),
}

impl Packet {
    /// Reads what there is of one packet. More than that is garbage: nobody speaks before they are answered.
    pub(super) fn read(&mut self, stream: &mut TcpStream) -> Reading {
        let mut room = [0; HEADER_BYTES + PAYLOAD_BYTES_MAX + 1];
        loop {
            match stream.read(&mut room[self.bytes.len()..]) {
                Ok(0) => return Reading::Closed,
                Ok(bytes) => {
                    let at = self.bytes.len();
                    self.bytes.extend_from_slice(&room[at..at + bytes]);
                }
                Err(error) if is_not_now(&error) => return Reading::Partial,
                Err(error) if is_interrupted(&error) => continue,
                Err(_) => return Reading::Closed,
            }
            let Some(header) = self.bytes.first_chunk() else { continue };
            match codec::packet_length(header) {
                Err(error) => return Reading::Garbage(error),
                Ok(length) if self.bytes.len() > length => {
                    let bytes = self.bytes.len() - length;
                    return Reading::Garbage(WireError::Trailing { what: "a handshake", bytes });
                }
                Ok(length) if self.bytes.len() == length => {
                    return Reading::Whole(std::mem::take(&mut self.bytes));
                }
                Ok(_) => {}
            }
        }
    }
}

/// Writes a packet into a socket that has had nothing written to it, and so has room for all of it.
pub(super) fn write(stream: &mut TcpStream, packet: &[u8]) -> io::Result<()> {
    match stream.write(packet)? {
        written if written == packet.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

//! What is asked of every socket.

use std::io;

use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

use super::limits::TcpLimits;

/// Nothing is held back to be sent with what comes later, and a peer that is gone is noticed: by probes while
/// the connection is idle, by what stays unacknowledged while it is not.
pub(super) fn tune(stream: &TcpStream, limits: &TcpLimits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probe = limits.dead_after / 4;
    let keepalive = TcpKeepalive::new().with_time(probe * 2).with_interval(probe);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(limits.dead_after))?;
        socket.set_tcp_notsent_lowat(limits.unsent_bytes_max)?;
    }
    Ok(())
}

/// Whether an error only means: not now.
pub(super) fn is_not_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether an error only means: at once again.
pub(super) fn is_interrupted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// Whether an error is about one connection that waited to be accepted, and not about those behind it.
pub(super) fn is_given_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

//! One round of questions: who is behind each of the listed addresses?

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use skep_raftstore::codec::Introduction;
use skep_raftstore::transport::tcp;

use super::judge::Heard;

/// How long one may take to answer, once for connecting and once for the answer. Longer than any store that runs needs, short
/// enough that one that hangs does not hold up the others' cluster.
const PATIENCE: Duration = Duration::from_millis(300);

/// Asks all of them at once. An address with a name is looked up anew every time.
pub(super) fn ask_all(own: &Introduction, addresses: &[String]) -> Vec<Heard> {
    let ask = |address: &String| Heard { address: address.clone(), says: ask_one(own, address) };
    thread::scope(|scope| {
        let asking: Vec<_> = addresses.iter().map(|address| scope.spawn(move || ask(address))).collect();
        // One that panicked has said so already, and was not answered.
        asking.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn ask_one(own: &Introduction, address: &str) -> Result<Introduction, String> {
    tcp::ask(resolve(address)?, own, PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there".into(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it does not answer".into(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "it hung up".into(),
        _ => error.to_string(),
    })
}

/// Where a listed address is now.
pub(super) fn resolve(address: &str) -> Result<SocketAddr, String> {
    let mut resolved = address.to_socket_addrs().map_err(|error| error.to_string())?;
    resolved.next().ok_or_else(|| "it has no such host".into())
}

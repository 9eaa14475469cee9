//! The limits of the server, each with its unit, its reason, and what happens when it is reached.

use std::time::Duration;

/// Threads that serve connections and HTTP. They only move bytes and parse; the stores' own threads do the
/// work, and more than two of these take processors away from them. A connection is never tied to one of
/// them.
pub const RUNTIME_THREADS: usize = 2;

/// Connections at one time, where as many files may be open. Each costs a file descriptor and a few KiB. Beyond: one error, then
/// closed.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Open files that clients leave alone, or half of all that may be open if that is less: segments of logs, checkpoints, connections
/// between stores. Three stores in one process have about 60 at rest, and one more for every 64 MiB of log.
pub const FILES_KEPT: u64 = 2_048;

/// Connections to the admin address at one time. Beyond: they wait until one of the others is closed.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How long nothing may come from a connection to the admin address, while it waits for an answer as well: longer than an answer
/// takes, and than those pause who come again and again to look. Beyond: closed.
pub const ADMIN_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes of a line that is not a bulk (an inline command, a length). The same as in Redis; beyond: a protocol
/// error.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Arguments of a command that may be announced. The same as in Redis 6; beyond: a protocol error.
pub const ARGUMENTS_MAX: i64 = 1 << 20;

/// Bytes of one argument that may be announced. The same as in Redis; beyond: a protocol error.
pub const BULK_BYTES_ANNOUNCED_MAX: i64 = 512 << 20;

/// Bytes of one argument that are kept: the largest value there is. Beyond: read to its end without being
/// kept, and answered with an error.
pub const BULK_BYTES_MAX: usize = skep_engine::VALUE_BYTES_MAX;

/// Bytes of one command that are kept, so that a connection's memory is bounded before anything is known
/// about the command. Four times what one region takes in one batch. Beyond: like [`BULK_BYTES_MAX`].
pub const COMMAND_BYTES_MAX: usize = 64 << 20;

/// Commands of one connection that wait for their answer, and as many of the questions they are made of. Enough for the deepest pipeline to be carried by
/// one sync of the log; beyond, the connection is not read until some are answered.
pub const UNANSWERED_MAX: usize = 2_048;

/// Bytes of commands of one connection that wait for their answer: two of the largest values. Beyond: not
/// read.
pub const UNANSWERED_BYTES_MAX: usize = 16 << 20;

/// Bytes of replies that one connection has not yet taken. A client that writes a whole pipeline before it
/// reads anything depends on this room. Beyond: not read.
pub const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Bytes of values that one connection may have asked for and not passed on: those that lie here, and as many of those
/// that are under way as can be expected from the last ones. Eight of the largest, so that nobody waits for one at a
/// time. Beyond: the next is asked for later; a command whose values together are more is answered with an error.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Bytes of the commands that one connection has queued since MULTI, with 64 more for each of their words: what one
/// region takes at once. Beyond: an error, and EXEC does nothing.
pub const TRANSACTION_BYTES_MAX: usize = 16 << 20;

/// Keys that one connection watches. Each has a copy of up to 64 bytes of what it looked like. Beyond: an error.
pub const WATCHED_KEYS_MAX: usize = 10_000;

/// How long INFO waits for the number of keys. Whoever asks for it often watches the server, and wants to be told even
/// when regions cannot answer. Beyond: the number is left out.
pub const COUNT_KEYS_MAX: Duration = Duration::from_millis(200);

/// How long a client may leave replies lying beyond [`OUTPUT_BYTES_MAX`] without taking a byte; then it is
/// closed.
pub const OUTPUT_STALL_MAX: Duration = Duration::from_secs(60);

/// Bytes read from a connection at once. Smaller costs system calls under deep pipelines, larger costs memory
/// for each connection that is active.
pub const READ_BYTES: usize = 64 << 10;

/// Bytes of replies put together before they are written, unless one reply alone is larger.
pub const WRITE_BYTES: usize = 256 << 10;

/// How long a command waits before it is tried again when a store has no room for it: a few turns of a store.
pub const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// How long the connections may take to finish what they have when the process is asked to stop, beyond the
/// request timeout that bounds each of their commands.
pub const DRAIN_EXTRA: Duration = Duration::from_secs(1);

const _: () =
    assert!(ANSWER_BYTES_MAX >= 2 * skep_engine::VALUE_BYTES_MAX, "a value does not block the next one");
const _: () =
    assert!(COMMAND_BYTES_MAX >= skep_engine::COMMAND_BYTES_MAX, "what a region takes can be received");
const _: () =
    assert!(BULK_BYTES_ANNOUNCED_MAX as usize >= COMMAND_BYTES_MAX, "the protocol's limit is the outer one");

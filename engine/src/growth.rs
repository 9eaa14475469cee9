//! What a command may add to the data: decided for each kind, so that a full store knows what it may still take.

use crate::command_bytes::write_bytes;
use crate::{Command, Write};

/// Memory that a pair takes beside the bytes of its key and its value: its places in the nodes of the tree, which are two
/// thirds full, and what the allocator adds to strings that are not kept in place. Measured: `docs/decisions`.
pub(crate) const PAIR_BYTES: u64 = 128;

/// Characters of a number as it is written, at most.
const NUMBER_BYTES: usize = 40;

/// Bytes that a command may add to the data of a store; `None` if it adds nothing, however often it is repeated.
pub(crate) fn growth(command: &Command) -> Option<u64> {
    let pair = |key: &[u8], bytes: usize| PAIR_BYTES + (key.len() + bytes) as u64;
    match command {
        Command::Put { key, value, .. } | Command::Append { key, value } => Some(pair(key, value.len())),
        Command::SetPart { key, offset, value } => Some(pair(key, *offset as usize + value.len())),
        Command::Increment { key, .. } | Command::IncrementFloat { key, .. } => Some(pair(key, NUMBER_BYTES)),
        Command::Create { pairs } => Some(pairs.iter().map(|(key, value)| pair(key, value.len())).sum()),
        // How long the value is that gets a second key shows only when it has it.
        Command::Move { to, keep, .. } => keep.then(|| pair(to, 0)),
        Command::Batch { writes } => {
            let is_put = |write: &&Write| matches!(write, Write::Put { .. });
            let bytes: u64 =
                writes.iter().filter(is_put).map(|put| PAIR_BYTES + write_bytes(put) as u64).sum();
            (bytes > 0).then_some(bytes)
        }
        Command::Atomic { commands, .. } => {
            commands.iter().filter_map(growth).reduce(|bytes, more| bytes + more)
        }
        Command::Get { .. }
        | Command::Length { .. }
        | Command::Part { .. }
        | Command::Look { .. }
        | Command::Scan { .. }
        | Command::AnyKey { .. }
        | Command::ExpiryOf { .. }
        | Command::CountKeys { .. }
        | Command::CountExpiring { .. }
        | Command::Expire { .. }
        | Command::Sweep { .. }
        | Command::Clear { .. }
        | Command::Delete { .. } => None,
    }
}

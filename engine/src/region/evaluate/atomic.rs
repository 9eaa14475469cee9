//! Several commands with nothing in between, and the looks that say whether a key has changed.
//!
//! A look (little-endian): region u64, version of the region u64, then nothing more if there is no value; else when it
//! expires u64 (zero: never), length of the value u64, and the value, or if it is longer than 32 bytes its 128-bit
//! FNV-1a hash. Looks are compared in the log, so they never change.
//!
//! A value that was set to what it was before looks the same: what was read is still true, and that is all that a
//! transaction relies on.

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use super::{Scene, live, write};
use crate::Command;
use crate::descriptor::RegionDescriptor;
use crate::limits::ANSWERS_BYTES_MAX;
use crate::machine::{Held, KeyMachine};
use crate::reply_bytes::{self, Rejection};

/// Values up to so many bytes are in the look themselves.
const WHOLE_BYTES_MAX: usize = 32;

const FNV_OFFSET: u128 = 0x6c62272e07bb014262b821756295c58d;
const FNV_PRIME: u128 = 0x0000000001000000000000000000013b;

/// What is counted for each answer beside its bytes: its length.
const ANSWER_OVERHEAD_BYTES: usize = 4;

/// What a key looks like.
pub(super) fn look(region: &RegionDescriptor, held: Option<&Held>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * 8 + WHOLE_BYTES_MAX);
    out.extend_from_slice(&region.id.0.to_le_bytes());
    out.extend_from_slice(&region.epoch.version.to_le_bytes());
    let Some(Held { value, expires }) = held else { return out };
    out.extend_from_slice(&expires.unwrap_or(Stamp(0)).0.to_le_bytes());
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    if value.len() <= WHOLE_BYTES_MAX {
        out.extend_from_slice(value);
    } else {
        let hash =
            value.iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(FNV_PRIME));
        out.extend_from_slice(&hash.to_le_bytes());
    }
    out
}

/// Carries out `commands`, if the watched keys look as they did.
pub(super) fn atomic<M: KeyMachine>(
    data: &mut M,
    scene: Scene<'_>,
    watched: &[(&[u8], &[u8])],
    commands: Vec<Command<&[u8]>>,
) -> Result<Bytes, Fatal> {
    for (key, then) in watched {
        if look(scene.region, live(data, scene.now, key)?.as_ref()) != *then {
            return Ok(reply_bytes::refused());
        }
    }
    let mut bytes = 0;
    let mut replies = Vec::with_capacity(commands.len());
    for command in commands {
        let reply = write(data, scene, command)?;
        let fits = bytes + reply.len() <= ANSWERS_BYTES_MAX;
        let reply = if fits { reply } else { reply_bytes::rejected(Rejection::AnswerTooLarge) };
        bytes += ANSWER_OVERHEAD_BYTES + reply.len();
        replies.push(reply);
    }
    Ok(reply_bytes::several(&replies))
}

#[cfg(test)]
mod tests {
    use skep_raftstore::ids::{Epoch, RegionId};

    use super::*;

    #[test]
    fn golden_looks() {
        let region = RegionDescriptor {
            id: RegionId(1),
            start: Bytes::new(),
            end: None,
            epoch: Epoch { version: 2, membership: 9 },
            membership: Default::default(),
        };
        let at = b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0";
        assert_eq!(look(&region, None), at);
        let held = Held { value: (&b"v"[..]).into(), expires: Some(Stamp(3)) };
        let short = [&at[..], b"\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0v"].concat();
        assert_eq!(look(&region, Some(&held)), short);
        let held = Held { value: (&[b'a'; 33][..]).into(), expires: None };
        let long = look(&region, Some(&held));
        assert_eq!(long.len(), 16 + 16 + 16);
        assert_eq!(long[16..32], *b"\0\0\0\0\0\0\0\0\x21\0\0\0\0\0\0\0");
        let other = Held { value: (&[&[b'a'; 32][..], b"b"].concat()[..]).into(), expires: None };
        assert_ne!(look(&region, Some(&other)), long);
    }
}

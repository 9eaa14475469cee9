//! A membership as bytes: in an entry, and wherever else one is written down.
//!
//! Little-endian: number u64; then voters, outgoing voters and learners, each a count u32 and as many ids u64, growing.

use bytes::BufMut;

use super::membership::Membership;
use super::types::ReplicaId;

/// Why bytes are no membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMembership {
    /// They end too early.
    Cut,
    /// A list does not grow: what counts majorities relies on it.
    Unsorted,
}

/// How many bytes [`encode`] writes.
pub fn encoded_bytes(membership: &Membership) -> usize {
    let Membership { voters, outgoing, learners, .. } = membership;
    8 + 3 * 4 + 8 * (voters.len() + outgoing.len() + learners.len())
}

/// Appends `membership` to `out`.
pub fn encode(membership: &Membership, out: &mut impl BufMut) {
    let Membership { number, voters, outgoing, learners } = membership;
    out.put_u64_le(*number);
    for list in [voters, outgoing, learners] {
        out.put_u32_le(list.len() as u32);
        list.iter().for_each(|replica| out.put_u64_le(replica.0));
    }
}

/// Reads a membership from the front of `bytes`, and says how many bytes it took.
pub fn decode(bytes: &[u8]) -> Result<(Membership, usize), BadMembership> {
    let mut rest = bytes;
    let membership = Membership {
        number: u64::from_le_bytes(take(&mut rest)?),
        voters: list(&mut rest)?,
        outgoing: list(&mut rest)?,
        learners: list(&mut rest)?,
    };
    Ok((membership, bytes.len() - rest.len()))
}

fn list(rest: &mut &[u8]) -> Result<Vec<ReplicaId>, BadMembership> {
    let count = u32::from_le_bytes(take(rest)?) as usize;
    let bytes = count.checked_mul(8).filter(|bytes| *bytes <= rest.len()).ok_or(BadMembership::Cut)?;
    let (ids, after) = rest.split_at(bytes);
    *rest = after;
    let ids: Vec<ReplicaId> =
        ids.as_chunks::<8>().0.iter().map(|id| ReplicaId(u64::from_le_bytes(*id))).collect();
    if ids.is_sorted_by(|a, b| a < b) { Ok(ids) } else { Err(BadMembership::Unsorted) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadMembership> {
    let (found, after) = rest.split_first_chunk::<N>().ok_or(BadMembership::Cut)?;
    *rest = after;
    Ok(*found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Membership {
        let ids = |ids: &[u64]| ids.iter().copied().map(ReplicaId).collect();
        Membership { number: 0x0102, voters: ids(&[1, 2]), outgoing: ids(&[]), learners: ids(&[3]) }
    }

    #[test]
    fn golden_bytes() {
        let golden = b"\x02\x01\0\0\0\0\0\0\
            \x02\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\
            \0\0\0\0\
            \x01\0\0\0\x03\0\0\0\0\0\0\0";
        let mut out = Vec::new();
        encode(&example(), &mut out);
        assert_eq!(out, golden);
        assert_eq!(out.len(), encoded_bytes(&example()));
        out.extend_from_slice(b"rest");
        assert_eq!(decode(&out), Ok((example(), golden.len())));
        for cut in 0..golden.len() {
            assert_eq!(decode(&golden[..cut]), Err(BadMembership::Cut), "{cut} bytes");
        }
    }

    #[test]
    fn what_is_unsorted_or_absurdly_long_is_refused() {
        let mut out = Vec::new();
        encode(&Membership { voters: vec![ReplicaId(2), ReplicaId(2)], ..example() }, &mut out);
        assert_eq!(decode(&out), Err(BadMembership::Unsorted));
        assert_eq!(decode(&[0xff; 64]), Err(BadMembership::Cut));
    }
}

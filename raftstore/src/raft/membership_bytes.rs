//! A membership as bytes: in an entry, and wherever else one is written down.
//!
//! Little-endian: number u64; then voters, outgoing voters and learners, each a count u32 and as many ids u64, growing. If the
//! highest bit of the voters' count is set, the witnesses are a fourth list, not empty, of some who stand in the others.
//! Who does not know of witnesses takes that bit for an absurd count, and refuses.

use bytes::BufMut;

use super::membership::Membership;
use super::types::ReplicaId;

/// In the count of voters: the witnesses follow.
const HAS_WITNESSES: u32 = 1 << 31;

/// Why bytes are no membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMembership {
    /// They end too early.
    Cut,
    /// A list does not grow: what counts majorities relies on it.
    Unsorted,
    /// The witnesses are announced and missing, or take no part.
    Witnesses,
}

/// How many bytes [`encode`] writes.
pub fn encoded_bytes(membership: &Membership) -> usize {
    let Membership { voters, outgoing, learners, witnesses, .. } = membership;
    let of_witnesses = if witnesses.is_empty() { 0 } else { 4 + 8 * witnesses.len() };
    8 + 3 * 4 + 8 * (voters.len() + outgoing.len() + learners.len()) + of_witnesses
}

/// Appends `membership` to `out`.
pub fn encode(membership: &Membership, out: &mut impl BufMut) {
    let Membership { number, voters, outgoing, learners, witnesses } = membership;
    out.put_u64_le(*number);
    let flag = if witnesses.is_empty() { 0 } else { HAS_WITNESSES };
    put_list(voters, flag, out);
    put_list(outgoing, 0, out);
    put_list(learners, 0, out);
    if !witnesses.is_empty() {
        put_list(witnesses, 0, out);
    }
}

fn put_list(list: &[ReplicaId], flag: u32, out: &mut impl BufMut) {
    out.put_u32_le(list.len() as u32 | flag);
    list.iter().for_each(|replica| out.put_u64_le(replica.0));
}

/// Reads a membership from the front of `bytes`, and says how many bytes it took.
pub fn decode(bytes: &[u8]) -> Result<(Membership, usize), BadMembership> {
    let mut rest = bytes;
    let number = u64::from_le_bytes(take(&mut rest)?);
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut membership = Membership {
        number,
        voters: list(count & !HAS_WITNESSES, &mut rest)?,
        outgoing: counted_list(&mut rest)?,
        learners: counted_list(&mut rest)?,
        witnesses: Vec::new(),
    };
    if count & HAS_WITNESSES != 0 {
        membership.witnesses = counted_list(&mut rest)?;
        let take_part = membership.witnesses.iter().all(|witness| membership.contains(*witness));
        if membership.witnesses.is_empty() || !take_part {
            return Err(BadMembership::Witnesses);
        }
    }
    Ok((membership, bytes.len() - rest.len()))
}

fn counted_list(rest: &mut &[u8]) -> Result<Vec<ReplicaId>, BadMembership> {
    let count = u32::from_le_bytes(take(rest)?);
    list(count, rest)
}

fn list(count: u32, rest: &mut &[u8]) -> Result<Vec<ReplicaId>, BadMembership> {
    let count = count as usize;
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
        let (voters, outgoing, learners) = (ids(&[1, 2]), ids(&[]), ids(&[3]));
        Membership { number: 0x0102, voters, outgoing, learners, witnesses: Vec::new() }
    }

    fn check(membership: &Membership, golden: &[u8]) {
        let mut out = Vec::new();
        encode(membership, &mut out);
        assert_eq!(out, golden);
        assert_eq!(out.len(), encoded_bytes(membership));
        out.extend_from_slice(b"rest");
        assert_eq!(decode(&out), Ok((membership.clone(), golden.len())));
        for cut in 0..golden.len() {
            assert_eq!(decode(&golden[..cut]), Err(BadMembership::Cut), "{cut} bytes");
        }
    }

    #[test]
    fn golden_bytes() {
        let golden = b"\x02\x01\0\0\0\0\0\0\
            \x02\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\
            \0\0\0\0\
            \x01\0\0\0\x03\0\0\0\0\0\0\0";
        check(&example(), golden);
    }

    #[test]
    fn golden_bytes_with_witnesses() {
        let golden = b"\x02\x01\0\0\0\0\0\0\
            \x02\0\0\x80\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\
            \0\0\0\0\
            \x01\0\0\0\x03\0\0\0\0\0\0\0\
            \x01\0\0\0\x02\0\0\0\0\0\0\0";
        check(&Membership { witnesses: vec![ReplicaId(2)], ..example() }, golden);
    }

    #[test]
    fn witnesses_that_are_none_are_refused() {
        let mut out = Vec::new();
        encode(&Membership { witnesses: vec![ReplicaId(4)], ..example() }, &mut out);
        assert_eq!(decode(&out), Err(BadMembership::Witnesses), "a stranger");
        out.truncate(out.len() - 12);
        out.extend_from_slice(&[0; 4]);
        assert_eq!(decode(&out), Err(BadMembership::Witnesses), "nobody");
    }

    #[test]
    fn what_is_unsorted_or_absurdly_long_is_refused() {
        let mut out = Vec::new();
        encode(&Membership { voters: vec![ReplicaId(2), ReplicaId(2)], ..example() }, &mut out);
        assert_eq!(decode(&out), Err(BadMembership::Unsorted));
        assert_eq!(decode(&[0xff; 64]), Err(BadMembership::Cut));
    }
}

//! Draws the names of clusters and stores, and seeds, from the operating system.

use skep_raftstore::ids::{ClusterId, StoreId};

use crate::Error;

/// A name that no other cluster has.
pub(crate) fn cluster_id() -> Result<ClusterId, Error> {
    Ok(ClusterId(u64::from_le_bytes(bytes()?)))
}

/// A name that no store in `taken` has. Never zero.
pub(crate) fn store_id(taken: &[StoreId]) -> Result<StoreId, Error> {
    loop {
        let drawn = StoreId(u32::from_le_bytes(bytes()?));
        if drawn.0 != 0 && !taken.contains(&drawn) {
            return Ok(drawn);
        }
    }
}

/// What tells a store from all others, should an id ever be drawn twice.
pub(crate) fn uuid() -> Result<[u8; 16], Error> {
    bytes()
}

/// A seed.
pub(crate) fn seed() -> Result<u64, Error> {
    Ok(u64::from_le_bytes(bytes()?))
}

fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Open(format!("the operating system gives no random bytes: {error}")))?;
    Ok(bytes)
}

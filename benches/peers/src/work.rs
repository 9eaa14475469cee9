//! The work that all logs do: batches about 64 of 10,000 regions, entries of 128 bytes that nothing can compress.

pub(crate) const REGIONS: u64 = 10_000;
pub(crate) const REGIONS_PER_BATCH: u64 = 64;
pub(crate) const PAYLOAD_BYTES: usize = 128;

/// How often each measurement is repeated, alternating between the peers.
pub(crate) const ROUNDS: usize = 9;

/// So many batches, each with so many entries for each of its regions.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) entries_per_region: u64,
    pub(crate) batches: u64,
    pub(crate) is_synced: bool,
}

impl Work {
    pub(crate) fn entries(&self) -> u64 {
        self.batches * REGIONS_PER_BATCH * self.entries_per_region
    }

    /// More than any peer takes for it, on disk.
    pub(crate) fn bytes_max(&self) -> u64 {
        let batch = REGIONS_PER_BATCH * (self.entries_per_region * (PAYLOAD_BYTES as u64 + 48) + 128) + 8192;
        self.batches * batch
    }
}

/// Random bytes, made once: payloads are slices of them.
pub(crate) struct Payloads(Vec<u8>);

impl Payloads {
    pub(crate) fn new() -> Payloads {
        let (mut state, mut bytes) = (7u64, Vec::with_capacity(1 << 20));
        while bytes.len() < 1 << 20 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        Payloads(bytes)
    }

    pub(crate) fn of(&self, region: u64, index: u64) -> &[u8] {
        let at = (region.wrapping_mul(97).wrapping_add(index) as usize * PAYLOAD_BYTES) % self.0.len();
        &self.0[at..at + PAYLOAD_BYTES]
    }
}

/// The regions of a batch, and the first index that each writes.
pub(crate) fn regions(batch: u64, entries_per_region: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..REGIONS_PER_BATCH).map(move |n| {
        let turn = batch * REGIONS_PER_BATCH + n;
        (turn % REGIONS, turn / REGIONS * entries_per_region + 1)
    })
}

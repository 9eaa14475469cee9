//! Memory for the bytes of a whole segment. Large ones come in huge pages where the system has them: touching 64 MiB for
//! the first time page by page takes longer than reading it from the page cache.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

/// The length of a huge page, and what is too small for them.
const HUGE_BYTES: usize = 2 << 20;

/// Bytes of a known length, zeroed when they are new.
pub(crate) struct Buffer {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    Plain(Vec<u8>),
    Huge(MmapMut),
}

impl Buffer {
    pub(crate) fn new(bytes: usize) -> Buffer {
        let huge = (bytes >= HUGE_BYTES).then(|| MmapMut::map_anon(bytes.next_multiple_of(HUGE_BYTES)));
        let memory = match huge {
            Some(Ok(map)) => {
                // Advice that is not taken costs time and nothing else.
                let _ = map.advise(Advice::HugePage);
                Memory::Huge(map)
            }
            _ => Memory::Plain(vec![0; bytes]),
        };
        Buffer { memory, bytes }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Plain(plain) => &plain[..self.bytes],
            Memory::Huge(map) => &map[..self.bytes],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Plain(plain) => &mut plain[..self.bytes],
            Memory::Huge(map) => &mut map[..self.bytes],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Large and small, it is as long as asked for, and blank.
    #[test]
    fn as_long_as_asked_for() {
        for length in [0, 1, 4096, HUGE_BYTES - 1, HUGE_BYTES, 3 * HUGE_BYTES + 5] {
            let mut buffer = Buffer::new(length);
            assert!(buffer.len() == length && buffer.iter().all(|byte| *byte == 0));
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }
}

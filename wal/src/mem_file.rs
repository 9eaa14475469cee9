//! A file in memory with two faces: what the page cache shows, and what the medium holds.

use std::collections::BTreeMap;

/// What a disk writes as one: a sector is old or new, never a mixture.
pub const SECTOR_BYTES: usize = 512;

pub(crate) const PAGE: usize = 4096;
const BLANK: [u8; PAGE] = [0; PAGE];

#[derive(Default)]
pub(crate) struct File {
    pub(crate) length: u64,
    durable_length: u64,
    pages: BTreeMap<u64, Page>,
}

/// Four kilobytes. Without a second face the medium holds what the cache shows.
struct Page {
    cache: Box<[u8; PAGE]>,
    medium: Option<Box<[u8; PAGE]>>,
    /// A bit for each sector that was written since the last sync.
    dirty: u8,
}

impl File {
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (number, start) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let piece = &bytes[done..(done + PAGE - start).min(bytes.len())];
            // Zeros on a page that was never written change nothing.
            if self.pages.contains_key(&number) || piece.iter().any(|byte| *byte != 0) {
                self.pages.entry(number).or_insert_with(Page::blank).write(start, piece);
            }
            done += piece.len();
        }
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8], direct: bool) -> usize {
        let length = self.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let (number, start) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let count = (PAGE - start).min(length - done);
            let page = self.pages.get(&number).map_or(BLANK, |page| page.face(direct));
            buffer[done..done + count].copy_from_slice(&page[start..start + count]);
            done += count;
        }
        length
    }

    pub(crate) fn sync(&mut self, dropped: bool) {
        if !dropped {
            self.durable_length = self.length;
        }
        for page in self.pages.values_mut().filter(|page| page.dirty != 0) {
            // A dropped page stays different from the medium, and is not dirty: nothing will ever write it.
            if !dropped {
                page.bring_down(page.dirty);
            }
            page.dirty = 0;
        }
    }

    /// Shortens the file.
    pub(crate) fn cut(&mut self, bytes: u64) {
        if bytes >= self.length {
            return;
        }
        self.length = bytes;
        let kept = bytes.div_ceil(PAGE as u64);
        self.pages.retain(|number, _| *number < kept);
        let within = (bytes % PAGE as u64) as usize;
        if let Some(page) = self.pages.get_mut(&(bytes / PAGE as u64)).filter(|_| within > 0) {
            page.write(within, &BLANK[within..]);
        }
    }

    /// Changes one bit on both faces, if there is such a byte that was ever written.
    pub(crate) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        let Some(page) = self.pages.get_mut(&(offset / PAGE as u64)) else { return false };
        let at = (offset % PAGE as u64) as usize;
        page.cache[at] ^= 1 << (bit % 8);
        if let Some(medium) = &mut page.medium {
            medium[at] ^= 1 << (bit % 8);
        }
        true
    }

    /// The power went: each dirty sector reached the medium, or did not.
    pub(crate) fn crash(&mut self, chance: &mut Chance) {
        if self.length != self.durable_length && chance.coin() {
            self.durable_length = self.length;
        }
        self.length = self.durable_length;
        for page in self.pages.values_mut() {
            if page.dirty != 0 {
                page.bring_down(page.dirty & chance.next() as u8);
            }
            page.dirty = 0;
            if let Some(medium) = page.medium.take() {
                page.cache = medium;
            }
        }
        let end = self.length.div_ceil(PAGE as u64);
        self.pages.retain(|number, page| *number < end && *page.cache != BLANK);
    }
}

impl Page {
    fn blank() -> Page {
        Page { cache: Box::new(BLANK), medium: None, dirty: 0 }
    }

    fn write(&mut self, start: usize, bytes: &[u8]) {
        if self.medium.is_none() {
            self.medium = Some(self.cache.clone());
        }
        self.cache[start..start + bytes.len()].copy_from_slice(bytes);
        for sector in start / SECTOR_BYTES..(start + bytes.len()).div_ceil(SECTOR_BYTES) {
            self.dirty |= 1 << sector;
        }
    }

    /// What is read: by the cache, or past it (which writes dirty sectors out first, as Linux does).
    fn face(&self, direct: bool) -> [u8; PAGE] {
        let mut face = *self.cache;
        if let Some(medium) = self.medium.as_ref().filter(|_| direct) {
            for sector in (0..PAGE / SECTOR_BYTES).filter(|sector| self.dirty & (1 << sector) == 0) {
                let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                face[range.clone()].copy_from_slice(&medium[range]);
            }
        }
        face
    }

    /// Some dirty sectors reach the medium.
    fn bring_down(&mut self, sectors: u8) {
        let Some(medium) = &mut self.medium else { return };
        for sector in (0..PAGE / SECTOR_BYTES).filter(|sector| sectors & (1 << sector) != 0) {
            let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            medium[range.clone()].copy_from_slice(&self.cache[range]);
        }
        if medium == &self.cache {
            self.medium = None;
        }
    }
}

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.next() & (1 << 40) != 0
    }
}

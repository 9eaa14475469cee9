//! A file in memory with two faces: what the page cache shows, and what the medium may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a disk writes as one: a sector is old or new, never a mixture.
pub const SECTOR_BYTES: usize = 512;

pub(crate) const PAGE: usize = 4096;
const BLANK: [u8; PAGE] = [0; PAGE];

/// Answers, of so many possible outcomes, which one it was: the power went, and something has to be decided.
pub(crate) type Choose<'a> = &'a mut dyn FnMut(u64) -> u64;

#[derive(Clone, Default)]
pub(crate) struct File {
    pub(crate) length: u64,
    durable_length: u64,
    pages: BTreeMap<u64, Page>,
    /// Sectors that cannot be read.
    pub(crate) bad: BTreeSet<u64>,
}

/// Four kilobytes, shared between copies of a disk until one of them writes.
#[derive(Clone)]
struct Page {
    cache: Arc<[u8; PAGE]>,
    /// What is certainly on the medium; `None` if that is what the cache shows.
    medium: Option<Arc<[u8; PAGE]>>,
    /// A bit for each sector that was written since the last sync.
    dirty: u8,
    /// What dirty sectors held after their first write since the last sync and before their last: the system may
    /// have written any of it.
    between: Vec<(usize, Arc<[u8; SECTOR_BYTES]>)>,
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
            let out = &mut buffer[done..done + count];
            match self.pages.get(&number) {
                Some(page) => page.read(start, out, direct),
                None => out.fill(0),
            }
            done += count;
        }
        length
    }

    /// What is certainly on the medium.
    pub(crate) fn read_medium(&self, offset: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = self.durable_length.min(offset + buffer.len() as u64).max(offset);
        for (number, page) in self.pages.range(offset / PAGE as u64..end.div_ceil(PAGE as u64)) {
            let start = number * PAGE as u64;
            let (from, to) = (start.max(offset), (start + PAGE as u64).min(end));
            let bytes = page.medium.as_ref().unwrap_or(&page.cache);
            buffer[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
    }

    /// All dirty sectors reach the medium.
    pub(crate) fn sync(&mut self) {
        self.durable_length = self.length;
        self.pages.values_mut().for_each(|page| page.clean(&mut |_| 1));
    }

    /// A sync fails: each dirty sector reached the medium (1) or did not (0), and is clean, so that nothing will ever
    /// write it.
    pub(crate) fn drop_dirty(&mut self, choose: Choose<'_>) {
        self.pages.values_mut().for_each(|page| page.clean(choose));
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
        Arc::make_mut(&mut page.cache)[at] ^= 1 << (bit % 8);
        if let Some(medium) = &mut page.medium {
            Arc::make_mut(medium)[at] ^= 1 << (bit % 8);
        }
        true
    }

    /// The power went: each dirty sector holds one of its versions, each on its own.
    pub(crate) fn crash(&mut self, choose: Choose<'_>) {
        if self.length != self.durable_length && choose(2) == 1 {
            self.durable_length = self.length;
        }
        self.length = self.durable_length;
        self.pages.values_mut().for_each(|page| page.crash(choose));
        let end = self.length.div_ceil(PAGE as u64);
        self.pages.retain(|number, page| *number < end && *page.cache != BLANK);
    }

    /// How many sectors a crash would have to decide about.
    pub(crate) fn dirty_sectors(&self) -> u64 {
        self.pages.values().map(|page| u64::from(page.dirty.count_ones())).sum()
    }
}

impl Page {
    fn blank() -> Page {
        Page { cache: Arc::new(BLANK), medium: None, dirty: 0, between: Vec::new() }
    }

    fn write(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        let medium = self.medium.get_or_insert_with(|| Arc::clone(&self.cache));
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let range = range_of(sector);
            let written = range.start.max(start)..range.end.min(end);
            let is_news = self.cache[written.clone()] != bytes[written.start - start..written.end - start];
            if !is_news && medium[range.clone()] == self.cache[range] {
                continue; // The same again: whatever survives, it is this.
            }
            if self.dirty & (1 << sector) != 0 {
                let mut version = [0; SECTOR_BYTES];
                version.copy_from_slice(&self.cache[range_of(sector)]);
                self.between.push((sector, Arc::new(version)));
            }
            self.dirty |= 1 << sector;
        }
        Arc::make_mut(&mut self.cache)[start..end].copy_from_slice(bytes);
    }

    /// What is read: by the cache, or past it (which writes dirty sectors out first, as Linux does).
    fn read(&self, start: usize, out: &mut [u8], direct: bool) {
        let end = start + out.len();
        out.copy_from_slice(&self.cache[start..end]);
        let Some(medium) = self.medium.as_ref().filter(|_| direct) else { return };
        for sector in (0..PAGE / SECTOR_BYTES).filter(|sector| self.dirty & (1 << sector) == 0) {
            let range = range_of(sector);
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                out[from - start..to - start].copy_from_slice(&medium[from..to]);
            }
        }
    }

    /// Dirty sectors for which 1 is chosen reach the medium as the cache shows them; none is dirty afterwards.
    fn clean(&mut self, choose: Choose<'_>) {
        for sector in (0..PAGE / SECTOR_BYTES).filter(|sector| self.dirty & (1 << sector) != 0) {
            if choose(2) == 1
                && let Some(medium) = &mut self.medium
            {
                Arc::make_mut(medium)[range_of(sector)].copy_from_slice(&self.cache[range_of(sector)]);
            }
        }
        self.dirty = 0;
        self.between.clear();
        if self.medium.as_ref() == Some(&self.cache) {
            self.medium = None;
        }
    }

    fn crash(&mut self, choose: Choose<'_>) {
        for sector in (0..PAGE / SECTOR_BYTES).filter(|sector| self.dirty & (1 << sector) != 0) {
            let between: Vec<_> = self.between.iter().filter(|(other, _)| *other == sector).collect();
            let chosen = choose(between.len() as u64 + 2);
            let version = match chosen.checked_sub(1) {
                None => continue,
                Some(n) => between.get(n as usize).map_or(&self.cache[range_of(sector)], |(_, old)| &old[..]),
            };
            if let Some(medium) = &mut self.medium {
                Arc::make_mut(medium)[range_of(sector)].copy_from_slice(version);
            }
        }
        self.dirty = 0;
        self.between.clear();
        if let Some(medium) = self.medium.take() {
            self.cache = medium;
        }
    }
}

fn range_of(sector: usize) -> std::ops::Range<usize> {
    sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES
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

    /// One of so many outcomes.
    pub(crate) fn of(&mut self, outcomes: u64) -> u64 {
        (self.next() >> 32) % outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sectors(file: &File) -> (u8, u8) {
        let mut bytes = [0; 1024];
        file.read(0, &mut bytes, false);
        (bytes[0], bytes[512])
    }

    fn written() -> File {
        let mut file = File { length: 4096, durable_length: 4096, ..File::default() };
        file.write(0, &[1; 1024]);
        file.sync();
        file.write(0, &[2; 1024]);
        file.write(0, &[3; 512]);
        file
    }

    /// Two sectors, one written once since the last sync and one twice: a crash leaves any of the six images, and
    /// after a sync none but the last.
    #[test]
    fn every_version_of_every_sector_may_survive() {
        let mut seen = BTreeSet::new();
        for (first, second) in (0..3).flat_map(|first| (0..2).map(move |second| (first, second))) {
            let mut choices = vec![second, first];
            let mut file = written();
            file.crash(&mut |_| choices.pop().unwrap());
            seen.insert(sectors(&file));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]);
        let mut file = written();
        file.sync();
        file.crash(&mut |_| panic!("nothing is open"));
        assert_eq!(sectors(&file), (3, 2));
    }

    /// After a failed sync the cache shows what the medium never got, direct reads do not, and the next sync succeeds
    /// without writing it.
    #[test]
    fn dropped_sectors_are_clean_and_lost() {
        let mut file = written();
        file.drop_dirty(&mut |_| 0);
        file.sync();
        let mut bytes = [0; 512];
        file.read(0, &mut bytes, false);
        assert_eq!(bytes[0], 3);
        file.read(0, &mut bytes, true);
        assert_eq!(bytes[0], 1);
    }
}

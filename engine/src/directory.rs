//! Which region has a key: the routing table of one store.
//!
//! The table is a hint that corrects itself: a region that is asked for a key that it does not have answers with what
//! it knows, and the newer of two descriptors wins wherever they overlap.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::descriptor::RegionDescriptor;

/// Routes keys to regions. Readers take a snapshot; it is replaced, never changed.
pub(crate) struct Directory {
    // Guards the exchange of the table alone; nothing is called while it is held.
    table: RwLock<Arc<Table>>,
}

/// A routing table at one time.
///
/// Invariant: the pieces tile the key space: the first starts at the empty key, starts grow, each ends where the next
/// one starts, and the last has no end.
pub(crate) struct Table {
    pieces: Vec<Piece>,
}

/// A range of keys, and the newest region that is known to have had it.
#[derive(Clone)]
struct Piece {
    start: Bytes,
    region: Arc<RegionDescriptor>,
}

/// The regions that a store starts with leave a gap, or overlap, at this key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotTiling {
    pub(crate) at: Bytes,
}

impl Directory {
    /// A table of regions that tile the key space, in any order.
    pub(crate) fn new(mut regions: Vec<RegionDescriptor>) -> Result<Directory, NotTiling> {
        regions.sort_unstable_by(|a, b| a.start.cmp(&b.start));
        let mut next = Some(Bytes::new());
        for region in &regions {
            if next.as_ref() != Some(&region.start) {
                return Err(NotTiling { at: next.unwrap_or_else(|| region.start.clone()) });
            }
            next.clone_from(&region.end);
        }
        if let Some(at) = next {
            return Err(NotTiling { at });
        }
        let pieces =
            regions.into_iter().map(|region| Piece { start: region.start.clone(), region: Arc::new(region) });
        let table = Table { pieces: pieces.collect() };
        table.check_tiles();
        Ok(Directory { table: RwLock::new(Arc::new(table)) })
    }

    /// The table as it is now.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Takes in what a region says about itself. Whether that was news.
    pub(crate) fn learn(&self, region: &RegionDescriptor) -> bool {
        let mut held = self.table.write();
        let Some(table) = held.with(region) else { return false };
        table.check_tiles();
        *held = Arc::new(table);
        true
    }
}

impl Table {
    /// The region that has `key`, as far as is known.
    pub(crate) fn region_of(&self, key: &[u8]) -> &RegionDescriptor {
        let after = self.pieces.partition_point(|piece| piece.start <= *key);
        &self.pieces[after - 1].region
    }

    /// Whether all `keys` lie in one region. It is asked for the first of them.
    pub(crate) fn one_region<'a>(&self, mut keys: impl Iterator<Item = &'a [u8]>) -> bool {
        let Some(first) = keys.next() else { return true };
        let region = self.region_of(first);
        keys.all(|key| region.contains(key))
    }

    /// All regions, in the order of their keys.
    pub(crate) fn regions(&self) -> Vec<RegionDescriptor> {
        let mut regions: Vec<RegionDescriptor> = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            if regions.last().is_none_or(|last| last.id != piece.region.id) {
                regions.push((*piece.region).clone());
            }
        }
        regions
    }

    /// This table with `new` wherever it is newer; `None` if it is so nowhere.
    fn with(&self, new: &RegionDescriptor) -> Option<Table> {
        let shared = Arc::new(new.clone());
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.pieces.len() + 2);
        let mut push = |start: &Bytes, region: &Arc<RegionDescriptor>| {
            if pieces.last().is_none_or(|last| !Arc::ptr_eq(&last.region, region)) {
                pieces.push(Piece { start: start.clone(), region: Arc::clone(region) });
            }
        };
        let mut news = false;
        for (at, old) in self.pieces.iter().enumerate() {
            let end = self.pieces.get(at + 1).map(|next| &next.start);
            let overlap = overlap((&old.start, end), (&new.start, new.end.as_ref()));
            let Some((from, to)) = overlap.filter(|_| is_newer(new, &old.region)) else {
                push(&old.start, &old.region);
                continue;
            };
            news = true;
            if old.start < *from {
                push(&old.start, &old.region);
            }
            push(from, &shared);
            if let Some(to) = to.filter(|to| end.is_none_or(|end| *to < end)) {
                push(to, &old.region);
            }
        }
        news.then_some(Table { pieces })
    }

    fn check_tiles(&self) {
        assert!(
            self.pieces.first().is_some_and(|first| first.start.is_empty()),
            "no region has the first key"
        );
        assert!(self.pieces.is_sorted_by(|a, b| a.start < b.start), "a piece of the key space stands twice");
    }
}

fn is_newer(new: &RegionDescriptor, old: &RegionDescriptor) -> bool {
    (new.epoch.version, new.epoch.membership) > (old.epoch.version, old.epoch.membership)
}

type Range<'a> = (&'a Bytes, Option<&'a Bytes>);

fn overlap<'a>(a: Range<'a>, b: Range<'a>) -> Option<Range<'a>> {
    let start = a.0.max(b.0);
    let end = match (a.1, b.1) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (end, None) | (None, end) => end,
    };
    end.is_none_or(|end| start < end).then_some((start, end))
}

#[cfg(test)]
mod tests;

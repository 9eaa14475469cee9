//! Which region has a key: the routing table of one store.
//!
//! The table learns what the replicas of this store say of themselves, and what regions answer that are asked for a key which
//! they do not have; the newer of two descriptors wins wherever they overlap. A piece changes hands only when nothing is
//! on its way to the region that had it (see [`Flow`]).

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use skep_raftstore::ids::{Epoch, RegionId};
use skep_raftstore::raft::Membership;

use crate::descriptor::RegionDescriptor;
use crate::flow::Flow;

/// Routes keys to regions. Readers take a snapshot; it is replaced, never changed.
pub(crate) struct Directory {
    // Guards the exchange of the table alone; nothing is called while it is held.
    table: RwLock<Arc<Table>>,
}

/// A routing table at one time.
///
/// Invariant: the pieces tile the key space: the first starts at the empty key, starts grow, each ends where the next
/// one starts, and the last has no end.
#[derive(Clone)]
pub(crate) struct Table {
    pieces: Vec<Piece>,
}

/// A range of keys, and the newest region that is known to have had it.
#[derive(Clone)]
struct Piece {
    start: Bytes,
    place: Arc<Place>,
}

/// A region at one version, and what is on its way there.
pub(crate) struct Place {
    pub(crate) region: RegionDescriptor,
    pub(crate) flow: Arc<Flow>,
}

/// Older than every region: it has what nobody is known to have.
const NOBODY: RegionId = RegionId(0);

impl Default for Directory {
    /// Nothing is known.
    fn default() -> Directory {
        let region = RegionDescriptor {
            id: NOBODY,
            start: Bytes::new(),
            end: None,
            epoch: Epoch { version: 0, membership: 0 },
            membership: Membership::default(),
        };
        let place = Arc::new(Place { region, flow: Arc::new(Flow::closed()) });
        let table = Table { pieces: vec![Piece { start: Bytes::new(), place }] };
        Directory { table: RwLock::new(Arc::new(table)) }
    }
}

impl Directory {
    /// The table as it is now.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Puts a table in force. To be called by one thread at a time.
    pub(crate) fn replace(&self, table: Table) {
        table.check_tiles();
        *self.table.write() = Arc::new(table);
    }
}

impl Table {
    /// Where `key` is, as far as is known.
    pub(crate) fn place_of(&self, key: &[u8]) -> &Arc<Place> {
        let after = self.pieces.partition_point(|piece| piece.start <= *key);
        &self.pieces[after - 1].place
    }

    /// The region that has `key`, as far as is known.
    pub(crate) fn region_of(&self, key: &[u8]) -> &RegionDescriptor {
        &self.place_of(key).region
    }

    /// All regions that are known, in the order of their keys.
    pub(crate) fn regions(&self) -> Vec<RegionDescriptor> {
        let mut regions: Vec<RegionDescriptor> = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces.iter().filter(|piece| piece.place.region.id != NOBODY) {
            if regions.last().is_none_or(|last| last.id != piece.place.region.id) {
                regions.push(piece.place.region.clone());
            }
        }
        regions
    }

    /// The keys that each place has by this table, in their order, except those that nobody is known to have. Of a region that was
    /// just split the new version may be known and the region that was split off not yet: then the old version has a
    /// share of its own, behind the new one's.
    pub(crate) fn shares(&self) -> Vec<(Bytes, Option<Bytes>)> {
        let same = |a: &Piece, b: &Piece| Arc::ptr_eq(&a.place, &b.place);
        let groups = self.pieces.chunk_by(same).map(|group| &group[0]);
        let ends = groups.clone().skip(1).map(|piece| Some(piece.start.clone())).chain([None]);
        let is_known = |piece: &Piece| piece.place.region.id != NOBODY;
        let shares = groups.zip(ends).filter(|(piece, _)| is_known(piece));
        shares.map(|(piece, end)| (piece.start.clone(), end)).collect()
    }

    /// Whether a region of this kind has a piece.
    pub(crate) fn knows(&self, is_wanted: impl Fn(&RegionDescriptor) -> bool) -> bool {
        self.pieces.iter().any(|piece| is_wanted(&piece.place.region))
    }

    /// Closes the flows of all that `new` replaces. Whether there is any.
    pub(crate) fn close_for(&self, new: &RegionDescriptor) -> bool {
        let mut any = false;
        for (_, piece) in self.older_than(new) {
            any = true;
            if piece.place.region.epoch.version < new.epoch.version {
                piece.place.flow.close();
            }
        }
        any
    }

    /// Takes in `new` wherever it is newer and nothing is on its way to what it replaces. Whether that is everywhere.
    pub(crate) fn learn(&mut self, new: &RegionDescriptor) -> bool {
        let same = |piece: &Piece| {
            let old = &piece.place.region;
            (old.id == new.id && old.epoch.version == new.epoch.version)
                .then(|| Arc::clone(&piece.place.flow))
        };
        let flow = self.older_than(new).find_map(|(_, piece)| same(piece)).unwrap_or_default();
        let place = Arc::new(Place { region: new.clone(), flow });
        let may_go = |piece: &Piece| same(piece).is_some() || piece.place.flow.is_drained();
        let replaced: Vec<usize> =
            self.older_than(new).filter(|(_, piece)| may_go(piece)).map(|(at, _)| at).collect();
        self.pieces = self.with(&place, &replaced);
        self.older_than(new).next().is_none()
    }

    /// The pieces that `new` would replace, and where they stand.
    fn older_than<'a>(&'a self, new: &'a RegionDescriptor) -> impl Iterator<Item = (usize, &'a Piece)> {
        let is_older = |(at, piece): &(usize, &Piece)| {
            is_newer(new, &piece.place.region)
                && overlap((&piece.start, self.end_of(*at)), (&new.start, new.end.as_ref())).is_some()
        };
        self.pieces.iter().enumerate().filter(is_older)
    }

    fn end_of(&self, at: usize) -> Option<&Bytes> {
        self.pieces.get(at + 1).map(|next| &next.start)
    }

    /// The pieces with `new` in the place of those that stand at `replaced`, as far as it covers them.
    fn with(&self, new: &Arc<Place>, replaced: &[usize]) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.pieces.len() + 2);
        let mut push = |start: &Bytes, place: &Arc<Place>| {
            if pieces.last().is_none_or(|last| !Arc::ptr_eq(&last.place, place)) {
                pieces.push(Piece { start: start.clone(), place: Arc::clone(place) });
            }
        };
        for (at, old) in self.pieces.iter().enumerate() {
            let end = self.end_of(at);
            let region = &new.region;
            let overlap = overlap((&old.start, end), (&region.start, region.end.as_ref()));
            let Some((from, to)) = overlap.filter(|_| replaced.contains(&at)) else {
                push(&old.start, &old.place);
                continue;
            };
            if old.start < *from {
                push(&old.start, &old.place);
            }
            push(from, new);
            if let Some(to) = to.filter(|to| end.is_none_or(|end| *to < end)) {
                push(to, &old.place);
            }
        }
        pieces
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

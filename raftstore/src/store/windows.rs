//! How much is on its way to each other store, over all regions of a worker.
//!
//! A leader bounds what is on its way to one follower. Many leaders together could still send more to one store than the
//! queue to it holds, and what a queue drops has to be sent again. So a worker counts the bytes of entries that its leaders
//! have on their way to each store. While there are as many as may be, regions wait for their turn, first come, first
//! served; heartbeats, votes and news of commits do not wait. A store that does not answer holds up nothing but what is for it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;

use super::leading::Leading;
use super::replica::Slot;
use super::worker::Worker;
use crate::ids::{ReplicaId, StoreId};
use crate::raft::Progress;

/// So many regions that wait for one store get their turn at a time: few of them may fit.
const WOKEN_AT_A_TIME: usize = 64;

/// See the page of this file.
pub(super) struct Windows {
    bytes_max: u64,
    stores: BTreeMap<StoreId, Window>,
}

#[derive(Default)]
struct Window {
    bytes: u64,
    /// In the order in which they came, each once.
    waiting: VecDeque<Slot>,
    is_waiting: HashSet<Slot>,
    /// Whose turn it is, while others wait.
    woken: HashSet<Slot>,
}

impl Windows {
    /// So many bytes may be on their way to each store, and one message more.
    pub(super) const fn new(bytes_max: u64) -> Windows {
        Windows { bytes_max, stores: BTreeMap::new() }
    }

    /// Whether a region may send entries to a store now. If not, it is woken when it is its turn: it waits while the window
    /// is full, and while others wait that came before it.
    pub(super) fn admits(&mut self, store: StoreId, slot: Slot) -> bool {
        let Some(window) = self.stores.get_mut(&store) else { return true };
        let is_its_turn = window.waiting.is_empty() || window.woken.contains(&slot);
        if is_its_turn && window.bytes < self.bytes_max {
            return true;
        }
        if window.is_waiting.insert(slot) {
            // Whose turn it was and who does not fit is the next.
            let is_next = window.woken.contains(&slot);
            if is_next { window.waiting.push_front(slot) } else { window.waiting.push_back(slot) }
        }
        false
    }

    /// What one leader has on its way to a store is `now` bytes and not `before`.
    fn moved(&mut self, store: StoreId, before: u64, now: u64) {
        if before != now {
            let bytes = &mut self.stores.entry(store).or_default().bytes;
            *bytes = (*bytes + now).saturating_sub(before);
        }
    }

    /// The most that is on its way to one store, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.stores.values().map(|window| window.bytes).max().unwrap_or(0)
    }

    /// Those whose turn it is now, if anybody waits for a store whose window has room.
    fn woken(&mut self) -> Vec<Slot> {
        let mut woken = Vec::new();
        let has_room = |window: &&mut Window| window.bytes < self.bytes_max && !window.waiting.is_empty();
        for window in self.stores.values_mut().filter(has_room) {
            let first = window.waiting.len().min(WOKEN_AT_A_TIME);
            window.woken = window.waiting.drain(..first).collect();
            window.is_waiting.retain(|slot| !window.woken.contains(slot));
            woken.extend(&window.woken);
        }
        woken.sort_unstable();
        woken.dedup();
        woken
    }
}

impl Worker {
    /// Counts what a leader has on its way to its followers.
    pub(super) fn count_window(&mut self, slot: Slot) {
        let replica = &mut self.replicas[slot.0 as usize];
        let Some(Leading { on_their_way, .. }) = replica.leading.as_deref_mut() else { return };
        for follower in replica.raft.followers() {
            if !on_their_way.iter().any(|(id, _)| *id == follower.id()) {
                on_their_way.push((follower.id(), 0));
            }
        }
        on_their_way.retain_mut(|(id, before)| {
            let follower = replica.raft.progress(*id);
            let now = follower.map_or(0, Progress::inflight_bytes);
            self.windows.moved(id.store(), std::mem::replace(before, now), now);
            follower.is_some()
        });
    }

    /// Counts what a leader has on its way to one of them.
    pub(super) fn count_window_of(&mut self, slot: Slot, follower: ReplicaId) {
        let replica = &mut self.replicas[slot.0 as usize];
        let now = replica.raft.progress(follower).map_or(0, Progress::inflight_bytes);
        let Some(Leading { on_their_way, .. }) = replica.leading.as_deref_mut() else { return };
        if let Some((_, before)) = on_their_way.iter_mut().find(|(id, _)| *id == follower) {
            self.windows.moved(follower.store(), std::mem::replace(before, now), now);
        }
    }

    /// Whether a region may send entries to a store now. If not, it has a turn when it may.
    pub(super) fn has_window(&mut self, slot: Slot, store: StoreId) -> bool {
        let has_window = self.windows.admits(store, slot);
        self.shared.counters.windows_full.fetch_add((!has_window).into(), Ordering::Relaxed);
        has_window
    }

    /// What a replica kept as a leader, if it led. Nothing is on its way for it any more.
    pub(super) fn take_leading(&mut self, slot: Slot) -> Option<Box<Leading>> {
        let leading = self.replica(slot).leading.take()?;
        leading.on_their_way.iter().for_each(|(id, bytes)| self.windows.moved(id.store(), *bytes, 0));
        Some(leading)
    }

    /// Those who waited for a window that has room now have a turn.
    pub(super) fn wake_waiting(&mut self) {
        for slot in self.windows.woken() {
            if self.replica(slot).leading.is_some() {
                self.make_ready(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId(2);

    fn waiting(windows: &mut Windows, slots: impl IntoIterator<Item = u32>) -> Vec<bool> {
        slots.into_iter().map(|slot| windows.admits(STORE, Slot(slot))).collect()
    }

    #[test]
    fn who_waits_is_woken_when_there_is_room() {
        let mut windows = Windows::new(100);
        windows.moved(STORE, 0, 99);
        assert!(windows.admits(STORE, Slot(7)));
        windows.moved(STORE, 99, 130);
        assert_eq!(waiting(&mut windows, [7, 3, 7]), [false; 3]);
        assert!(windows.admits(StoreId(3), Slot(7)), "another store is another matter");
        assert_eq!(windows.woken(), [], "there is no room");
        windows.moved(STORE, 130, 20);
        assert_eq!(windows.woken(), [Slot(3), Slot(7)]);
        assert_eq!(windows.woken(), [], "each once");
        assert_eq!(waiting(&mut windows, [7, 3, 9]), [true; 3]);
    }

    #[test]
    fn nobody_goes_before_who_waits_and_nobody_waits_for_ever() {
        let mut windows = Windows::new(1);
        windows.moved(STORE, 0, 1);
        assert_eq!(waiting(&mut windows, 0..200), [false; 200]);
        windows.moved(STORE, 1, 0);
        assert!(!windows.admits(STORE, Slot(300)), "there is room, and others wait for it");
        // Of each batch one fits, and again wants more as soon as it has had its turn.
        let mut served = Vec::new();
        for _ in 0..201 {
            let woken = windows.woken();
            let fits: Vec<Slot> = woken.into_iter().filter(|slot| windows.admits(STORE, *slot)).collect();
            assert!((1..=WOKEN_AT_A_TIME).contains(&fits.len()), "those of the batch");
            served.push(fits[0]);
            windows.moved(STORE, 0, 1);
            fits.into_iter().for_each(|slot| assert!(!windows.admits(STORE, slot)));
            windows.moved(STORE, 1, 0);
        }
        assert!(!served.is_empty());
        let mut late = false;
        for _ in 0..20 {
            late |= windows.woken().contains(&Slot(300));
        }
        assert!(late, "who came last has had its turn");
    }
}

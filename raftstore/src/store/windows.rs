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
use crate::ids::StoreId;
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
}

impl Windows {
    /// So many bytes may be on their way to each store, and what one turn of one region adds.
    pub(super) const fn new(bytes_max: u64) -> Windows {
        Windows { bytes_max, stores: BTreeMap::new() }
    }

    pub(super) fn is_full(&self, store: StoreId) -> bool {
        self.stores.get(&store).is_some_and(|window| window.bytes >= self.bytes_max)
    }

    /// A region has something for a store whose window is full.
    fn wait(&mut self, store: StoreId, slot: Slot) {
        let window = self.stores.entry(store).or_default();
        if window.is_waiting.insert(slot) {
            window.waiting.push_back(slot);
        }
    }

    /// What one leader has on its way to a store is `now` bytes and not `before`.
    fn moved(&mut self, store: StoreId, before: u64, now: u64) {
        if before != now {
            let bytes = &mut self.stores.entry(store).or_default().bytes;
            *bytes = (*bytes + now).saturating_sub(before);
        }
    }

    /// Some of the regions that wait for a store whose window has room.
    fn woken(&mut self) -> Vec<Slot> {
        let mut woken = Vec::new();
        for window in self.stores.values_mut().filter(|window| window.bytes < self.bytes_max) {
            let first = window.waiting.len().min(WOKEN_AT_A_TIME);
            woken.extend(window.waiting.drain(..first).inspect(|slot| {
                window.is_waiting.remove(slot);
            }));
        }
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

    /// A region waits until the window of a store has room.
    pub(super) fn wait_for_window(&mut self, store: StoreId, slot: Slot) {
        self.windows.wait(store, slot);
        self.shared.counters.windows_full.fetch_add(1, Ordering::Relaxed);
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

    #[test]
    fn who_waits_is_woken_in_order_when_there_is_room() {
        let mut windows = Windows::new(100);
        windows.moved(STORE, 0, 99);
        assert!(!windows.is_full(STORE));
        windows.moved(STORE, 99, 130);
        assert!(windows.is_full(STORE) && !windows.is_full(StoreId(3)), "another store is another matter");
        for slot in [Slot(7), Slot(3), Slot(7)] {
            windows.wait(STORE, slot);
        }
        assert_eq!(windows.woken(), [], "there is no room");
        windows.moved(STORE, 130, 20);
        assert_eq!(windows.woken(), [Slot(7), Slot(3)]);
        assert_eq!(windows.woken(), [], "each once");
    }

    #[test]
    fn few_are_woken_at_a_time() {
        let mut windows = Windows::new(1);
        windows.moved(STORE, 0, 1);
        (0..100).for_each(|slot| windows.wait(STORE, Slot(slot)));
        windows.moved(STORE, 1, 0);
        assert_eq!(windows.woken().len(), WOKEN_AT_A_TIME);
        assert_eq!(windows.woken().first(), Some(&Slot(WOKEN_AT_A_TIME as u32)));
    }
}

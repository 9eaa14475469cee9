//! What is due.

use super::config::VACANT_CHECK_TICKS;
use super::replica::Slot;
use super::worker::{Timer, Worker};
use crate::ids::Tick;
use crate::raft::Event;

impl Worker {
    pub(super) fn fire_timers(&mut self, now: Tick) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.fire(now, &mut due);
        for (slot, timer) in due.drain(..) {
            match timer {
                Timer::Raft => self.raft_timer(slot, now),
                Timer::Lane => self.lane_timer(slot, now),
                Timer::Mend => self.mend_timer(slot, now),
            }
        }
        self.due = due;
    }

    pub(super) fn raft_timer(&mut self, slot: Slot, now: Tick) {
        let replica = self.replica(slot);
        if replica.armed.is_none_or(|armed| armed > now) {
            return; // an entry that an earlier deadline has replaced
        }
        replica.armed = None;
        if !replica.is_running() {
            return;
        }
        if replica.is_vacant {
            // It could not serve what it would lead.
            let later = now.after(VACANT_CHECK_TICKS);
            replica.armed = Some(later);
            self.wheel.arm(later, (slot, Timer::Raft));
        } else if replica.raft.deadline() <= now {
            self.step_raft(slot, now, Event::Timeout);
            self.tell_departed(slot);
        } else {
            self.arm_raft(slot);
        }
    }
}

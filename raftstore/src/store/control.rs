//! Orders from the store's handle.

use super::inbox::Control;
use super::replica::Slot;
use super::request::SubmitError;
use super::worker::Worker;
use crate::ids::Tick;
use crate::raft::{Event, Progress};

impl Worker {
    pub(super) fn control(&mut self, control: Control, now: Tick) {
        match control {
            Control::Status(to) => {
                let _ = to.send(self.here().map(super::status::RegionStatus::of).collect());
            }
            Control::Transfer { region, to } => {
                if let Some(slot) = self.slot(region) {
                    self.step_raft(slot, now, Event::TransferLeadership(to));
                }
            }
            Control::ChildDurable { parent, child } => self.child_is_durable(parent, child),
            Control::Learn { region, membership } => self.learn(region, membership, now),
            Control::HandOver => self.hand_over(now),
            Control::Stop => self.stop(),
        }
    }

    pub(super) fn hand_over(&mut self, now: Tick) {
        for at in 0..self.replicas.len() {
            let replica = &self.replicas[at];
            if !replica.is_leader() {
                continue;
            }
            let others = replica.others();
            let best = others.max_by_key(|voter| replica.raft.progress(*voter).map(Progress::matched));
            if let Some(to) = best {
                self.step_raft(Slot(at as u32), now, Event::TransferLeadership(to));
            }
        }
    }

    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
        let error = SubmitError::StoreStopped(self.shared.inboxes.stop_reason());
        for slot in self.active_lanes.clone() {
            self.close_lane(slot, &error);
        }
    }
}

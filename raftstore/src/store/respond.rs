//! Respond: answers go back to the lanes they came from, here or on another store.

use super::worker::Worker;
use crate::ids::{StoreId, Tick};
use crate::message::{Replies, StoreMessage};

impl Worker {
    pub(super) fn respond(&mut self, now: Tick) {
        let mut replies = std::mem::take(&mut self.replies);
        for (slot, mut answers) in replies.drain(..) {
            // Stable: the answers of one store keep their order.
            answers.sort_by_key(|(to, _)| to.store);
            let region = self.replica(slot).region;
            let mut results = Vec::new();
            let mut current: Option<StoreId> = None;
            for (to, reply) in answers {
                if to.store == self.shared.config.id {
                    self.answer(slot, to.seq, reply, now);
                    continue;
                }
                if let Some(store) = current.filter(|store| *store != to.store) {
                    let results = std::mem::take(&mut results);
                    self.outbox.push(store, &StoreMessage::Replies(Replies { region, results }));
                }
                current = Some(to.store);
                results.push((to.seq, reply));
            }
            if let Some(store) = current {
                self.outbox.push(store, &StoreMessage::Replies(Replies { region, results }));
            }
        }
        self.replies = replies;
    }
}

//! Respond: answers go back to the lanes they came from, here or on another store.

use bytes::Bytes;

use super::config::MESSAGE_BYTES_ABOUT;
use super::replica::Slot;
use super::worker::Worker;
use crate::apply::ReplyTo;
use crate::ids::{StoreId, Tick};
use crate::message::{Replies, StoreMessage};

impl Worker {
    pub(super) fn respond(&mut self, now: Tick) {
        let mut replies = std::mem::take(&mut self.replies);
        for (slot, mut answers) in replies.drain(..) {
            // Stable: the answers of one store keep their order.
            answers.sort_by_key(|(to, _)| to.store);
            for answers in answers.chunk_by(|(a, _), (b, _)| a.store == b.store) {
                self.respond_to(answers[0].0.store, slot, answers, now);
            }
        }
        self.replies = replies;
    }

    fn respond_to(&mut self, store: StoreId, slot: Slot, answers: &[(ReplyTo, Bytes)], now: Tick) {
        if store == self.shared.config.id {
            return answers.iter().for_each(|(to, reply)| self.answer(slot, to.seq, reply.clone(), now));
        }
        let region = self.replica(slot).region;
        let (mut results, mut bytes) = (Vec::with_capacity(answers.len()), 0);
        for (to, reply) in answers {
            results.push((to.seq, reply.clone()));
            bytes += reply.len();
            if bytes >= MESSAGE_BYTES_ABOUT {
                let results = std::mem::take(&mut results);
                self.outbox.push(store, &StoreMessage::Replies(Replies { region, results }));
                bytes = 0;
            }
        }
        if !results.is_empty() {
            self.outbox.push(store, &StoreMessage::Replies(Replies { region, results }));
        }
    }
}

//! What stores hold in memory for others stays within its limits: each is overstepped by the last item at most.

use skep_raftstore::ids::StoreId;
use skep_raftstore::store::{Footprint, StoreConfig};
use skep_raftstore::transport::memory::MemoryNetwork;

use super::Judged;

/// The longest command of a client of the simulation, in bytes.
const COMMAND_BYTES_MAX: usize = 4096;

/// See the page of this file.
#[derive(Default)]
pub(super) struct BoundedMemory {
    /// The longest frame that was sent.
    frame_bytes: usize,
}

impl BoundedMemory {
    /// A frame leaves.
    pub(super) fn leaves(&mut self, bytes: usize) {
        self.frame_bytes = self.frame_bytes.max(bytes);
    }

    /// A store after a turn.
    pub(super) fn saw(&self, store: StoreId, holds: &Footprint, limits: &StoreConfig) -> Judged {
        let commands_max = limits.unanswered_bytes_max + COMMAND_BYTES_MAX;
        // A run of commands is taken as a whole. It came in a frame, or is all that the store's own clients wait for.
        let run_max = self.frame_bytes.max(commands_max);
        let bounds = [
            ("bytes of frames in an inbox", holds.inbox_bytes, limits.inbox_bytes_max + self.frame_bytes),
            ("commands that are not answered", holds.unanswered, limits.unanswered_max),
            ("bytes of commands that are not answered", holds.unanswered_bytes, commands_max),
            (
                "bytes of commands that wait for a leader",
                holds.waiting_bytes,
                limits.proposals_bytes_max + run_max,
            ),
            // A command may go beyond, and what changes members, or begins a reign, does not count.
            (
                "bytes of entries that are not committed",
                holds.uncommitted_bytes,
                limits.uncommitted_bytes_max as usize + 2 * COMMAND_BYTES_MAX,
            ),
            (
                "bytes of entries under way to a store",
                holds.peer_bytes,
                limits.peer_bytes_max as usize + self.frame_bytes,
            ),
        ];
        match bounds.into_iter().find(|(_, held, max)| held > max) {
            Some((what, held, max)) => Err(format!("{store} holds {held} {what}, and {max} are the most")),
            None => Ok(()),
        }
    }

    /// What is under way between stores. A frame may be there twice.
    pub(super) fn under_way(&self, network: &MemoryNetwork) -> Judged {
        match network.fullest_queue() {
            Some((from, to, bytes, max)) if bytes > max + self.frame_bytes => {
                Err(format!("{bytes} bytes are under way from {from} to {to}, and {max} are the most"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use skep_raftstore::ids::Life;
    use skep_raftstore::transport::memory::Link;
    use skep_raftstore::transport::{Lane, Receiver};

    use super::*;

    struct Nobody;

    impl Receiver for Nobody {
        fn received(&self, _: StoreId, _: Bytes) {}

        fn peer(&self, _: StoreId, _: bool) {}
    }

    #[test]
    fn a_queue_that_is_longer_than_it_may_be_is_noticed() {
        let network = MemoryNetwork::new(1);
        (1..=2).for_each(|store| network.attach(StoreId(store), Arc::new(Nobody)));
        let sender = network.endpoint(StoreId(1));
        (0..5).for_each(|_| assert!(sender.send(StoreId(2), Lane::Bulk, Bytes::from_static(&[7; 100]))));
        let mut rule = BoundedMemory::default();
        rule.leaves(100);
        let limited = |bytes| {
            network.set_every_link(Link { queue_bytes_max: bytes, ..Link::default() });
            rule.under_way(&network)
        };
        assert_eq!(limited(400), Ok(()), "one more");
        assert!(limited(399).is_err_and(|why| why.contains("under way")));
    }

    #[test]
    fn what_is_beyond_a_limit_by_more_than_an_item_is_noticed() {
        let limits = StoreConfig {
            inbox_bytes_max: 1000,
            unanswered_max: 3,
            unanswered_bytes_max: 500,
            proposals_bytes_max: 200,
            uncommitted_bytes_max: 300,
            peer_bytes_max: 400,
            ..StoreConfig::new(StoreId(1), Life(1), 1)
        };
        let mut rule = BoundedMemory::default();
        rule.leaves(100);
        let full = Footprint {
            inbox_bytes: 1100,
            unanswered: 3,
            unanswered_bytes: 500 + COMMAND_BYTES_MAX,
            waiting_bytes: 700 + COMMAND_BYTES_MAX,
            uncommitted_bytes: 300 + 2 * COMMAND_BYTES_MAX,
            peer_bytes: 500,
        };
        assert_eq!(rule.saw(StoreId(1), &full, &limits), Ok(()));
        for more in [
            Footprint { inbox_bytes: 1101, ..full },
            Footprint { unanswered: 4, ..full },
            Footprint { unanswered_bytes: full.unanswered_bytes + 1, ..full },
            Footprint { waiting_bytes: full.waiting_bytes + 1, ..full },
            Footprint { uncommitted_bytes: full.uncommitted_bytes + 1, ..full },
            Footprint { peer_bytes: full.peer_bytes + 1, ..full },
        ] {
            assert!(rule.saw(StoreId(1), &more, &limits).is_err_and(|why| why.contains("are the most")));
        }
    }
}

//! Nothing is said before it is durable (3.8 of Ongaro's dissertation): what a replica promises in a message is on the medium of its
//! store when the message leaves.
//!
//! A vote, given or asked for, is there with its term; what is acknowledged is there, and so is the term in which it is; who confirms
//! that a replica was removed has its grave. A term that is newer than the message's excuses it: whatever it promised, nobody in
//! that newer term relies on it.

use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::message::{Removal, StoreMessage};
use skep_raftstore::raft::{Body, Message};

use super::Judged;
use super::medium::{Media, OnMedium};

/// What a message says is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    /// A replica's vote in a term.
    Vote { of: ReplicaId, term: Term, to: ReplicaId },
    /// Its log through an index, and the term.
    Entries { of: ReplicaId, term: Term, through: Index },
    /// That it is gone for good.
    Grave { of: ReplicaId },
}

/// A message leaves a store.
pub(super) fn leaves(store: StoreId, message: &StoreMessage, media: &mut Media) -> Judged {
    let Some((region, promise)) = promised(message) else { return Ok(()) };
    let found = media.look(store, region)?;
    if is_kept(promise, &found) {
        return Ok(());
    }
    Err(format!("{store} says of {region} what is not on its disk: {promise:?}, but there is {found:?}"))
}

fn promised(message: &StoreMessage) -> Option<(RegionId, Promise)> {
    match message {
        StoreMessage::Raft { region, message } => Some((*region, promised_to_a_replica(message)?)),
        StoreMessage::Removed(Removal { region, replica }) => {
            Some((*region, Promise::Grave { of: *replica }))
        }
        _ => None,
    }
}

fn promised_to_a_replica(message: &Message) -> Option<Promise> {
    let (of, term) = (message.from, message.term);
    match message.body {
        Body::VoteReply { granted: true } => Some(Promise::Vote { of, term, to: message.to }),
        Body::Vote { .. } => Some(Promise::Vote { of, term, to: of }),
        Body::AppendAccepted { matched } => Some(Promise::Entries { of, term, through: matched }),
        _ => None,
    }
}

fn is_kept(promise: Promise, found: &OnMedium) -> bool {
    let kept = match (found, promise) {
        (OnMedium::Unknown, _) | (OnMedium::Grave, Promise::Grave { .. }) => return true,
        (OnMedium::Nothing | OnMedium::Grave, _) => return false,
        (OnMedium::Kept(kept), _) => kept,
    };
    let is_of = |of: ReplicaId| kept.replica.is_none_or(|replica| replica == of);
    let is_later = |term: Term| kept.hard.term > term;
    match promise {
        Promise::Vote { of, term, to } => {
            is_of(of) && (is_later(term) || (kept.hard.term == term && kept.hard.vote == Some(to)))
        }
        Promise::Entries { of, term, through } => {
            is_of(of) && (is_later(term) || (kept.hard.term == term && kept.last >= through))
        }
        // Another one, with a newer name, may have come since.
        Promise::Grave { of } => kept.replica.is_some_and(|replica| replica > of),
    }
}

#[cfg(test)]
mod tests {
    use super::super::medium::Kept;
    use super::super::samples::{REGION, granted, kept, replica};
    use super::*;
    use skep_raftstore::raft::{HardState, LogPos};

    /// Whether replica 1, in term 5 with its vote for 2 and entries through 6, may say this.
    fn may_say(message: Message) -> bool {
        let hard = HardState { term: Term(5), vote: Some(replica(2)) };
        let found = OnMedium::Kept(Kept { hard, ..kept(1, 5, &[(1, 3), (4, 5)], 6) });
        is_kept(promised_to_a_replica(&message).expect("it promises something"), &found)
    }

    fn says(term: u64, body: Body) -> Message {
        Message { from: replica(1), to: replica(3), term: Term(term), body }
    }

    #[test]
    fn a_vote_is_there_with_its_term_or_is_over() {
        assert!(may_say(granted(1, 2, 5)) && may_say(granted(1, 3, 4)));
        assert!(!may_say(granted(1, 3, 5)) && !may_say(granted(1, 2, 6)));
        let asks = |term| says(term, Body::Vote { last: LogPos::default(), transfer: false });
        assert!(may_say(asks(4)) && !may_say(asks(5)) && !may_say(asks(6)));
        assert!(!may_say(Message { from: replica(4), ..granted(1, 2, 5) }), "that of another replica");
    }

    #[test]
    fn what_is_acknowledged_is_there_in_its_term() {
        let accepted = |term, matched| says(term, Body::AppendAccepted { matched: Index(matched) });
        assert!(may_say(accepted(5, 6)) && may_say(accepted(4, 9)));
        assert!(!may_say(accepted(5, 7)) && !may_say(accepted(6, 1)));
    }

    #[test]
    fn who_confirms_a_removal_has_its_grave() {
        let grave = |of| Promise::Grave { of };
        let alive = OnMedium::Kept(kept(1, 5, &[], 0));
        assert!(
            is_kept(grave(replica(1)), &OnMedium::Grave) && is_kept(grave(replica(1)), &OnMedium::Unknown)
        );
        assert!(!is_kept(grave(replica(1)), &alive) && !is_kept(grave(replica(1)), &OnMedium::Nothing));
        assert!(is_kept(
            grave(ReplicaId::new(0, StoreId(1))),
            &OnMedium::Kept(Kept { replica: Some(ReplicaId::new(3, StoreId(1))), ..kept(1, 5, &[], 0) })
        ));
    }

    #[test]
    fn a_store_that_has_nothing_may_promise_nothing() {
        let message = StoreMessage::Raft { region: REGION, message: granted(1, 2, 5) };
        let why = leaves(StoreId(1), &message, &mut Media::default()).unwrap_err();
        assert!(why.contains("not on its disk"), "{why}");
    }
}

//! What a leader keeps about the commands that stores have sent it: only while it leads, only in memory.
//!
//! Commands are taken from each store as one unbroken run (see `lane.rs`), proposed in the order of their arrival, and
//! answered when they are applied. A read is answered from the state after everything that was proposed before it in
//! its lane, and after everything that was committed when it arrived.
//!
//! What was proposed in this reign and is not applied yet is not proposed again when a later attempt carries it: its answer
//! is still to come. Once it is applied it is: the answer may have been lost, and the state machine knows it by its number.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::apply::{ReplyTo, Wanted};
use crate::ids::{Attempt, Index, ReplicaId, StoreId, Term};
use crate::machine::{Origin, Stamp};
use crate::message::{Refusal, RequestKind, Submit};
use crate::raft::{Payload, ReadId, ReadReady};
use crate::wire::entry::{COMMAND_HEADER_BYTES, encode_change, encode_command};

/// How far a store's current attempt has been taken.
#[derive(Default)]
struct Accepted {
    attempt: Attempt,
    position: u64,
    /// There was no room for a write: nothing more of this attempt is taken.
    is_over: bool,
    lowest: u64,
    /// The last entry that was proposed for this store.
    last_proposed: Index,
    /// The numbers of those that earlier attempts brought, and whose answers were still to come when this one began.
    under_way: BTreeSet<u64>,
}

/// Whether a run is the next of what is being taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Continues {
    Yes,
    /// It is an old one, or was taken before.
    NotNeeded,
    /// Something before it is missing, or nothing more of its attempt is taken.
    Gap,
}

/// A command that was taken and not proposed yet.
struct Waiting {
    to: ReplyTo,
    kind: RequestKind,
    body: Bytes,
}

/// Reads that share a round.
struct Round {
    id: ReadId,
    /// Each with the entry that must be applied before it, for the sake of its own lane.
    reads: Vec<(Index, ReplyTo, Bytes)>,
}

/// See the page of this file.
#[derive(Default)]
pub(super) struct Leading {
    accepted: BTreeMap<StoreId, Accepted>,
    waiting: VecDeque<Waiting>,
    /// Requests about replicas that were taken: they make no entries, and keep no order.
    beside: Vec<Waiting>,
    /// Of both.
    waiting_bytes: usize,
    wanted: VecDeque<Wanted>,
    /// What was wanted and is with the apply threads.
    applying: VecDeque<Wanted>,
    /// A change under way: nothing is proposed or read before this entry is applied.
    change: Option<Index>,
    rounds: VecDeque<Round>,
    next_read: u64,
    /// Confirmed reads, by the entry that must be applied first.
    confirmed: BTreeMap<Index, Vec<(ReplyTo, Bytes)>>,
    /// Bytes of entries on their way to each follower, as counted last.
    pub(super) on_their_way: Vec<(ReplicaId, u64)>,
    /// Proposals wait until something is committed.
    pub(super) is_held_up: bool,
}

/// What is to be proposed, and the reads between.
#[derive(Default)]
pub(super) struct Proposals {
    pub(super) payloads: Vec<Payload>,
    to: Vec<ReplyTo>,
    /// To whom the lead is to be handed over, each with who asks.
    pub(super) handed_over: Vec<(ReplyTo, Bytes)>,
    /// Moves of replicas, each with who asks.
    pub(super) moves: Vec<(ReplyTo, Bytes)>,
    /// Whether the last of them is a change.
    ends_in_change: bool,
    /// Each with how many of `payloads` stand before it.
    reads: Vec<(usize, ReplyTo, Bytes)>,
}

impl Proposals {
    pub(super) fn has_reads(&self) -> bool {
        !self.reads.is_empty()
    }
}

impl Leading {
    /// Takes a run of `from`'s commands if it continues what was taken, or starts over. Without room it takes what stands before
    /// the first write, and nothing more of this attempt: then it says how many commands of it were taken.
    pub(super) fn take(
        &mut self,
        from: StoreId,
        run: Submit,
        bytes_max: usize,
        has_room: bool,
    ) -> Result<Option<u64>, Refusal> {
        match self.continues(from, run.attempt, run.position) {
            Continues::Yes => {}
            Continues::NotNeeded => return Ok(None),
            Continues::Gap => return Err(Refusal::Gap),
        }
        if self.waiting_bytes > bytes_max {
            return Err(Refusal::Busy);
        }
        let accepted = self.accepted.entry(from).or_default();
        accepted.lowest = accepted.lowest.max(run.lowest);
        for item in run.items {
            let is_under_way = accepted.under_way.contains(&item.seq);
            if !has_room && item.kind.is_write() && !is_under_way {
                accepted.is_over = true;
                return Ok(Some(accepted.position));
            }
            accepted.position += 1;
            if is_under_way {
                continue;
            }
            self.waiting_bytes += item.body.len();
            let to = ReplyTo { store: from, seq: item.seq };
            let waiting = Waiting { to, kind: item.kind, body: item.body };
            match waiting.kind {
                RequestKind::Lead | RequestKind::Move => self.beside.push(waiting),
                RequestKind::Read | RequestKind::Write | RequestKind::Change => {
                    self.waiting.push_back(waiting)
                }
            }
        }
        Ok(None)
    }

    /// Nothing more of this attempt is taken from `position` on. False if that was taken already, or if nobody waits for it any
    /// more.
    pub(super) fn end(&mut self, from: StoreId, attempt: Attempt, position: u64) -> bool {
        if self.continues(from, attempt, position) == Continues::NotNeeded {
            return false;
        }
        self.accepted.entry(from).or_default().is_over = true;
        true
    }

    /// Whether a run at `position` of `from`'s attempt is the next. A newer attempt begins with this.
    fn continues(&mut self, from: StoreId, attempt: Attempt, position: u64) -> Continues {
        let accepted = self.accepted.entry(from).or_default();
        if attempt < accepted.attempt {
            return Continues::NotNeeded; // an older attempt, late: the newer one carries everything
        }
        if attempt > accepted.attempt {
            if position != 0 {
                return Continues::Gap;
            }
            self.begin(from, attempt);
        }
        let accepted = self.accepted.entry(from).or_default();
        match position.cmp(&accepted.position) {
            Ordering::Less => Continues::NotNeeded, // a repeated frame
            Ordering::Equal if !accepted.is_over => Continues::Yes,
            Ordering::Equal | Ordering::Greater => Continues::Gap,
        }
    }

    /// The newer attempt carries everything unanswered: what waits of the older one would only be there twice.
    fn begin(&mut self, from: StoreId, attempt: Attempt) {
        let freed = &mut self.waiting_bytes;
        let mut is_kept = |waiting: &Waiting| {
            let is_kept = waiting.to.store != from;
            *freed -= if is_kept { 0 } else { waiting.body.len() };
            is_kept
        };
        self.waiting.retain(&mut is_kept);
        self.beside.retain(is_kept);
        let under_way = self.applying.iter().chain(&self.wanted);
        let accepted = self.accepted.entry(from).or_default();
        *accepted = Accepted {
            attempt,
            last_proposed: accepted.last_proposed,
            under_way: under_way.filter(|wanted| wanted.to.store == from).map(|w| w.to.seq).collect(),
            ..Accepted::default()
        };
    }

    /// Bytes of what was taken and not proposed.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether anything can be proposed, now that everything through `applied` is applied.
    pub(super) fn has_proposals(&mut self, applied: Index) -> bool {
        self.change.take_if(|change| *change <= applied);
        self.change.is_none() && !(self.waiting.is_empty() && self.beside.is_empty())
    }

    /// What was taken and not proposed, as entries of `own`, up to about `bytes_max` or through a change; laid out one after
    /// the other in one buffer. With nothing at all, only what stands before the first that would make an entry.
    pub(super) fn proposals(&mut self, own: StoreId, stamp: Stamp, bytes_max: usize) -> Proposals {
        let mut proposals = Proposals::default();
        let bytes_about = self.waiting_bytes.min(bytes_max) + self.waiting.len() * COMMAND_HEADER_BYTES;
        let mut buffer = BytesMut::with_capacity(bytes_about);
        let mut bytes = 0;
        let is_in_room = |bytes: usize, next: &Waiting| {
            bytes < bytes_max || bytes_max == 0 && next.kind == RequestKind::Read
        };
        let mut beside = std::mem::take(&mut self.beside).into_iter();
        while !proposals.ends_in_change {
            let next = beside.next().or_else(|| self.waiting.pop_front_if(|next| is_in_room(bytes, next)));
            let Some(waiting) = next else { break };
            bytes += waiting.body.len() + COMMAND_HEADER_BYTES;
            self.waiting_bytes -= waiting.body.len();
            match waiting.kind {
                RequestKind::Read => proposals.reads.push((proposals.to.len(), waiting.to, waiting.body)),
                RequestKind::Lead => proposals.handed_over.push((waiting.to, waiting.body)),
                RequestKind::Move => proposals.moves.push((waiting.to, waiting.body)),
                RequestKind::Write | RequestKind::Change => {
                    let accepted = &self.accepted[&waiting.to.store];
                    let (life, lowest) = (accepted.attempt.life, accepted.lowest);
                    let origin = Origin { store: waiting.to.store, life, seq: waiting.to.seq, lowest };
                    proposals.ends_in_change = waiting.kind == RequestKind::Change;
                    if proposals.ends_in_change {
                        encode_change(stamp, origin, own, &waiting.body, &mut buffer);
                    } else {
                        encode_command(stamp, origin, &waiting.body, &mut buffer);
                    }
                    proposals.payloads.extend(Payload::parse(buffer.split().freeze()));
                    proposals.to.push(waiting.to);
                }
            }
        }
        proposals
    }

    /// They were proposed, from `first` on. Says under which name the reads among them wait for their round.
    pub(super) fn proposed(&mut self, proposals: Proposals, first: Index, term: Term) -> Option<ReadId> {
        let Proposals { to, reads, ends_in_change, .. } = proposals;
        self.change = ends_in_change.then(|| Index(first.0 + to.len() as u64 - 1));
        let mut reads = reads.into_iter().peekable();
        let mut round = Vec::new();
        for place in 0..=to.len() {
            while let Some((_, to, body)) = reads.next_if(|(before, ..)| *before == place) {
                let after = self.accepted.get(&to.store).map(|a| a.last_proposed).unwrap_or_default();
                round.push((after, to, body));
            }
            let Some(&to) = to.get(place) else { break };
            let index = Index(first.0 + place as u64);
            self.wanted.push_back(Wanted { index, term, to });
            if let Some(accepted) = self.accepted.get_mut(&to.store) {
                accepted.last_proposed = index;
            }
        }
        if round.is_empty() {
            return None;
        }
        self.next_read += 1;
        self.rounds.push_back(Round { id: ReadId(self.next_read), reads: round });
        Some(ReadId(self.next_read))
    }

    /// A round was confirmed.
    pub(super) fn confirmed(&mut self, ready: ReadReady) {
        let Some(at) = self.rounds.iter().position(|round| round.id == ready.id) else { return };
        let Some(round) = self.rounds.remove(at) else { return };
        for (after, to, body) in round.reads {
            self.confirmed.entry(after.max(ready.index)).or_default().push((to, body));
        }
    }

    /// Who waits for the entries through `index`.
    pub(super) fn wanted_through(&mut self, index: Index) -> Vec<Wanted> {
        let count = self.wanted.partition_point(|wanted| wanted.index <= index);
        let wanted: Vec<Wanted> = self.wanted.drain(..count).collect();
        self.applying.extend(&wanted);
        wanted
    }

    /// Everything through `index` is applied, and its answers are on their way.
    pub(super) fn applied(&mut self, index: Index) {
        let count = self.applying.partition_point(|wanted| wanted.index <= index);
        self.applying.drain(..count);
    }

    /// The reads that may be answered once everything through `index` is applied.
    pub(super) fn reads_through(&mut self, index: Index) -> Vec<(ReplyTo, Bytes)> {
        let mut reads = Vec::new();
        while let Some(entry) = self.confirmed.first_entry().filter(|entry| *entry.key() <= index) {
            reads.extend(entry.remove());
        }
        reads
    }

    /// The end of it: who has to be told to look for another leader, and in which attempt.
    pub(super) fn attempts(self) -> impl Iterator<Item = (StoreId, Attempt)> {
        self.accepted.into_iter().map(|(store, accepted)| (store, accepted.attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Life;
    use crate::message::SubmitItem;
    use crate::raft::EntryKind;
    use crate::wire::entry::decode_committed;

    const STORE: StoreId = StoreId(7);
    const LIMIT: usize = 1 << 20;

    const LIFE: Life = Life(3);

    fn attempt(number: u64) -> Attempt {
        Attempt { life: LIFE, number }
    }

    fn run(number: u64, position: u64, seqs: &[u64]) -> Submit {
        // Odd numbers read, even ones write.
        let kind = |seq: u64| if seq % 2 == 1 { RequestKind::Read } else { RequestKind::Write };
        let item = |&seq: &u64| SubmitItem { seq, kind: kind(seq), body: Bytes::from(vec![seq as u8; 4]) };
        let items = seqs.iter().map(item).collect();
        Submit { region: crate::ids::RegionId(1), attempt: attempt(number), position, lowest: seqs[0], items }
    }

    fn proposed_seqs(leading: &mut Leading, first: u64) -> Vec<u64> {
        let proposals = leading.proposals(STORE, Stamp(5), LIMIT);
        let seq = |payload: &Payload| {
            assert_eq!(payload.kind(), EntryKind::Command);
            decode_committed(Index(1), Term(1), payload.bytes()).unwrap().origin.unwrap().seq
        };
        let seqs = proposals.payloads.iter().map(seq).collect();
        leading.proposed(proposals, Index(first), Term(3));
        seqs
    }

    #[test]
    fn only_an_unbroken_run_of_the_newest_attempt_is_taken() {
        let mut leading = Leading::default();
        assert_eq!(
            leading.take(STORE, run(5, 1, &[4]), LIMIT, true),
            Err(Refusal::Gap),
            "it does not begin at its beginning"
        );
        assert_eq!(leading.take(STORE, run(5, 0, &[2, 4]), LIMIT, true), Ok(None));
        assert_eq!(leading.take(STORE, run(5, 3, &[8]), LIMIT, true), Err(Refusal::Gap), "one is missing");
        assert_eq!(
            leading.take(STORE, run(5, 0, &[2, 4]), LIMIT, true),
            Ok(None),
            "repeated: nothing happens"
        );
        assert_eq!(
            leading.take(STORE, run(4, 0, &[2]), LIMIT, true),
            Ok(None),
            "an older attempt: nothing happens"
        );
        assert_eq!(leading.take(STORE, run(5, 2, &[6]), LIMIT, true), Ok(None));
        assert_eq!(proposed_seqs(&mut leading, 10), [2, 4, 6]);
    }

    #[test]
    fn a_new_attempt_replaces_what_waits_of_the_old_one() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2, 4]), LIMIT, true).unwrap();
        leading.take(StoreId(8), run(1, 0, &[2]), LIMIT, true).unwrap();
        leading.take(STORE, run(6, 0, &[4, 6]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 10), [2, 4, 6], "the other store's stays");
        assert_eq!(leading.waiting_bytes, 0);
    }

    #[test]
    fn a_later_attempt_brings_nothing_twice_whose_answer_is_still_to_come() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2, 4]), LIMIT, true).unwrap();
        leading.take(StoreId(8), run(1, 0, &[6]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 10), [2, 4, 6]);
        // Its log is slow: the lane heard nothing and sends everything again, and then once more.
        leading.take(STORE, run(6, 0, &[2, 4, 6]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 13), [6], "the other store's 6 is another command");
        assert_eq!(leading.wanted_through(Index(10)).len(), 1);
        leading.take(STORE, run(7, 0, &[2, 4, 6]), LIMIT, true).unwrap();
        leading.take(STORE, run(7, 3, &[8]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 14), [8], "what is being applied is answered, too");
        // The answer to the first was lost: only that one comes again.
        leading.applied(Index(10));
        leading.take(STORE, run(8, 0, &[2, 4, 6, 8]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 15), [2]);
        assert_eq!(leading.waiting_bytes, 0);
    }

    #[test]
    fn without_room_nothing_is_taken_from_the_first_write_on() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 10), [2]);
        // What is under way is no new write.
        assert_eq!(leading.take(STORE, run(6, 0, &[2, 3, 4, 5]), LIMIT, false), Ok(Some(2)));
        assert_eq!(leading.waiting.len(), 1, "the read before it");
        for has_room in [true, false] {
            let again = leading.take(STORE, run(6, 2, &[4, 5]), LIMIT, has_room);
            assert_eq!(again, Err(Refusal::Gap), "the sender was told that it was not taken");
        }
        assert_eq!(leading.take(STORE, run(7, 0, &[5, 6]), LIMIT, true), Ok(None));
        assert_eq!(proposed_seqs(&mut leading, 11), [6]);
    }

    #[test]
    fn an_attempt_that_was_ended_is_not_taken_up_again() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2, 4]), LIMIT, true).unwrap();
        assert!(!leading.end(STORE, attempt(5), 0), "it was taken");
        assert!(!leading.end(STORE, attempt(4), 0), "nobody waits for it");
        assert!(leading.end(STORE, attempt(5), 2) && leading.end(STORE, attempt(5), 2));
        assert_eq!(leading.take(STORE, run(5, 2, &[6]), LIMIT, true), Err(Refusal::Gap));
        assert!(leading.end(STORE, attempt(6), 0), "a newer one, of which nothing was taken");
        assert_eq!(leading.take(STORE, run(6, 0, &[6]), LIMIT, true), Err(Refusal::Gap));
        assert_eq!(leading.take(STORE, run(7, 0, &[6]), LIMIT, true), Ok(None));
        assert_eq!(proposed_seqs(&mut leading, 10), [6]);
    }

    #[test]
    fn however_many_attempts_there_were_the_life_stays_what_it_is() {
        let mut leading = Leading::default();
        for number in [u64::from(u32::MAX), 1 << 32, u64::MAX] {
            leading.take(STORE, run(number, 0, &[2]), LIMIT, true).unwrap();
            let proposals = leading.proposals(STORE, Stamp(5), LIMIT);
            let entry = decode_committed(Index(1), Term(1), proposals.payloads[0].bytes()).unwrap();
            assert_eq!(entry.origin.unwrap().life, LIFE, "in attempt {number}");
        }
        // After a start the numbers begin again, and replace those of the life before.
        let next = Attempt { life: Life(LIFE.0 + 1), number: 1 };
        leading.take(STORE, Submit { attempt: next, ..run(1, 0, &[4]) }, LIMIT, true).unwrap();
        leading.take(STORE, run(u64::MAX, 1, &[6]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 10), [4], "what is late of the life before is passed over");
    }

    #[test]
    fn a_full_queue_is_busy_and_takes_nothing() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2]), 3, true).unwrap();
        assert_eq!(leading.take(STORE, run(5, 1, &[4]), 3, true), Err(Refusal::Busy));
        assert_eq!(proposed_seqs(&mut leading, 1), [2]);
    }

    #[test]
    fn replies_are_wanted_and_reads_wait_for_their_lane() {
        let mut leading = Leading::default();
        leading.take(STORE, run(5, 0, &[2, 3, 4]), LIMIT, true).unwrap();
        leading.take(StoreId(8), run(1, 0, &[1]), LIMIT, true).unwrap();
        assert_eq!(proposed_seqs(&mut leading, 10), [2, 4]);
        leading.confirmed(ReadReady { id: ReadId(1), index: Index(4) });
        // The other store's read needs only what was committed; this lane's needs its own write at 10, not that at 11.
        let seqs = |reads: Vec<(ReplyTo, Bytes)>| reads.iter().map(|(to, _)| to.seq).collect::<Vec<_>>();
        assert_eq!(seqs(leading.reads_through(Index(9))), [1]);
        assert_eq!(seqs(leading.reads_through(Index(10))), [3]);
        let wanted = leading.wanted_through(Index(10));
        assert_eq!(
            wanted,
            [Wanted { index: Index(10), term: Term(3), to: ReplyTo { store: STORE, seq: 2 } }]
        );
        assert_eq!(leading.attempts().collect::<Vec<_>>(), [(STORE, attempt(5)), (StoreId(8), attempt(1))]);
    }
}

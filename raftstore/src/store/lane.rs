//! A lane: the commands that this store took for one region and has not answered, in the order of their taking.
//!
//! A lane sends its commands to whoever leads the region. Whenever what was sent may be lost (another leader, a lost
//! connection, a refusal, silence) it starts a new *attempt*: it sends everything unanswered again, in order, from the
//! oldest on. The leader takes only an unbroken run of an attempt, so in every term the log holds a lane's commands in
//! order; that a command may stand in it twice is the business of the state machine, which knows it by its number.
//!
//! Invariants:
//! - numbers grow along the lane; `lowest` is never above the number of a command that may be sent again;
//! - what an attempt has sent is a run of the lane from its front, less what was answered since.

use std::collections::VecDeque;

use bytes::Bytes;

use super::config::{LANE_CHECK_TICKS, LANE_RETRY_DOUBLINGS_MAX, LANE_RETRY_TICKS, MESSAGE_BYTES_ABOUT};
use super::request::{Reply, SubmitError};
use crate::ids::{Attempt, ReplicaId, Tick};
use crate::message::{RequestKind, SubmitItem};

/// So many hints in a row are followed at once; then the lane waits until it is looked at again.
const HOPS_MAX: u32 = 3;

/// One taken command.
struct Taken {
    seq: u64,
    kind: RequestKind,
    body: Bytes,
    deadline: Tick,
    /// How many commands its attempt had sent before it.
    position: u64,
    /// `None` once it is answered.
    reply: Option<Reply>,
}

/// See the page of this file.
pub(super) struct Lane {
    taken: VecDeque<Taken>,
    /// The number of the newest command that this attempt has sent; zero if none.
    sent: u64,
    /// The number of the newest command that an attempt before this one has sent; zero if none.
    sent_before: u64,
    /// The leader takes nothing more of this attempt, and what is next has to be tried on: nothing is sent before the next one. Else
    /// more and more would have been sent before, none of which could be refused.
    is_held: bool,
    attempt: Attempt,
    /// How many commands this attempt has sent.
    position: u64,
    target: Option<ReplicaId>,
    /// Whom it was last sent to, also when there is no target any more.
    asked: Option<ReplicaId>,
    heard: Tick,
    /// How often in a row it heard nothing of this target for so long that it started over.
    stalls: u32,
    /// How often it was sent on since it was last answered, or looked at.
    hops: u32,
}

/// What a lane wants sent.
pub(super) struct Run {
    pub(super) to: ReplicaId,
    pub(super) attempt: Attempt,
    pub(super) position: u64,
    pub(super) lowest: u64,
    pub(super) items: Vec<SubmitItem>,
}

/// What an answered command gives back to the store's budget.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Freed {
    pub(super) commands: usize,
    pub(super) bytes: usize,
}

impl Lane {
    pub(super) fn new(now: Tick) -> Lane {
        Lane {
            taken: VecDeque::new(),
            sent: 0,
            sent_before: 0,
            is_held: false,
            attempt: Attempt::default(),
            position: 0,
            target: None,
            asked: None,
            heard: now,
            stalls: 0,
            hops: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub(super) fn target(&self) -> Option<ReplicaId> {
        self.target
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Takes a command. `seq` must be above all taken before.
    pub(super) fn take(&mut self, seq: u64, kind: RequestKind, body: Bytes, deadline: Tick, reply: Reply) {
        debug_assert!(self.taken.back().is_none_or(|last| last.seq < seq), "numbers grow along a lane");
        self.taken.push_back(Taken { seq, kind, body, deadline, position: 0, reply: Some(reply) });
    }

    /// Starts over, towards `target`. Nothing is sent before [`next_run`](Lane::next_run).
    pub(super) fn restart(&mut self, attempt: Attempt, target: Option<ReplicaId>, now: Tick) {
        self.attempt = attempt;
        if std::mem::replace(&mut self.target, target) != target {
            self.stalls = 0;
        }
        self.asked = target.or(self.asked);
        self.sent_before = self.sent_before.max(self.sent);
        self.sent = 0;
        self.is_held = false;
        self.position = 0;
        self.heard = now;
    }

    /// Whom to ask when nobody here knows who leads: each of these in its turn, whatever other lanes do meanwhile. One that
    /// is gone then costs one wait.
    pub(super) fn next_to_ask(&self, members: &[ReplicaId]) -> Option<ReplicaId> {
        let last = self.asked.and_then(|asked| members.iter().position(|member| *member == asked));
        members.get(last.map_or(0, |last| (last + 1) % members.len())).copied()
    }

    /// What this attempt has not sent yet, as much as one message takes; it counts as sent from here on.
    pub(super) fn next_run(&mut self) -> Option<Run> {
        let to = self.target.filter(|_| !self.is_held)?;
        let first = self.taken.partition_point(|taken| taken.seq <= self.sent);
        let lowest = self.taken.front()?.seq;
        let mut bytes = 0;
        let fits = |taken: &&Taken| {
            let is_in = bytes < MESSAGE_BYTES_ABOUT;
            bytes += taken.body.len();
            is_in
        };
        let position = self.position;
        let unanswered = self.taken.range_mut(first..).filter(|taken| taken.reply.is_some());
        let numbered = unanswered.zip(position..).map(|(taken, position)| {
            taken.position = position;
            &*taken
        });
        let items: Vec<SubmitItem> = numbered.take_while(fits).map(item).collect();
        self.sent = items.last()?.seq;
        self.position += items.len() as u64;
        Some(Run { to, attempt: self.attempt, position, lowest, items })
    }

    /// Answers the command with this number, unless it is answered already.
    pub(super) fn answer(&mut self, seq: u64, result: Result<Bytes, SubmitError>, now: Tick) -> Freed {
        self.hops = 0;
        let Ok(at) = self.taken.binary_search_by_key(&seq, |taken| taken.seq) else {
            return Freed::default();
        };
        let Some(reply) = self.taken[at].reply.take() else { return Freed::default() };
        if at == 0 {
            // Only the oldest counts: if its answer was lost, those to later ones must not hide it.
            self.heard = now;
            self.stalls = 0;
        }
        let bytes = std::mem::take(&mut self.taken[at].body).len();
        reply(result);
        self.drop_answered();
        Freed { commands: 1, bytes }
    }

    /// The leader has no room, and takes nothing of this attempt from `position` on. Writes from there on are answered, but for
    /// those that an earlier attempt sent: they may stand in a log already, so nobody can say that nothing was done. False if
    /// such a one is next: what stands behind it has to wait, and the lane is held.
    pub(super) fn refuse_for_space(&mut self, position: u64) -> (Freed, bool) {
        let mut freed = Freed::default();
        let sent = self.taken.partition_point(|taken| taken.seq <= self.sent);
        let from = self.taken.range(..sent).take_while(|taken| taken.position < position).count();
        self.sent = self.taken.range(..from).last().map_or(0, |taken| taken.seq);
        for taken in self.taken.range_mut(from..sent) {
            if taken.kind.is_write()
                && taken.seq > self.sent_before
                && let Some(reply) = taken.reply.take()
            {
                freed.commands += 1;
                freed.bytes += std::mem::take(&mut taken.body).len();
                reply(Err(SubmitError::DiskFull));
            }
        }
        let next = self.taken.range(from..).find(|taken| taken.reply.is_some());
        let goes_on = next.is_none_or(|next| !next.kind.is_write() || next.seq > self.sent_before);
        self.is_held = !goes_on;
        self.drop_answered();
        (freed, goes_on)
    }

    /// Answers everything with the same error.
    pub(super) fn answer_all(&mut self, error: &SubmitError) -> Freed {
        let mut freed = Freed::default();
        for taken in self.taken.drain(..) {
            if let Some(reply) = taken.reply {
                freed.commands += 1;
                freed.bytes += taken.body.len();
                reply(Err(error.clone()));
            }
        }
        freed
    }

    /// Gives up what is past its deadline. It was perhaps done, so its caller is told that the outcome is unknown.
    pub(super) fn expire(&mut self, now: Tick) -> Freed {
        let mut freed = Freed::default();
        for taken in self.taken.iter_mut().filter(|taken| taken.deadline <= now) {
            if let Some(reply) = taken.reply.take() {
                freed.commands += 1;
                freed.bytes += std::mem::take(&mut taken.body).len();
                reply(Err(SubmitError::TimedOut));
            }
        }
        self.drop_answered();
        freed
    }

    /// Whether it was held for long enough to start over.
    pub(super) fn was_held(&self, now: Tick) -> bool {
        self.is_held && now.since(self.heard) >= LANE_CHECK_TICKS
    }

    /// Whether it may follow another hint: two stores that each hold the other for the leader must not play ball.
    pub(super) fn hop(&mut self) -> bool {
        self.hops += 1;
        self.hops <= HOPS_MAX
    }

    /// Hints may be followed again.
    pub(super) fn rest(&mut self) {
        self.hops = 0;
    }

    /// Whether something was sent long ago and nothing was heard since. It counts: each time in a row, up to a limit, is
    /// waited for twice as long as the one before.
    pub(super) fn stall(&mut self, now: Tick) -> bool {
        let patience = LANE_RETRY_TICKS << self.stalls.min(LANE_RETRY_DOUBLINGS_MAX);
        let is_stalled = !self.taken.is_empty() && now.since(self.heard) >= patience;
        self.stalls += u32::from(is_stalled);
        is_stalled
    }

    fn drop_answered(&mut self) {
        while self.taken.front().is_some_and(|taken| taken.reply.is_none()) {
            self.taken.pop_front();
        }
    }
}

fn item(taken: &Taken) -> SubmitItem {
    SubmitItem { seq: taken.seq, kind: taken.kind, body: taken.body.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Life;
    use std::sync::{Arc, Mutex};

    type Answers = Arc<Mutex<Vec<(u64, Result<Bytes, SubmitError>)>>>;

    fn attempt(number: u64) -> Attempt {
        Attempt { life: Life(1), number }
    }

    fn lane_of(count: u64) -> (Lane, Answers) {
        let answers = Answers::default();
        let mut lane = Lane::new(Tick(1));
        for seq in 1..=count {
            let answers = answers.clone();
            let reply = Box::new(move |result| answers.lock().unwrap().push((seq, result)));
            lane.take(seq, RequestKind::Write, Bytes::from(vec![seq as u8]), Tick(100 * seq), reply);
        }
        lane.restart(attempt(7), Some(ReplicaId(1)), Tick(1));
        (lane, answers)
    }

    fn seqs(run: Option<Run>) -> Vec<u64> {
        run.map(|run| run.items.iter().map(|item| item.seq).collect()).unwrap_or_default()
    }

    #[test]
    fn an_attempt_sends_each_command_once_in_order() {
        let (mut lane, _) = lane_of(3);
        assert_eq!(seqs(lane.next_run()), [1, 2, 3]);
        assert_eq!(seqs(lane.next_run()), []);
        lane.take(4, RequestKind::Read, Bytes::new(), Tick(9), Box::new(|_| ()));
        let run = lane.next_run().unwrap();
        assert_eq!((run.position, run.lowest, run.items.len()), (3, 1, 1));
    }

    #[test]
    fn a_new_attempt_sends_what_is_unanswered_from_the_front() {
        let (mut lane, answers) = lane_of(4);
        lane.next_run();
        lane.answer(1, Ok(Bytes::new()), Tick(2));
        assert_eq!(lane.answer(3, Ok(Bytes::new()), Tick(2)), Freed { commands: 1, bytes: 1 });
        assert_eq!(
            lane.answer(3, Ok(Bytes::new()), Tick(2)),
            Freed::default(),
            "a second answer changes nothing"
        );
        lane.restart(attempt(8), Some(ReplicaId(2)), Tick(2));
        let run = lane.next_run().unwrap();
        assert_eq!((run.position, run.lowest), (0, 2));
        assert_eq!(seqs(Some(run)), [2, 4]);
        assert_eq!(answers.lock().unwrap().len(), 2);
    }

    #[test]
    fn only_what_nobody_can_have_taken_is_refused_for_space() {
        let (mut lane, answers) = lane_of(2);
        lane.next_run();
        lane.restart(attempt(8), Some(ReplicaId(2)), Tick(2));
        for (seq, kind) in [(3, RequestKind::Read), (4, RequestKind::Write), (5, RequestKind::Write)] {
            let answers = answers.clone();
            let reply = Box::new(move |result| answers.lock().unwrap().push((seq, result)));
            lane.take(seq, kind, Bytes::from_static(b"x"), Tick(300), reply);
        }
        assert_eq!(seqs(lane.next_run()), [1, 2, 3, 4, 5]);
        // The one before may have written 1 and 2, and the read must see it.
        assert_eq!(lane.refuse_for_space(0), (Freed { commands: 2, bytes: 2 }, false));
        let refused = |seq| (seq, Err(SubmitError::DiskFull));
        assert_eq!(*answers.lock().unwrap(), [refused(4), refused(5)]);
        // What comes meanwhile is not sent, and so can be refused the next time.
        lane.take(6, RequestKind::Write, Bytes::new(), Tick(9), Box::new(|_| ()));
        assert!(lane.next_run().is_none() && !lane.was_held(Tick(3)) && lane.was_held(Tick(12)));
        lane.restart(attempt(9), Some(ReplicaId(2)), Tick(2));
        assert_eq!(seqs(lane.next_run()), [1, 2, 3, 6]);
        lane.answer(1, Ok(Bytes::new()), Tick(2));
        lane.answer(2, Ok(Bytes::new()), Tick(2));
        // The read was taken, the write was not, and another attempt may be told the same.
        assert_eq!(lane.refuse_for_space(3), (Freed { commands: 1, bytes: 0 }, true));
    }

    #[test]
    fn a_leader_that_stays_silent_is_asked_less_and_less_often() {
        let (mut lane, _) = lane_of(2);
        let mut restarts = Vec::new();
        for now in 2..1400 {
            if lane.stall(Tick(now)) {
                lane.restart(attempt(now), lane.target(), Tick(now));
                restarts.push(now);
            }
        }
        assert_eq!(restarts, [101, 301, 701, 1101]);
        lane.answer(1, Ok(Bytes::new()), Tick(1400));
        assert!(!lane.stall(Tick(1499)) && lane.stall(Tick(1500)), "it was heard: from the beginning");
        lane.restart(attempt(9), Some(ReplicaId(2)), Tick(1500));
        assert!(lane.stall(Tick(1600)), "another leader: from the beginning");
    }

    #[test]
    fn all_members_are_asked_in_turn() {
        let members = [ReplicaId(1), ReplicaId(2), ReplicaId(3)];
        let (mut lane, _) = lane_of(1);
        let mut asked = Vec::new();
        for number in 0..5 {
            // One refuses, one stays silent.
            lane.restart(attempt(number), None, Tick(2));
            let next = lane.next_to_ask(&members);
            lane.restart(attempt(number), next, Tick(2));
            asked.extend(next);
        }
        assert_eq!(asked, [2, 3, 1, 2, 3].map(ReplicaId));
        assert_eq!(
            lane.next_to_ask(&members[..2]),
            Some(ReplicaId(1)),
            "the last one asked is no member any more"
        );
        assert_eq!(lane.next_to_ask(&[]), None);
    }

    #[test]
    fn without_a_leader_nothing_is_sent_and_deadlines_still_hold() {
        let (mut lane, answers) = lane_of(2);
        lane.restart(attempt(8), None, Tick(2));
        assert!(lane.next_run().is_none());
        assert_eq!(lane.expire(Tick(100)), Freed { commands: 1, bytes: 1 });
        assert_eq!(*answers.lock().unwrap(), [(1, Err(SubmitError::TimedOut))]);
        assert_eq!(lane.answer_all(&SubmitError::NoRegion).commands, 1);
        assert!(lane.is_empty());
    }
}

//! One region's machine at work: a bounded pass over its jobs.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::job::{ApplyOutcome, ApplySink, CommittedLog, Job, ReadReply, ReplyTo, SnapshotPurpose, Wanted};
use super::pool::ApplyLimits;
use crate::ids::{Index, RegionId, StoreId, Term};
use crate::machine::{Child, Committed, Fatal, MachineFactory, StateMachine};
use crate::raft::LogPos;
use crate::snapshot::ReceivedSnapshot;
use crate::wire::entry::decode_committed;

/// A machine and how far it has come.
pub(super) struct Applier {
    region: RegionId,
    state: State,
    applied: LogPos,
}

enum State {
    Running(Box<dyn StateMachine>),
    /// It waits for a machine; one that a snapshot brings is made by this.
    Vacant(Arc<dyn MachineFactory>),
    /// It failed, and this is why.
    Failed(String),
    Stopped,
}

/// One pass: what is to be done, what has been answered, and how much of the budget is left.
pub(super) struct Pass<'a> {
    log: &'a dyn CommittedLog,
    sink: &'a dyn ApplySink,
    limits: ApplyLimits,
    jobs: VecDeque<Job>,
    bytes_left: usize,
    replies: Vec<(ReplyTo, Bytes)>,
    /// Whether anything was applied or answered that has not been told.
    is_news: bool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        log: &'a dyn CommittedLog,
        sink: &'a dyn ApplySink,
        limits: ApplyLimits,
        jobs: VecDeque<Job>,
    ) -> Pass<'a> {
        Pass { log, sink, limits, jobs, bytes_left: limits.pass_bytes, replies: Vec::new(), is_news: false }
    }

    /// What the budget was too small for, in order.
    pub(super) fn undone(self) -> VecDeque<Job> {
        self.jobs
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    fn reply(&mut self, to: ReplyTo, reply: Bytes) {
        self.spend(reply.len());
        self.replies.push((to, reply));
        self.is_news = true;
    }
}

impl Applier {
    pub(super) fn new(region: RegionId, machine: Box<dyn StateMachine>, applied: LogPos) -> Applier {
        Applier { region, state: State::Running(machine), applied }
    }

    /// Without a machine, for now.
    pub(super) fn vacant(region: RegionId, factory: Arc<dyn MachineFactory>) -> Applier {
        Applier { region, state: State::Vacant(factory), applied: LogPos::default() }
    }

    /// Whether there is no machine that could give a snapshot.
    pub(super) fn is_without_machine(&self) -> bool {
        matches!(self.state, State::Failed(_) | State::Vacant(_))
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// Does jobs until there are none or the budget is spent; what was answered is told once, at the end.
    pub(super) fn work(&mut self, pass: &mut Pass<'_>) {
        while pass.bytes_left > 0 {
            let Some(job) = pass.jobs.pop_front() else { break };
            if let Err(Fatal(why)) = self.work_on(job, pass) {
                let failed = std::mem::replace(&mut self.state, State::Failed(why));
                // A machine that is broken may break once more when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(failed)));
                self.tell(pass);
                self.tell_failed(pass);
            }
        }
        self.tell(pass);
    }

    fn work_on(&mut self, job: Job, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        match (&self.state, job) {
            (State::Stopped | State::Vacant(_), Job::ReadHere { reply, .. }) => {
                reply(Err("it has no state here".to_owned()));
            }
            (State::Stopped, Job::Restore(received)) => {
                let (region, why) = (self.region, "it has stopped".to_owned());
                pass.sink.outcome(ApplyOutcome::NotRestored { region, received: *received, why });
            }
            (State::Stopped, _) => {}
            (_, Job::Stop) => self.state = State::Stopped,
            (State::Failed(why), Job::Restore(received)) => {
                let (region, why) = (self.region, why.clone());
                pass.sink.outcome(ApplyOutcome::NotRestored { region, received: *received, why });
            }
            (State::Failed(why), Job::ReadHere { reply, .. }) => reply(Err(why.clone())),
            (State::Failed(_), _) => self.tell_failed(pass),
            (State::Running(_), Job::Apply { through, wanted }) => self.apply(through, wanted, pass)?,
            (State::Running(_), Job::Read { queries }) => self.read(queries, pass)?,
            (State::Running(_), Job::ReadHere { query, reply }) => self.read_here(&query, reply, pass)?,
            (State::Running(_), Job::Snapshot(purpose)) => self.snapshot(purpose, pass)?,
            (State::Running(_), Job::Restore(received)) => self.restore(*received, pass)?,
            (State::Vacant(factory), Job::Restore(received)) => {
                let factory = factory.clone();
                self.restore_new(&*factory, *received, pass)?;
            }
            (State::Vacant(_), Job::MoveIn { machine, at }) => {
                (self.state, self.applied) = (State::Running(machine), at);
            }
            // A snapshot was faster, and brought more.
            (State::Running(_), Job::MoveIn { .. }) => {}
            // Asked for by somebody who could not know.
            (State::Vacant(_), Job::Snapshot(_)) => {}
            (State::Vacant(_), Job::Apply { .. } | Job::Read { .. } | Job::Digest { .. }) => {
                return Err(Fatal("it was asked to work before it had a machine".to_owned()));
            }
            (State::Running(_), Job::Digest { to }) => {
                let digest = self.machine(|machine| Ok(machine.digest()))?;
                pass.reply(to, Bytes::copy_from_slice(&digest.to_le_bytes()));
            }
        }
        Ok(())
    }

    /// Applies one chunk, and puts what is left of the job back in front.
    fn apply(&mut self, through: Index, mut wanted: Vec<Wanted>, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        let through = merge_following(through, &mut wanted, &mut pass.jobs);
        if through <= self.applied.index {
            return Ok(());
        }
        let batch = self.chunk(through, pass)?;
        let mut replies = Vec::with_capacity(batch.len());
        self.machine(|machine| machine.apply(&batch, &mut replies))?;
        if replies.len() != batch.len() {
            return Err(Fatal(format!(
                "its machine gave {} replies to {} entries",
                replies.len(),
                batch.len()
            )));
        }
        self.tell_children(&batch, pass)?;
        let last = batch.last().map_or(self.applied, |last| LogPos { index: last.index, term: last.term });
        let rest = wanted.split_off(wanted.partition_point(|wanted| wanted.index <= last.index));
        answer(&batch, replies, &wanted, pass);
        self.applied = last;
        pass.is_news = true;
        if last.index < through {
            pass.jobs.push_front(Job::Apply { through, wanted: rest });
        }
        Ok(())
    }

    /// What a batch has split off is told before anybody is answered: then it is there when it is asked.
    fn tell_children(&mut self, batch: &[Committed], pass: &Pass<'_>) -> Result<(), Fatal> {
        let children = self.machine(|machine| Ok(machine.take_children()))?;
        if children.is_empty() {
            return Ok(());
        }
        let proposer = |child: &Child| {
            let entry =
                batch.iter().find(|entry| entry.index == child.at.index && entry.term == child.at.term);
            entry.and_then(|entry| entry.proposer)
        };
        let children: Option<Vec<(Child, StoreId)>> =
            children.into_iter().map(|child| proposer(&child).map(|proposer| (child, proposer))).collect();
        let children = children
            .ok_or_else(|| Fatal("its machine split off a region that no change asked for".to_owned()))?;
        pass.sink.outcome(ApplyOutcome::Split { region: self.region, children });
        Ok(())
    }

    /// The next entries, as many as one call may take.
    fn chunk(&self, through: Index, pass: &mut Pass<'_>) -> Result<Vec<Committed>, Fatal> {
        let first = self.applied.index.next();
        let last = through.min(Index(self.applied.index.0 + pass.limits.chunk_entries.max(1)));
        let mut found = Vec::new();
        let unreadable =
            |why: String| Fatal(format!("its entries from {} on cannot be read: {why}", first.0));
        pass.log.read(self.region, first, last, pass.limits.chunk_bytes, &mut found).map_err(unreadable)?;
        if found.is_empty() {
            return Err(unreadable("the log gave none".to_owned()));
        }
        pass.spend(found.iter().map(|(_, _, payload)| payload.len().max(1)).sum());
        found.iter().zip(first.0..).map(|(entry, expected)| committed(entry, Index(expected))).collect()
    }

    /// Answers queries until the budget is spent, and puts the rest back in front.
    fn read(&mut self, queries: Vec<(ReplyTo, Bytes)>, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        let mut queries = queries.into_iter();
        while pass.bytes_left > 0 {
            let Some((to, query)) = queries.next() else { return Ok(()) };
            let reply = self.machine(|machine| Ok(machine.read(&query)))?;
            pass.spend(query.len().max(1));
            pass.reply(to, reply);
        }
        if queries.len() > 0 {
            pass.jobs.push_front(Job::Read { queries: queries.collect() });
        }
        Ok(())
    }

    fn read_here(&mut self, query: &Bytes, reply: ReadReply, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        match self.machine(|machine| Ok(machine.read(query))) {
            Ok(answer) => {
                pass.spend(query.len().max(1) + answer.len());
                reply(Ok(answer));
                Ok(())
            }
            Err(Fatal(why)) => {
                reply(Err(why.clone()));
                Err(Fatal(why))
            }
        }
    }

    fn snapshot(&mut self, purpose: SnapshotPurpose, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        let source = self.machine(|machine| machine.snapshot())?;
        self.tell(pass);
        pass.sink.outcome(ApplyOutcome::SnapshotTaken { region: self.region, purpose, source });
        Ok(())
    }

    /// A snapshot is the first state: its machine is made for it. If it is refused there is none, as before.
    fn restore_new(
        &mut self,
        factory: &dyn MachineFactory,
        received: ReceivedSnapshot,
        pass: &mut Pass<'_>,
    ) -> Result<(), Fatal> {
        let made = catch_unwind(AssertUnwindSafe(|| {
            let mut machine = factory.create(self.region, &received.meta.genesis)?;
            machine.restore(&mut received.open())?;
            Ok(machine)
        }));
        let made =
            made.unwrap_or_else(|panic| Err(Fatal(format!("its machine panicked: {}", panic_text(&*panic)))));
        match made {
            Ok(machine) if machine.applied() == received.meta.at => {
                (self.state, self.applied) = (State::Running(machine), received.meta.at);
                self.tell_restored(received, pass)
            }
            Ok(_) => self.tell_refused(received, "it holds another state than it says", pass),
            Err(Fatal(why)) => self.tell_refused(received, &why, pass),
        }
    }

    fn tell_refused(&self, received: ReceivedSnapshot, why: &str, pass: &Pass<'_>) -> Result<(), Fatal> {
        let why = format!("a snapshot of {:?} is of no use: {why}", received.meta.at);
        pass.sink.outcome(ApplyOutcome::NotRestored { region: self.region, received, why });
        Ok(())
    }

    fn tell_restored(&mut self, received: ReceivedSnapshot, pass: &Pass<'_>) -> Result<(), Fatal> {
        let (size, description) = self.machine(|machine| Ok((machine.size(), machine.take_description())))?;
        pass.sink.outcome(ApplyOutcome::Restored { region: self.region, received, size, description });
        Ok(())
    }

    /// A machine that refuses a snapshot keeps its state, so only a panic, or a state that is not what the snapshot
    /// said, stops the region.
    fn restore(&mut self, received: ReceivedSnapshot, pass: &mut Pass<'_>) -> Result<(), Fatal> {
        self.tell(pass);
        let region = self.region;
        let at = received.meta.at;
        if at.index <= self.applied.index {
            let why = format!(
                "a snapshot of {at:?} is older than the state, which goes through {:?}",
                self.applied
            );
            pass.sink.outcome(ApplyOutcome::NotRestored { region, received, why });
            return Ok(());
        }
        let outcome = self.machine(|machine| {
            let restored = machine.restore(&mut received.open()).err();
            if restored.is_none() && machine.applied() != at {
                let is = machine.applied();
                return Err(Fatal(format!("its machine is at {is:?} after a snapshot of {at:?}")));
            }
            Ok(restored)
        });
        // Whoever waits for the file hears of it in any case.
        let (why, ended) = match outcome {
            Ok(None) => {
                self.applied = at;
                return self.tell_restored(received, pass);
            }
            Ok(Some(Fatal(why))) => (why, Ok(())),
            Err(Fatal(why)) => (why.clone(), Err(Fatal(why))),
        };
        let why = format!("the machine refused a snapshot of {at:?}: {why}");
        pass.sink.outcome(ApplyOutcome::NotRestored { region, received, why });
        ended
    }

    /// Calls the machine. A panic in it is its failure and nobody else's.
    fn machine<T>(
        &mut self,
        call: impl FnOnce(&mut dyn StateMachine) -> Result<T, Fatal>,
    ) -> Result<T, Fatal> {
        let State::Running(machine) = &mut self.state else {
            return Err(Fatal("its machine has stopped".to_owned()));
        };
        // Whatever state a panic leaves behind is never looked at again.
        catch_unwind(AssertUnwindSafe(|| call(&mut **machine)))
            .unwrap_or_else(|panic| Err(Fatal(format!("its machine panicked: {}", panic_text(&*panic)))))
    }

    fn tell(&mut self, pass: &mut Pass<'_>) {
        if std::mem::take(&mut pass.is_news) {
            let replies = std::mem::take(&mut pass.replies);
            // A machine that fails here is found out by the next job.
            let now = self.machine(|machine| Ok((machine.size(), machine.take_description())));
            let (size, description) = now.unwrap_or_default();
            let (region, at) = (self.region, self.applied);
            pass.sink.outcome(ApplyOutcome::Applied { region, at, replies, size, description });
        }
    }

    fn tell_failed(&self, pass: &Pass<'_>) {
        if let State::Failed(why) = &self.state {
            pass.sink.outcome(ApplyOutcome::Failed { region: self.region, why: why.clone() });
        }
    }
}

/// What a panic said, if it said anything.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// Takes the `Apply` jobs that stand at the front of `jobs` into one.
fn merge_following(mut through: Index, wanted: &mut Vec<Wanted>, jobs: &mut VecDeque<Job>) -> Index {
    while let Some(Job::Apply { .. }) = jobs.front() {
        let Some(Job::Apply { through: further, wanted: more }) = jobs.pop_front() else { break };
        through = through.max(further);
        wanted.extend(more);
    }
    through
}

fn committed(entry: &(Index, Term, Bytes), expected: Index) -> Result<Committed, Fatal> {
    let (index, term, payload) = entry;
    if *index != expected {
        return Err(Fatal(format!("the log gave entry {} where {} was asked for", index.0, expected.0)));
    }
    decode_committed(*index, *term, payload)
        .map_err(|error| Fatal(format!("its entry {} cannot be understood: {error}", index.0)))
}

/// Gives replies to those who wait for exactly these entries; `wanted` is sorted, as the batch is.
fn answer(batch: &[Committed], replies: Vec<Bytes>, wanted: &[Wanted], pass: &mut Pass<'_>) {
    let mut wanted = wanted.iter().peekable();
    for (entry, reply) in batch.iter().zip(replies) {
        while wanted.next_if(|wanted| wanted.index < entry.index).is_some() {}
        while let Some(wanted) = wanted.next_if(|wanted| wanted.index == entry.index) {
            if wanted.term == entry.term {
                pass.reply(wanted.to, reply.clone());
            }
        }
    }
}

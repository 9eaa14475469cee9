//! Three replicas in one thread, whatever their core: what each core must be able to do, and how messages pass between them.

use bytes::Bytes;

use crate::peer::Result;

pub(crate) const REPLICAS: usize = 3;
pub(crate) const PAYLOAD_BYTES: usize = 128;

/// A replica's log is cut when it holds so many entries, all of them applied. The number at which `raft-io` is fastest.
pub(crate) const LOG_ENTRIES_MAX: usize = 1024;

/// What stands before each payload, because it stands there in Skep's entries: the kind of entry. The others leave it off.
const COMMAND: u8 = 2;

/// No core needs so many ticks to find a leader, or to tell everybody of everything.
const TICKS_MAX: usize = 100;

/// What waits for each replica.
pub(crate) type Inboxes<M> = [Vec<M>; REPLICAS];

/// One replica, with its log and its state machine. Replicas are 1 to 3, and wait in the inboxes 0 to 2.
pub(crate) trait Core: Sized {
    type Message;
    /// The core itself, without machine and entries.
    type Node;

    fn new(id: u64) -> Result<Self>;
    /// Tries to lead. May be asked more than once.
    fn campaign(&mut self, inboxes: &mut Inboxes<Self::Message>) -> Result<()>;
    fn is_leader(&self) -> bool;
    fn leader(&self) -> Option<u64>;
    /// These arrived at the same time, at the leader.
    fn propose(&mut self, payloads: &[Bytes], inboxes: &mut Inboxes<Self::Message>) -> Result<()>;
    fn receive(&mut self, message: Self::Message, inboxes: &mut Inboxes<Self::Message>) -> Result<()>;
    /// Carries out what has come of everything that arrived since the last turn: writes, sends and applies. What was written
    /// is durable at once.
    fn turn(&mut self, inboxes: &mut Inboxes<Self::Message>) -> Result<()>;
    /// Whether it has to be given another turn though no message waits for it.
    fn wants_turn(&self) -> bool;
    /// Time passes, if the core has to be told.
    fn tick(&mut self, inboxes: &mut Inboxes<Self::Message>) -> Result<()>;
    fn machine(&mut self) -> &mut Machine;
    fn into_node(self) -> Self::Node;
}

/// Three replicas, of which the first leads.
pub(crate) struct Group<C: Core> {
    replicas: [C; REPLICAS],
    inboxes: Inboxes<C::Message>,
    /// What is being delivered: empty between calls, the room kept.
    arrived: Vec<C::Message>,
}

/// The state machine: it has read what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Machine {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Of the first bytes of each command, which are random.
    pub(crate) sum: u64,
    /// Of all bytes, unless time is measured.
    pub(crate) checksum: Option<u32>,
}

impl Machine {
    pub(crate) fn apply(&mut self, command: &[u8]) {
        self.entries += 1;
        self.bytes += command.len() as u64;
        let first = command.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        self.sum = self.sum.rotate_left(1).wrapping_add(first);
        if let Some(checksum) = &mut self.checksum {
            *checksum = checksum.rotate_left(1) ^ crc32fast::hash(command);
        }
    }
}

impl<C: Core> Group<C> {
    pub(crate) fn new() -> Result<Group<C>> {
        let replicas = [C::new(1)?, C::new(2)?, C::new(3)?];
        let mut group = Group { replicas, inboxes: Default::default(), arrived: Vec::new() };
        for _ in 0..TICKS_MAX {
            group.replicas[0].campaign(&mut group.inboxes)?;
            group.settle(0)?;
            if group.replicas[0].is_leader() {
                group.tell_all()?;
                return Ok(group);
            }
        }
        Err("the first replica does not lead".into())
    }

    /// Every byte that is applied is read from now on.
    pub(crate) fn read_every_byte(&mut self) {
        self.replicas.iter_mut().for_each(|replica| replica.machine().checksum = Some(0));
    }

    /// Commits these, as if they had arrived at the same time.
    pub(crate) fn commit(&mut self, payloads: &[Bytes]) -> Result<()> {
        self.replicas[0].propose(payloads, &mut self.inboxes)?;
        self.settle(0)
    }

    /// What the leader has applied.
    pub(crate) fn machine(&mut self) -> Machine {
        *self.replicas[0].machine()
    }

    /// What each replica has applied, after everybody was told of everything.
    pub(crate) fn machines(&mut self) -> Result<[Machine; REPLICAS]> {
        self.tell_all()?;
        Ok(self.replicas.each_mut().map(|replica| *replica.machine()))
    }

    /// The followers, who have nothing to do.
    pub(crate) fn into_followers(self) -> Result<[C::Node; REPLICAS - 1]> {
        let [_, second, third] = self.replicas;
        if [second.leader(), third.leader()] != [Some(1); REPLICAS - 1] {
            return Err("a follower does not follow".into());
        }
        Ok([second.into_node(), third.into_node()])
    }

    /// Followers that hear of a commit with the next entry or heartbeat hear of it now.
    fn tell_all(&mut self) -> Result<()> {
        for _ in 0..TICKS_MAX {
            self.replicas[0].tick(&mut self.inboxes)?;
            self.settle(0)?;
        }
        Ok(())
    }

    /// A turn of `first`, then of whoever comes next in the round and has something waiting, until nothing waits. All that
    /// has arrived for a replica is one turn.
    fn settle(&mut self, first: usize) -> Result<()> {
        let mut of = first;
        loop {
            self.replicas[of].turn(&mut self.inboxes)?;
            let waits = |at: &usize| !self.inboxes[*at].is_empty() || self.replicas[*at].wants_turn();
            let next = (of + 1..REPLICAS).find(waits).or_else(|| (0..=of).find(waits));
            let Some(next) = next else { return Ok(()) };
            of = next;
            std::mem::swap(&mut self.inboxes[of], &mut self.arrived);
            for message in self.arrived.drain(..) {
                self.replicas[of].receive(message, &mut self.inboxes)?;
            }
        }
    }
}

/// Commands of random bytes, each after the kind of entry; slices of one buffer, like those of a frame that was received.
pub(crate) fn payloads() -> Vec<Bytes> {
    const COUNT: usize = 1024;
    let random = crate::work::Payloads::new();
    let mut frame = Vec::with_capacity(COUNT * (1 + PAYLOAD_BYTES));
    for at in 0..COUNT as u64 {
        frame.push(COMMAND);
        frame.extend_from_slice(&random.of(0, at)[..PAYLOAD_BYTES]);
    }
    let frame = Bytes::from(frame);
    (0..COUNT).map(|at| frame.slice(at * (1 + PAYLOAD_BYTES)..(at + 1) * (1 + PAYLOAD_BYTES))).collect()
}

//! Clients of the key space: each gives commands to one store, waits for the answers, and remembers everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skep_engine::by_hand::Front;
use skep_engine::{Answer, Command, Condition, Error, Expiry, ExpiryCondition, Stamp};

use super::chance::Chance;
use super::full_disks::Told;
use super::linear::Operation;

/// The longest value, in bytes: with small messages a turn's writes fit into a small segment.
const VALUE_BYTES_MAX: u64 = 900;

/// Values expire at some time of the simulation, or after its end.
const EXPIRES_MS_MAX: u64 = 60_000;

/// Every so many-th client only reads, and waits for nothing before it reads on: as many reads as this may be under way. Who writes
/// to a store that is cut off waits, and would never see what it answers.
const READER_EVERY: usize = 3;
const READS_UNDER_WAY_MAX: usize = 50;

type Replies = Arc<Mutex<Vec<(usize, Result<Answer, Error>)>>>;

/// See the page of this file.
pub(super) struct Clients {
    keys: Vec<Bytes>,
    clients: Vec<Client>,
    operations: Vec<Recorded>,
    replies: Replies,
    /// Counts calls and returns.
    moment: u64,
    pub(super) unknown: u64,
    refused: usize,
    is_busy: bool,
}

struct Client {
    /// Which store it talks to.
    at: usize,
    /// Its unanswered operations.
    waits_for: Vec<usize>,
    only_reads: bool,
    next_at: u64,
}

struct Recorded {
    key: usize,
    operation: Operation,
    is_over: bool,
    /// Certainly not done: it is no part of the history.
    is_void: bool,
}

impl Clients {
    pub(super) fn new(keys: u64, clients: usize, stores: usize) -> Clients {
        // Spread over the regions, whose boundaries lie between these keys.
        let keys =
            (0..keys).map(|number| Bytes::from(format!("key:{:012}", number * 100_000 / keys))).collect();
        let clients = (0..clients).map(|number| {
            let only_reads = number % READER_EVERY == READER_EVERY - 1;
            Client { at: number % stores, waits_for: Vec::new(), only_reads, next_at: 0 }
        });
        Clients {
            keys,
            clients: clients.collect(),
            operations: Vec::new(),
            replies: Replies::default(),
            moment: 0,
            unknown: 0,
            refused: 0,
            is_busy: false,
        }
    }

    /// What all clients were told until now.
    pub(super) fn told(&self) -> Told {
        let answered = |recorded: &&Recorded| recorded.operation.returned.is_some();
        let answered = self.operations.iter().filter(answered).count();
        Told { answered, refused: self.refused, timed_out: self.unknown }
    }

    /// Whether a store has had no room for their commands.
    pub(super) fn were_too_many(&self) -> bool {
        self.is_busy
    }

    pub(super) fn count(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn operations(&self) -> usize {
        self.operations.len()
    }

    /// The store that a client talks to.
    pub(super) fn store_of(&self, client: usize) -> usize {
        self.clients[client].at
    }

    pub(super) fn is_due(&self, client: usize, now: u64) -> bool {
        let client = &self.clients[client];
        let under_way_max = if client.only_reads { READS_UNDER_WAY_MAX } else { 1 };
        client.waits_for.len() < under_way_max && client.next_at <= now
    }

    pub(super) fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| client.waits_for.is_empty())
    }

    /// The store's process is gone: what its clients wait for stays unknown, and they go elsewhere.
    pub(super) fn lost_store(&mut self, store: usize, stores: usize, chance: &mut Chance) {
        for client in self.clients.iter_mut().filter(|client| client.at == store) {
            client.at = chance.below(stores as u64) as usize;
            for at in client.waits_for.drain(..) {
                self.operations[at].is_over = true;
                self.unknown += 1;
            }
        }
    }

    /// A client gives one to three commands about one key to its store, without waiting in between.
    pub(super) fn ask(&mut self, client: usize, front: &Front, chance: &mut Chance, next_at: u64) {
        let key = chance.below(self.keys.len() as u64) as usize;
        self.clients[client].next_at = next_at;
        if self.clients[client].only_reads {
            return self.read(client, key, front);
        }
        if chance.one_in(6) {
            let command = self.draw_expiring(key, chance);
            self.submit(client, key, command, front);
            // No history: when it was over depends on every clock there is. Replicas have to be equal all the same.
            if let Some(recorded) = self.operations.last_mut() {
                recorded.is_void = true;
            }
        }
        for _ in 0..chance.pick(&[1, 1, 1, 2, 3]) {
            let command = self.draw(client, key, chance);
            self.submit(client, key, command, front);
        }
    }

    /// A client reads a key.
    pub(super) fn read(&mut self, client: usize, key: usize, front: &Front) {
        let command = Command::Get { key: self.keys[key].clone() };
        self.submit(client, key, command, front);
    }

    fn submit(&mut self, client: usize, key: usize, command: Command, front: &Front) {
        self.moment += 1;
        let at = self.operations.len();
        let operation = Operation { client, command: command.clone(), called: self.moment, returned: None };
        self.operations.push(Recorded { key, operation, is_over: false, is_void: false });
        self.clients[client].waits_for.push(at);
        let replies = self.replies.clone();
        front.execute(&command, move |result| replies.lock().push((at, result)));
    }

    /// A value that expires some time, or what moves time on: in the region of a key, beside it.
    fn draw_expiring(&self, key: usize, chance: &mut Chance) -> Command {
        let near = &self.keys[key];
        let name = Bytes::from([near, format!("\0{}", chance.below(20)).as_bytes()].concat());
        let expiry = Expiry::At(Stamp(chance.below(EXPIRES_MS_MAX)));
        match chance.below(6) {
            0 => Command::Sweep { key: near.clone() },
            1 => Command::Increment { key: name, by: 1 },
            2 => {
                let condition = ExpiryCondition::default();
                Command::Expire { key: name, expiry, condition, return_value: true }
            }
            3 => {
                let (watched, increment) = (Vec::new(), Command::Increment { key: name.clone(), by: 1 });
                Command::Atomic { watched, commands: vec![increment, Command::Get { key: name }] }
            }
            _ => {
                let (value, condition) = (Bytes::from_static(b"7"), Condition::Always);
                Command::Put { key: name, value, condition, expiry, return_old: false }
            }
        }
    }

    /// Three kinds of keys: values, numbers, and lists that are appended to.
    fn draw(&mut self, client: usize, key: usize, chance: &mut Chance) -> Command {
        let name = self.keys[key].clone();
        let token = format!("{client}.{};", self.operations.len());
        if chance.one_in(3) {
            return Command::Get { key: name };
        }
        match key % 3 {
            0 => {
                let padding = if chance.one_in(4) { chance.below(VALUE_BYTES_MAX) as usize } else { 0 };
                let value = Bytes::from(format!("{token}{:padding$}", ""));
                match chance.below(8) {
                    0 => Command::Delete { key: name, return_old: false },
                    1 => put(name, value, Condition::Absent),
                    2 => put(name, value, Condition::Present),
                    3 => {
                        let seen = self.newest_value(key);
                        put(name, value, seen.map_or(Condition::Absent, Condition::Equals))
                    }
                    _ => put(name, value, Condition::Always),
                }
            }
            1 => Command::Increment { key: name, by: chance.within(1..=1000) as i64 },
            _ => Command::Append { key: name, value: Bytes::from(token) },
        }
    }

    /// What somebody saw or put last: a guess that often holds.
    fn newest_value(&self, key: usize) -> Option<Bytes> {
        let newest = self.operations.iter().rev().take(60).find_map(|recorded| {
            match (&recorded.operation.command, &recorded.operation.returned) {
                _ if recorded.key != key => None,
                (Command::Get { .. }, Some((_, Answer::Value(value)))) => Some(value.clone()),
                (Command::Put { value, .. }, Some((_, Answer::Done))) => Some(Some(value.clone())),
                _ => None,
            }
        });
        newest.flatten()
    }

    /// Takes in the answers that have come. An error that should never come is returned.
    pub(super) fn take_replies(&mut self, hash: &mut impl FnMut(u64)) -> Option<String> {
        let replies = std::mem::take(&mut *self.replies.lock());
        let mut wrong = None;
        for (at, result) in replies {
            self.moment += 1;
            let recorded = &mut self.operations[at];
            if recorded.is_over {
                continue; // the process that says so is gone: nobody hears it
            }
            recorded.is_over = true;
            hash(at as u64);
            self.clients[recorded.operation.client].waits_for.retain(|waits| *waits != at);
            match result {
                Ok(answer) => {
                    hash(1);
                    recorded.operation.returned = Some((self.moment, answer));
                }
                Err(Error::TimedOut | Error::StoreStopped(_) | Error::OutcomeUnknown) => self.unknown += 1,
                Err(error @ (Error::Busy | Error::DiskFull)) => {
                    recorded.is_void = true;
                    self.refused += usize::from(error == Error::DiskFull);
                    self.is_busy |= error == Error::Busy;
                }
                Err(error) => {
                    wrong.get_or_insert(format!("{:?} was answered: {error}", recorded.operation.command));
                }
            }
        }
        wrong
    }

    /// The history of each key.
    pub(super) fn histories(&self) -> BTreeMap<usize, Vec<Operation>> {
        let mut histories: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
        for recorded in self.operations.iter().filter(|recorded| !recorded.is_void) {
            // A read of unknown outcome says nothing.
            let is_read = !recorded.operation.command.is_write();
            if !(is_read && recorded.operation.returned.is_none()) {
                histories.entry(recorded.key).or_default().push(recorded.operation.clone());
            }
        }
        histories
    }

    pub(super) fn key(&self, key: usize) -> &Bytes {
        &self.keys[key]
    }
}

fn put(key: Bytes, value: Bytes, condition: Condition) -> Command {
    Command::Put { key, value, condition, expiry: Expiry::Never, return_old: false }
}

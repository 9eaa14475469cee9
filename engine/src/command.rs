//! What can be asked of the key space, and what it answers.

use bytes::Bytes;
use skep_raftstore::machine::Stamp;

use crate::Error;

/// One request about keys of one region. Each write becomes one entry of the log.
///
/// What a command reads before it writes is read when it is applied, in log order; no caller has to loop.
/// A value whose time is over does not exist for any of them.
/// `B` is how keys and values are held: shared ([`Bytes`]) by whoever asks, borrowed (`&[u8]`) where it is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command<B = Bytes> {
    /// The value of a key: [`Answer::Value`].
    Get {
        /// The key.
        key: B,
    },
    /// How many bytes the value of a key has: [`Answer::Integer`], or [`Answer::Value`] of nothing if there is none.
    /// For those who only want to know whether it is there, or how long: the value does not travel.
    Length {
        /// The key.
        key: B,
    },
    /// Pairs with `start <= key < end` that lie in the region of `start`: [`Answer::Pairs`].
    Scan {
        /// The first key.
        start: B,
        /// The first key not wanted; `None` for no bound.
        end: Option<B>,
        /// The most pairs to return. Fewer come back when they are large; the answer says where to go on.
        limit: u32,
        /// In which order, and with what.
        shape: ScanShape,
    },
    /// How many keys the region of `key` holds: [`Answer::Integer`].
    CountKeys {
        /// Any key of the region.
        key: B,
    },
    /// When the value of a key expires: [`Answer::Integer`], in milliseconds since 1970, or -1 if it never does, or -2 if
    /// there is none.
    ExpiryOf {
        /// The key.
        key: B,
    },
    /// A part of a value: [`Answer::Value`], none if there is no value.
    Part {
        /// The key.
        key: B,
        /// The first byte; negative: so many from the end.
        first: i64,
        /// The last byte, likewise.
        last: i64,
    },
    /// Some key of the region of `key`: [`Answer::Value`], none if it has no keys.
    AnyKey {
        /// Any key of the region.
        key: B,
        /// Which one: the same seed and the same keys give the same.
        seed: u64,
    },
    /// How many keys of the region of `key` have a value that expires: [`Answer::Integer`].
    CountExpiring {
        /// Any key of the region.
        key: B,
    },
    /// What a key looks like now: [`Answer::Value`] of bytes that are compared by [`Command::Atomic`] and mean nothing
    /// else.
    Look {
        /// The key.
        key: B,
    },
    /// Sets a key: [`Answer::Done`], or [`Answer::Refused`] if the condition does not hold.
    /// With `return_old`, [`Answer::Value`] of what stood there before, whether or not it was set.
    Put {
        /// The key.
        key: B,
        /// Its new value.
        value: B,
        /// When to set it.
        condition: Condition<B>,
        /// When the new value expires.
        expiry: Expiry,
        /// Whether the answer is the old value.
        return_old: bool,
    },
    /// Deletes a key: [`Answer::Integer`], 1 if it was there, else 0. With `return_old`, [`Answer::Value`].
    Delete {
        /// The key.
        key: B,
        /// Whether the answer is the old value.
        return_old: bool,
    },
    /// Appends to a value (a missing one is empty): [`Answer::Integer`], its new length;
    /// or [`Error::ValueTooLarge`].
    Append {
        /// The key.
        key: B,
        /// What to append.
        value: B,
    },
    /// Adds to a decimal number (a missing one is 0): [`Answer::Integer`], the sum;
    /// or [`Error::NotAnInteger`] or [`Error::Overflow`].
    Increment {
        /// The key.
        key: B,
        /// What to add; may be negative.
        by: i64,
    },
    /// Several puts and deletes of one region, all or none: [`Answer::Done`].
    Batch {
        /// What to do, in order. Never empty.
        writes: Vec<Write<B>>,
    },
    /// Moves the region's time on to that of its leader, and deletes some of what has expired by then:
    /// [`Answer::Integer`], how many expired keys are left.
    Sweep {
        /// Any key of the region.
        key: B,
    },
    /// Adds to a decimal number with a fraction (a missing one is 0): [`Answer::Value`], the sum as it is written;
    /// or [`Error::NotAFloat`] or [`Error::NotFinite`].
    IncrementFloat {
        /// The key.
        key: B,
        /// What to add, as it is written.
        by: B,
    },
    /// Writes over a part of a value, which grows with zeros as far as it must: [`Answer::Integer`], its new length;
    /// or [`Error::ValueTooLarge`].
    SetPart {
        /// The key.
        key: B,
        /// The first byte to write over.
        offset: u32,
        /// What is written there. Nothing at all changes nothing.
        value: B,
    },
    /// Changes when a value expires: [`Answer::Integer`], 1 if it was changed, else 0. A time that is over deletes the
    /// key. With `return_value`, [`Answer::Value`].
    Expire {
        /// The key.
        key: B,
        /// When.
        expiry: Expiry,
        /// Under which condition.
        condition: ExpiryCondition,
        /// Whether the answer is the value.
        return_value: bool,
    },
    /// Sets several keys of one region if none of them exists: [`Answer::Done`] or [`Answer::Refused`].
    Create {
        /// The keys and their values. Never empty.
        pairs: Vec<(B, B)>,
    },
    /// Gives a value, and the time when it expires, to another key of the region: [`Answer::Done`], or
    /// [`Answer::Refused`] if that key exists and must not, or [`Answer::Value`] of nothing if there is no value.
    Move {
        /// The key that has the value.
        key: B,
        /// The key that gets it.
        to: B,
        /// Only if that key does not exist.
        if_absent: bool,
        /// Whether the first key keeps the value, too.
        keep: bool,
    },
    /// Deletes every key of the region of `key`: [`Answer::Pairs`] without any, and where the next region starts.
    Clear {
        /// Any key of the region.
        key: B,
    },
    /// Several commands of one region with nothing in between, if the watched keys still look as they did:
    /// [`Answer::Several`], or [`Answer::Refused`].
    Atomic {
        /// Keys, and what [`Command::Look`] answered for each. A region that has been split or merged since counts as a
        /// change of them all.
        watched: Vec<(B, B)>,
        /// What to do, in order. Never empty, and none of them is of this kind. Reads are answered from the state that
        /// the commands before them made.
        commands: Vec<Command<B>>,
    },
}

/// How a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ScanShape {
    /// The answer's values are empty.
    pub keys_only: bool,
    /// From the greatest key down. It shows what lies in the region of `start`; if the range goes on beyond that
    /// region, the answer has no pairs and says where the region ends: what lies beyond is to be asked for first.
    /// Otherwise the key to go on from is the next scan's `end`.
    pub falling: bool,
}

/// When a value expires.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// When the old one would have.
    Keep,
    /// When the region's time reaches this.
    At(Stamp),
}

/// Under which condition a value gets another time to expire. What is not asked for holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ExpiryCondition {
    /// If it does not expire.
    pub if_never: bool,
    /// If it expires.
    pub if_some: bool,
    /// If the new time is later. What never expires is later than all.
    pub if_later: bool,
    /// If the new time is earlier.
    pub if_earlier: bool,
}

/// One write of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write<B = Bytes> {
    /// Sets a key.
    Put {
        /// The key.
        key: B,
        /// Its new value.
        value: B,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: B,
    },
}

/// When a put takes effect.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Condition<B = Bytes> {
    /// Always.
    #[default]
    Always,
    /// If there is no value.
    Absent,
    /// If there is a value.
    Present,
    /// If the value is this one.
    Equals(B),
}

/// What a command answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// The condition did not hold; nothing changed.
    Refused,
    /// A number.
    Integer(i64),
    /// A value, or none.
    Value(Option<Bytes>),
    /// Pairs in key order.
    Pairs {
        /// Keys and values.
        pairs: Vec<(Bytes, Bytes)>,
        /// The key to go on from, perhaps in the next region; `None` if nothing is left of what was asked for.
        resume: Option<Bytes>,
    },
    /// What each of several commands answers.
    Several(Vec<Result<Answer, Error>>),
}

impl<B: AsRef<[u8]>> Command<B> {
    /// Whether it has to go through the log.
    pub fn is_write(&self) -> bool {
        match self {
            Command::Get { .. }
            | Command::Length { .. }
            | Command::Scan { .. }
            | Command::CountKeys { .. }
            | Command::ExpiryOf { .. }
            | Command::Part { .. }
            | Command::AnyKey { .. }
            | Command::CountExpiring { .. }
            | Command::Look { .. } => false,
            Command::Put { .. }
            | Command::Delete { .. }
            | Command::Append { .. }
            | Command::Increment { .. }
            | Command::Batch { .. }
            | Command::Sweep { .. }
            | Command::IncrementFloat { .. }
            | Command::SetPart { .. }
            | Command::Expire { .. }
            | Command::Create { .. }
            | Command::Move { .. }
            | Command::Clear { .. }
            | Command::Atomic { .. } => true,
        }
    }

    /// The key that it is routed by: its only one, or its first.
    pub fn first_key(&self) -> &[u8] {
        match self {
            Command::Scan { start: key, .. }
            | Command::Get { key }
            | Command::Length { key }
            | Command::CountKeys { key }
            | Command::ExpiryOf { key }
            | Command::Part { key, .. }
            | Command::AnyKey { key, .. }
            | Command::CountExpiring { key }
            | Command::Look { key }
            | Command::Put { key, .. }
            | Command::Delete { key, .. }
            | Command::Append { key, .. }
            | Command::Increment { key, .. }
            | Command::Sweep { key }
            | Command::IncrementFloat { key, .. }
            | Command::SetPart { key, .. }
            | Command::Expire { key, .. }
            | Command::Move { key, .. }
            | Command::Clear { key } => key.as_ref(),
            Command::Batch { writes } => writes.first().map_or(&[], |write| write.key()),
            Command::Create { pairs } => pairs.first().map_or(&[], |(key, _)| key.as_ref()),
            Command::Atomic { watched, commands } => match watched.first() {
                Some((key, _)) => key.as_ref(),
                None => commands.first().map_or(&[], |command| command.first_key()),
            },
        }
    }

    /// Whether `holds` for each of its keys. All of them must lie in one region.
    pub fn all_keys(&self, holds: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match self {
            Command::Batch { writes } => writes.iter().all(|write| holds(write.key())),
            Command::Create { pairs } => pairs.iter().all(|(key, _)| holds(key.as_ref())),
            Command::Move { key, to, .. } => holds(key.as_ref()) && holds(to.as_ref()),
            Command::Atomic { watched, commands } => {
                watched.iter().all(|(key, _)| holds(key.as_ref()))
                    && commands.iter().all(|command| command.all_keys(holds))
            }
            Command::Get { .. }
            | Command::Length { .. }
            | Command::Scan { .. }
            | Command::CountKeys { .. }
            | Command::ExpiryOf { .. }
            | Command::Part { .. }
            | Command::AnyKey { .. }
            | Command::CountExpiring { .. }
            | Command::Look { .. }
            | Command::Put { .. }
            | Command::Delete { .. }
            | Command::Append { .. }
            | Command::Increment { .. }
            | Command::Sweep { .. }
            | Command::IncrementFloat { .. }
            | Command::SetPart { .. }
            | Command::Expire { .. }
            | Command::Clear { .. } => holds(self.first_key()),
        }
    }
}

impl<B: AsRef<[u8]>> Write<B> {
    /// The key that it is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Write::Put { key, .. } | Write::Delete { key } => key.as_ref(),
        }
    }
}

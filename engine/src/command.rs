//! What can be asked of the key space, and what it answers.

use bytes::Bytes;

/// One request about keys of one region. Each write becomes one entry of the log.
///
/// What a command reads before it writes is read when it is applied, in log order; no caller has to loop.
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
    },
    /// How many keys the region of `key` holds: [`Answer::Integer`].
    CountKeys {
        /// Any key of the region.
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
    /// or [`Error::ValueTooLarge`](crate::Error).
    Append {
        /// The key.
        key: B,
        /// What to append.
        value: B,
    },
    /// Adds to a decimal number (a missing one is 0): [`Answer::Integer`], the sum;
    /// or [`Error::NotAnInteger`](crate::Error) or [`Error::Overflow`](crate::Error).
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
}

impl<B: AsRef<[u8]>> Command<B> {
    /// Whether it has to go through the log.
    pub fn is_write(&self) -> bool {
        match self {
            Command::Get { .. }
            | Command::Length { .. }
            | Command::Scan { .. }
            | Command::CountKeys { .. } => false,
            Command::Put { .. }
            | Command::Delete { .. }
            | Command::Append { .. }
            | Command::Increment { .. }
            | Command::Batch { .. } => true,
        }
    }

    /// The key that it is routed by: its only one, or its first.
    pub fn first_key(&self) -> &[u8] {
        match self {
            Command::Scan { start: key, .. }
            | Command::Get { key }
            | Command::Length { key }
            | Command::CountKeys { key }
            | Command::Put { key, .. }
            | Command::Delete { key, .. }
            | Command::Append { key, .. }
            | Command::Increment { key, .. } => key.as_ref(),
            Command::Batch { writes } => writes.first().map_or(&[], |write| write.key()),
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

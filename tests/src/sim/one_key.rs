//! What a command does to one key, and what it answers: all that is known of commands here.

use bytes::Bytes;
use skep_engine::{Answer, Command, Condition};

use super::chance::mixed;

/// What the key holds, and a number that stands for it.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) value: Option<Bytes>,
    pub(super) hash: u64,
}

impl State {
    pub(super) fn new(value: Option<Bytes>) -> State {
        let fold = |bytes: &[u8]| bytes.iter().fold(1, |hash, byte| mixed(hash ^ u64::from(*byte)));
        let hash = value.as_deref().map_or(7, fold);
        State { value, hash }
    }
}

/// What an operation would do now.
pub(super) enum Effect {
    /// It cannot have happened here: its answer was another.
    Unfit,
    /// It fits, and the key holds what it held.
    Nothing,
    Change(Option<Bytes>),
}

/// What a command does to a key that holds `value`, if it was answered as it was told.
pub(super) fn effect(value: &Option<Bytes>, command: &Command, told: Option<&Answer>) -> Effect {
    let (after, answer) = step(value, command);
    match told {
        Some(told) if *told != answer => Effect::Unfit,
        _ => after.map_or(Effect::Nothing, Effect::Change),
    }
}

/// What a key that holds `value` holds after a command; `None` if the answer, where there is one, would have been another.
pub fn after(value: &Option<Bytes>, command: &Command, told: Option<&Answer>) -> Option<Option<Bytes>> {
    let (after, answer) = step(value, command);
    told.is_none_or(|told| *told == answer).then(|| after.unwrap_or_else(|| value.clone()))
}

/// What the key holds after a command, unless it is what it held before; and what is answered.
pub(super) fn step(value: &Option<Bytes>, command: &Command) -> (Option<Option<Bytes>>, Answer) {
    match command {
        Command::Get { .. } => (None, Answer::Value(value.clone())),
        Command::Put { value: new, condition, .. } => {
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => value.is_none(),
                Condition::Present => value.is_some(),
                Condition::Equals(expected) => value.as_ref() == Some(expected),
            };
            if holds { (Some(Some(new.clone())), Answer::Done) } else { (None, Answer::Refused) }
        }
        Command::Delete { .. } => (value.as_ref().map(|_| None), Answer::Integer(i64::from(value.is_some()))),
        Command::Append { value: more, .. } => {
            let joined = [value.as_deref().unwrap_or_default(), &more[..]].concat();
            let length = joined.len() as i64;
            (Some(Some(Bytes::from(joined))), Answer::Integer(length))
        }
        Command::Increment { by, .. } => {
            let text = value.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let sum = text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) + by;
            (Some(Some(Bytes::from(sum.to_string()))), Answer::Integer(sum))
        }
        other => unreachable!("the simulation does not use {other:?}"),
    }
}

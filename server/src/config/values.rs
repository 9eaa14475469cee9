//! What was written behind the keys: read from a file, overridden by flags, completed by the defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::table::{KEYS, Key, Kind, find};
use crate::units::{parse_duration, parse_size};

/// A value, by its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Texts`].
    Texts(Vec<String>),
    /// Of [`Kind::Size`] or [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Flag`].
    Flag(bool),
}

/// A mistake in a configuration: where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Of the file, from 1.
    pub line: Option<usize>,
    /// In words.
    pub why: String,
}

impl ConfigError {
    pub(super) fn anywhere(why: impl Into<String>) -> ConfigError {
        ConfigError { line: None, why: why.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value for every key that was given one.
#[derive(Clone, Default, Debug)]
pub struct Values {
    by_name: BTreeMap<&'static str, Value>,
}

impl Values {
    /// The default of every key.
    pub(super) fn defaults() -> Result<Values, ConfigError> {
        let mut all = Values::default();
        for key in KEYS {
            let text = format!("it = {}", key.default);
            let table = parse(&text)?;
            let value = table.iter().next().map(|(_, value)| read(key, value.get_ref()));
            let value = value.unwrap_or_else(|| Err("it has no default".into()));
            let wrong = |why| ConfigError::anywhere(format!("the default of {}: {why}", key.name));
            all.by_name.insert(key.name, value.map_err(wrong)?);
        }
        Ok(all)
    }

    /// Takes what a file says.
    pub(super) fn take_file(&mut self, text: &str) -> Result<(), ConfigError> {
        let at = |span: std::ops::Range<usize>| {
            let line =
                text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
                    + 1;
            move |why: String| ConfigError { line: Some(line), why }
        };
        for (section, content) in &parse(text)? {
            let DeValue::Table(entries) = content.get_ref() else {
                return Err(at(section.span())(unknown(section.get_ref())));
            };
            for (name, value) in entries {
                let full = format!("{}.{}", section.get_ref(), name.get_ref());
                let key = find(&full).ok_or_else(|| at(name.span())(unknown(&full)))?;
                let value =
                    read(key, value.get_ref()).map_err(|why| at(value.span())(format!("{full}: {why}")))?;
                self.by_name.insert(key.name, value);
            }
            if entries.is_empty() && !KEYS.iter().any(|key| key.parts().0 == section.get_ref().as_ref()) {
                return Err(at(section.span())(unknown(section.get_ref())));
            }
        }
        Ok(())
    }

    /// Takes what a flag says.
    pub(super) fn take_flag(&mut self, key: &'static Key, text: &str) -> Result<(), ConfigError> {
        let value = read_text(key.kind, text)
            .map_err(|why| ConfigError::anywhere(format!("--{}: {why}", key.flag())))?;
        self.by_name.insert(key.name, value);
        Ok(())
    }

    /// Gives a value away. What is left in the end is a key that does nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.by_name.remove(name)
    }

    /// The names that have a value.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.by_name.keys().copied().collect()
    }
}

fn parse(text: &str) -> Result<DeTable<'_>, ConfigError> {
    DeTable::parse(text).map(Spanned::into_inner).map_err(|error| {
        let line = error.span().map(|span| {
            text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
        });
        ConfigError { line, why: format!("this is not TOML: {}", error.message()) }
    })
}

fn unknown(name: &str) -> String {
    match nearest(name, KEYS.iter().map(|key| key.name)) {
        Some(near) => format!("there is no key {name}; did you mean {near}?"),
        None => format!("there is no key {name}; `skep config default` prints all there are"),
    }
}

/// What stands in a file behind a key.
fn read(key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
    match (key.kind, value) {
        (Kind::Text | Kind::Size | Kind::Duration, DeValue::String(text)) => read_text(key.kind, text),
        (Kind::Size | Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => {
            read_text(Kind::Number, &number.as_str().replace('_', ""))
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
        (Kind::Texts, DeValue::Array(items)) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            let texts: Option<Vec<String>> = items.iter().map(text).collect();
            texts.map(Value::Texts).ok_or_else(|| wanted(key.kind).into())
        }
        (_, _) => Err(wanted(key.kind).into()),
    }
}

/// What a flag says.
fn read_text(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Texts => Ok(Value::Texts(text.split(',').map(|part| part.trim().to_owned()).collect())),
        Kind::Size => parse_size(text).map(Value::Number).map_err(|error| error.to_string()),
        Kind::Duration => parse_duration(text).map(Value::Duration).map_err(|error| error.to_string()),
        Kind::Number => {
            text.parse().map(Value::Number).map_err(|_| format!("'{text}' is not {}", wanted(kind)))
        }
        Kind::Flag => text.parse().map(Value::Flag).map_err(|_| format!("'{text}' is not {}", wanted(kind))),
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text in quotes",
        Kind::Texts => "a list of texts, such as [\"10.0.0.1:7101\", \"10.0.0.2:7101\"]",
        Kind::Size => "a size: write a number of bytes, or \"64KiB\" in quotes",
        Kind::Duration => "a duration: write \"500ms\" or \"5s\" in quotes",
        Kind::Number => "a whole number",
        Kind::Flag => "true or false",
    }
}

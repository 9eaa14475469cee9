//! The configuration of `skep serve`: a file, flags over it, and what must hold between the keys.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use skep_engine::{ClusteredConfig, Timing};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::password::Password;
pub use values::{ConfigError, Value, Values};

mod nearest;
mod print;
pub mod table;
mod values;

pub use print::{default_file, reference, value_name};

/// Bytes of a password. The same as in Redis.
const PASSWORD_BYTES_MAX: usize = 512;
/// Threads of one kind. More than any machine has use for.
const THREADS_MAX: u64 = 64;

/// What a store is served with.
#[derive(Clone, PartialEq, Debug)]
pub struct ServeConfig {
    /// The store and its cluster.
    pub store: ClusteredConfig,
    /// Where the store listens.
    pub store_listen: String,
    /// Where Redis clients connect.
    pub client_listen: String,
    /// What they must give.
    pub password: Option<Password>,
    /// Whether they may connect from elsewhere without one.
    pub is_insecure: bool,
    /// Whether they may delete all keys at once.
    pub allow_flush: bool,
    /// Where probes connect.
    pub admin_listen: String,
    /// What is said.
    pub log: LogConfig,
}

/// What is said on standard error.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// How much, by part of the program.
    pub filter: Targets,
    /// One object a line, for machines.
    pub is_json: bool,
}

impl LogConfig {
    /// What was asked for.
    pub fn new(level: &str, format: &str) -> Result<LogConfig, String> {
        let is_level = |part: &str| part.contains('=') || LevelFilter::from_str(part.trim()).is_ok();
        let filter = Targets::from_str(level).ok().filter(|_| level.split(',').all(is_level));
        let filter = filter.ok_or_else(|| {
            format!("'{level}' is not a log level: write error, warn, info, debug or trace, or such as warn,skep_server=debug")
        })?;
        match format {
            "text" => Ok(LogConfig { filter, is_json: false }),
            "json" => Ok(LogConfig { filter, is_json: true }),
            other => Err(format!("'{other}' is not a format of the log: write text or json")),
        }
    }
}

impl ServeConfig {
    /// What a file says, flags say over it, and the defaults say of the rest.
    pub fn read(file: &str, flags: &[(&'static table::Key, String)]) -> Result<ServeConfig, ConfigError> {
        let mut values = Values::defaults()?;
        values.take_file(file)?;
        flags.iter().try_for_each(|(key, text)| values.take_flag(key, text))?;
        let config = ServeConfig::from_values(&mut values)?;
        config.check().map(|()| config)
    }

    fn from_values(values: &mut Values) -> Result<ServeConfig, ConfigError> {
        let store_listen = text(values, "store.listen")?;
        let advertise = text(values, "store.advertise")?;
        let address = if advertise.is_empty() { store_listen.clone() } else { advertise };
        let data = PathBuf::from(text(values, "store.data")?);
        let password = text(values, "client.password")?;
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(wrong("client.password", format!("it has more than {PASSWORD_BYTES_MAX} bytes")));
        }
        let (level, format) = (text(values, "log.level")?, text(values, "log.format")?);
        Ok(ServeConfig {
            store: ClusteredConfig {
                stores: texts(values, "cluster.stores")?,
                regions: number(values, "cluster.regions", 1..=u64::from(skep_engine::REGIONS_MAX))? as u32,
                split_bytes: number(values, "cluster.split_bytes", (1 << 10)..=(1 << 40))?,
                replace_after: duration(values, "cluster.replace_after")?,
                request_timeout: duration(values, "client.request_timeout")?,
                workers: number(values, "store.workers", 1..=THREADS_MAX)? as usize,
                apply_threads: number(values, "store.apply_threads", 1..=THREADS_MAX)? as usize,
                memory_limit: Some(number(values, "memory.limit", 0..=(1 << 50))?).filter(|limit| *limit > 0),
                segment_bytes: number(values, "wal.segment_bytes", (128 << 10)..=(1 << 30))?,
                timing: Timing {
                    election_min: duration(values, "cluster.election_min")?,
                    election_max: duration(values, "cluster.election_max")?,
                    heartbeat: duration(values, "cluster.heartbeat")?,
                },
                ..ClusteredConfig::new(data, address)
            },
            store_listen,
            client_listen: text(values, "client.listen")?,
            password: Password::new(&password),
            is_insecure: flag(values, "client.insecure")?,
            allow_flush: flag(values, "client.allow_flush")?,
            admin_listen: text(values, "admin.listen")?,
            log: LogConfig::new(&level, &format).map_err(|why| wrong("log", why))?,
        })
    }

    /// What must hold between the keys.
    fn check(&self) -> Result<(), ConfigError> {
        let ClusteredConfig { timing, segment_bytes, .. } = &self.store;
        let Timing { election_min, election_max, heartbeat } = *timing;
        if heartbeat < Duration::from_millis(10) || heartbeat * 2 > election_min {
            return Err(wrong("cluster.heartbeat", "write 10ms to half of cluster.election_min"));
        }
        if election_max < election_min {
            return Err(wrong("cluster.election_max", "it must be at least cluster.election_min"));
        }
        if !segment_bytes.is_multiple_of(4096) {
            return Err(wrong("wal.segment_bytes", "write a multiple of 4KiB"));
        }
        Ok(())
    }
}

fn wrong(name: &str, why: impl std::fmt::Display) -> ConfigError {
    ConfigError::anywhere(format!("{name}: {why}"))
}

fn text(values: &mut Values, name: &str) -> Result<String, ConfigError> {
    match values.take(name) {
        Some(Value::Text(text)) => Ok(text),
        other => Err(missing(name, other)),
    }
}

fn texts(values: &mut Values, name: &str) -> Result<Vec<String>, ConfigError> {
    match values.take(name) {
        Some(Value::Texts(texts)) => Ok(texts),
        other => Err(missing(name, other)),
    }
}

fn duration(values: &mut Values, name: &str) -> Result<Duration, ConfigError> {
    match values.take(name) {
        Some(Value::Duration(duration)) if duration.is_zero() => {
            Err(wrong(name, "it must be more than nothing"))
        }
        Some(Value::Duration(duration)) => Ok(duration),
        other => Err(missing(name, other)),
    }
}

fn number(values: &mut Values, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, ConfigError> {
    match values.take(name) {
        Some(Value::Number(number)) if range.contains(&number) => Ok(number),
        Some(Value::Number(_)) => Err(wrong(name, format!("write {} to {}", range.start(), range.end()))),
        other => Err(missing(name, other)),
    }
}

fn flag(values: &mut Values, name: &str) -> Result<bool, ConfigError> {
    match values.take(name) {
        Some(Value::Flag(flag)) => Ok(flag),
        other => Err(missing(name, other)),
    }
}

/// The table and this file do not fit together: a bug that a test finds.
fn missing(name: &str, found: Option<Value>) -> ConfigError {
    wrong(name, format!("a bug in Skep, please report it: {found:?} is not what is asked for"))
}

#[cfg(test)]
mod tests;

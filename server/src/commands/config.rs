//! CONFIG: the settings that clients of Redis ask about, with the values that are true here.

use bytes::Bytes;

use super::{Context, Outcome, glob, info, subcommand, table};
use crate::limits::BULK_BYTES_ANNOUNCED_MAX;
use crate::resp::Reply;

const SUBCOMMANDS: &[(&str, i32)] = &[("get", -3), ("resetstat", 2), ("rewrite", 2), ("set", -4)];

const NOT_CHANGED: &str =
    "ERR settings cannot be changed while the server runs: stop it and start it with other options";

pub(super) fn config(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(spec) = table::find(b"config") else { return Reply::Null.into() };
    match subcommand(spec, SUBCOMMANDS, arguments) {
        Err(error) => error,
        Ok("get") => get(context, &arguments[2..]),
        Ok(_) => Reply::error(NOT_CHANGED),
    }
    .into()
}

fn get(context: &Context<'_>, patterns: &[Bytes]) -> Reply {
    let is_wanted = |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let wanted = settings(context).into_iter().filter(|(name, _)| is_wanted(name));
    Reply::Map(wanted.map(|(name, value)| (Reply::constant(name), Reply::text(value))).collect())
}

/// Every write is durable before it is answered: that is what `appendfsync always` means. There are no dumps.
fn settings(context: &Context<'_>) -> Vec<(&'static str, String)> {
    let address = context.server.listen;
    vec![
        ("appendfsync", "always".into()),
        ("appendonly", "yes".into()),
        ("bind", address.ip().to_string()),
        ("cluster-enabled", "no".into()),
        ("databases", "1".into()),
        ("dir", context.server.data.display().to_string()),
        ("maxclients", context.server.open_files.clients_max.to_string()),
        ("maxmemory", info::memory_limit(context.server).to_string()),
        ("maxmemory-policy", "noeviction".into()),
        ("port", address.port().to_string()),
        ("proto-max-bulk-len", BULK_BYTES_ANNOUNCED_MAX.to_string()),
        // That there is one is no secret, what it is is.
        ("requirepass", context.server.password.as_ref().map_or_else(String::new, |_| "(set)".into())),
        ("save", String::new()),
        ("tcp-keepalive", "0".into()),
        ("timeout", "0".into()),
    ]
}

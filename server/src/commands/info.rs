//! INFO, DBSIZE and TIME: the server about itself.

use std::fmt::Write as _;

use bytes::Bytes;
use skep_engine::{Command, Engine};

use super::{Context, Gather, Outcome, Work, strings};
use crate::clock;
use crate::limits::COUNT_KEYS_MAX;
use crate::resp::{Reply, parse_integer};
use crate::server::{REDIS_VERSION, Server};

const SECTIONS: [&str; 8] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "cluster", "keyspace"];

/// What stands for all sections.
const ALL_SECTIONS: [&str; 3] = ["all", "default", "everything"];

pub(super) fn time(_: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    let now = clock::now();
    Reply::Array(vec![Reply::text(now.as_secs().to_string()), Reply::text(now.subsec_micros().to_string())])
        .into()
}

pub(super) fn dbsize(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    let regions = context.engine.regions().into_iter();
    let counts = regions.map(|region| Command::CountKeys { key: region.start });
    Outcome::Work(Work::Several(Box::new(counts), Gather::Sum(strings::number)))
}

pub(super) fn info(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let words: Vec<String> =
        arguments[1..].iter().map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
    let is_all = words.is_empty() || words.iter().any(|word| ALL_SECTIONS.contains(&word.as_str()));
    let is_wanted = |section: &str| is_all || words.iter().any(|word| word == section);
    let wanted = SECTIONS.into_iter().filter(|section| is_wanted(section));
    let text: Vec<String> = wanted.map(|section| write_section(context.server, section)).collect();
    let text = text.join("\r\n");
    if !is_wanted("keyspace") {
        return Reply::Verbatim(text).into();
    }
    let (keys, expiring) = (context.engine.count_keys(), context.engine.count_expiring());
    Outcome::Later(Box::pin(async move {
        let both = async { (keys.await.ok(), expiring.await.ok()) };
        let (keys, expiring) = tokio::time::timeout(COUNT_KEYS_MAX, both).await.unwrap_or_default();
        Reply::Verbatim(text + &keyspace(keys, expiring.unwrap_or(0)))
    }))
}

/// The last section. Whoever asks for INFO is told the rest even if the keys cannot be counted now.
fn keyspace(keys: Option<u64>, expiring: u64) -> String {
    match keys {
        Some(keys) if keys > 0 => format!("db0:keys={keys},expires={expiring},avg_ttl=0\r\n"),
        Some(_) | None => String::new(),
    }
}

fn write_section(server: &Server, section: &str) -> String {
    let mut title = section.to_owned();
    title[..1].make_ascii_uppercase();
    let fields = match section {
        "server" => about_server(server),
        "clients" => about_clients(server),
        "memory" => about_memory(server),
        "persistence" => about_persistence(),
        "stats" => about_stats(server),
        "replication" => vec![("role", "master".into()), ("connected_slaves", "0".into())],
        "cluster" => vec![("cluster_enabled", "0".into())],
        _ => Vec::new(),
    };
    let mut text = format!("# {title}\r\n");
    for (name, value) in fields {
        let _ = write!(text, "{name}:{value}\r\n");
    }
    text
}

type Fields = Vec<(&'static str, String)>;

fn about_server(server: &Server) -> Fields {
    let uptime = server.started.elapsed().as_secs();
    vec![
        ("redis_version", REDIS_VERSION.into()),
        ("redis_mode", "standalone".into()),
        ("skep_version", env!("CARGO_PKG_VERSION").into()),
        ("os", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("tcp_port", server.listen.port().to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
        ("stores", server.stores().len().to_string()),
        (
            "stores_failed",
            server.stores().iter().filter(|store| store.failed().is_some()).count().to_string(),
        ),
    ]
}

fn about_clients(server: &Server) -> Fields {
    vec![
        ("connected_clients", server.clients.count().to_string()),
        ("maxclients", server.open_files.clients_max.to_string()),
        ("blocked_clients", "0".into()),
    ]
}

/// Of the fullest store, since each has the limit for itself. What the process has beside the data (logs that are mapped,
/// commands under way) stands in `used_memory_rss` alone, with the data of all stores.
fn about_memory(server: &Server) -> Fields {
    let used = server.stores().iter().map(Engine::memory_used).max().unwrap_or(0);
    let limit = memory_limit(server);
    vec![
        ("used_memory", used.to_string()),
        ("used_memory_human", mebibytes(used)),
        ("used_memory_rss", resident_bytes().unwrap_or(0).to_string()),
        ("maxmemory", limit.to_string()),
        ("maxmemory_human", mebibytes(limit)),
        ("maxmemory_policy", "noeviction".into()),
    ]
}

/// What the data of one store may take, in bytes; zero if there is no limit, as Redis says it.
pub(super) fn memory_limit(server: &Server) -> u64 {
    server.stores().iter().filter_map(Engine::memory_limit).min().unwrap_or(0)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.2}M", bytes as f64 / f64::from(1 << 20))
}

/// What the process holds in memory. `None` where the system does not say.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    parse_integer(line.trim().trim_end_matches("kB").trim().as_bytes()).map(|kib| kib << 10)
}

fn about_persistence() -> Fields {
    vec![
        ("loading", "0".into()),
        ("rdb_bgsave_in_progress", "0".into()),
        ("aof_enabled", "1".into()),
        ("aof_rewrite_in_progress", "0".into()),
    ]
}

fn about_stats(server: &Server) -> Fields {
    let totals = server.totals();
    vec![
        ("total_connections_received", server.clients.total().to_string()),
        ("total_commands_processed", totals.commands.to_string()),
        ("total_net_input_bytes", totals.input_bytes.to_string()),
        ("total_net_output_bytes", totals.output_bytes.to_string()),
        ("rejected_connections", totals.rejected.to_string()),
    ]
}

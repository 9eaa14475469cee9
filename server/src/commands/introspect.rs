//! COMMAND: the table of commands, as clients ask for it.

use bytes::Bytes;

use super::table::{self, COMMANDS, CommandSpec};
use super::{Context, Outcome, errors, subcommand};
use crate::resp::Reply;

const SUBCOMMANDS: &[(&str, i32)] =
    &[("count", 2), ("docs", -2), ("getkeys", -4), ("info", -2), ("list", -2)];

pub(super) fn command(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len() == 1 {
        return Reply::Array(COMMANDS.iter().map(described).collect()).into();
    }
    let Some(spec) = table::find(b"command") else { return Reply::Null.into() };
    let names = arguments.get(2..).unwrap_or_default();
    match subcommand(spec, SUBCOMMANDS, arguments) {
        Err(error) => error,
        Ok("count") => Reply::Integer(COMMANDS.len() as i64),
        Ok("docs") => docs(names),
        Ok("getkeys") => keys(names),
        Ok("list") => Reply::Array(COMMANDS.iter().map(|spec| Reply::constant(spec.name)).collect()),
        Ok(_) => info(names),
    }
    .into()
}

fn info(names: &[Bytes]) -> Reply {
    if names.is_empty() {
        return Reply::Array(COMMANDS.iter().map(described).collect());
    }
    Reply::Array(names.iter().map(|name| table::find(name).map_or(Reply::Null, described)).collect())
}

fn docs(names: &[Bytes]) -> Reply {
    let documented = |spec: &'static CommandSpec| (Reply::constant(spec.name), documented(spec));
    if names.is_empty() {
        return Reply::Map(COMMANDS.iter().map(documented).collect());
    }
    Reply::Map(names.iter().filter_map(|name| table::find(name)).map(documented).collect())
}

/// Those of the arguments of a command that are keys.
fn keys(arguments: &[Bytes]) -> Reply {
    let Some(spec) = table::find(&arguments[0]) else {
        return Reply::error("ERR Invalid command specified");
    };
    let (first, last, step) = spec.keys;
    if first == 0 {
        return Reply::error("ERR The command has no key arguments");
    }
    if errors::check_arity(spec, arguments.len()).is_some() {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    let last = if last < 0 { arguments.len() as i32 + last } else { last };
    let keys = arguments[first as usize..=last as usize].iter().step_by(step as usize);
    Reply::Array(keys.cloned().map(Reply::Bulk).collect())
}

fn documented(spec: &'static CommandSpec) -> Reply {
    let pair = |key, value| (Reply::constant(key), Reply::constant(value));
    Reply::Map(vec![pair("summary", spec.summary), pair("since", spec.since), pair("group", spec.group)])
}

/// The ten fields of COMMAND INFO. Tips, key specifications and subcommands are left empty.
fn described(spec: &'static CommandSpec) -> Reply {
    let (first, last, step) = spec.keys;
    let number = |number: i32| Reply::Integer(i64::from(number));
    Reply::Array(vec![
        Reply::constant(spec.name),
        number(spec.arity),
        Reply::Set(spec.flags.iter().copied().map(Reply::Status).collect()),
        number(first),
        number(last),
        number(step),
        Reply::Set(categories(spec).into_iter().map(Reply::Status).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
    ])
}

fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    let has = |flag| spec.flags.contains(&flag);
    let mut categories = Vec::new();
    if has("readonly") {
        categories.push("@read");
    }
    if has("write") {
        categories.push("@write");
    }
    if has("admin") {
        categories.extend(["@admin", "@dangerous"]);
    }
    categories.push(match spec.group {
        "string" => "@string",
        "generic" => "@keyspace",
        "connection" => "@connection",
        "transactions" => "@transaction",
        _ => "@server",
    });
    categories.push(if has("fast") { "@fast" } else { "@slow" });
    categories
}

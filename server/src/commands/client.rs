//! CLIENT: what is known about connections.

use bytes::Bytes;

use super::errors::{NOT_AN_INTEGER, SYNTAX};
use super::session::check_name;
use super::{Context, Outcome, subcommand, table};
use crate::clients::{Client, ReplyMode};
use crate::resp::{Reply, parse_integer};

const SUBCOMMANDS: &[(&str, i32)] = &[
    ("getname", 2),
    ("id", 2),
    ("info", 2),
    ("kill", -3),
    ("list", -2),
    ("no-evict", 3),
    ("no-touch", 3),
    ("reply", 3),
    ("setinfo", 4),
    ("setname", 3),
];

pub(super) fn client(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let Some(spec) = table::find(b"client") else { return Reply::error(SYNTAX).into() };
    let name = match subcommand(spec, SUBCOMMANDS, arguments) {
        Ok(name) => name,
        Err(error) => return error.into(),
    };
    let rest = &arguments[2..];
    let result = match name {
        "getname" => Ok(getname(context)),
        "id" => Ok(Reply::Integer(context.session.client.id as i64)),
        "info" => Ok(Reply::Verbatim(context.session.client.line() + "\n")),
        "kill" => kill(context, rest),
        "list" => list(context, rest),
        "reply" => reply(context, rest),
        "setinfo" => setinfo(context, rest),
        "setname" => check_name(&rest[0]).map(|()| {
            context.session.client.set_name(&rest[0]);
            Reply::OK
        }),
        _ => switch(rest),
    };
    result.unwrap_or_else(|error| error).into()
}

fn getname(context: &Context<'_>) -> Reply {
    let name = context.session.client.name();
    if name.is_empty() { Reply::Null } else { Reply::text(name) }
}

/// ON or OFF of something that makes no difference here: nothing is evicted, and no use is recorded.
fn switch(words: &[Bytes]) -> Result<Reply, Reply> {
    let is_known = words[0].eq_ignore_ascii_case(b"on") || words[0].eq_ignore_ascii_case(b"off");
    if is_known { Ok(Reply::OK) } else { Err(Reply::error(SYNTAX)) }
}

fn reply(context: &mut Context<'_>, words: &[Bytes]) -> Result<Reply, Reply> {
    context.session.reply_mode = match &words[0].to_ascii_uppercase()[..] {
        b"ON" => ReplyMode::On,
        b"OFF" => ReplyMode::Off,
        b"SKIP" if context.session.reply_mode != ReplyMode::Off => ReplyMode::SkipThisAndNext,
        b"SKIP" => ReplyMode::Off,
        _ => return Err(Reply::error(SYNTAX)),
    };
    Ok(Reply::OK)
}

fn setinfo(context: &mut Context<'_>, words: &[Bytes]) -> Result<Reply, Reply> {
    let option = words[0].to_ascii_lowercase();
    let is_plain = words[1].iter().all(|byte| (b'!'..=b'~').contains(byte));
    let option = match &option[..] {
        b"lib-name" => "lib-name",
        b"lib-ver" => "lib-ver",
        other => {
            let other = String::from_utf8_lossy(other);
            return Err(Reply::error(format!("ERR Unrecognized option '{other}'")));
        }
    };
    if !is_plain {
        let text = format!("ERR {option} cannot contain spaces, newlines or special characters.");
        return Err(Reply::error(text));
    }
    context.session.client.set_library(option, &words[1]);
    Ok(Reply::OK)
}

fn list(context: &Context<'_>, words: &[Bytes]) -> Result<Reply, Reply> {
    let is_wanted: Box<dyn Fn(&Client) -> bool> = match words {
        [] => Box::new(|_| true),
        [option, kind] if option.eq_ignore_ascii_case(b"type") => {
            let is_normal = kind.eq_ignore_ascii_case(b"normal");
            Box::new(move |_| is_normal)
        }
        [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids = ids.iter().map(|id| client_id(id)).collect::<Result<Vec<_>, _>>()?;
            Box::new(move |client| ids.contains(&client.id))
        }
        _ => return Err(Reply::error(SYNTAX)),
    };
    let lines = context.server.clients.all().into_iter().filter(|client| is_wanted(client));
    Ok(Reply::Verbatim(lines.map(|client| client.line() + "\n").collect()))
}

fn kill(context: &mut Context<'_>, words: &[Bytes]) -> Result<Reply, Reply> {
    if let [address] = words {
        let killed = kill_where(context, false, |client| client.has_address(address));
        return if killed > 0 { Ok(Reply::OK) } else { Err(Reply::error("ERR No such client")) };
    }
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Reply::error(SYNTAX));
    }
    let (mut id, mut address, mut skip_me) = (None, None, true);
    for [option, value] in pairs {
        match &option.to_ascii_uppercase()[..] {
            b"ID" => id = Some(client_id(value)?),
            b"ADDR" => address = Some(value),
            b"SKIPME" => skip_me = value.eq_ignore_ascii_case(b"yes"),
            _ => return Err(Reply::error(SYNTAX)),
        }
    }
    let killed = kill_where(context, skip_me, |client| {
        id.is_none_or(|id| client.id == id) && address.is_none_or(|address| client.has_address(address))
    });
    Ok(Reply::Integer(killed))
}

fn kill_where(context: &Context<'_>, skip_me: bool, is_wanted: impl Fn(&Client) -> bool) -> i64 {
    let me = context.session.client.id;
    let clients = context.server.clients.all();
    let wanted = clients.iter().filter(|client| is_wanted(client) && !(skip_me && client.id == me));
    wanted.map(|client| client.kill()).count() as i64
}

fn client_id(word: &[u8]) -> Result<u64, Reply> {
    let id = parse_integer(word).and_then(|id| u64::try_from(id).ok());
    id.ok_or_else(|| Reply::error(NOT_AN_INTEGER))
}

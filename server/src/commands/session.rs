//! The commands about the connection they come on.

use bytes::Bytes;

use super::errors::{self, NOT_AN_INTEGER};
use super::{Context, Outcome};
use crate::resp::{Protocol, Reply, parse_integer};
use crate::server::REDIS_VERSION;

const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. \
    Are you sure your configuration is correct?";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const DEFAULT_USER: &[u8] = b"default";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

pub(super) fn ping(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [_] => Reply::Status("PONG").into(),
        [_, text] => Reply::Bulk(text.clone()).into(),
        _ => errors::wrong_arity("ping").into(),
    }
}

pub(super) fn echo(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    Reply::Bulk(arguments[1].clone()).into()
}

pub(super) fn quit(_: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    Outcome::Close(Reply::OK)
}

pub(super) fn reset(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    context.session.reset();
    Reply::Status("RESET").into()
}

pub(super) fn select(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    match parse_integer(&arguments[1]) {
        Some(0) => Reply::OK.into(),
        Some(number) if i32::try_from(number).is_ok() => Reply::error("ERR DB index is out of range").into(),
        _ => Reply::error(NOT_AN_INTEGER).into(),
    }
}

pub(super) fn auth(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [_, _] if context.server.password.is_none() => Reply::error(NO_PASSWORD).into(),
        [_, password] => authenticate(context, DEFAULT_USER, password).map_or(Reply::OK, Reply::error).into(),
        [_, user, password] => authenticate(context, user, password).map_or(Reply::OK, Reply::error).into(),
        _ => Reply::error(errors::SYNTAX).into(),
    }
}

/// There is one user. If it has no password, any will do, as in Redis.
fn authenticate(context: &mut Context<'_>, user: &[u8], password: &[u8]) -> Option<&'static str> {
    let is_right = context.server.password.as_ref().is_none_or(|right| right.is(password));
    if user != DEFAULT_USER || !is_right {
        return Some(WRONG_PASSWORD);
    }
    context.session.is_authenticated = true;
    None
}

/// Whether there is a password that the client has not given.
pub(super) fn must_authenticate(context: &Context<'_>) -> bool {
    context.server.password.is_some() && !context.session.is_authenticated
}

pub(super) fn hello(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let chosen = match arguments.get(1).map(|version| parse_integer(version)) {
        None => Ok(context.session.protocol),
        Some(Some(2)) => Ok(Protocol::Resp2),
        Some(Some(3)) => Ok(Protocol::Resp3),
        Some(Some(_)) => Err("NOPROTO unsupported protocol version"),
        Some(None) => Err("ERR Protocol version is not an integer or out of range"),
    };
    let protocol = match chosen {
        Ok(protocol) => protocol,
        Err(error) => return Reply::error(error).into(),
    };
    let name = match hello_options(context, arguments.get(2..).unwrap_or_default()) {
        Ok(name) => name,
        Err(error) => return error.into(),
    };
    if must_authenticate(context) {
        return Reply::error(errors::NOAUTH_HELLO).into();
    }
    if let Some(name) = name {
        context.session.client.set_name(&name);
    }
    context.session.set_protocol(protocol);
    greeting(context).into()
}

/// The name that the options give to the connection.
fn hello_options(context: &mut Context<'_>, mut words: &[Bytes]) -> Result<Option<Bytes>, Reply> {
    let mut name = None;
    while let Some((option, rest)) = words.split_first() {
        match (&option.to_ascii_uppercase()[..], rest) {
            (b"AUTH", [user, password, rest @ ..]) => {
                authenticate(context, user, password).map_or(Ok(()), |error| Err(Reply::error(error)))?;
                words = rest;
            }
            (b"SETNAME", [wanted, rest @ ..]) => {
                check_name(wanted)?;
                name = Some(wanted.clone());
                words = rest;
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(Reply::error(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
    }
    Ok(name)
}

/// Names must not break the lines of CLIENT LIST.
pub(super) fn check_name(name: &[u8]) -> Result<(), Reply> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) { Ok(()) } else { Err(Reply::error(BAD_NAME)) }
}

fn greeting(context: &Context<'_>) -> Reply {
    let proto = match context.session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let pair = |key, value| (Reply::constant(key), value);
    Reply::Map(vec![
        pair("server", Reply::constant("redis")),
        pair("version", Reply::constant(REDIS_VERSION)),
        pair("proto", Reply::Integer(proto)),
        pair("id", Reply::Integer(context.session.client.id as i64)),
        pair("mode", Reply::constant("standalone")),
        pair("role", Reply::constant("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
}

//! Every command that is understood: what COMMAND tells clients about it, and the function that runs it.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;

use super::{Context, Outcome, client, config, info, introspect, session, set, strings};

/// Reads the arguments of a command, the name among them, and says what has to be done.
pub(crate) type Run = fn(&mut Context<'_>, &[Bytes]) -> Outcome;

/// One command.
pub(crate) struct CommandSpec {
    /// In small letters.
    pub(crate) name: &'static str,
    /// Arguments with the name; negative: at least so many.
    pub(crate) arity: i32,
    /// In Redis' words.
    pub(crate) flags: &'static [&'static str],
    /// The first key, the last one (negative: from the end), and the distance between two. Zeros: no keys.
    pub(crate) keys: (i32, i32, i32),
    pub(crate) group: &'static str,
    /// The version of Redis that had it first.
    pub(crate) since: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) run: Run,
}

/// A name is longer than any command's from here on.
const NAME_BYTES_MAX: usize = 16;

/// The command of this name, in letters of any size.
pub(crate) fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    static BY_NAME: LazyLock<HashMap<&'static [u8], &'static CommandSpec>> =
        LazyLock::new(|| COMMANDS.iter().map(|spec| (spec.name.as_bytes(), spec)).collect());
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

const ONE: (i32, i32, i32) = (1, 1, 1);
const ALL: (i32, i32, i32) = (1, -1, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);
const NONE: (i32, i32, i32) = (0, 0, 0);

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "fast"];
const GROW: &[&str] = &["write", "denyoom", "fast"];
const GROW_SLOW: &[&str] = &["write", "denyoom"];
const ANY_TIME: &[&str] = &["loading", "stale", "fast"];
const BEFORE_AUTH: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"];
const ADMIN: &[&str] = &["admin", "noscript", "loading", "stale"];

macro_rules! commands {
    ($($name:literal $arity:literal $flags:ident $keys:ident $group:literal $since:literal $run:path, $summary:literal;)*) => {
        /// See the page of this file.
        pub(crate) static COMMANDS: &[CommandSpec] = &[$(CommandSpec {
            name: $name, arity: $arity, flags: $flags, keys: $keys, group: $group, since: $since,
            summary: $summary, run: $run,
        }),*];
    };
}

commands! {
    "append" 3 GROW ONE "string" "2.0.0" strings::append, "Appends to a value; a missing one is empty";
    "auth" -2 BEFORE_AUTH NONE "connection" "1.0.0" session::auth, "Authenticates the connection";
    "client" -2 ADMIN NONE "connection" "2.4.0" client::client, "Asks about connections and changes this one";
    "command" -1 ANY_TIME NONE "server" "2.8.13" introspect::command, "Describes the commands";
    "config" -2 ADMIN NONE "server" "2.0.0" config::config, "Reads settings";
    "dbsize" 1 READ NONE "server" "1.0.0" info::dbsize, "Counts the keys";
    "decr" 2 GROW ONE "string" "1.0.0" strings::decr, "Subtracts one from a number; a missing one is 0";
    "decrby" 3 GROW ONE "string" "1.0.0" strings::decrby, "Subtracts from a number; a missing one is 0";
    "del" -2 WRITE ALL "generic" "1.0.0" strings::del, "Deletes keys";
    "echo" 2 ANY_TIME NONE "connection" "1.0.0" session::echo, "Answers with its argument";
    "exists" -2 READ ALL "generic" "1.0.0" strings::exists, "Counts those of the keys that exist";
    "get" 2 READ ONE "string" "1.0.0" strings::get, "The value of a key";
    "getdel" 2 WRITE ONE "string" "6.2.0" strings::getdel, "The value of a key, which it deletes";
    "getset" 3 GROW ONE "string" "1.0.0" strings::getset, "Sets a key and answers with its old value";
    "hello" -1 BEFORE_AUTH NONE "connection" "6.0.0" session::hello, "Chooses the version of the protocol";
    "incr" 2 GROW ONE "string" "1.0.0" strings::incr, "Adds one to a number; a missing one is 0";
    "incrby" 3 GROW ONE "string" "1.0.0" strings::incrby, "Adds to a number; a missing one is 0";
    "info" -1 ANY_TIME NONE "server" "1.0.0" info::info, "Describes the server";
    "mget" -2 READ ALL "string" "1.0.0" strings::mget, "The values of keys";
    "mset" -3 GROW_SLOW PAIRS "string" "1.0.1" strings::mset, "Sets keys; atomic in each region, up to 17 MiB of them";
    "ping" -1 ANY_TIME NONE "connection" "1.0.0" session::ping, "Answers";
    "quit" -1 BEFORE_AUTH NONE "connection" "1.0.0" session::quit, "Closes the connection";
    "reset" 1 BEFORE_AUTH NONE "connection" "6.2.0" session::reset, "Makes the connection like a new one";
    "select" 2 ANY_TIME NONE "connection" "1.0.0" session::select, "Chooses the database; there is one, 0";
    "set" -3 GROW_SLOW ONE "string" "1.0.0" set::set, "Sets a key";
    "setnx" 3 GROW ONE "string" "1.0.0" strings::setnx, "Sets a key that does not exist";
    "strlen" 2 READ ONE "string" "2.2.0" strings::strlen, "The length of a value";
    "time" 1 ANY_TIME NONE "server" "2.6.0" info::time, "The time of the server";
    "type" 2 READ ONE "generic" "1.0.0" strings::kind, "The type of a value: string, or none";
    "unlink" -2 WRITE ALL "generic" "4.0.0" strings::del, "Deletes keys";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_small_sorted_and_found_in_any_size() {
        for pair in COMMANDS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for spec in COMMANDS {
            assert!(spec.name.len() <= NAME_BYTES_MAX);
            assert!(std::ptr::eq(find(spec.name.to_uppercase().as_bytes()).expect("found"), spec));
        }
        assert!(find(b"").is_none());
        assert!(find(b"nosuchcommand").is_none());
        assert!(find(&[b'a'; 100]).is_none());
    }

    #[test]
    fn keys_stand_where_the_arity_has_room_for_them() {
        for spec in COMMANDS {
            let (first, last, step) = spec.keys;
            assert_eq!(first == 0, step == 0, "{}", spec.name);
            assert!(first < spec.arity.abs() && last < spec.arity.abs(), "{}", spec.name);
            assert!(!(spec.flags.contains(&"write") && spec.flags.contains(&"readonly")), "{}", spec.name);
        }
    }
}

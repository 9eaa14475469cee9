//! Every command that is understood: what COMMAND tells clients about it, and the function that runs it.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;

use super::{
    Context, Outcome, client, config, expiry, info, introspect, moves, object, replication, session, set,
    strings, transaction, walks,
};

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
    /// The version of Redis that had it first; `skep`: none.
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
const TWO: (i32, i32, i32) = (1, 2, 1);
const NONE: (i32, i32, i32) = (0, 0, 0);

const READ: &[&str] = &["readonly", "fast"];
const READ_SLOW: &[&str] = &["readonly"];
const WRITE: &[&str] = &["write", "fast"];
const WRITE_SLOW: &[&str] = &["write"];
const GROW: &[&str] = &["write", "denyoom", "fast"];
const GROW_SLOW: &[&str] = &["write", "denyoom"];
const ANY_TIME: &[&str] = &["loading", "stale", "fast"];
const BEFORE_AUTH: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"];
const IN_TRANSACTION: &[&str] = &["noscript", "loading", "stale", "fast", "allow_busy"];
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
    "cluster" -2 ANY_TIME NONE "cluster" "3.0.0" replication::cluster, "Says that this is no Redis Cluster";
    "command" -1 ANY_TIME NONE "server" "2.8.13" introspect::command, "Describes the commands";
    "config" -2 ADMIN NONE "server" "2.0.0" config::config, "Reads settings";
    "consistency" -1 ANY_TIME NONE "connection" "skep" replication::consistency, "Chooses between linearizable and stale reads";
    "copy" -3 GROW_SLOW TWO "generic" "6.2.0" moves::copy, "Copies a value to another key of the region";
    "dbsize" 1 READ NONE "server" "1.0.0" info::dbsize, "Counts the keys";
    "decr" 2 GROW ONE "string" "1.0.0" strings::decr, "Subtracts one from a number; a missing one is 0";
    "decrby" 3 GROW ONE "string" "1.0.0" strings::decrby, "Subtracts from a number; a missing one is 0";
    "del" -2 WRITE ALL "generic" "1.0.0" strings::del, "Deletes keys";
    "discard" 1 IN_TRANSACTION NONE "transactions" "2.0.0" transaction::discard, "Forgets what was queued since MULTI";
    "echo" 2 ANY_TIME NONE "connection" "1.0.0" session::echo, "Answers with its argument";
    "exec" 1 IN_TRANSACTION NONE "transactions" "1.2.0" transaction::exec, "Carries out what was queued since MULTI; keys of one region";
    "exists" -2 READ ALL "generic" "1.0.0" strings::exists, "Counts those of the keys that exist";
    "expire" -3 WRITE ONE "generic" "1.0.0" expiry::expire, "Lets a key expire after seconds";
    "expireat" -3 WRITE ONE "generic" "1.2.0" expiry::expireat, "Lets a key expire at a time in seconds";
    "expiretime" 2 READ ONE "generic" "7.0.0" expiry::expiretime, "When a key expires, in seconds";
    "flushall" -1 WRITE_SLOW NONE "server" "1.0.0" walks::flush, "Deletes all keys, if the settings of the server allow it";
    "flushdb" -1 WRITE_SLOW NONE "server" "1.0.0" walks::flush, "Deletes all keys, if the settings of the server allow it";
    "get" 2 READ ONE "string" "1.0.0" strings::get, "The value of a key";
    "getdel" 2 WRITE ONE "string" "6.2.0" strings::getdel, "The value of a key, which it deletes";
    "getex" -2 WRITE ONE "string" "6.2.0" set::getex, "The value of a key, whose time to expire it changes";
    "getrange" 4 READ_SLOW ONE "string" "2.4.0" strings::getrange, "A part of a value";
    "getset" 3 GROW ONE "string" "1.0.0" strings::getset, "Sets a key and answers with its old value";
    "hello" -1 BEFORE_AUTH NONE "connection" "6.0.0" session::hello, "Chooses the version of the protocol";
    "incr" 2 GROW ONE "string" "1.0.0" strings::incr, "Adds one to a number; a missing one is 0";
    "incrby" 3 GROW ONE "string" "1.0.0" strings::incrby, "Adds to a number; a missing one is 0";
    "incrbyfloat" 3 GROW ONE "string" "2.6.0" strings::incrbyfloat, "Adds to a number with a fraction; a missing one is 0";
    "info" -1 ANY_TIME NONE "server" "1.0.0" info::info, "Describes the server";
    "keys" 2 READ_SLOW NONE "generic" "1.0.0" walks::keys, "All keys that match a pattern";
    "kv.cas" 4 GROW ONE "string" "skep" strings::kv_cas, "Sets a key if it has the expected value";
    "kv.range" -3 READ_SLOW NONE "generic" "skep" walks::kv_range, "Keys and values in order, from a key on and before another";
    "memory" -2 READ_SLOW NONE "server" "4.0.0" object::memory, "Estimates the memory that a key takes";
    "mget" -2 READ ALL "string" "1.0.0" strings::mget, "The values of keys";
    "mset" -3 GROW_SLOW PAIRS "string" "1.0.1" strings::mset, "Sets keys; atomic in each region, up to 17 MiB of them";
    "msetnx" -3 GROW_SLOW PAIRS "string" "1.0.1" strings::msetnx, "Sets keys of one region if none of them exists";
    "multi" 1 IN_TRANSACTION NONE "transactions" "1.2.0" transaction::multi, "Queues the commands that follow until EXEC";
    "object" -2 READ_SLOW NONE "generic" "2.2.3" object::object, "Describes how Redis would keep a value";
    "persist" 2 WRITE ONE "generic" "2.2.0" expiry::persist, "Lets a key never expire";
    "pexpire" -3 WRITE ONE "generic" "2.6.0" expiry::pexpire, "Lets a key expire after milliseconds";
    "pexpireat" -3 WRITE ONE "generic" "2.6.0" expiry::pexpireat, "Lets a key expire at a time in milliseconds";
    "pexpiretime" 2 READ ONE "generic" "7.0.0" expiry::pexpiretime, "When a key expires, in milliseconds";
    "ping" -1 ANY_TIME NONE "connection" "1.0.0" session::ping, "Answers";
    "psetex" 4 GROW_SLOW ONE "string" "2.6.0" set::psetex, "Sets a key that expires after milliseconds";
    "pttl" 2 READ ONE "generic" "2.6.0" expiry::pttl, "How long until a key expires, in milliseconds";
    "quit" -1 BEFORE_AUTH NONE "connection" "1.0.0" session::quit, "Closes the connection";
    "randomkey" 1 READ_SLOW NONE "generic" "1.0.0" walks::randomkey, "Some key";
    "readonly" 1 ANY_TIME NONE "cluster" "3.0.0" replication::readonly, "Lets reads be stale";
    "readwrite" 1 ANY_TIME NONE "cluster" "3.0.0" replication::readwrite, "Makes reads linearizable";
    "rename" 3 WRITE_SLOW TWO "generic" "1.0.0" moves::rename, "Moves a value to another key of the region";
    "renamenx" 3 WRITE TWO "generic" "1.0.0" moves::renamenx, "Moves a value to a key of the region that does not exist";
    "reset" 1 BEFORE_AUTH NONE "connection" "6.2.0" session::reset, "Makes the connection like a new one";
    "role" 1 ANY_TIME NONE "server" "2.8.12" replication::role, "The role of the server: master";
    "scan" -2 READ_SLOW NONE "generic" "2.8.0" walks::scan, "Some keys, and where to go on";
    "select" 2 ANY_TIME NONE "connection" "1.0.0" session::select, "Chooses the database; there is one, 0";
    "set" -3 GROW_SLOW ONE "string" "1.0.0" set::set, "Sets a key";
    "setex" 4 GROW_SLOW ONE "string" "2.0.0" set::setex, "Sets a key that expires after seconds";
    "setnx" 3 GROW ONE "string" "1.0.0" strings::setnx, "Sets a key that does not exist";
    "setrange" 4 GROW_SLOW ONE "string" "2.2.0" strings::setrange, "Writes over a part of a value";
    "strlen" 2 READ ONE "string" "2.2.0" strings::strlen, "The length of a value";
    "substr" 4 READ_SLOW ONE "string" "1.0.0" strings::getrange, "A part of a value";
    "time" 1 ANY_TIME NONE "server" "2.6.0" info::time, "The time of the server";
    "touch" -2 READ ALL "generic" "3.2.1" strings::exists, "Counts those of the keys that exist";
    "ttl" 2 READ ONE "generic" "1.0.0" expiry::ttl, "How long until a key expires, in seconds";
    "type" 2 READ ONE "generic" "1.0.0" strings::kind, "The type of a value: string, or none";
    "unlink" -2 WRITE ALL "generic" "4.0.0" strings::del, "Deletes keys";
    "unwatch" 1 IN_TRANSACTION NONE "transactions" "2.2.0" transaction::unwatch, "Watches no key any more";
    "wait" 3 ANY_TIME NONE "generic" "3.0.0" replication::wait, "How many other stores have the writes before it, at least";
    "watch" -2 IN_TRANSACTION ALL "transactions" "2.2.0" transaction::watch, "Lets EXEC fail if one of the keys changes";
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

    /// Nobody has to remember to write about a command, or to strike it out.
    #[test]
    fn the_documentation_has_every_command_and_no_other() {
        let read = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
            std::fs::read_to_string(path).expect("the page")
        };
        let page = read("docs/RESP.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let name = |row: &str| row.split([' ', '`']).next().unwrap_or_default().to_lowercase();
        let mut documented: Vec<String> = rows.map(name).collect();
        documented.sort_unstable();
        let names: Vec<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
        assert_eq!(documented, names);

        let readme = read("README.md");
        let listed: Vec<&str> = readme.split_whitespace().map(|word| word.trim_end_matches('.')).collect();
        for name in names {
            assert!(listed.contains(&name.to_uppercase().as_str()), "README.md does not list {name}");
        }
    }
}

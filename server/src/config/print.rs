//! The table of keys as text: a commented file to begin with, and the page docs/CONFIG.md.

use std::fmt::Write as _;

use super::table::{KEYS, Key, Kind, SECTIONS};

/// Columns of a comment.
const WIDTH: usize = 100;

/// A configuration in which every key has its default.
pub fn default_file() -> String {
    let mut out = String::from(
        "# The configuration of `skep serve`: every key there is, with its default.\n\
         # Sizes are bytes or \"64KiB\", \"1MiB\", \"2GiB\"; durations are \"500ms\", \"5s\", \"2m\", \"1h\".\n\
         # A flag overrides a key: --store-data overrides data in [store].\n",
    );
    for (section, about) in SECTIONS {
        let _ = write!(out, "\n# {about}\n[{section}]\n");
        for key in KEYS.iter().filter(|key| key.parts().0 == section) {
            out.push('\n');
            for line in wrap(&format!("{} {}", key.about, key.reason), WIDTH - 2) {
                let _ = writeln!(out, "# {line}");
            }
            let _ = writeln!(out, "{} = {}", key.parts().1, key.default);
        }
    }
    out
}

/// The page docs/CONFIG.md.
pub fn reference() -> String {
    let mut out = String::from(
        "# The configuration of `skep serve`\n\n\
         `skep config default > skep.toml` prints a file with every key, its default and what this page says about it;\n\
         `skep config check skep.toml` says whether a file is right without touching anything. A key that does not exist is an\n\
         error. Every key has a flag, which overrides it: `--store-data DIR` overrides `data` in `[store]`. Sizes are bytes or\n\
         `\"64KiB\"`, `\"1MiB\"`, `\"2GiB\"`; durations are `\"500ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`.\n\n\
         This page is made from `server/src/config/table.rs`; a test sees to it that it is up to date.\n",
    );
    for (section, about) in SECTIONS {
        let _ = write!(
            out,
            "\n## `[{section}]`\n\n{about}\n\n| key | kind | default | what it is, and why |\n|---|---|---|---|\n"
        );
        for key in KEYS.iter().filter(|key| key.parts().0 == section) {
            let Key { default, about, reason, kind, .. } = key;
            let _ =
                writeln!(out, "| `{}` | {} | `{default}` | {about} {reason} |", key.parts().1, name(*kind));
        }
    }
    out
}

/// What stands for a value of this kind in help.
pub fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "TEXT",
        Kind::Texts => "LIST",
        Kind::Size => "SIZE",
        Kind::Duration => "DURATION",
        Kind::Number => "N",
        Kind::Flag => "BOOL",
    }
}

/// What to call a kind.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Texts => "list",
        Kind::Size => "size",
        Kind::Duration => "duration",
        Kind::Number => "number",
        Kind::Flag => "true or false",
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

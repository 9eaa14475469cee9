//! The configuration: what is printed is what is read, and mistakes are explained.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

use std::collections::BTreeSet;

use super::table::{KEYS, SECTIONS};
use super::*;

fn read(file: &str) -> Result<ServeConfig, ConfigError> {
    ServeConfig::read(file, &[])
}

fn mistake(file: &str) -> String {
    read(file).unwrap_err().to_string()
}

#[test]
fn the_printed_default_says_what_is_true_without_a_file() {
    let printed = default_file();
    assert_eq!(read(&printed).unwrap(), read("").unwrap());
    // It names every key: without one of them, another value in its place would not be noticed.
    for key in KEYS {
        assert!(printed.contains(&format!("\n{} = {}\n", key.parts().1, key.default)), "{}", key.name);
    }
    assert!(printed.lines().all(|line| line.len() <= 100), "a line is too long");
}

#[test]
fn every_key_has_a_section_a_reason_and_an_effect() {
    let sections: BTreeSet<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names.len(), KEYS.len(), "a key stands in the table twice");
    assert!(KEYS.len() <= 60);
    for key in KEYS {
        assert!(
            sections.contains(key.parts().0) && key.about.ends_with('.') && key.reason.ends_with('.'),
            "{}",
            key.name
        );
    }
    let mut values = Values::defaults().unwrap();
    assert_eq!(values.names().len(), KEYS.len());
    ServeConfig::from_values(&mut values).unwrap();
    assert!(values.names().is_empty(), "these do nothing: {:?}", values.names());
}

#[test]
fn the_page_in_the_documentation_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == reference(),
        "run `UPDATE_DOCS=1 cargo test -p skep-server the_page_in` to write docs/CONFIG.md anew"
    );
}

#[test]
fn a_file_says_what_it_says_and_flags_say_more() {
    let file = "[store]\ndata = 'd'\nlisten = \"0.0.0.0:1\"\nadvertise = \"a:1\"\n[cluster]\nstores = [\"b:1\", \"a:1\"]\n\
                [wal]\nsegment_bytes = 1_048_576\n[client]\nrequest_timeout = \"500ms\"\ninsecure = true\npassword = \"p\"\n";
    let config = read(file).unwrap();
    assert_eq!((config.store.address.as_str(), config.store_listen.as_str()), ("a:1", "0.0.0.0:1"));
    assert_eq!((config.store.segment_bytes, config.is_insecure), (1 << 20, true));
    assert_eq!(config.store.request_timeout, Duration::from_millis(500));
    assert!(config.password.is_some_and(|password| password.is(b"p")));
    let flags = [
        ("store.data", "e"),
        ("wal.segment_bytes", "2MiB"),
        ("cluster.stores", "a:1, c:1"),
        ("client.insecure", "false"),
    ];
    let flags: Vec<_> = flags.map(|(name, text)| (table::find(name).unwrap(), text.to_owned())).into();
    let config = ServeConfig::read(file, &flags).unwrap();
    assert_eq!((config.store.dir, config.store.segment_bytes), ("e".into(), 2 << 20));
    assert_eq!((config.store.stores, config.is_insecure), (vec!["a:1".to_owned(), "c:1".to_owned()], false));
}

#[test]
fn mistakes_name_their_line_and_what_would_be_right() {
    assert_eq!(
        mistake("[client]\n\npasword = \"x\"\n"),
        "line 3: there is no key client.pasword; did you mean client.password?"
    );
    assert_eq!(
        mistake("[store]\nlistenn = 1"),
        "line 2: there is no key store.listenn; did you mean store.listen?"
    );
    assert_eq!(mistake("data = 'x'"), "line 1: there is no key data; did you mean store.data?");
    assert!(
        mistake("[foo]\n")
            .contains("line 1: there is no key foo; `skep config default` prints all there are")
    );
    assert_eq!(mistake("[store]\ndata = 1"), "line 2: store.data: a text in quotes");
    assert!(
        mistake("[client]\nrequest_timeout = \"5\"")
            .contains("line 2: client.request_timeout: '5' is not a duration")
    );
    assert!(
        mistake("[wal]\nsegment_bytes = \"1MB\"").contains("line 2: wal.segment_bytes: '1MB' is not a size")
    );
    assert!(mistake("[store]\n=").starts_with("line 2: this is not TOML"));
    assert_eq!(mistake("[store]\nworkers = 0"), "store.workers: write 1 to 64");
    assert!(mistake("[cluster]\nheartbeat = \"900ms\"").starts_with("cluster.heartbeat: "));
    assert!(mistake("[cluster]\nelection_max = \"500ms\"").starts_with("cluster.election_max: "));
    assert!(mistake("[log]\nlevel = \"loud\"").contains("'loud' is not a log level"));
    assert!(mistake("[log]\nformat = \"xml\"").contains("'xml' is not a format"));
    assert_eq!(
        mistake("[client]\nrequest_timeout = \"0s\""),
        "client.request_timeout: it must be more than nothing"
    );
}

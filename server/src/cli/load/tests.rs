//! Loads against a server that misbehaves on purpose.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use clap::{Args as _, FromArgMatches as _};
use parking_lot::Mutex;

use super::*;
use crate::resp::{Parser, Request};

/// What the server does with command number so and so, counted over all connections; with others it does as it is told.
#[derive(Clone, Copy)]
enum Prank {
    /// Refuses it, for now.
    Later,
    /// Refuses it for good.
    Never,
    /// Does it, and closes the connection without an answer.
    DoAndClose,
    /// Closes the connection without doing it.
    Close,
}

/// A key and what it was set to.
type Written = (Bytes, Bytes);

/// A server with a few keys and a script.
#[derive(Clone, Default)]
struct Fake {
    pairs: Arc<Mutex<HashMap<Bytes, Bytes>>>,
    /// Every write in the order in which it took effect.
    writes: Arc<Mutex<Vec<Written>>>,
    pranks: Arc<Mutex<HashMap<u64, Prank>>>,
    commands: Arc<Mutex<u64>>,
}

impl Fake {
    fn with(pranks: &[(u64, Prank)]) -> (Fake, String) {
        let fake = Fake::default();
        fake.pranks.lock().extend(pranks.iter().copied());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        (fake, address)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut parser = Parser::default();
        let (mut room, mut buffer) = ([0; 4096], BytesMut::new());
        while let Ok(read @ 1..) = stream.read(&mut room) {
            buffer.extend_from_slice(&room[..read]);
            while let Ok(Some(Request::Command(words))) = parser.next(&mut buffer) {
                let Some(answer) = self.answer(&words) else { return };
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&self, words: &[Bytes]) -> Option<Vec<u8>> {
        let number = {
            let mut commands = self.commands.lock();
            *commands += 1;
            *commands
        };
        match self.pranks.lock().get(&number) {
            None => Some(self.carry_out(words)),
            Some(Prank::Later) => Some(b"-TRYAGAIN a little later\r\n".to_vec()),
            Some(Prank::Never) => Some(b"-OOM no room\r\n".to_vec()),
            Some(Prank::DoAndClose) => {
                self.carry_out(words);
                None
            }
            Some(Prank::Close) => None,
        }
    }

    fn carry_out(&self, words: &[Bytes]) -> Vec<u8> {
        match words {
            [_, key, value] => {
                self.pairs.lock().insert(key.clone(), value.clone());
                self.writes.lock().push((key.clone(), value.clone()));
                b"+OK\r\n".to_vec()
            }
            [_, key] => match self.pairs.lock().get(key) {
                Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
                None => b"$-1\r\n".to_vec(),
            },
            other => panic!("{other:?}"),
        }
    }

    fn has(&self, key: &str) -> Option<Bytes> {
        self.pairs.lock().get(key.as_bytes()).cloned()
    }
}

struct Run {
    _dir: tempfile::TempDir,
    args: LoadArgs,
}

impl Run {
    fn new(text: &str, address: &str, more: &[&str]) -> Run {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("pairs.tsv");
        fs::write(&file, text).expect("written");
        let words = ["load", file.to_str().expect("text"), "--addr", address, "--timeout", "500ms"];
        let command = LoadArgs::augment_args(clap::Command::new("load")).args_override_self(true);
        let matches = command.get_matches_from(words.iter().chain(more));
        Run { _dir: dir, args: LoadArgs::from_arg_matches(&matches).expect("arguments") }
    }

    fn write(&self) -> Result<u64, String> {
        write(&self.args, &self.args.shared(Arc::default())).map_err(|(_, failure)| failure.to_string())
    }

    fn verify(&self, differences_max: usize) -> Result<u64, String> {
        let shared = self.args.shared(Arc::default());
        verify(&self.args, &shared, differences_max).map_err(|failure| failure.to_string())
    }
}

/// Line 2 is refused and line 3, of the same key, is not. Written again alone, line 2 would overwrite it.
#[test]
fn a_refused_line_is_not_written_over_a_later_one() {
    let (fake, address) = Fake::with(&[(2, Prank::Later), (5, Prank::Later)]);
    let run = Run::new("a\t1\nk\told\nk\tnew\nb\t1\n", &address, &["--clients", "1"]);
    assert_eq!(run.write(), Ok(4));
    assert_eq!(fake.has("k"), Some("new".into()));
    let of_k: Vec<_> =
        fake.writes.lock().iter().filter(|(key, _)| key == "k").map(|(_, v)| v.clone()).collect();
    assert_eq!(of_k.last(), Some(&Bytes::from("new")), "{of_k:?}");
    assert!(of_k.len() >= 3, "the line behind the refused one was written again: {of_k:?}");
}

/// Connections are lost again and again, sometimes after the command was carried out.
#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    let pranks: Vec<(u64, Prank)> = (1..6)
        .flat_map(|round| {
            [(round * 90, Prank::DoAndClose), (round * 90 + 40, Prank::Close), (round * 70, Prank::Later)]
        })
        .collect();
    let (fake, address) = Fake::with(&pranks);
    let text: String = (0..600).map(|number| format!("key {}\tvalue {number}\n", number % 7)).collect();
    let run = Run::new(&text, &address, &["--clients", "3", "--pipeline", "16", "--timeout", "20s"]);
    assert_eq!(run.write(), Ok(600));
    for key in 0..7 {
        let last = (0..600).rev().find(|number| number % 7 == key).expect("it was written");
        assert_eq!(fake.has(&format!("key {key}")), Some(format!("value {last}").into()), "key {key}");
    }
    assert_eq!(run.verify(100), Ok(600));
}

#[test]
fn a_line_that_is_refused_for_good_ends_the_load_and_names_itself() {
    let (fake, address) = Fake::with(&[(3, Prank::Never)]);
    let run = Run::new("a\t1\nb\t2\nc\t3\nd\t4\n", &address, &["--clients", "1"]);
    assert_eq!(run.write(), Err("the server refuses line 3: OOM no room".into()));
    assert_eq!(fake.has("b"), Some("2".into()));
}

#[test]
fn a_malformed_line_ends_the_load_behind_the_lines_before_it() {
    let (fake, address) = Fake::with(&[]);
    let run = Run::new("a\t1\nb\t2\nc 3\nd\t4\n", &address, &[]);
    let text = "line 3 has no TAB between a key and a value: write it as key<TAB>value";
    assert_eq!(run.write(), Err(text.into()));
    assert_eq!((fake.has("b"), fake.has("d")), (Some("2".into()), None));
    let Err(error) = run.verify(10) else { panic!("it is malformed for those who read it, too") };
    assert_eq!(error, text);
}

#[test]
fn nobody_there_is_told_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let began = Instant::now();
    let error = Run::new("a\t1\n", &address, &[]).write().expect_err("nobody is there");
    assert!(error.starts_with("gave up after 500ms") && error.contains("refused"), "{error}");
    assert!((Duration::from_millis(500)..Duration::from_secs(10)).contains(&began.elapsed()));
    let (_, silent) = Fake::with(&[]);
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute = held.local_addr().expect("an address").to_string();
    assert!(Run::new("a\t1\n", &mute, &[]).write().is_err_and(|error| error.contains("does not answer")));
    assert_eq!(Run::new("", &silent, &[]).write(), Ok(0), "nothing to load is no mistake");
}

/// Every key stands in the file three times; only its last line must be there.
#[test]
fn only_the_last_line_of_a_key_is_compared() {
    let (fake, address) = Fake::with(&[]);
    let text: String =
        (0..3).flat_map(|round| (0..400).map(move |key| format!("k{key}\t{round}\n"))).collect();
    let run = Run::new(&text, &address, &[]);
    assert_eq!(run.write(), Ok(1200));
    assert_eq!(run.verify(10_000), Ok(1200));
    // With room for few, the file is gone through in parts.
    assert_eq!(run.verify(64), Ok(1200));
    fake.pairs.lock().insert("k7".into(), "1".into());
    let error = run.verify(10_000).expect_err("k7 differs");
    assert!(
        error.contains("1 of 1200 lines differ") && error.contains("line 808: the server has another"),
        "{error}"
    );
    fake.pairs.lock().remove(&b"k7"[..]);
    assert!(run.verify(64).is_err_and(|error| error.contains("line 808: the server has no such key")));
}

/// Through line 2 all is acknowledged; line 3 took effect and nobody heard of it.
#[test]
fn a_line_beyond_the_limit_counts_where_it_is_found() {
    let (fake, address) = Fake::with(&[]);
    let run = |more: &[&str]| Run::new("k\told\nl\t1\nk\tnew\n", &address, more);
    assert_eq!(run(&["--lines", "2"]).write(), Ok(2));
    assert_eq!(run(&["--lines", "2"]).verify(9), Ok(2));
    fake.pairs.lock().insert("k".into(), "new".into());
    assert_eq!(run(&["--lines", "2"]).verify(9), Ok(2));
    fake.pairs.lock().insert("k".into(), "else".into());
    let error = run(&["--lines", "2"]).verify(9).expect_err("no line says so");
    assert!(error.contains("the first is line 1"), "{error}");
}
